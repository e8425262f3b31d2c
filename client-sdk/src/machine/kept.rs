//! What a judged row leaves of counters and sessions.

use sordino_crypto::receive::{Counters, Outcome, RowDecision, Undecryptable};
use sordino_protocol::{Class, Header, SessionId, pb, signed::SignedType};

use super::causes::undecryptable_word;
use super::late;
use super::receive::{Receiver, Taken};
use super::view::is_listed;
use crate::error::Error;
use crate::store::Tx;

impl Receiver<'_> {
    pub(super) fn keep_counters(
        &self,
        tx: &Tx<'_>,
        header: Option<&Header>,
        found: &RowDecision,
    ) -> Result<(), Error> {
        let (Some(header), Some(shown)) = (header, found.shown_counter) else {
            return Ok(());
        };
        let counters = Counters {
            shown,
            proven: found.proven_counter.unwrap_or(0),
        };
        let device = (header.sender, header.sender_device);
        tx.raise_counters(self.conversation, device, counters)
    }

    pub(super) fn keep_session(&self, tx: &Tx<'_>, found: &RowDecision) -> Result<(), Error> {
        let Some(session) = &found.session else {
            return Ok(());
        };
        let peer = session.meta().peer;
        let mut book = tx.book(peer.user, peer.device)?;
        let mut dead = dead_sessions(found);
        if peer.user == self.me.user {
            // Messages on them may still come, in conversations that are pulled later.
            for sid in dead.drain(..) {
                book.never_sends(sid, self.now_ms);
            }
        }
        let retired = if is_listed(tx, self.notes, &peer)? {
            book.received(session.meta(), &dead, self.now_ms)
        } else {
            book.received_late(session.meta(), self.now_ms)
        };
        tx.put_session(session)?;
        tx.put_book((peer.user, peer.device), &book, &retired)?;
        if let Some(used) = found.used_prekeys {
            if let Some(id) = used.one_time {
                tx.delete_prekey(SignedType::OneTimePrekey, id)?;
            }
            if let Some(id) = used.pq_one_time {
                tx.delete_prekey(SignedType::PqOneTimePrekey, id)?;
            }
        }
        Ok(())
    }

    pub(super) fn broken(
        &self,
        tx: &Tx<'_>,
        seq: u64,
        header: Option<&Header>,
        (cause, session): (Undecryptable, Option<SessionId>),
        taken: &mut Taken,
    ) -> Result<(), Error> {
        let held = tx.conversation(self.conversation)?;
        if let (Some(header), Some(held)) = (header, held) {
            late::note(self, tx, seq, header)?;
            let is_own = header.sender == self.me.user;
            if let (Some(sid), true) = (session, cause.breaks_session())
                && (is_own || tx.is_accepted(self.me.user, &held)?)
            {
                taken.tells_own |= is_own;
                let pair = (header.sender, header.sender_device);
                let mut book = tx.book(pair.0, pair.1)?;
                book.broken(sid, self.now_ms);
                tx.put_book(pair, &book, &[])?;
            }
        }
        self.unreadable(tx, seq, header, undecryptable_word(cause), taken)
    }
}

/// The sessions that a message between devices declares dead.
fn dead_sessions(found: &RowDecision) -> Vec<SessionId> {
    let (Some(header), Outcome::Message(message)) = (&found.header, &found.outcome) else {
        return Vec::new();
    };
    match (header.class, &message.opened.content.body) {
        (Class::Control, Some(pb::content::Body::DeadSessions(dead))) => {
            let sids = dead.sessions.iter();
            sids.filter_map(|sid| SessionId::from_slice(sid).ok())
                .collect()
        }
        _ => Vec::new(),
    }
}
