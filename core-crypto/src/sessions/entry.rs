//! One session in a book.

use serde::{Deserialize, Serialize};
use sordino_protocol::{SessionId, hash::Hash};

use super::Retired;
use crate::{sending::Candidate, session::Meta};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) sid: SessionId,
    born: u64,
    transcript: Hash,
    answered_spk: Option<u32>,
    pub(super) receive_only_since_ms: Option<u64>,
    /// It never sends again.
    pub(super) stopped: bool,
    pub(super) sent_since_received: u32,
    /// At first, when it was entered.
    pub(super) last_received_ms: u64,
    pub(super) owes_reply: bool,
}

impl Entry {
    pub(super) fn new(meta: &Meta, now_ms: u64) -> Self {
        Self {
            sid: meta.sid,
            born: meta.born,
            transcript: meta.transcript,
            answered_spk: meta.answered_spk,
            receive_only_since_ms: None,
            stopped: false,
            sent_since_received: 0,
            last_received_ms: now_ms,
            owes_reply: meta.answered_spk.is_some(),
        }
    }

    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            sid: self.sid,
            born: self.born,
            transcript: self.transcript,
            receive_only_since_ms: self.receive_only_since_ms,
        }
    }

    pub(super) fn retired(&self) -> Retired {
        Retired {
            sid: self.sid,
            answered_spk: self.answered_spk,
        }
    }
}
