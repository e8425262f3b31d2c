//! Accounts that are gone, by the relay's word. It can refuse to pass anything on without that, so nothing is lost by believing it; and it
//! may say otherwise later, as one does that lost its data and got them back.

use sordino_protocol::{Code, UserId, hash};

use super::outbox::give_up;
use super::send::changed;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Conversation, Durability, Progress, StoredAccount, Tx, UNPLACED};

/// Messages of one look.
const BATCH: u32 = 256;

impl Machine {
    /// The account is gone. What waits for the person is given up; what there is stays.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn account_deleted(&mut self, user: UserId, now_ms: u64) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.transaction(Durability::Synced, |tx| {
            let mut happenings = Vec::new();
            deleted(tx, me, user, now_ms, &mut happenings)?;
            Ok(happenings)
        })
    }

    /// Nobody has this id: what waits for them is given up, and whoever writes once more asks once more. `None` where their lists were
    /// seen before: then it waits on, for a relay that lost its data may get them back.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn nobody_is_there(&mut self, user: UserId) -> Result<Option<Vec<Happening>>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.transaction(Durability::Synced, |tx| {
            if tx.pin(user)?.is_some() {
                return Ok(None);
            }
            let mut happenings = Vec::new();
            if let Some(conversation) = tx.conversation(hash::conversation_id(me.user, user))? {
                // Nothing was encrypted without a list.
                fail_held(tx, &conversation, Code::UserNotFound, &mut happenings)?;
            }
            Ok(Some(happenings))
        })
    }

    /// The account is there: whatever was said of it before.
    ///
    /// # Errors
    /// Those of the store.
    pub fn account_is_there(&mut self, user: UserId) -> Result<Vec<Happening>, Error> {
        if !self.store.read(|tx| tx.is_deleted(user))? {
            return Ok(Vec::new());
        }
        self.store.transaction(Durability::Relaxed, |tx| {
            tx.set_deleted(user, false)?;
            Ok(vec![Happening::TrustChanged(user)])
        })
    }
}

/// [`Machine::account_deleted`] within a transaction.
pub(super) fn deleted(
    tx: &Tx<'_>,
    me: &StoredAccount,
    user: UserId,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    if tx.set_deleted(user, true)? && user != me.user {
        happenings.push(Happening::TrustChanged(user));
    }
    let id = hash::conversation_id(me.user, user);
    let Some(conversation) = tx.conversation(id)? else {
        return Ok(());
    };
    // They keep their counters: whether the relay has taken one, nobody knows.
    for entry in tx.outbox(id)?.into_iter().filter(|entry| !entry.given_up) {
        let name = entry.client_message_id;
        let why = Code::UserDeleted;
        give_up(tx, me, &conversation, entry.counter, name, why, now_ms)?;
        happenings.extend(changed(tx, id, name)?);
    }
    fail_held(tx, &conversation, Code::UserDeleted, happenings)
}

/// Gives up what is not encrypted yet.
fn fail_held(
    tx: &Tx<'_>,
    conversation: &Conversation,
    why: Code,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let id = conversation.id;
    loop {
        let held = tx.held(id, BATCH)?;
        for item in &held {
            tx.update_item(
                item.item,
                conversation.cursor,
                Progress::Failed,
                why.as_str(),
            )?;
            if let Some(name) = item.client_message_id {
                happenings.extend(changed(tx, id, name)?);
            }
        }
        if held.is_empty() {
            break;
        }
    }
    loop {
        let held = tx.held_changes(id, BATCH)?;
        for change in &held {
            tx.update_change(change.change, UNPLACED, Progress::Failed)?;
            happenings.extend(changed(tx, id, change.name.id)?);
        }
        if held.is_empty() {
            return Ok(());
        }
    }
}

/// Refuses what is for somebody who is gone, or from somebody who is.
pub(super) fn must_be_there(tx: &Tx<'_>, me: UserId, peer: UserId) -> Result<(), Error> {
    for (user, code) in [(me, Code::AccountDeleted), (peer, Code::UserDeleted)] {
        if tx.is_deleted(user)? {
            return Err(Error::new(code, ""));
        }
    }
    Ok(())
}
