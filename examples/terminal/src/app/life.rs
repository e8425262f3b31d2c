//! Who types and who is there; and what the others are told of that.

use sordino::Presence;

use super::App;
use crate::model::{Command, UserId};

/// What stood where messages are typed, before a key.
pub(super) struct Typed {
    peer: UserId,
    text: String,
}

impl App {
    /// Whether somebody types to this user.
    pub(crate) fn is_typing(&self, peer: UserId) -> bool {
        self.typing.contains(&peer)
    }

    pub(super) fn types(&mut self, peer: UserId, on: bool) {
        if on {
            self.typing.insert(peer);
        } else {
            self.typing.remove(&peer);
        }
    }

    pub(super) fn presence_is(&mut self, peer: UserId, presence: Presence) {
        if let Some(open) = &mut self.open
            && open.peer.id == peer
        {
            open.presence = presence;
        }
    }

    pub(super) fn typed(&self) -> Option<Typed> {
        let peer = self.open.as_ref()?.peer.id;
        let text = self.input.text().to_owned();
        Some(Typed { peer, text })
    }

    /// What the person of the open conversation is to be told, now that a key was pressed. A message that is sent says it by itself.
    pub(super) fn tell_typing(&self, before: Option<Typed>, commands: &mut Vec<Command>) {
        let Some(before) = before else { return };
        let peer = before.peer;
        let is_open = self.open.as_ref().is_some_and(|open| open.peer.id == peer);
        let sent = commands.iter().any(|c| matches!(c, Command::Send { .. }));
        match is_open {
            _ if sent => {}
            true if self.input.text() == before.text => {}
            true => commands.push(Command::Typing(peer, !self.input.is_empty())),
            false if before.text.is_empty() => {}
            false => commands.push(Command::Typing(peer, false)),
        }
    }
}
