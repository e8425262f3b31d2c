//! What the screen shows, in the screen's own words.

use std::time::Duration;

use sordino::{PresencePolicy, Setting};

use crate::text::Clean;

pub(crate) use sordino::{
    ConversationId, DeviceId, MessageId, Position as Place, Presence, Trust, UserId,
};

/// The number of an entry of a timeline; it never changes.
pub(crate) type ItemId = u64;

/// A change of a list that lives in the client.
#[derive(Debug, Clone)]
pub(crate) enum Diff<T> {
    Reset(Vec<T>),
    Insert(usize, T),
    Update(usize, T),
    Remove(usize),
    Move { from: usize, to: usize, item: T },
}

impl<T> Diff<T> {
    /// Follows the change; one that does not fit the list is left out.
    pub(crate) fn apply(self, list: &mut Vec<T>) {
        match self {
            Self::Reset(all) => *list = all,
            Self::Insert(at, item) if at <= list.len() => list.insert(at, item),
            Self::Update(at, item) => {
                if let Some(place) = list.get_mut(at) {
                    *place = item;
                }
            }
            Self::Remove(at) if at < list.len() => drop(list.remove(at)),
            Self::Move { from, to, item } if from < list.len() && to < list.len() => {
                list.remove(from);
                list.insert(to, item);
            }
            Self::Insert(..) | Self::Remove(_) | Self::Move { .. } => {}
        }
    }
}

/// A person to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) id: UserId,
    /// `None` until it was learnt.
    pub(crate) name: Option<Clean>,
    /// What they call themselves.
    pub(crate) display_name: Option<Clean>,
}

impl Peer {
    /// What to call them.
    pub(crate) fn name(&self) -> &str {
        self.name.as_ref().map_or("(name unknown)", Clean::as_str)
    }

    /// The same with what they call themselves. That comes last: anybody may call themselves anything, and where there is no room for
    /// both the user name is what counts.
    pub(crate) fn title(&self) -> String {
        match &self.display_name {
            Some(display_name) => format!("{} · {display_name}", self.name()),
            None => self.name().to_owned(),
        }
    }
}

/// A line of the list of conversations.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// `None` before the first message.
    pub(crate) id: Option<ConversationId>,
    pub(crate) peer: Peer,
    pub(crate) last: Option<Last>,
    pub(crate) unread: u64,
    pub(crate) trust: Trust,
    /// Somebody whom the user has not answered yet.
    pub(crate) request: bool,
    /// What was being typed when the program ended.
    pub(crate) draft: String,
    /// How long messages last; `None`: for ever.
    pub(crate) timer: Option<Duration>,
}

/// The newest message of a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    pub(crate) mine: bool,
    pub(crate) text: Clean,
    pub(crate) at_ms: Option<i64>,
}

/// A message that was found.
#[derive(Debug, Clone)]
pub(crate) struct HitLine {
    pub(crate) peer: Peer,
    pub(crate) place: Place,
    pub(crate) mine: bool,
    pub(crate) at_ms: Option<i64>,
    /// The text from a little before what was found, on one line, and which pieces of it were.
    pub(crate) pieces: Vec<(Clean, bool)>,
}

/// A line of the list of devices.
#[derive(Debug, Clone)]
pub(crate) struct DeviceLine {
    pub(crate) id: DeviceId,
    pub(crate) name: Clean,
    pub(crate) added_ms: Option<i64>,
    pub(crate) is_this: bool,
    /// Another is called the same.
    pub(crate) has_twin: bool,
}

impl DeviceLine {
    /// What tells it apart from another of its name: nothing, where there is none.
    pub(crate) fn told_apart(&self) -> String {
        match self.has_twin {
            true => format!(" ({})", short(self.id)),
            false => String::new(),
        }
    }
}

/// The beginning of a device's id.
pub(crate) fn short(id: DeviceId) -> String {
    id.to_string().chars().take(6).collect()
}

/// What the user has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsShown {
    pub(crate) name: Clean,
    pub(crate) receipts: bool,
    pub(crate) typing: bool,
    pub(crate) presence: PresencePolicy,
}

/// An entry of a timeline.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: ItemId,
    pub(crate) at_ms: Option<i64>,
    pub(crate) body: Body,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// What the peer wrote, and what to think of it.
    Theirs {
        id: MessageId,
        text: Clean,
        doubt: Option<Clean>,
        beside: Beside,
    },
    /// What this user wrote.
    Mine {
        id: MessageId,
        text: Clean,
        state: State,
        beside: Beside,
    },
    /// What its author erased.
    Erased { mine: bool },
    /// Something the reader should know.
    Notice(Clean),
    /// Something the reader should take care of.
    Warning(Clean),
}

/// What stands beside a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    /// What it answers, on one line.
    pub(crate) quote: Option<Clean>,
    pub(crate) edited: bool,
    pub(crate) reactions: Vec<Clean>,
    /// It does not last.
    pub(crate) fades: bool,
}

/// How far a message of one's own has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Accepted,
    Delivered,
    Read,
    Failed(Clean),
}

/// What keeps a connection from coming about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    Network,
    /// There is a network, and no relay that takes the connection.
    Relay,
    /// Somebody answers whose certificate is not trusted.
    Certificate,
}

/// The connection to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    Offline,
    Connecting,
    CatchingUp { left: usize },
    Live,
    Degraded,
    Lost { retry_at_ms: i64, by: Lost },
    Stopped(Clean),
}

/// What the rest of the program tells the screen.
#[derive(Debug)]
pub(crate) enum Event {
    Key(crossterm::event::KeyEvent),
    Paste(String),
    Resize(u16, u16),
    /// Whether the terminal's window has the focus.
    Focus(bool),
    Tick {
        now_ms: i64,
    },
    Registered(Result<Clean, Clean>),
    /// The password was right; with the name, the account is open as well.
    LoggedIn(Result<Option<Clean>, Clean>),
    /// The account is open, or why not, and whether one has to log in again.
    Unlocked(Result<Clean, (Clean, bool)>),
    /// What a new device shows, so that another one of the account links it.
    Code(String),
    /// That one has read it.
    CodeRead,
    /// Other digits than those of the link were typed.
    OtherDigits(Clean),
    /// It came to nothing; whether one has to log in again.
    LinkFailed(Clean, bool),
    /// The code of a new device was read here: what is to be typed there.
    Met(Result<String, Clean>),
    /// It is on the account.
    Linked(Result<(), Clean>),
    /// The safety number with a person, and what its QR code holds.
    Number(UserId, Result<(String, String), Clean>),
    /// How far a person is trusted.
    Trusted(UserId, Trust),
    Settings(Result<SettingsShown, Clean>),
    /// The devices, and whether one that has left knows keys that are in use.
    Devices(Result<(Vec<DeviceLine>, bool), Clean>),
    /// One was named or removed.
    DevicesChanged(Result<(), Clean>),
    /// What was to become of the account, or why it did not.
    Changed(Result<Clean, Clean>),
    /// Somebody wants another identity for the account, or does not any more.
    ResetPending(Option<Clean>),
    /// One is not removed yet: a new one still waits for older messages from it.
    HistoryOwed,
    /// The account that this key opens has as many devices as it may have: these.
    NoRoom(Typed, Vec<DeviceLine>),
    /// To be written down.
    RecoveryKey(Typed),
    Connection(Connection),
    Rows(Diff<Row>),
    Items(UserId, Diff<Item>),
    /// Older messages were asked for; whether there may be more.
    Older(UserId, Result<bool, Clean>),
    /// What this text finds.
    Hits(String, Result<Vec<HitLine>, Clean>),
    /// Everything from a message on is loaded, if it is there.
    LoadedBack(UserId, Result<bool, Clean>),
    Found {
        name: String,
        peer: Result<Option<Peer>, Clean>,
    },
    SendFailed {
        peer: UserId,
        text: String,
        why: Clean,
    },
    Received(UserId),
    /// Whether somebody types to this user.
    Typing(UserId, bool),
    /// Whether the person of the open conversation is there.
    Presence(UserId, Presence),
    /// Events are missing, which may have ended something.
    Lagged,
    /// Something to know for a while.
    Notice(Clean),
    /// The same of something that was done with this person.
    NoticeAbout(UserId, Clean),
    /// Messages of before came back.
    Restored(Clean),
    /// Something to know until it was taken note of.
    Alarm(Clean),
    /// The same of a person.
    AlarmAbout(Whom, Clean),
    /// Why nothing goes on here.
    Ended(Clean),
}

/// A person, as the client knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    User(UserId),
    /// Whom this conversation is with.
    With(ConversationId),
}

/// A password or a key that somebody typed. Not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Typed(pub(crate) String);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}

/// What is to become of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Password {
        old: Typed,
        new: Typed,
    },
    /// Another recovery key, by the one before.
    RecoveryKey(Typed),
    /// Other keys for the devices, by the recovery key.
    Keys(Typed),
    /// Another identity, by the password.
    Identity(Typed),
    /// Its end, by the recovery key.
    Delete(Typed),
    /// The identity that somebody asks for is not to be.
    RefuseReset,
}

/// What the user decides about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The number that is shown is the same on the other side.
    Verified,
    NotVerified,
    Accept(Vec<DeviceId>),
    Blocked(bool),
}

/// What the screen wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Register {
        name: String,
        password: Typed,
    },
    Login {
        name: String,
        password: Typed,
    },
    Unlock {
        key: Typed,
        instead_of: Option<DeviceId>,
    },
    /// Another identity for the account whose password was right.
    Reset,
    Change(Change),
    /// For the safety number with a person.
    Number(UserId),
    Decide(UserId, Decision),
    /// To be linked by another device of the account.
    ShowCode,
    /// What the other device shows.
    TypedDigits(String),
    /// To link the device that shows this code.
    ReadCode(String),
    /// The digits are the same.
    ConfirmLink,
    LeaveLink,
    /// Not later, but now.
    Connect,
    Settings,
    /// For all devices of the account.
    Set(Setting),
    Devices,
    /// How far is this person trusted?
    Trust(UserId),
    NameDevice(String),
    RemoveDevice {
        device: DeviceId,
        key: Option<Typed>,
        anyway: bool,
    },
    RecoveryKeyKept(Typed),
    Find(String),
    Open(UserId),
    Send {
        peer: UserId,
        text: String,
        reply_to: Option<MessageId>,
    },
    Edit {
        peer: UserId,
        id: MessageId,
        text: String,
    },
    Erase(UserId, MessageId),
    React(UserId, MessageId, String),
    Cancel(UserId, MessageId),
    Retry(UserId, MessageId),
    SetTimer(UserId, Option<Duration>),
    SaveDraft(UserId, String),
    LoadOlder(UserId),
    LoadBackTo(UserId, Place),
    Search(String),
    MarkRead(UserId, MessageId),
    Typing(UserId, bool),
    /// Whether somebody looks at this window.
    Attend(bool),
    Bell,
    Quit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_follows_its_diffs_and_survives_wrong_ones() {
        let mut list = vec![9];
        Diff::Reset(vec![1, 2, 3]).apply(&mut list);
        Diff::Insert(3, 4).apply(&mut list);
        Diff::Insert(0, 0).apply(&mut list);
        Diff::Update(1, 10).apply(&mut list);
        Diff::Remove(2).apply(&mut list);
        Diff::Move {
            from: 3,
            to: 0,
            item: 40,
        }
        .apply(&mut list);
        Diff::Move {
            from: 0,
            to: 3,
            item: 4,
        }
        .apply(&mut list);
        assert_eq!(list, [0, 10, 3, 4]);
        Diff::Insert(9, 1).apply(&mut list);
        Diff::Update(9, 1).apply(&mut list);
        Diff::Remove(9).apply(&mut list);
        Diff::Move {
            from: 0,
            to: 4,
            item: 1,
        }
        .apply(&mut list);
        assert_eq!(list, [0, 10, 3, 4]);
    }
}
