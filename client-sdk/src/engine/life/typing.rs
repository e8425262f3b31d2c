//! Typing: what is said of the user's, and what is shown of others'.

use sordino_protocol::{DeviceId, UserId};

use super::{Life, Now};
use crate::{
    events::Event,
    machine::{Heard, Said},
};

/// Somebody who goes on typing says so this often.
const TYPING_EVERY_MS: u64 = 4_000;
/// A word that somebody types holds so long.
pub(super) const TYPING_MS: u64 = 8_000;
/// Before the next change of the same is said.
const CHANGE_MS: u64 = 1_000;
/// People to whom the user types at a time, and who type.
pub(super) const TYPISTS: usize = 64;

/// What was said of the user's typing.
pub(super) struct Typing {
    on: bool,
    said_ms: u64,
}

/// Somebody who types.
#[derive(Default)]
pub(super) struct Typist {
    pub(super) devices: Vec<(DeviceId, u64)>,
    /// Signals up to this time of theirs are of before their last message.
    floor_ms: u64,
    /// Until when that matters.
    until_ms: u64,
}

impl Life {
    /// The user types to somebody, or does not any more.
    pub(crate) fn types(&mut self, peer: UserId, on: bool, now: Now) {
        if !self.connected {
            return;
        }
        let due = match self.typing.get(&peer) {
            None => on,
            Some(said) if on && said.on => now.ms.saturating_sub(said.said_ms) >= TYPING_EVERY_MS,
            Some(said) if on => now.ms.saturating_sub(said.said_ms) >= CHANGE_MS,
            // After a while it has lapsed by itself.
            Some(said) => said.on && now.ms.saturating_sub(said.said_ms) < TYPING_MS,
        };
        if !due {
            return;
        }
        if self.typing.len() >= TYPISTS {
            self.typing
                .retain(|_, said| now.ms.saturating_sub(said.said_ms) < TYPING_MS);
        }
        let known = self.typing.contains_key(&peer);
        if known || self.typing.len() < TYPISTS {
            let said_ms = now.ms;
            self.typing.insert(peer, Typing { on, said_ms });
            self.out.push_back((peer, Said::Typing(on)));
        }
    }

    /// The user has sent a message: whoever reads it knows that they do not type any more.
    pub(crate) fn has_sent(&mut self, peer: UserId) {
        self.typing.remove(&peer);
    }

    /// Somebody has written, at this time of theirs: what they typed is here.
    pub(in crate::engine) fn has_written(&mut self, user: UserId, sent_ms: u64, now: Now) {
        self.ask_anew(user, now);
        let known = self.typists.contains_key(&user);
        if !known && self.typists.len() >= TYPISTS {
            return;
        }
        let typist = self.typists.entry(user).or_default();
        typist.floor_ms = typist.floor_ms.max(sent_ms);
        typist.until_ms = now.ms + TYPING_MS;
        let typed = !std::mem::take(&mut typist.devices).is_empty();
        self.shows_typing(typed, user, false);
    }

    /// Whether somebody types.
    pub(crate) fn is_typing(&self, user: UserId) -> bool {
        self.typists
            .get(&user)
            .is_some_and(|typist| !typist.devices.is_empty())
    }

    pub(super) fn hears_typing(&mut self, heard: Heard, on: bool, now: Now) {
        let Heard { user, device, .. } = heard;
        let known = self.typists.contains_key(&user);
        if !known && (!on || self.typists.len() >= TYPISTS) {
            return;
        }
        let typist = self.typists.entry(user).or_default();
        if heard.number <= typist.floor_ms && now.ms < typist.until_ms {
            return;
        }
        let typed = !typist.devices.is_empty();
        typist.devices.retain(|(other, _)| *other != device);
        if on {
            typist.devices.push((device, now.ms + TYPING_MS));
        }
        let types = !typist.devices.is_empty();
        self.shows_typing(typed, user, types);
    }

    fn shows_typing(&mut self, before: bool, user: UserId, on: bool) {
        if before != on {
            self.events.push(Event::Typing { user, on });
        }
    }

    pub(super) fn lapse_typing(&mut self, now: Now) {
        let mut ended = Vec::new();
        self.typists.retain(|user, typist| {
            let typed = !typist.devices.is_empty();
            typist.devices.retain(|(_, until_ms)| *until_ms > now.ms);
            if typed && typist.devices.is_empty() {
                ended.push(*user);
            }
            !typist.devices.is_empty() || typist.until_ms > now.ms
        });
        for user in ended {
            self.shows_typing(true, user, false);
        }
    }

    /// Without a connection.
    pub(super) fn nobody_types(&mut self) {
        self.typing.clear();
        let typists: Vec<_> = self.typists.drain().collect();
        for (user, typist) in typists {
            self.shows_typing(!typist.devices.is_empty(), user, false);
        }
    }
}
