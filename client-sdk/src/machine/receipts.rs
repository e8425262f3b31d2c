//! Read receipts: what the other person has read, by their own word, and what they are told.
//!
//! A receipt is a message between devices: sealed like any other, stored and in order. It goes to the other devices of its author,
//! too, which learn from it what was read. Nobody to whom the user has never written gets one.

use sordino_protocol::{
    ConversationId, UserId,
    pb::{self, content::Body},
};

use super::contacts::trust;
use super::expiry::begin;
use super::sessions::put_control;
use super::timeline::{Reached, show};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Durability, Progress, Tx, UNPLACED};

impl Machine {
    /// Puts the receipts that are due into the outbox, one for all that was read in a conversation; whom they are for. Without
    /// receipts nobody.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn put_receipts(&mut self, now_ms: u64) -> Result<Vec<UserId>, Error> {
        let me = registered(self.account.as_ref())?;
        let defaults = self.defaults;
        self.store.transaction(Durability::Synced, |tx| {
            let sends = defaults.receipts(tx)?;
            let mut told = Vec::new();
            for held in tx.receipts_due()? {
                // Not of rows that could not be read: those are no news to their author.
                let newest = tx.newest_of_peer(held.id, held.receipt, held.read)?;
                let wanted = sends && held.peer != me.user && tx.is_accepted(me.user, &held)?;
                let trust = trust(tx, held.peer)?;
                if let Some(upto_seq) = newest
                    && wanted
                    && !trust.blocked
                    && !trust.deleted
                {
                    let receipt = Body::ReadReceipt(pb::ReadReceipt { upto_seq });
                    put_control(tx, me, &held, None, receipt, now_ms)?;
                    told.push(held.peer);
                }
                tx.raise_receipt(held.id, held.read)?;
            }
            Ok(told)
        })
    }
}

/// A receipt has come in the row `seq`: of the other person, or of another own device.
pub(super) fn came(
    tx: &Tx<'_>,
    conversation: ConversationId,
    (seq, is_own): (u64, bool),
    receipt: &pb::ReadReceipt,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let Some(held) = tx.conversation(conversation)? else {
        return Ok(());
    };
    // Nobody reads what comes later.
    let upto = receipt
        .upto_seq
        .min(seq.saturating_sub(1))
        .min(UNPLACED - 1);
    if is_own {
        tx.raise_receipt(conversation, upto)?;
        happenings.extend(begin(tx, conversation, upto, now_ms)?);
        if tx.raise_read(conversation, upto)? {
            happenings.push(Happening::ConversationChanged(conversation));
        }
        return Ok(());
    }
    if !tx.raise_read_by_peer(conversation, upto)? {
        return Ok(());
    }
    let reached = Reached {
        delivered: held.delivered,
        read: upto,
    };
    let items = tx.own_between(conversation, held.read_by_peer, upto)?;
    let read = items
        .into_iter()
        .filter(|item| item.progress == Progress::Accepted);
    for item in read {
        happenings.push(Happening::Changed(show(tx, item, reached)?));
    }
    Ok(())
}
