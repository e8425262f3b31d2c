//! A message that is pointed at: to answer it, to edit or erase it, to say how one likes it.

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, Open, scroll};
use crate::{
    model::{Body, Command, Item, MessageId, State},
    text::Clean,
};

/// What a digit says.
pub(crate) const REACTIONS: [&str; 6] = ["👍", "❤", "😂", "😮", "😢", "🙏"];

/// What the keys of the open conversation go to, besides the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Writing {
    /// A new message.
    #[default]
    New,
    /// A message is pointed at; `erases`: the next x erases it.
    Points { erases: bool },
    /// An answer to a message that says this.
    Answer(MessageId, Clean),
    /// Another text for a message; and what was being typed before.
    Edit(MessageId, String),
}

/// The name of a message, and whether it is one's own.
fn of(item: &Item) -> Option<(MessageId, bool, &Clean)> {
    match &item.body {
        Body::Theirs { id, text, .. } => Some((*id, false, text)),
        Body::Mine { id, text, .. } => Some((*id, true, text)),
        _ => None,
    }
}

impl App {
    /// Points at the newest message, or at what was searched for.
    pub(super) fn point(&mut self) -> Vec<Command> {
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        let peer = open.peer.id;
        self.with_open(peer, |app, open| {
            let pointed = open.found.filter(|_| pointed(open).is_some());
            let newest = || open.items().iter().rfind(|item| of(item).is_some());
            match pointed.or_else(|| newest().map(|item| item.id)) {
                Some(item) => {
                    app.leave_writing(open);
                    open.writing = Writing::Points { erases: false };
                    (open.found, open.seeks) = (Some(item), false);
                    scroll::go_to_found(app, open);
                }
                None => app.tell(Clean::line("There is no message yet.")),
            }
            Vec::new()
        })
    }

    pub(super) fn key_while_pointing(&mut self, key: KeyEvent) -> Vec<Command> {
        let Some(open) = &self.open else {
            return Vec::new();
        };
        let peer = open.peer.id;
        self.with_open(peer, |app, open| {
            let erases = open.writing == Writing::Points { erases: true };
            open.writing = Writing::Points { erases: false };
            let Some((id, mine, text)) = pointed(open) else {
                app.leave_writing(open);
                return Vec::new();
            };
            let (text, state) = (text.clone(), state(open));
            match key.code {
                KeyCode::Up => app.point_beside(open, true),
                KeyCode::Down => app.point_beside(open, false),
                KeyCode::PageUp => return app.load_older(open),
                KeyCode::Char('r') | KeyCode::Enter => {
                    app.leave_writing(open);
                    open.writing = Writing::Answer(id, Clean::line(text.as_str()));
                }
                KeyCode::Char('e') if mine => {
                    app.leave_writing(open);
                    open.writing = Writing::Edit(id, app.input.text().to_owned());
                    app.input.set(text.as_str());
                }
                KeyCode::Char('x') | KeyCode::Delete if mine && !erases => {
                    open.writing = Writing::Points { erases: true };
                }
                KeyCode::Char('x') | KeyCode::Delete if mine => {
                    app.leave_writing(open);
                    return vec![Command::Erase(peer, id)];
                }
                KeyCode::Char('s') if matches!(state, Some(State::Failed(_))) => {
                    app.leave_writing(open);
                    return vec![Command::Retry(peer, id)];
                }
                KeyCode::Char('c') if state == Some(State::Pending) => {
                    app.leave_writing(open);
                    return vec![Command::Cancel(peer, id)];
                }
                KeyCode::Char(digit @ '0'..='6') => {
                    app.leave_writing(open);
                    let nth = digit.to_digit(10).and_then(|nth| nth.checked_sub(1));
                    let emoji = nth.and_then(|nth| REACTIONS.get(nth as usize));
                    let emoji = emoji.copied().unwrap_or_default().to_owned();
                    return vec![Command::React(peer, id, emoji)];
                }
                KeyCode::Esc => app.leave_writing(open),
                _ => {}
            }
            Vec::new()
        })
    }

    fn point_beside(&mut self, open: &mut Open, above: bool) {
        let here = open.items().iter().position(|i| Some(i.id) == open.found);
        let Some(here) = here else { return };
        let (before, after) = open.items().split_at(here);
        let next = match above {
            true => before.iter().rfind(|item| of(item).is_some()),
            false => after.iter().skip(1).find(|item| of(item).is_some()),
        };
        if let Some(item) = next.map(|item| item.id) {
            open.found = Some(item);
            scroll::go_to_found(self, open);
        }
    }

    /// Back to a new message; what was being typed before an edit is there again.
    pub(super) fn leave_writing(&mut self, open: &mut Open) {
        match std::mem::take(&mut open.writing) {
            Writing::Edit(_, before) => self.input.set(&before),
            Writing::Points { .. } => (open.position, open.found) = (None, None),
            Writing::New | Writing::Answer(..) => {}
        }
    }
}

fn pointed(open: &Open) -> Option<(MessageId, bool, &Clean)> {
    let mut items = open.items().iter();
    of(items.rfind(|item| Some(item.id) == open.found)?)
}

fn state(open: &Open) -> Option<State> {
    let mut items = open.items().iter();
    match &items.rfind(|item| Some(item.id) == open.found)?.body {
        Body::Mine { state, .. } => Some(state.clone()),
        _ => None,
    }
}

/// What can be done with the message that is pointed at.
pub(crate) fn offers(open: &Open) -> Option<String> {
    let Writing::Points { erases } = open.writing else {
        return None;
    };
    if erases {
        return Some("x again: erase it for everybody · any other key: no".to_owned());
    }
    let mut offers = vec!["r answer"];
    if pointed(open).is_some_and(|(_, mine, _)| mine) {
        offers.extend(["e edit", "x erase"]);
    }
    match state(open) {
        Some(State::Failed(_)) => offers.push("s send again"),
        Some(State::Pending) => offers.push("c cancel"),
        _ => {}
    }
    let likes = (1..).zip(REACTIONS).map(|(n, emoji)| format!("{n}{emoji}"));
    let likes: Vec<_> = likes.collect();
    Some(format!(
        "{} · {} 0 none",
        offers.join(" · "),
        likes.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use crate::{
        app::App,
        fixture::{MINUTE, NOW, message_id, mine, press, screen, theirs, user, with_bob},
        model::{Command, Diff, Event, State},
        text::Clean,
    };

    fn talk() -> App {
        let failed = State::Failed(Clean::line("The relay is gone."));
        let items = vec![
            theirs(1, NOW - 3 * MINUTE, "lunch?"),
            mine(2, NOW - 2 * MINUTE, "yes", State::Read),
            mine(3, NOW - MINUTE, "at noon", State::Pending),
            mine(4, NOW, "or one", failed),
        ];
        let mut app = with_bob(80, 24, items);
        press(&mut app, "<enter>");
        app
    }

    #[test]
    fn a_message_is_answered() {
        let mut app = talk();
        assert_eq!(press(&mut app, "half a th<f4><up><up><up>r"), []);
        assert!(screen(&app).contains("↪ lunch?"), "{}", screen(&app));
        let sent = Command::Send {
            peer: user(1),
            text: "half a thought".to_owned(),
            reply_to: Some(message_id(1)),
        };
        assert_eq!(press(&mut app, "ought<enter>"), [sent]);
        let next = press(&mut app, "next<enter>");
        assert!(matches!(&next[..], [Command::Send { reply_to: None, .. }]));
    }

    #[test]
    fn an_own_message_is_edited_and_the_draft_stays() {
        let mut app = talk();
        press(&mut app, "draft<f4><up><up>e");
        assert_eq!(app.input.text(), "yes");
        let edit = Command::Edit {
            peer: user(1),
            id: message_id(2),
            text: "yes!".to_owned(),
        };
        assert_eq!(press(&mut app, "!<enter>"), [edit]);
        assert_eq!(app.input.text(), "draft");
        // Given up; and what another wrote is not edited.
        press(&mut app, "<f4><up><up>e!!<esc>");
        assert_eq!(app.input.text(), "draft");
        press(&mut app, "<f4><up><up><up>e");
        assert_eq!(app.input.text(), "draft");
    }

    #[test]
    fn erasing_is_asked_for_twice_and_what_failed_is_sent_again() {
        let mut app = talk();
        assert_eq!(press(&mut app, "<f4><up><up>x"), []);
        assert!(screen(&app).contains("x again"));
        assert_eq!(press(&mut app, "<up><down>x"), [], "asked anew");
        assert_eq!(
            press(&mut app, "x"),
            [Command::Erase(user(1), message_id(2))]
        );
        assert_eq!(press(&mut app, "<f4>xy<esc>"), [], "no after all");
        assert_eq!(
            press(&mut app, "<f4>s"),
            [Command::Retry(user(1), message_id(4))]
        );
        assert_eq!(
            press(&mut app, "<f4><up>c"),
            [Command::Cancel(user(1), message_id(3))]
        );
        assert_eq!(press(&mut app, "<f4><up><up><up>xx<esc>"), [], "bob's");
        let like = |emoji: &str| Command::React(user(1), message_id(4), emoji.to_owned());
        assert_eq!(press(&mut app, "<f4>2"), [like("❤")]);
        assert_eq!(press(&mut app, "<f4>0"), [like("")]);
        assert_eq!(press(&mut app, "<f4>7<esc>"), []);
    }

    #[test]
    fn what_is_pointed_at_may_go() {
        let mut app = talk();
        press(&mut app, "<f4>");
        app.update(Event::Items(user(1), Diff::Remove(3)));
        assert_eq!(press(&mut app, "x"), []);
        assert_eq!(press(&mut app, "x<enter>").len(), 1, "typed and sent");
        let mut empty = with_bob(80, 24, vec![]);
        press(&mut empty, "<enter><f4>");
        assert!(screen(&empty).contains("There is no message yet."));
    }
}
