//! Everything that the screen knows, and how it follows keys and news. No terminal, no network: [`App::update`] takes an event and
//! says what is to be done.

mod account;
mod devices;
mod form;
mod keys;
mod life;
mod link;
mod mark;
mod scroll;
mod search;
mod settings;
#[cfg(test)]
mod tests;
mod trust;

use std::{
    collections::{HashMap, HashSet},
    mem,
    time::Duration,
};

use ratatui::layout::Rect;

use crate::{
    clock::Clock,
    input::Input,
    model::{
        Body, Command, Connection, Event, Item, ItemId, MessageId, Peer, Presence, Row, Trust,
        UserId, Whom,
    },
    text::Clean,
    view::{
        areas::{Areas, Chat},
        timeline,
    },
};

pub(crate) use account::{Account, Needs};
pub(crate) use devices::{Devices, Purpose};
pub(crate) use form::{Ask, Form};
pub(crate) use keys::KEYS;
pub(crate) use link::Link;
pub(crate) use mark::{Writing, offers};
pub(crate) use scroll::{Position, place};
pub(crate) use search::Search;
pub(crate) use settings::Settings;
pub(crate) use trust::Number;

/// Longest text of a message.
const TEXT_BYTES: usize = 16 * 1024;
/// How long a notice stays.
const NOTICE_MS: i64 = 8_000;

/// What the keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    List,
    Chat,
}

/// What lies over the conversations.
pub(crate) enum Overlay {
    /// The keys, from this line on.
    Help(usize),
    /// Asks for something.
    Form(Form),
    /// The devices of the account.
    Devices(Devices),
    /// What may become of the account.
    Account(Account),
    /// What the user has set.
    Settings(Settings),
    /// A device that is linked.
    Link(Link),
    /// How far a person is trusted.
    Number(Number),
    /// What is searched for.
    Search(Search),
}

/// What is known of the messages before those loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Older {
    Unknown,
    Loading,
    None,
}

/// Why nothing goes on here.
pub(crate) struct End {
    pub(crate) why: Clean,
    /// A connection that is made after all takes it back.
    by_relay: bool,
}

/// The conversation on the screen.
pub(crate) struct Open {
    pub(crate) peer: Peer,
    /// `None` until the first news of it came.
    pub(crate) items: Option<Vec<Item>>,
    /// Whether the person is there.
    pub(crate) presence: Presence,
    pub(crate) older: Older,
    /// The last line shown; nothing while it follows the newest message.
    pub(crate) position: Option<Position>,
    /// The message that was searched for.
    pub(crate) found: Option<ItemId>,
    /// It is to be seen, until one moves on: older messages come one by one, and those after it come between it and the rest.
    seeks: bool,
    /// The newest message that was reported as read.
    read: Option<MessageId>,
    /// What is being typed, if it is no new message.
    pub(crate) writing: Writing,
    /// What was being typed, as the store has it.
    saved: String,
    /// How far the person is trusted, where there is no line of theirs before the first message.
    trust: Trust,
}

impl Open {
    pub(crate) fn items(&self) -> &[Item] {
        self.items.as_deref().unwrap_or_default()
    }
}

/// The state of the screen.
pub(crate) struct App {
    pub(crate) clock: Clock,
    pub(crate) screen: Rect,
    pub(crate) me: Option<Clean>,
    pub(crate) connection: Connection,
    pub(crate) rows: Vec<Row>,
    pub(crate) open: Option<Open>,
    pub(crate) focus: Focus,
    pub(crate) overlay: Option<Overlay>,
    /// What happened, and until when it is shown.
    notice: Option<Clean>,
    /// What came of something, and until when it is shown: before what stands there.
    said: Option<(Clean, i64)>,
    /// Why nothing goes on here, until it is closed: nothing that happened before or happens later takes its place.
    pub(crate) end: Option<End>,
    pub(crate) input: Input,
    /// What was being typed in other conversations.
    drafts: HashMap<UserId, Input>,
    /// Whether somebody looks at this window, as far as the terminal tells.
    attended: bool,
    /// Who types to this user.
    typing: HashSet<UserId>,
    /// Somebody wants another identity for the account.
    reset: bool,
}

impl App {
    /// The state at the start. Without `me`, an account is asked for first.
    pub(crate) fn new(clock: Clock, me: Option<Clean>) -> Self {
        let overlay = me
            .is_none()
            .then(|| Overlay::Form(Form::new(Ask::Name { login: false })));
        Self {
            clock,
            screen: Rect::default(),
            me,
            connection: Connection::Offline,
            rows: Vec::new(),
            open: None,
            focus: Focus::List,
            overlay,
            notice: None,
            said: None,
            end: None,
            input: Input::new(TEXT_BYTES),
            drafts: HashMap::new(),
            attended: true,
            typing: HashSet::new(),
            reset: false,
        }
    }

    /// Follows `event`. What is returned is to be done, in this order.
    pub(crate) fn update(&mut self, event: Event) -> Vec<Command> {
        let mut commands = match event {
            Event::Key(key) => {
                let before = self.typed();
                let mut commands = self.key(key);
                self.tell_typing(before, &mut commands);
                commands
            }
            Event::Paste(text) => {
                let before = self.typed();
                let mut commands = self.paste(&text);
                self.tell_typing(before, &mut commands);
                commands
            }
            Event::Resize(width, height) => {
                self.screen = Rect::new(0, 0, width, height);
                Vec::new()
            }
            Event::Focus(attended) => {
                self.attended = attended;
                vec![Command::Attend(attended)]
            }
            Event::Tick { now_ms } => {
                self.clock.set(now_ms);
                self.said.take_if(|(_, until)| *until <= now_ms);
                self.save_draft().into_iter().collect()
            }
            Event::Registered(outcome) => {
                self.registered(outcome);
                Vec::new()
            }
            Event::LoggedIn(outcome) => {
                self.logged_in(outcome);
                Vec::new()
            }
            Event::Unlocked(outcome) => {
                self.unlocked(outcome);
                Vec::new()
            }
            Event::Code(code) => {
                self.code_is(code);
                Vec::new()
            }
            Event::CodeRead => {
                self.code_was_read();
                Vec::new()
            }
            Event::OtherDigits(why) => {
                self.other_digits(why);
                Vec::new()
            }
            Event::LinkFailed(why, again) => {
                self.link_failed(why, again);
                Vec::new()
            }
            Event::Met(outcome) => {
                self.met(outcome);
                Vec::new()
            }
            Event::Linked(outcome) => self.linked(outcome),
            Event::Trusted(peer, trust) => {
                if let Some(open) = self.open.as_mut().filter(|open| open.peer.id == peer) {
                    open.trust = trust;
                }
                Vec::new()
            }
            Event::Number(peer, found) => {
                self.number_is(peer, found);
                Vec::new()
            }
            Event::Settings(found) => {
                self.settings(found);
                Vec::new()
            }
            Event::Devices(found) => {
                self.devices(found);
                Vec::new()
            }
            Event::DevicesChanged(outcome) => self.devices_changed(outcome),
            Event::Changed(outcome) => {
                self.changed(outcome);
                Vec::new()
            }
            Event::ResetPending(said) => {
                self.reset_is(said);
                Vec::new()
            }
            Event::HistoryOwed => {
                self.history_owed();
                Vec::new()
            }
            Event::NoRoom(key, devices) => {
                self.make_room(key, devices);
                Vec::new()
            }
            Event::RecoveryKey(key) => {
                self.overlay = Some(Overlay::Form(Form::new(Ask::Written { key })));
                Vec::new()
            }
            Event::Connection(connection) => {
                self.connection_is(connection);
                Vec::new()
            }
            Event::Rows(diff) => {
                diff.apply(&mut self.rows);
                self.learn_name();
                self.open_first()
            }
            Event::Items(peer, diff) => self.with_open(peer, |app, open| {
                let first = open.items.is_none();
                diff.apply(open.items.get_or_insert_default());
                scroll::settle(open);
                if open.seeks {
                    scroll::go_to_found(app, open);
                }
                if first && app.fits(open) {
                    return app.load_older(open);
                }
                Vec::new()
            }),
            Event::Older(peer, outcome) => self.with_open(peer, |app, open| {
                open.older = match outcome {
                    Ok(false) => Older::None,
                    Ok(true) => Older::Unknown,
                    Err(why) => {
                        app.tell(why);
                        Older::Unknown
                    }
                };
                Vec::new()
            }),
            Event::Hits(text, hits) => {
                self.hits(&text, hits);
                Vec::new()
            }
            Event::LoadedBack(peer, outcome) => {
                self.loaded_back(peer, outcome);
                Vec::new()
            }
            Event::Found { name, peer } => self.found(&name, peer),
            Event::SendFailed { peer, text, why } => {
                self.tell_about(peer, why);
                self.give_back(peer, &text);
                Vec::new()
            }
            Event::Received(peer) => {
                let seen = self.attended && self.open.as_ref().is_some_and(|o| o.peer.id == peer);
                if seen {
                    Vec::new()
                } else {
                    vec![Command::Bell]
                }
            }
            Event::Typing(peer, on) => {
                self.types(peer, on);
                Vec::new()
            }
            Event::Lagged => {
                self.typing.clear();
                Vec::new()
            }
            Event::Presence(peer, presence) => {
                self.presence_is(peer, presence);
                Vec::new()
            }
            Event::Notice(text) => {
                self.tell(text);
                Vec::new()
            }
            Event::NoticeAbout(peer, text) => {
                self.tell_about(peer, text);
                Vec::new()
            }
            Event::Restored(text) => {
                self.tell(text);
                // Where there was nothing before, there may be something now.
                if let Some(open) = &mut self.open
                    && open.older == Older::None
                {
                    open.older = Older::Unknown;
                }
                Vec::new()
            }
            Event::Alarm(text) => {
                self.alarm(text);
                Vec::new()
            }
            Event::AlarmAbout(whom, text) => {
                let text = Clean::line(&format!("{}: {text}", self.name_of(whom)));
                self.alarm(text);
                Vec::new()
            }
            Event::Ended(why) => {
                self.end = Some(End {
                    why,
                    by_relay: false,
                });
                Vec::new()
            }
        };
        commands.extend(self.mark_read());
        commands
    }

    /// The lines of the list: the open conversation stands in it even before its first message.
    pub(crate) fn entries(&self) -> Vec<Row> {
        let mut entries = self.rows.clone();
        // Whom one does not know comes after those whom one does.
        entries.sort_by_key(|row| row.request);
        if let Some(open) = &self.open
            && !entries.iter().any(|row| row.peer.id == open.peer.id)
        {
            let row = Row {
                id: None,
                peer: open.peer.clone(),
                last: None,
                unread: 0,
                trust: open.trust.clone(),
                request: false,
                draft: String::new(),
                timer: None,
            };
            entries.insert(0, row);
        }
        entries
    }

    /// Where what stands, for the screen as it is.
    pub(crate) fn areas(&self) -> Option<Areas> {
        let open = self.open.as_ref();
        let above = open.is_some_and(|open| open.writing != Writing::New);
        Areas::of(self.screen, self.focus, |columns| {
            self.input.layout(usize::from(columns)).lines.len() + usize::from(above)
        })
    }

    fn chat_area(&self) -> Option<Chat> {
        self.areas()?.chat
    }

    /// Why the relay is not asked any more is told, for the status line has no room for it, unless the reason is known better; and told
    /// no more once there is a connection.
    fn connection_is(&mut self, connection: Connection) {
        match &connection {
            Connection::Stopped(why) => {
                let why = Clean::line(&format!("{why} Esc closes this."));
                self.end.get_or_insert(End {
                    why,
                    by_relay: true,
                });
            }
            Connection::CatchingUp { .. } | Connection::Live | Connection::Degraded => {
                self.end.take_if(|end| end.by_relay);
            }
            Connection::Offline | Connection::Connecting | Connection::Lost { .. } => {}
        }
        self.connection = connection;
    }

    /// What stands over the conversation.
    pub(crate) fn notice(&self) -> Option<&Clean> {
        let said = self.said.as_ref().map(|(said, _)| said);
        let end = self.end.as_ref().map(|end| &end.why);
        end.or(said).or(self.notice.as_ref())
    }

    /// Shows it until it is closed.
    fn alarm(&mut self, text: Clean) {
        (self.said, self.notice) = (None, Some(text));
    }

    /// Shows it for a while.
    fn tell(&mut self, text: Clean) {
        self.said = Some((text, self.clock.now_ms() + NOTICE_MS));
    }

    /// The same of something done with a person: whose conversation is on the screen needs no name.
    fn tell_about(&mut self, peer: UserId, text: Clean) {
        let is_open = self.open.as_ref().is_some_and(|open| open.peer.id == peer);
        self.tell(match is_open {
            true => text,
            false => Clean::line(&format!("{}: {text}", self.name_of(Whom::User(peer)))),
        });
    }

    fn name_of(&self, whom: Whom) -> String {
        let is_it = |row: &&Row| match whom {
            Whom::User(user) => row.peer.id == user,
            Whom::With(conversation) => row.id == Some(conversation),
        };
        let row = self.rows.iter().find(is_it);
        row.map_or_else(|| "somebody".to_owned(), |row| row.peer.name().to_owned())
    }

    /// Lends out the open conversation if it is the one with `peer`.
    fn with_open(
        &mut self,
        peer: UserId,
        then: impl FnOnce(&mut Self, &mut Open) -> Vec<Command>,
    ) -> Vec<Command> {
        let Some(mut open) = self.open.take_if(|open| open.peer.id == peer) else {
            return Vec::new();
        };
        let commands = then(self, &mut open);
        self.open = Some(open);
        commands
    }

    /// Who wrote first is opened under no name: it comes later, with the list.
    fn learn_name(&mut self) {
        if let Some(open) = &mut self.open
            && let Some(row) = self.rows.iter().find(|row| row.peer.id == open.peer.id)
            && row.peer.name.is_some()
        {
            open.peer.clone_from(&row.peer);
        }
    }

    fn open_first(&mut self) -> Vec<Command> {
        match self.entries().first() {
            Some(row) if self.open.is_none() => self.open(row.peer.clone()),
            _ => Vec::new(),
        }
    }

    /// Shows the conversation with `peer`; what was being typed stays with the other one.
    fn open(&mut self, peer: Peer) -> Vec<Command> {
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.peer.id == peer.id)
        {
            return Vec::new();
        }
        let mut commands: Vec<_> = self.save_draft().into_iter().collect();
        let row = self.rows.iter().find(|row| row.peer.id == peer.id);
        let row_is_missing = row.is_none();
        let saved = row.map(|row| row.draft.clone()).unwrap_or_default();
        let next = self.drafts.remove(&peer.id).or_else(|| {
            let mut input = Input::new(TEXT_BYTES);
            input.set(&saved);
            Some(input).filter(|_| !saved.is_empty())
        });
        let draft = mem::replace(
            &mut self.input,
            next.unwrap_or_else(|| Input::new(TEXT_BYTES)),
        );
        if let Some(left) = &self.open {
            self.drafts.insert(left.peer.id, draft);
        }
        let id = peer.id;
        self.open = Some(Open {
            peer,
            items: None,
            presence: Presence::Unknown,
            older: Older::Unknown,
            position: None,
            found: None,
            seeks: false,
            read: None,
            writing: Writing::New,
            saved,
            trust: Trust::default(),
        });
        if row_is_missing {
            commands.push(Command::Trust(id));
        }
        commands.push(Command::Open(id));
        commands
    }

    /// What is being typed is kept for the next start. Neither an edit nor an answer is: only what it says.
    pub(crate) fn save_draft(&mut self) -> Option<Command> {
        let open = self.open.as_mut()?;
        let text = match &open.writing {
            Writing::Edit(_, before) => before.as_str(),
            _ => self.input.text(),
        };
        if text == open.saved {
            return None;
        }
        open.saved = text.to_owned();
        Some(Command::SaveDraft(open.peer.id, text.to_owned()))
    }

    /// Whether this person wrote first, and was not answered.
    pub(crate) fn is_request(&self, peer: UserId) -> bool {
        self.rows
            .iter()
            .any(|row| row.peer.id == peer && row.request)
    }

    /// How long messages with this person last.
    pub(crate) fn timer(&self, peer: UserId) -> Option<Duration> {
        let row = self.rows.iter().find(|row| row.peer.id == peer);
        row.and_then(|row| row.timer)
    }

    /// A text that was not taken goes back to where it can be sent again, unless something else stands there by now.
    fn give_back(&mut self, peer: UserId, text: &str) {
        let here = self.open.as_ref().is_some_and(|open| open.peer.id == peer);
        let input = if here {
            &mut self.input
        } else {
            let draft = self.drafts.entry(peer);
            draft.or_insert_with(|| Input::new(TEXT_BYTES))
        };
        if input.is_empty() {
            input.set(text);
        }
    }

    fn load_older(&self, open: &mut Open) -> Vec<Command> {
        if open.older != Older::Unknown {
            return Vec::new();
        }
        open.older = Older::Loading;
        vec![Command::LoadOlder(open.peer.id)]
    }

    /// Reports the newest message as read once it stands before somebody's eyes. Not while only the list has the focus: a
    /// conversation that opened by itself in a window nobody touched was shown, not read.
    fn mark_read(&mut self) -> Vec<Command> {
        let open = match &mut self.open {
            Some(open) if self.attended && self.overlay.is_none() && self.focus == Focus::Chat => {
                open
            }
            _ => return Vec::new(),
        };
        let peer = open.peer.id;
        let unread = self.rows.iter().any(|r| r.peer.id == peer && r.unread > 0);
        let mut items = open.items().iter().rev();
        let newest = items.find_map(|item| match item.body {
            Body::Theirs { id, .. } => Some(id),
            _ => None,
        });
        match newest {
            Some(id) if unread && open.position.is_none() && open.read != Some(id) => {
                open.read = Some(id);
                vec![Command::MarkRead(peer, id)]
            }
            _ => Vec::new(),
        }
    }

    /// The height of the item at `index`, as it is drawn.
    fn height(&self, open: &Open, index: usize, columns: u16) -> usize {
        timeline::item(open, index, &self.clock, columns).len()
    }
}
