//! How far a person is trusted: the number to compare, and what follows from it.

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, Overlay};
use crate::{
    model::{Command, Decision, Trust, UserId},
    text::Clean,
};

/// The safety number with a person.
pub(crate) struct Number {
    pub(crate) peer: UserId,
    /// The digits, and the text of the QR code; `None` until they came.
    pub(crate) number: Option<Result<(String, String), Clean>>,
}

impl App {
    /// How far the person of the open conversation is trusted.
    pub(crate) fn trust(&self, peer: UserId) -> Trust {
        let row = self.rows.iter().find(|row| row.peer.id == peer);
        let open = self.open.as_ref().filter(|open| open.peer.id == peer);
        let trust = row.map(|row| &row.trust);
        trust
            .or(open.map(|open| &open.trust))
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn look_at_number(&mut self) -> Vec<Command> {
        let Some(open) = &self.open else {
            return Vec::new();
        };
        let peer = open.peer.id;
        self.overlay = Some(Overlay::Number(Number { peer, number: None }));
        vec![Command::Number(peer)]
    }

    pub(super) fn number_is(&mut self, peer: UserId, found: Result<(String, String), Clean>) {
        if let Some(Overlay::Number(shown)) = &mut self.overlay
            && shown.peer == peer
        {
            shown.number = Some(found);
        }
    }

    pub(super) fn key_in_number(&mut self, key: KeyEvent, shown: Number) -> Vec<Command> {
        let trust = self.trust(shown.peer);
        let is_there = matches!(shown.number, Some(Ok(_)));
        let decision = match key.code {
            KeyCode::Esc => return Vec::new(),
            KeyCode::Char('v') if is_there && (!trust.verified || trust.lists_contradict) => {
                Some(Decision::Verified)
            }
            KeyCode::Char('u') if trust.verified || trust.identity_changed => {
                Some(Decision::NotVerified)
            }
            KeyCode::Char('a') if !trust.withheld.is_empty() => {
                Some(Decision::Accept(trust.withheld))
            }
            KeyCode::Char('b') => Some(Decision::Blocked(!trust.blocked)),
            _ => None,
        };
        let command = decision.map(|decision| Command::Decide(shown.peer, decision));
        self.overlay = Some(Overlay::Number(shown));
        command.into_iter().collect()
    }
}
