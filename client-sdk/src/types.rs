//! What an app sees of people, conversations and messages.

use std::time::Duration;

use sordino_protocol::{ClientMessageId, Code, ConversationId, DeviceId, Retry, UserId};

use crate::machine::{self, Content, Position, Trust};

/// A message, as its author named it: the same on every device and in every retry.
pub type MessageId = ClientMessageId;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id, for ever.
    pub id: UserId,
    /// Their name.
    pub username: String,
}

/// Whether a person is there, by the word of their own devices. Only of people with whom the user has written, who let them see it,
/// and whom the user lets see the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Presence {
    /// It is not known: they do not show it, nobody has asked yet, or this device has no connection.
    #[default]
    Unknown,
    /// They are in front of the app.
    Online,
    /// They were there then, as far as this device has heard.
    LastSeen {
        /// By this device's clock, to the minute, in milliseconds since the Unix epoch.
        at_ms: u64,
    },
}

/// A device of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What the person calls it; empty where that is not known here.
    pub name: String,
    /// When it came, by its own clock, milliseconds since the Unix epoch.
    pub added_ms: u64,
    /// It is the one that asks.
    pub is_this: bool,
}

/// Whether the keys of messages go into the key backup. Whoever opens the account's vault reads with it what the relay has stored of
/// all times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupPolicy {
    /// They do not. What is in it stays there.
    Off,
    /// They do, so long after they came. A phone that is lost before takes them along.
    After(Duration),
}

impl Default for BackupPolicy {
    fn default() -> Self {
        Self::After(Duration::from_secs(60))
    }
}

/// How far the key backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupState {
    /// What this device opens goes into the backup. Not where the app has switched it off, the account has none, or this device waits
    /// for the account's newest keys.
    pub on: bool,
    /// Messages of this device whose keys are in no backup yet.
    pub waiting: u64,
    /// While a new device reads what was before it.
    pub restoring: Option<Restoring>,
}

/// How far a new device has read the key backup, or the keys that the device which linked it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restoring {
    /// Batches that are read; of a device that was linked, keys.
    pub read: u64,
    /// All of them; 0 until it is known how many there are.
    pub total: u64,
    /// Messages that have come back.
    pub messages: u64,
}

/// The other person of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Their id.
    pub id: UserId,
    /// Their name, once it was learnt.
    pub username: Option<String>,
    /// What they call themselves, as the newest message of theirs says; up to 64 bytes, on one line. Anybody may call themselves
    /// anything: show it beside the user name, not in its place.
    pub display_name: Option<String>,
}

/// Empty is none.
pub(crate) fn shown_name(name: &str) -> Option<String> {
    // Runs of spaces would set parts of it off, as if they were not the person's.
    let words: Vec<_> = name.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A conversation, as a list of conversations shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Its id.
    pub id: ConversationId,
    /// With whom.
    pub peer: Peer,
    /// The newest item of its timeline.
    pub last: Option<TimelineItem>,
    /// The other person's messages after the read mark.
    pub unread: u64,
    /// How far the other person is trusted.
    pub trust: Trust,
    /// Somebody whom the user does not know yet, as far as this device can tell: they wrote first, and the user has neither written to them,
    /// on any device, nor verified them. Show it apart. An answer accepts it, [`Contact::block`](crate::Contact::block) does not.
    pub request: bool,
    /// What the user has begun to write: [`Conversation::save_draft`](crate::Conversation::save_draft).
    pub draft: String,
    /// How long messages last that are written now; `None`: for ever.
    pub timer: Option<Duration>,
}

/// An item of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimelineItem {
    /// A message.
    Message(Message),
    /// A message that its author has erased for everybody.
    Erased {
        /// Its place.
        at: Position,
        /// Who wrote it.
        author: Option<UserId>,
        /// Whether the user of this client did.
        mine: bool,
    },
    /// Somebody set how long messages last from there on.
    TimerChanged {
        /// When, among the messages.
        at: Position,
        /// Who.
        author: UserId,
        /// `None`: for ever.
        timer: Option<Duration>,
    },
    /// A message that cannot be shown.
    Undecryptable {
        /// Its place.
        at: Position,
        /// Who wrote it, by the relay's word.
        author: Option<UserId>,
        /// Why, as a stable word.
        cause: String,
    },
    /// Messages that the relay has lost.
    Gap {
        /// Their place.
        at: Position,
    },
    /// Keys of the other person changed.
    KeyChanged {
        /// When, among the messages.
        at: Position,
        /// Whose.
        user: UserId,
        /// The identity key, not only a device.
        identity: bool,
        /// When it was noticed, in milliseconds since the Unix epoch.
        noticed_ms: u64,
    },
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Its name.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its place.
    pub at: Position,
    /// Who wrote it.
    pub author: UserId,
    /// Whether the user of this client wrote it.
    pub mine: bool,
    /// What it says.
    pub text: String,
    /// By its author's clock, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
    /// How far it has come; `Accepted` for another's.
    pub state: SendState,
    /// The device that wrote it was removed from its author's list before the message came.
    pub removed_sender: bool,
    /// The message that it answers.
    pub reply_to: Option<Quote>,
    /// It said something else at first.
    pub edited: bool,
    /// How people like it: at most one of each of the two.
    pub reactions: Vec<Reaction>,
    /// How long it lasts, from when it was sent (an own one) or read; `None`: for ever.
    pub timer: Option<Duration>,
    /// When it ends, in milliseconds since the Unix epoch, once that has begun to run.
    pub expires_ms: Option<u64>,
}

/// A message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Its name.
    pub id: MessageId,
    /// Who wrote it.
    pub author: UserId,
    /// What it says now; `None` where it is not on this device, or was erased.
    pub text: Option<String>,
}

/// How somebody likes a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// Who.
    pub author: UserId,
    /// An emoji, as a rule.
    pub emoji: String,
}

/// A message to be sent: a text, and perhaps the message that it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub(crate) text: String,
    pub(crate) reply_to: Option<MessageId>,
}

impl Draft {
    /// One that answers none.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            reply_to: None,
        }
    }

    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It answers a message of the same conversation.
    #[must_use]
    pub fn reply_to(mut self, message: MessageId) -> Self {
        self.reply_to = Some(message);
        self
    }
}

impl<T: Into<String>> From<T> for Draft {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// How far an own message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendState {
    /// On this device: it goes out by itself.
    Pending,
    /// The relay has it, on its disk.
    Accepted,
    /// A device of the other person has it, by the relay's word.
    Delivered,
    /// The other person has read it, by the word of their device. Not where either of the two has switched read receipts off.
    Read,
    /// Given up.
    Failed {
        /// Why.
        code: Code,
        /// Whether sending it anew may help.
        retry: Retry,
    },
}

impl TimelineItem {
    /// Its place, which orders the items of a conversation.
    #[must_use]
    pub const fn at(&self) -> Position {
        match self {
            Self::Message(Message { at, .. })
            | Self::Erased { at, .. }
            | Self::TimerChanged { at, .. }
            | Self::Undecryptable { at, .. }
            | Self::Gap { at }
            | Self::KeyChanged { at, .. } => *at,
        }
    }

    /// The message, if it is one.
    #[must_use]
    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            _ => None,
        }
    }
}

impl From<machine::TimelineItem> for TimelineItem {
    fn from(item: machine::TimelineItem) -> Self {
        let (conversation, at) = (item.conversation, item.position);
        match item.content {
            Content::Message {
                id,
                author,
                mine,
                text,
                sent_ms,
                state,
                removed_sender,
                reply_to,
                edited,
                reactions,
                timer_s,
                expires_ms,
            } => Self::Message(Message {
                id,
                conversation,
                at,
                author,
                mine,
                text,
                sent_ms,
                state: state.into(),
                removed_sender,
                reply_to: reply_to.map(|quote| Quote {
                    id: quote.id,
                    author: quote.author,
                    text: quote.text,
                }),
                edited,
                reactions: reactions
                    .into_iter()
                    .map(|(author, emoji)| Reaction { author, emoji })
                    .collect(),
                timer: lasts(timer_s),
                expires_ms,
            }),
            Content::Erased { author, mine } => Self::Erased { at, author, mine },
            Content::Timer { author, seconds } => Self::TimerChanged {
                at,
                author,
                timer: lasts(seconds),
            },
            Content::Undecryptable { author, cause } => Self::Undecryptable { at, author, cause },
            Content::Gap => Self::Gap { at },
            Content::KeyChanged {
                user,
                identity,
                noticed_ms,
            } => Self::KeyChanged {
                at,
                user,
                identity,
                noticed_ms,
            },
        }
    }
}

fn lasts(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

impl From<machine::SendState> for SendState {
    fn from(state: machine::SendState) -> Self {
        match state {
            machine::SendState::Pending => Self::Pending,
            machine::SendState::Accepted => Self::Accepted,
            machine::SendState::Delivered => Self::Delivered,
            machine::SendState::Read => Self::Read,
            machine::SendState::Failed(code) => Self::Failed {
                code,
                retry: code.retry(),
            },
        }
    }
}

impl From<machine::ConversationRow> for ConversationRow {
    fn from(row: machine::ConversationRow) -> Self {
        Self {
            id: row.id,
            peer: Peer {
                id: row.peer,
                username: row.username,
                display_name: shown_name(&row.display_name),
            },
            last: row.last.map(Into::into),
            unread: row.unread,
            trust: row.trust,
            request: row.request,
            draft: row.draft,
            timer: lasts(row.timer_s),
        }
    }
}
