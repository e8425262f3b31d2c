//! Search in all conversations: hits come while it is typed, and one that is chosen is shown where it stands.

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, Focus, Overlay, keys, scroll};
use crate::{
    input::Input,
    model::{Command, HitLine, UserId},
    text::Clean,
};

/// Longest text that is searched for.
const QUERY_BYTES: usize = 256;

/// What is searched for, and what was found.
pub(crate) struct Search {
    pub(crate) input: Input,
    /// `None` before the first answer.
    pub(crate) hits: Option<Result<Vec<HitLine>, Clean>>,
    pub(crate) at: usize,
}

impl Search {
    /// Asks anew, if what is typed is something else than before.
    fn ask(&mut self, before: &str) -> Vec<Command> {
        if self.input.text() == before {
            return Vec::new();
        }
        vec![Command::Search(self.input.text().to_owned())]
    }

    fn lines(&self) -> &[HitLine] {
        match &self.hits {
            Some(Ok(lines)) => lines,
            _ => &[],
        }
    }

    fn step(&mut self, by: isize) {
        let last = self.lines().len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
    }

    pub(super) fn paste(&mut self, text: &str) -> Vec<Command> {
        let before = self.input.text().to_owned();
        self.input.insert(&text.replace(['\n', '\r'], " "));
        self.ask(&before)
    }
}

impl App {
    pub(super) fn search(&mut self) {
        self.overlay = Some(Overlay::Search(Search {
            input: Input::new(QUERY_BYTES),
            hits: None,
            at: 0,
        }));
    }

    /// The answer to what was typed; one to what was typed before comes too late.
    pub(super) fn hits(&mut self, text: &str, hits: Result<Vec<HitLine>, Clean>) {
        if let Some(Overlay::Search(search)) = &mut self.overlay
            && search.input.text() == text
        {
            search.at = 0;
            search.hits = Some(hits);
        }
    }

    pub(super) fn key_in_search(&mut self, key: KeyEvent, mut search: Search) -> Vec<Command> {
        let before = search.input.text().to_owned();
        match key.code {
            KeyCode::Esc => return Vec::new(),
            KeyCode::Enter => {
                if let Some(hit) = search.lines().get(search.at).cloned() {
                    return self.open_at(hit);
                }
            }
            KeyCode::Up => search.step(-1),
            KeyCode::Down => search.step(1),
            KeyCode::PageUp => search.step(-5),
            KeyCode::PageDown => search.step(5),
            KeyCode::Char(letter) if keys::typed(key) => {
                search.input.insert(letter.encode_utf8(&mut [0; 4]));
            }
            _ => keys::edit(&mut search.input, key),
        }
        let commands = search.ask(&before);
        self.overlay = Some(Overlay::Search(search));
        commands
    }

    /// Opens the conversation of a hit, and goes there once it is loaded.
    fn open_at(&mut self, hit: HitLine) -> Vec<Command> {
        let (peer, place) = (hit.peer.id, hit.place);
        let mut commands = self.open(hit.peer);
        self.focus = Focus::Chat;
        commands.extend(self.with_open(peer, |app, open| {
            open.found = Some(place.item);
            open.seeks = true;
            match scroll::go_to_found(app, open) {
                true => Vec::new(),
                false => vec![Command::LoadBackTo(peer, place)],
            }
        }));
        commands
    }

    /// As far back as the hit everything is loaded, or it is not there any more.
    pub(super) fn loaded_back(&mut self, peer: UserId, outcome: Result<bool, Clean>) {
        if let Some(open) = self.open.as_mut().filter(|open| open.peer.id == peer)
            && outcome != Ok(true)
        {
            open.seeks = false;
            let gone = || Clean::line("This message is not there any more.");
            let why = outcome.err().unwrap_or_else(gone);
            self.tell(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{MINUTE, NOW, hit, press, row, screen, theirs, user, with_bob},
        model::{Diff, Event, Item, Place},
    };

    fn items(numbers: std::ops::Range<u64>) -> Vec<Item> {
        let item = |n| theirs(n, NOW - MINUTE, &format!("message {n}."));
        numbers.map(item).collect()
    }

    fn asks(text: &str) -> [Command; 1] {
        [Command::Search(text.to_owned())]
    }

    #[test]
    fn what_is_typed_is_searched_for_and_late_answers_are_left_out() {
        let mut app = with_bob(80, 24, vec![]);
        assert_eq!(press(&mut app, "<C-f>"), []);
        assert_eq!(press(&mut app, "n"), asks("n"));
        assert_eq!(press(&mut app, "o<up>"), asks("no"));
        app.update(Event::Hits("n".to_owned(), Ok(vec![hit(1, 7, "nothing")])));
        assert!(!screen(&app).contains("nothing"));
        app.update(Event::Hits("no".to_owned(), Ok(vec![])));
        assert!(screen(&app).contains("Nothing was found."));
        assert_eq!(press(&mut app, "<enter>"), [], "nothing to open");
        assert_eq!(
            app.update(Event::Paste("w\nand".to_owned())),
            asks("now and")
        );
        let why = Clean::line("The disk is gone.");
        app.update(Event::Hits("now and".to_owned(), Err(why)));
        assert!(screen(&app).contains("The disk is gone."));
        assert_eq!(press(&mut app, "<backspace>"), asks("now an"));
        assert_eq!(press(&mut app, "<esc>x"), []);
        assert_eq!(app.input.text(), "x", "back in the conversation");
    }

    #[test]
    fn a_hit_is_shown_where_it_stands() {
        let mut app = with_bob(80, 24, items(500..540));
        app.update(Event::Rows(Diff::Insert(1, row(2, "carol", 0))));
        press(&mut app, "<C-f>m");
        let hits = vec![hit(1, 520, "here"), hit(2, 7, "there"), hit(1, 300, "far")];
        app.update(Event::Hits("m".to_owned(), Ok(hits.clone())));
        // What is loaded is gone to at once.
        assert_eq!(press(&mut app, "<enter>"), []);
        let shown = screen(&app);
        assert!(
            shown.contains("message 520.") && !shown.contains("message 539."),
            "{shown}"
        );
        assert_eq!(press(&mut app, "<esc>"), []);
        assert!(screen(&app).contains("message 539."));

        let again = |app: &mut App, keys| {
            press(app, "<C-f>m");
            app.update(Event::Hits("m".to_owned(), Ok(hits.clone())));
            press(app, keys)
        };
        let place = |item| Place { place: item, item };
        let load = Command::LoadBackTo(user(1), place(300));
        assert_eq!(again(&mut app, "<down><down><down><enter>"), [load]);
        // The answer may come before the items do, or after.
        app.update(Event::LoadedBack(user(1), Ok(true)));
        assert!(!screen(&app).contains("message 300."));
        for (at, older) in items(300..500).into_iter().enumerate() {
            app.update(Event::Items(user(1), Diff::Insert(at, older)));
        }
        for (at, before) in items(290..300).into_iter().enumerate() {
            app.update(Event::Items(user(1), Diff::Insert(at, before)));
        }
        let shown = screen(&app);
        assert!(
            shown.contains("message 299.") && shown.contains("message 301."),
            "{shown}"
        );
        // From here on one goes where one wants to.
        press(&mut app, "<pagedown><pagedown>");
        app.update(Event::Items(
            user(1),
            Diff::Insert(0, theirs(7, NOW, "old")),
        ));
        assert!(!screen(&app).contains("message 300."));

        let load = Command::LoadBackTo(user(2), place(7));
        assert_eq!(
            again(&mut app, "<down><enter>"),
            [Command::Open(user(2)), load]
        );
        app.update(Event::Items(user(2), Diff::Reset(items(8..60))));
        app.update(Event::LoadedBack(user(2), Ok(false)));
        assert!(screen(&app).contains("not there any more"));
        app.update(Event::Items(
            user(2),
            Diff::Insert(0, theirs(7, NOW, "late")),
        ));
        assert!(!screen(&app).contains("late"), "nobody waits for it");
    }
}
