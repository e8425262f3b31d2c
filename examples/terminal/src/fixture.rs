//! People and messages for the tests.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::{Terminal, backend::TestBackend};

use crate::{
    app::App,
    clock::Clock,
    model::{
        Beside, Body, Command, ConversationId, Diff, Event, HitLine, Item, Last, MessageId, Peer,
        Place, Row, State, Trust, UserId,
    },
    text::Clean,
    view,
};

/// 2026-11-24T09:12:00Z.
pub(crate) const NOW: i64 = 1_795_511_520_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;

pub(crate) fn app(width: u16, height: u16) -> App {
    let mut app = App::new(Clock::new(TimeZone::UTC, NOW), Some(Clean::line("alice")));
    app.update(Event::Resize(width, height));
    app
}

/// With bob's conversation open.
pub(crate) fn with_bob(width: u16, height: u16, items: Vec<Item>) -> App {
    let mut app = app(width, height);
    app.update(Event::Rows(Diff::Reset(vec![row(1, "bob", 0)])));
    app.update(Event::Items(user(1), Diff::Reset(items)));
    app
}

pub(crate) const fn user(id: u8) -> UserId {
    UserId::from_bytes([id; 16])
}

pub(crate) fn peer(id: u8, name: &str) -> Peer {
    Peer {
        id: user(id),
        name: Some(Clean::line(name)),
        display_name: None,
    }
}

pub(crate) fn row(id: u8, name: &str, unread: u64) -> Row {
    Row {
        id: Some(ConversationId::from_bytes([id; 16])),
        peer: peer(id, name),
        last: Some(Last {
            mine: false,
            text: Clean::line("see you tomorrow"),
            at_ms: Some(NOW - MINUTE),
        }),
        unread,
        trust: Trust::default(),
        request: false,
        draft: String::new(),
        timer: None,
    }
}

/// A hit in the conversation with this person; `text` is what was found.
pub(crate) fn hit(id: u8, item: u64, text: &str) -> HitLine {
    HitLine {
        peer: peer(id, if id == 1 { "bob" } else { "carol" }),
        place: Place { place: item, item },
        mine: item.is_multiple_of(2),
        at_ms: Some(NOW - DAY),
        pieces: vec![
            (Clean::line("say "), false),
            (Clean::line(text), true),
            (Clean::line(" and more"), false),
        ],
    }
}

pub(crate) fn message_id(id: u64) -> MessageId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    MessageId::from_bytes(bytes)
}

pub(crate) fn theirs(number: u64, at_ms: i64, text: &str) -> Item {
    Item {
        id: number,
        at_ms: Some(at_ms),
        body: Body::Theirs {
            id: message_id(number),
            text: Clean::text(text),
            doubt: None,
            beside: Beside::default(),
        },
    }
}

pub(crate) fn mine(number: u64, at_ms: i64, text: &str, state: State) -> Item {
    Item {
        id: number,
        at_ms: Some(at_ms),
        body: Body::Mine {
            id: message_id(number),
            text: Clean::text(text),
            state,
            beside: Beside::default(),
        },
    }
}

/// Presses keys: words are typed, `<name>` is a key, with `C-` and `A-` before it for control and alt. That somebody types is left out of
/// what is to be done.
pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Command> {
    let mut commands = press_all(app, keys);
    commands.retain(|command| !matches!(command, Command::Typing(..)));
    commands
}

/// The same with all that is to be done.
pub(crate) fn press_all(app: &mut App, keys: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut rest = keys;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let key = match named {
            Some((name, after)) => {
                rest = after;
                named_key(name)
            }
            None => {
                rest = &rest[first.len_utf8()..];
                KeyEvent::from(KeyCode::Char(first))
            }
        };
        commands.extend(app.update(Event::Key(key)));
    }
    commands
}

fn named_key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.split_once('-') {
        Some(("C", name)) => (KeyModifiers::CONTROL, name),
        Some(("A", name)) => (KeyModifiers::ALT, name),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        "backspace" => KeyCode::Backspace,
        "f1" => KeyCode::F(1),
        "f2" => KeyCode::F(2),
        "f3" => KeyCode::F(3),
        "f4" => KeyCode::F(4),
        "f5" => KeyCode::F(5),
        "f6" => KeyCode::F(6),
        "f8" => KeyCode::F(8),
        letter => KeyCode::Char(letter.chars().next().expect("a key")),
    };
    KeyEvent::new(code, modifiers)
}

/// The screen as text.
pub(crate) fn screen(app: &App) -> String {
    let (width, height) = (app.screen.width, app.screen.height);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal
        .draw(|frame| view::draw(frame, app))
        .expect("drawn");
    terminal.backend().to_string()
}
