//! A store that turns out to be an old copy of itself: it must not use a ratchet key or a counter again.

use sordino_crypto::rollback::SETTLING_MS;
use sordino_protocol::Code;

use super::Happening;
use super::backup;
use super::sessions::stop_sending;
use crate::error::Error;
use crate::store::{Progress, RollbackState, Tx, UNPLACED};

/// No session sends any more, all prekeys are replaced, what has no row is held again. Nothing is encrypted until every
/// conversation has caught up: further own rows may come.
pub(super) fn begin_recovery(
    tx: &Tx<'_>,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    for (user, device) in tx.book_pairs(false)? {
        stop_sending(tx, user, device, now_ms)?;
    }
    let found_ms = tx.rollback_state()?.last_ms;
    let still_settling = found_ms.filter(|found| now_ms.saturating_sub(*found) < SETTLING_MS);
    // The lost copy knows none of those that were made since.
    if still_settling.is_none() {
        tx.retire_all_prekeys(now_ms)?;
        tx.set_replaces_prekeys(true)?;
    }
    tx.set_rollback_state(RollbackState {
        last_ms: still_settling.or(Some(now_ms)),
        recovering: true,
        stopped: false,
    })?;
    for conversation in tx.conversations()? {
        let entries = tx.outbox(conversation.id)?;
        for entry in entries {
            tx.outbox_delete(conversation.id, entry.counter)?;
            let item = tx.own_item(conversation.id, entry.client_message_id)?;
            if let Some(item) = item.filter(|_| !entry.given_up) {
                tx.update_item(item.item, UNPLACED, Progress::Held, "")?;
            }
            let change = tx.own_change(conversation.id, entry.client_message_id)?;
            if let Some(change) = change.filter(|_| !entry.given_up) {
                tx.update_change(change.change, UNPLACED, Progress::Held)?;
            }
        }
        // Counters of what was not sequenced are free again; own rows raise it.
        let own = tx.own_last_counter(conversation.id)?;
        tx.set_counter(conversation.id, own)?;
    }
    backup::rolled_back(tx)?;
    happenings.push(Happening::RolledBack);
    Ok(())
}

/// Refuses what is to be sent, where two copies are in use.
pub(super) fn must_not_be_stopped(tx: &Tx<'_>) -> Result<(), Error> {
    match tx.rollback_state()?.stopped {
        true => Err(Error::new(Code::TwoCopies, "")),
        false => Ok(()),
    }
}

/// Two copies are in use: nothing is sent any more.
pub(super) fn stop(
    tx: &Tx<'_>,
    state: RollbackState,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    tx.set_rollback_state(RollbackState {
        stopped: true,
        ..state
    })?;
    happenings.push(Happening::TwoCopies);
    Ok(())
}
