//! What each key does.

use std::mem;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{App, Ask, Focus, Form, Needs, Open, Overlay, Writing};
use crate::{
    input::Input,
    model::{Command, Connection},
    text::Clean,
    view::lines_below,
};

/// The keys, as the help shows them.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("Enter", "send; in the list: write to this person"),
    ("Alt-Enter, Ctrl-J", "new line"),
    ("Up, Down", "earlier messages of yours, to send again"),
    (
        "PageUp, PageDown",
        "through the conversation; loads older messages",
    ),
    ("Ctrl-Up, Ctrl-Down", "the same, line by line"),
    ("Esc", "back to the newest message, then to the list"),
    ("Tab", "between the list and the conversation"),
    ("Alt-Up, Alt-Down", "previous, next conversation"),
    ("Ctrl-N or /", "new conversation, by user name"),
    ("Ctrl-F", "search in all conversations"),
    ("Alt-Left, Alt-Right", "by words"),
    (
        "Ctrl-W, Ctrl-U, Ctrl-K",
        "delete a word, to the start, to the end",
    ),
    ("F2", "the devices of your account"),
    ("F3", "the safety number with this person; verify, block"),
    ("F4", "a message: answer, edit, erase it, react to it"),
    ("F5", "how long messages with this person last"),
    ("F6", "your name, and what others see of you"),
    ("F8", "your account: password, keys, identity, its end"),
    ("Ctrl-R", "try to connect now"),
    ("F1 or ?", "this help"),
    ("Ctrl-C or Ctrl-Q", "quit; what waits is sent next time"),
    ("", ""),
    ("◷", "waits on this device"),
    ("✓", "the relay has it"),
    ("✓✓", "it reached the other's device; green: it was read"),
    ("✗", "it was not sent"),
    ("", ""),
    ("// and ??", "for a / or ? at the start of a message"),
];

impl App {
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Command> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        if key.modifiers == KeyModifiers::CONTROL && matches!(key.code, KeyCode::Char('c' | 'q')) {
            return self
                .save_draft()
                .into_iter()
                .chain([Command::Quit])
                .collect();
        }
        match self.overlay.take() {
            Some(Overlay::Help(line)) => self.key_in_help(key, line),
            Some(Overlay::Form(form)) => self.key_in_form(key, form),
            Some(Overlay::Devices(devices)) => self.key_in_devices(key, devices),
            Some(Overlay::Account(account)) => self.key_in_account(key, account),
            Some(Overlay::Settings(settings)) => self.key_in_settings(key, settings),
            Some(Overlay::Link(link)) => self.key_in_link(key, link),
            Some(Overlay::Number(number)) => self.key_in_number(key, number),
            Some(Overlay::Search(search)) => self.key_in_search(key, search),
            None => self.key_in_chat(key),
        }
    }

    pub(super) fn paste(&mut self, text: &str) -> Vec<Command> {
        match &mut self.overlay {
            Some(Overlay::Form(form)) if !form.busy => form.insert(text),
            Some(Overlay::Search(search)) => return search.paste(text),
            Some(_) => {}
            None => self.type_in(text),
        }
        Vec::new()
    }

    fn key_in_help(&mut self, key: KeyEvent, line: usize) -> Vec<Command> {
        match key.code {
            KeyCode::Down | KeyCode::PageDown => {
                self.overlay = Some(Overlay::Help((line + 1).min(KEYS.len() - 1)));
            }
            KeyCode::Up | KeyCode::PageUp => {
                self.overlay = Some(Overlay::Help(line.saturating_sub(1)));
            }
            KeyCode::Char('?') => self.type_in("?"),
            _ => {}
        }
        Vec::new()
    }

    fn key_in_form(&mut self, key: KeyEvent, mut form: Form) -> Vec<Command> {
        match key.code {
            KeyCode::Esc if form.may_be_left() => {
                let ends_link = matches!(form.ask, Ask::LinkDigits { .. });
                // What is typed next would be a message else, and it may be the recovery key.
                if matches!(
                    form.ask,
                    Ask::Remove { .. } | Ask::DeviceName | Ask::Change(Needs::Keys)
                ) {
                    return self.look_at_devices();
                }
                self.overlay = form.back().map(Overlay::Form);
                return ends_link
                    .then_some(Command::LeaveLink)
                    .into_iter()
                    .collect();
            }
            KeyCode::Char('/') if form.ask == Ask::Peer && form.input.is_empty() => {
                self.type_in("/");
                return Vec::new();
            }
            KeyCode::Enter => {
                self.overlay = Some(Overlay::Form(form));
                return self.submit();
            }
            KeyCode::Up | KeyCode::PageUp => form.down = form.down.saturating_sub(1),
            KeyCode::Down | KeyCode::PageDown => {
                form.down = (form.down + 1).min(lines_below(&form, self.screen));
            }
            _ if form.busy => {}
            KeyCode::Tab => {
                if let Ask::RecoveryKey { name } = form.ask {
                    return self.show_code(name);
                }
                form.turn();
            }
            KeyCode::F(8) if matches!(form.ask, Ask::RecoveryKey { .. }) => {
                if let Ask::RecoveryKey { name } = form.ask {
                    form = Form::new(Ask::Reset { name });
                }
            }
            KeyCode::Char(letter) if typed(key) => {
                form.error = None;
                form.insert(letter.encode_utf8(&mut [0; 4]));
            }
            _ => {
                edit(&mut form.input, key);
            }
        }
        self.overlay = Some(Overlay::Form(form));
        Vec::new()
    }

    fn key_in_chat(&mut self, key: KeyEvent) -> Vec<Command> {
        let (alt, control) = (
            key.modifiers.contains(KeyModifiers::ALT),
            key.modifiers.contains(KeyModifiers::CONTROL),
        );
        let points = |open: &Open| matches!(open.writing, Writing::Points { .. });
        if self.overlay.is_none() && self.open.as_ref().is_some_and(points) {
            return self.key_while_pointing(key);
        }
        match key.code {
            KeyCode::F(4) => return self.point(),
            KeyCode::F(5) => self.ask_for_timer(),
            KeyCode::F(1) => self.overlay = Some(Overlay::Help(0)),
            KeyCode::F(2) => return self.look_at_devices(),
            KeyCode::F(3) => return self.look_at_number(),
            KeyCode::F(8) => self.look_at_account(),
            KeyCode::F(6) => return self.look_at_settings(),
            KeyCode::Char('?') if typed(key) && self.input.is_empty() => {
                self.overlay = Some(Overlay::Help(0));
            }
            KeyCode::Char('/') if typed(key) && self.input.is_empty() => self.ask_for_peer(),
            KeyCode::Char('n') if control => self.ask_for_peer(),
            KeyCode::Char('f') if control => self.search(),
            KeyCode::Char('r') if control => return vec![Command::Connect],
            KeyCode::Char('j') if control => self.type_in("\n"),
            KeyCode::Enter if alt => self.type_in("\n"),
            KeyCode::Enter => return self.enter(),
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match self.focus {
                    Focus::Chat => Focus::List,
                    Focus::List => Focus::Chat,
                };
            }
            KeyCode::Esc => self.escape(),
            KeyCode::PageUp => return self.scroll(-1, true),
            KeyCode::PageDown => return self.scroll(1, true),
            KeyCode::Up if control => return self.scroll(-1, false),
            KeyCode::Down if control => return self.scroll(1, false),
            KeyCode::Up if alt || self.focus == Focus::List => return self.step(-1),
            KeyCode::Down if alt || self.focus == Focus::List => return self.step(1),
            KeyCode::Char(letter) if typed(key) => self.type_in(letter.encode_utf8(&mut [0; 4])),
            _ => {
                if self.focus == Focus::Chat {
                    edit(&mut self.input, key);
                }
            }
        }
        Vec::new()
    }

    /// Types into the open conversation, from wherever the focus is.
    fn type_in(&mut self, text: &str) {
        if self.open.is_none() {
            return;
        }
        self.focus = Focus::Chat;
        if !self.input.insert(text) {
            self.tell(Clean::line(
                "A message has at most 16 KiB; the rest was left out.",
            ));
        }
    }

    fn ask_for_timer(&mut self) {
        if self.open.is_some() {
            self.overlay = Some(Overlay::Form(Form::new(Ask::Timer)));
        }
    }

    fn ask_for_peer(&mut self) {
        self.overlay = Some(Overlay::Form(Form::new(Ask::Peer)));
    }

    fn enter(&mut self) -> Vec<Command> {
        if self.focus == Focus::List {
            if self.open.is_some() {
                self.focus = Focus::Chat;
            } else {
                self.ask_for_peer();
            }
            return Vec::new();
        }
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        if let Connection::Stopped(why) = &self.connection {
            let why = why.clone();
            self.tell(why);
            return Vec::new();
        }
        let Some(text) = self.input.take() else {
            return Vec::new();
        };
        (open.position, open.found, open.seeks) = (None, None, false);
        self.said = None;
        let peer = open.peer.id;
        let reply_to = match mem::take(&mut open.writing) {
            Writing::Edit(id, before) => {
                self.input.set(&before);
                return vec![Command::Edit { peer, id, text }];
            }
            Writing::Answer(id, _) => Some(id),
            Writing::New | Writing::Points { .. } => None,
        };
        vec![Command::Send {
            peer,
            text,
            reply_to,
        }]
    }

    fn escape(&mut self) {
        // What it says of itself: it closes that, and nothing else.
        let closed = self.end.take().is_some() || self.said.take().is_some();
        if closed || self.notice.take().is_some() {
            return;
        }
        match self.open.take() {
            Some(mut open) if open.writing != Writing::New => {
                self.leave_writing(&mut open);
                self.open = Some(open);
                return;
            }
            open => self.open = open,
        }
        match &mut self.open {
            Some(open) if open.position.is_some() || open.found.is_some() => {
                (open.position, open.found, open.seeks) = (None, None, false);
            }
            _ => self.focus = Focus::List,
        }
    }

    /// To the conversation `by` lines below in the list.
    fn step(&mut self, by: isize) -> Vec<Command> {
        let entries = self.entries();
        let here = self.open.as_ref().and_then(|open| {
            let mut peers = entries.iter();
            peers.position(|row| row.peer.id == open.peer.id)
        });
        let next = here.map_or(Some(0), |here| here.checked_add_signed(by));
        match next.and_then(|next| entries.get(next)) {
            Some(row) => self.open(row.peer.clone()),
            None => Vec::new(),
        }
    }
}

/// Whether the key types a letter.
pub(super) const fn typed(key: KeyEvent) -> bool {
    !key.modifiers
        .intersects(KeyModifiers::CONTROL.union(KeyModifiers::ALT))
}

/// The keys that every line understands.
pub(super) fn edit(input: &mut Input, key: KeyEvent) {
    let (alt, control) = (
        key.modifiers.contains(KeyModifiers::ALT),
        key.modifiers.contains(KeyModifiers::CONTROL),
    );
    match key.code {
        KeyCode::Backspace if alt || control => input.delete_word(),
        KeyCode::Char('w') if control => input.delete_word(),
        KeyCode::Backspace => input.backspace(),
        KeyCode::Char('h') if control => input.backspace(),
        KeyCode::Delete => input.delete(),
        KeyCode::Char('d') if control => input.delete(),
        KeyCode::Char('u') if control => input.delete_to_start(),
        KeyCode::Char('k') if control => input.delete_to_end(),
        KeyCode::Left if alt || control => input.word_left(),
        KeyCode::Char('b') if alt => input.word_left(),
        KeyCode::Left => input.left(),
        KeyCode::Char('b') if control => input.left(),
        KeyCode::Right if alt || control => input.word_right(),
        KeyCode::Char('f') if alt => input.word_right(),
        KeyCode::Right => input.right(),
        KeyCode::Char('f') if control => input.right(),
        KeyCode::Home => input.home(),
        KeyCode::Char('a') if control => input.home(),
        KeyCode::End => input.end(),
        KeyCode::Char('e') if control => input.end(),
        KeyCode::Up => input.up(),
        KeyCode::Down => input.down(),
        _ => {}
    }
}
