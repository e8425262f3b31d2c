//! Messages that do not last.
//!
//! Each says itself how long: its author's device takes what was set last in the conversation. The time begins at its author's when it
//! is sent, at the other person's when it is read; the others of their devices learn that by the receipt, where receipts are on.

use sordino_protocol::{Code, ConversationId, UserId, hash, limits};

use super::rollback::must_not_be_stopped;
use super::send::{Held, encrypt_waiting, hold};
use super::timeline::{Position, Reached, show};
use super::written::{forget, refreshed};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Durability, ItemKind, Tx, UNPLACED};

/// Messages that end in one transaction.
const BATCH: u32 = 256;

/// The time of messages begins that were read now.
pub(super) fn begin(
    tx: &Tx<'_>,
    conversation: ConversationId,
    upto: u64,
    now_ms: u64,
) -> Result<Vec<Happening>, Error> {
    // None of them is the user's: how far the other person has come shows in none.
    let begun = tx.start_timers(conversation, upto, now_ms)?.into_iter();
    begun
        .map(|item| show(tx, item, Reached::default()).map(Happening::Placed))
        .collect()
}

impl Machine {
    /// What is written from now on lasts for so many seconds; 0: for ever.
    ///
    /// # Errors
    /// `NotRegistered`, `TwoCopies`, `BadTimer`; those of the store.
    pub fn set_timer(
        &mut self,
        peer: UserId,
        seconds: u32,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        if seconds > limits::TIMER_S {
            return Err(Error::new(Code::BadTimer, ""));
        }
        let notes = &self.notes;
        let conversation = hash::conversation_id(me.user, peer);
        self.store.transaction(Durability::Synced, |tx| {
            must_not_be_stopped(tx)?;
            tx.ensure_conversation(conversation, peer)?;
            if tx.timer(conversation)? == seconds {
                return Ok(Vec::new());
            }
            let held = Held {
                kind: ItemKind::Timer,
                text: "",
                reply_to: None,
                timer_s: seconds,
            };
            let id = hold(tx, me, conversation, held, now_ms)?;
            encrypt_waiting(tx, notes, me, conversation, now_ms)?;
            let item = tx.own_item(conversation, id)?;
            let shown = item.map(|item| show(tx, item, Reached::default()));
            Ok(shown
                .transpose()?
                .map(Happening::Added)
                .into_iter()
                .collect())
        })
    }

    /// Takes away what has come to its end; when the next one does.
    ///
    /// # Errors
    /// Those of the store.
    pub fn expire(&mut self, now_ms: u64) -> Result<(Option<u64>, Vec<Happening>), Error> {
        let next = self.store.read(|tx| tx.next_expiry())?;
        if next.is_none_or(|next| next > now_ms) {
            return Ok((next, Vec::new()));
        }
        self.store.transaction(Durability::Relaxed, |tx| {
            let mut gone = Vec::new();
            for item in tx.expired(now_ms, BATCH)? {
                forget(tx, &item)?;
                if item.place < UNPLACED {
                    tx.forget_key(item.conversation, item.place)?;
                }
                tx.delete_item(item.item)?;
                gone.push(Happening::Gone(item.conversation, Position::of(&item)));
                if let Some(name) = item.name() {
                    let quoting = refreshed(tx, item.conversation, name)?;
                    gone.extend(quoting.into_iter().map(Happening::Placed));
                }
            }
            Ok((tx.next_expiry()?, gone))
        })
    }
}
