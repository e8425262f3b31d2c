//! The sessions of a pair of devices: which one sends, when a new one is due, which are given up.
//!
//! A [`Book`] holds no keys. It is stored beside the sessions, and changes in the transaction that changes them:
//!
//! - before something is sent to the device: [`Book::plan`]; a new session is entered with [`Book::begun`], every message with
//!   [`Book::sent`];
//! - [`Book::received`] for every session that [`crate::receive::receive`] gives back;
//! - [`Book::broken`] where it does not open a message of a contact.
//!
//! Both sides arrive at the same sending session in whatever order messages come.

mod entry;

use serde::{Deserialize, Serialize};
use sordino_protocol::SessionId;

use crate::{
    sending::{self, is_renewal_due},
    session::Meta,
};
use entry::Entry;

/// At most one repair an hour, so that nobody can make a device set up sessions without end.
pub const REPAIR_EVERY_MS: u64 = 60 * 60 * 1000;
/// Sessions that one message may declare dead.
pub const DEAD_SESSIONS: usize = 16;

/// What is known of the sessions with one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    entries: Vec<Entry>,
    /// Of all sessions there ever were.
    highest_born: Option<u64>,
    /// Sessions of the peer that this side cannot use, not told yet.
    broken: Vec<SessionId>,
    last_repair_ms: Option<u64>,
}

/// How to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The session that sends.
    pub current: Option<SessionId>,
    /// Begin a new one first, with this `born`. Where that fails (no prekeys to be had), `current` still serves.
    pub begin: Option<u64>,
}

/// A new session was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// If not empty: to be named on the session by a `DeadSessions` to this device alone, before whatever has no counter yet.
    pub dead: Vec<SessionId>,
    /// Given up for it.
    pub retired: Vec<Retired>,
}

/// A session that is given up: delete it, after whatever the same transaction stored of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// Its name.
    pub sid: SessionId,
    /// If set: remember the name as long as the secret of this signed prekey is kept, else the handshake could begin the
    /// session anew.
    pub answered_spk: Option<u32>,
}

impl Book {
    /// From its stored form; `None` if these bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The form to be stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The session that sends, if there is one.
    pub fn sending(&self) -> Option<SessionId> {
        let candidates: Vec<_> = self.entries.iter().map(Entry::candidate).collect();
        sending::sending(&candidates)
    }

    /// What to send on. A new session is due if there is none, if the peer was silent on this one for long, or if a repair is.
    pub fn plan(&self, now_ms: u64) -> Plan {
        let current = self.sending();
        let entry = current.and_then(|sid| self.entries.iter().find(|entry| entry.sid == sid));
        let renew = entry.is_none_or(|entry| {
            is_renewal_due(entry.sent_since_received, entry.last_received_ms, now_ms)
        });
        let begin = renew || self.is_repair_due(now_ms);
        Plan {
            current,
            begin: begin.then(|| self.next_born(now_ms)),
        }
    }

    /// `born` of a new session of this pair.
    pub fn next_born(&self, now_ms: u64) -> u64 {
        sending::next_born(now_ms, self.highest_born)
    }

    /// Enters a session that this device began.
    pub fn begun(&mut self, meta: &Meta, now_ms: u64) -> Begun {
        self.enter(meta, now_ms);
        let dead = std::mem::take(&mut self.broken);
        if !dead.is_empty() {
            self.last_repair_ms = Some(now_ms);
        }
        Begun {
            dead,
            retired: self.settle(now_ms),
        }
    }

    /// A message was encrypted by this session.
    pub fn sent(&mut self, sid: SessionId) {
        if let Some(entry) = self.entry(sid) {
            entry.sent_since_received = entry.sent_since_received.saturating_add(1);
            // Whatever it says, it answers.
            entry.owes_reply = false;
        }
    }

    /// A message was decrypted by this session, which may be new. `dead`: the sessions that it declares dead.
    pub fn received(&mut self, meta: &Meta, dead: &[SessionId], now_ms: u64) -> Vec<Retired> {
        let mut retired = Vec::new();
        for entry in self
            .entries
            .extract_if(.., |e| e.sid != meta.sid && dead.contains(&e.sid))
        {
            retired.push(entry.retired());
        }
        self.enter(meta, now_ms);
        let none_sends = self.sending().is_none();
        if let Some(entry) = self.entry(meta.sid) {
            entry.sent_since_received = 0;
            entry.last_received_ms = now_ms;
            // What the peer uses while it gives up the better one is better than none.
            if none_sends && !retired.is_empty() && !entry.stopped {
                entry.receive_only_since_ms = None;
            }
        }
        retired.extend(self.settle(now_ms));
        retired
    }

    /// Where a message of a contact does not open for a reason that [`crate::receive::Undecryptable::breaks_session`], and
    /// the contact was accepted. Returns whether a repair is due: then send to the device, by [`Book::plan`].
    pub fn broken(&mut self, sid: SessionId, now_ms: u64) -> bool {
        self.note_broken(sid);
        self.is_repair_due(now_ms)
    }

    /// Whether a repair is due now or later.
    pub fn repair_waits(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Sessions that the peer began and that were never answered. Answer an accepted contact's: one control message
    /// `SessionReply` each, on the sending session, then [`Book::replied`].
    pub fn replies_owed(&self) -> Vec<SessionId> {
        let owed = self.entries.iter().filter(|entry| entry.owes_reply);
        owed.map(|entry| entry.sid).collect()
    }

    /// The session was answered.
    pub fn replied(&mut self, sid: SessionId) {
        if let Some(entry) = self.entry(sid) {
            entry.owes_reply = false;
        }
    }

    /// After a rollback of the store: no session of this book ever sends again, for the ratchets may have gone further than the
    /// store knows. A new one is due, and it tells the peer.
    pub fn stop_sending(&mut self, now_ms: u64) {
        for entry in &mut self.entries {
            entry.stopped = true;
            entry.receive_only_since_ms.get_or_insert(now_ms);
        }
        let stopped: Vec<_> = self.entries.iter().map(|entry| entry.sid).collect();
        for sid in stopped {
            self.note_broken(sid);
        }
        self.last_repair_ms = None;
    }

    /// A message was decrypted by this session, of a device that its user's list no longer holds with these keys. It takes
    /// the place of no other, and never sends.
    pub fn received_late(&mut self, meta: &Meta, now_ms: u64) -> Vec<Retired> {
        self.enter(meta, now_ms);
        self.never_sends(meta.sid, now_ms);
        self.received(meta, &[], now_ms)
    }

    /// This session receives only, for good.
    pub fn never_sends(&mut self, sid: SessionId, now_ms: u64) {
        if let Some(entry) = self.entry(sid) {
            entry.stopped = true;
            entry.owes_reply = false;
            entry.receive_only_since_ms.get_or_insert(now_ms);
        }
    }

    /// Gives up what is past its time. Also done whenever a session is entered.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Retired> {
        let candidates: Vec<_> = self.entries.iter().map(Entry::candidate).collect();
        let out = sending::to_retire(&candidates, now_ms);
        let retired = self.entries.extract_if(.., |e| out.contains(&e.sid));
        retired.map(|entry| entry.retired()).collect()
    }

    fn note_broken(&mut self, sid: SessionId) {
        if !self.broken.contains(&sid) {
            let excess = (self.broken.len() + 1).saturating_sub(DEAD_SESSIONS);
            self.broken.drain(..excess);
            self.broken.push(sid);
        }
    }

    fn is_repair_due(&self, now_ms: u64) -> bool {
        let waited = |last: u64| now_ms.saturating_sub(last) >= REPAIR_EVERY_MS;
        !self.broken.is_empty() && self.last_repair_ms.is_none_or(waited)
    }

    fn entry(&mut self, sid: SessionId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.sid == sid)
    }

    fn enter(&mut self, meta: &Meta, now_ms: u64) {
        if self.entry(meta.sid).is_none() {
            self.highest_born = self.highest_born.max(Some(meta.born));
            self.entries.push(Entry::new(meta, now_ms));
        }
    }

    /// All but the sending session only receive.
    fn settle(&mut self, now_ms: u64) -> Vec<Retired> {
        let sends = self.sending();
        for entry in &mut self.entries {
            if Some(entry.sid) != sends {
                entry.receive_only_since_ms.get_or_insert(now_ms);
            }
        }
        self.expire(now_ms)
    }
}

#[cfg(test)]
mod tests;
