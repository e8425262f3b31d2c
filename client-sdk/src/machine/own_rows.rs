//! Rows of this device: they settle the outbox, or prove that the store is an old copy of itself.

use sordino_crypto::rollback::{OwnRow, Sent, Verdict, judge};
use sordino_protocol::{Header, hash::Hash};

use super::receive::{Receiver, Taken};
use super::rollback::{begin_recovery, stop};
use super::send::changed;
use super::timeline::{Reached, show};
use super::{Content, Happening, TimelineItem};
use crate::error::Error;
use crate::store::{Progress, Tx};

/// The log has a row of this device.
pub(super) fn own_row(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    seq: u64,
    header: &Header,
    env_hash: Hash,
    taken: &mut Taken,
) -> Result<(), Error> {
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
        // A message of class control has no item; of a lost copy nothing is known.
        if !sequenced {
            receiver.unreadable(tx, seq, Some(header), "lost_copy", taken)?;
        }
        return Ok(());
    };
    let (progress, code) = if given_up {
        (Progress::Failed, item.code.as_str())
    } else {
        (Progress::Accepted, "")
    };
    tx.update_item(item.item, seq, progress, code)?;
    let before = tx
        .conversation(conversation)?
        .map(|held| show(item, Reached::of(Some(&held))));
    let happening = changed(tx, conversation, id)?.map(|now| placed(before.as_ref(), now));
    taken.happenings.extend(happening);
    Ok(())
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
