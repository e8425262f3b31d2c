//! Rows of this device: they settle the outbox, or prove that the store is an old copy of itself.

use sordino_crypto::rollback::{OwnRow, Sent, Verdict, judge};
use sordino_protocol::{Header, hash::Hash};

use super::changes::placed as placed_change;
use super::receive::{Receiver, Taken};
use super::rollback::{begin_recovery, stop};
use super::send::changed;
use super::timeline::{Reached, show};
use super::{Content, Happening, TimelineItem};
use crate::error::Error;
use crate::store::{ItemKind, Progress, Tx};

/// The log has a row of this device; whether its key is worth keeping.
pub(super) fn own_row(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    seq: u64,
    header: &Header,
    env_hash: Hash,
    taken: &mut Taken,
) -> Result<bool, Error> {
    let conversation = receiver.conversation;
    let id = header.client_message_id;
    let versions = tx.versions(conversation, header.counter)?;
    let sent = tx
        .outbox_entry(conversation, header.counter)?
        .map(|entry| Sent {
            client_message_id: entry.client_message_id,
            versions: versions.iter().map(|(hash, _)| *hash).collect(),
        });
    let row = OwnRow {
        client_message_id: id,
        env_hash,
    };
    let state = tx.rollback_state()?;
    let (mut sequenced, mut given_up) = (false, false);
    match judge(&row, sent.as_ref(), state.last_ms, receiver.now_ms) {
        Verdict::Sequenced(version) => {
            sequenced = true;
            given_up = versions.get(version).is_some_and(|(_, given_up)| *given_up);
            tx.outbox_delete(conversation, header.counter)?;
        }
        // Until the end of the catch-up, every strange row is of the same rollback.
        _ if state.recovering || state.stopped => {}
        Verdict::RolledBack => begin_recovery(tx, receiver.now_ms, &mut taken.happenings)?,
        Verdict::TwoCopies => stop(tx, state, &mut taken.happenings)?,
    }
    if let Some(held) = tx.conversation(conversation)?
        && header.counter > held.counter
    {
        tx.set_counter(conversation, header.counter)?;
    }
    let Some(item) = tx.own_item(conversation, id)? else {
        let change = tx.own_change(conversation, id)?;
        // A message of class control has no item; of a lost copy nothing is known.
        if !sequenced && change.is_none() {
            receiver.unreadable(tx, seq, Some(header), "lost_copy", taken)?;
        }
        return match change {
            Some(change) => placed_change(tx, change, seq, given_up, taken),
            None => Ok(true),
        };
    };
    let (progress, code) = if given_up {
        (Progress::Failed, item.code.as_str())
    } else {
        (Progress::Accepted, "")
    };
    tx.update_item(item.item, seq, progress, code)?;
    tx.start_timer(item.item, receiver.now_ms)?;
    let is_erased = item.kind == ItemKind::Erased;
    // Now it can be named.
    taken.answers |= is_erased;
    let held = tx.conversation(conversation)?;
    let before = held.map(|held| show(tx, item, Reached::of(Some(&held))));
    let before = before.transpose()?;
    let now = changed(tx, conversation, id)?;
    let happenings = now.into_iter().map(|now| placed(before.as_ref(), now));
    taken.happenings.extend(happenings);
    Ok(!is_erased)
}

/// The relay's acceptance may have told the state already.
fn placed(before: Option<&TimelineItem>, now: Happening) -> Happening {
    let state = |item: &TimelineItem| match item.content {
        Content::Message { state, .. } => Some(state),
        _ => None,
    };
    match now {
        Happening::Changed(item) if before.is_some_and(|before| state(before) == state(&item)) => {
            Happening::Placed(item)
        }
        other => other,
    }
}
