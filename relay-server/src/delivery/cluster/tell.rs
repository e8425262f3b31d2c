//! Telling the devices.
//!
//! Why no online device misses a row: rows and both registers are acknowledged by Cassandra before anything here looks up
//! who is connected, and a device registers before it reads. If the look-up does not see the registration, the registration
//! came later, so the device's read came later still, and it sees the row.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use sordino_protocol::{ConversationId, UserId};

use super::{Shared, conversation::Backoff, partition::Partition};
use crate::{delivery::publish::both, ops::said, session::Event};

/// What could not be told yet, one nudge a conversation: it stands for all rows up to its seq, and its offset holds back the
/// commit for all of them. Order is no matter: a device pulls what is missing before what it hears of.
#[derive(Default)]
pub(super) struct Untold(Mutex<HashMap<ConversationId, Nudge>>);

#[derive(Clone)]
struct Nudge {
    people: [UserId; 2],
    last_seq: u64,
    /// The lowest of the records that it stands for.
    offset: u64,
}

/// Tells both people, and marks the record as done. What fails is said again until it has arrived, by another task:
/// persisting goes on meanwhile.
pub(super) async fn tell(
    shared: &Arc<Shared>,
    partition: &Arc<Partition>,
    offset: u64,
    (conversation, people): (ConversationId, [UserId; 2]),
    event: Event,
    last_seq: u64,
) {
    let Err(error) = publish(shared, people, event).await else {
        return partition.done(offset);
    };
    metrics::counter!("sordino_delivery_untold_total").increment(1);
    said::warn(&format!(
        "devices could not be told of a row, trying again: {error}"
    ));
    let nudge = Nudge {
        people,
        last_seq,
        offset,
    };
    if partition.untold.keep(partition, conversation, nudge) {
        tokio::spawn(again(Arc::clone(shared), Arc::clone(partition)));
    }
}

/// Says what was kept until all of it is said, or another owner will.
async fn again(shared: Arc<Shared>, partition: Arc<Partition>) {
    let mut backoff = Backoff::new();
    while backoff.wait(&partition).await.is_ok() {
        for (conversation, nudge) in partition.untold.all() {
            let event = Event::Nudge {
                conversation,
                last_seq: nudge.last_seq,
            };
            if publish(&shared, nudge.people, event).await.is_err() {
                break;
            }
            if partition.untold.said(&partition, conversation, &nudge) {
                return;
            }
            backoff = Backoff::new();
        }
    }
}

async fn publish(
    shared: &Shared,
    people: [UserId; 2],
    event: Event,
) -> Result<usize, crate::session::SessionError> {
    shared.sessions.publish(both(&people), event).await
}

impl Untold {
    /// `true`: it is the only one, and somebody has to say it again.
    fn keep(&self, partition: &Partition, conversation: ConversationId, nudge: Nudge) -> bool {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = untold.is_empty();
        match untold.entry(conversation) {
            Entry::Vacant(slot) => {
                slot.insert(nudge);
            }
            Entry::Occupied(mut slot) => {
                let kept = slot.get_mut();
                // Records of a conversation come in their order: the kept one is the lower.
                partition.done(nudge.offset.max(kept.offset));
                kept.offset = kept.offset.min(nudge.offset);
                kept.last_seq = kept.last_seq.max(nudge.last_seq);
            }
        }
        first
    }

    fn all(&self) -> Vec<(ConversationId, Nudge)> {
        let untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold
            .iter()
            .map(|(id, nudge)| (*id, nudge.clone()))
            .collect()
    }

    /// `true`: nothing is left.
    fn said(&self, partition: &Partition, conversation: ConversationId, said: &Nudge) -> bool {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // More may have come while it was said; then it is said once more.
        if untold
            .get(&conversation)
            .is_some_and(|kept| kept.last_seq <= said.last_seq)
            && let Some(kept) = untold.remove(&conversation)
        {
            partition.done(kept.offset);
        }
        untold.is_empty()
    }
}
