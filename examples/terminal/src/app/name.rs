//! The question for a user name: one's own at the first start, a peer's later.

use super::{App, Focus, Overlay};
use crate::{
    input::Input,
    model::{Command, Peer},
    text::Clean,
};

/// Longest user name.
const NAME_BYTES: usize = 32;

/// A question for a user name.
pub(crate) struct NameForm {
    pub(crate) mine: bool,
    pub(crate) input: Input,
    /// An answer is on its way.
    pub(crate) busy: bool,
    pub(crate) error: Option<Clean>,
}

impl NameForm {
    pub(crate) fn new(mine: bool) -> Self {
        Self {
            mine,
            input: Input::new(NAME_BYTES),
            busy: false,
            error: None,
        }
    }
}

impl App {
    /// Asks for this name at once, as if it had been typed.
    pub(crate) fn register(&mut self, name: &str) -> Vec<Command> {
        let Some(Overlay::Name(form)) = &mut self.overlay else {
            return Vec::new();
        };
        form.input.set(name);
        self.submit_name()
    }

    pub(super) fn submit_name(&mut self) -> Vec<Command> {
        let Some(Overlay::Name(form)) = &mut self.overlay else {
            return Vec::new();
        };
        let name = form.input.text().to_owned();
        if form.busy || name.is_empty() {
            return Vec::new();
        }
        if self.me.as_ref().is_some_and(|me| me.as_str() == name) {
            form.error = Some(Clean::line("That is your own name."));
            return Vec::new();
        }
        form.busy = true;
        form.error = None;
        if form.mine {
            vec![Command::Register(name)]
        } else {
            vec![Command::Find(name)]
        }
    }

    pub(super) fn registered(&mut self, outcome: Result<Clean, Clean>) -> Vec<Command> {
        match outcome {
            Ok(name) => {
                self.me = Some(name);
                self.overlay = None;
            }
            Err(why) => self.answer_form(why),
        }
        Vec::new()
    }

    pub(super) fn found(&mut self, name: &str, peer: Result<Option<Peer>, Clean>) -> Vec<Command> {
        let waiting = matches!(&self.overlay, Some(Overlay::Name(form))
            if form.busy && !form.mine && form.input.text() == name);
        if !waiting {
            return Vec::new();
        }
        match peer {
            Ok(Some(peer)) => {
                self.overlay = None;
                self.focus = Focus::Chat;
                return self.open(peer);
            }
            Ok(None) => self.answer_form(Clean::line(&format!("Nobody is called {name} here."))),
            Err(why) => self.answer_form(why),
        }
        Vec::new()
    }

    fn answer_form(&mut self, error: Clean) {
        if let Some(Overlay::Name(form)) = &mut self.overlay {
            form.busy = false;
            form.error = Some(error);
        }
    }
}
