//! Marks of what each device has, written together: at full load every row brings one, and a commit costs the same for
//! one as for a hundred.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sordino_protocol::{ConversationId, DeviceId, UserId};
use tokio::sync::oneshot;

use super::{Store, StoreError, codec, keys};
use crate::history::HistoryError;

/// What a device says it has.
#[derive(Clone, Copy)]
pub(super) struct Ack {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) conversation: ConversationId,
    pub(super) seq: u64,
}

/// The user's new highest mark if it rose, and the peer to tell.
type Risen = Option<(u64, UserId)>;
type Answer = oneshot::Sender<Result<Risen, HistoryError>>;

/// The marks that wait. No more than there are connections: each waits for its answer before the next.
#[derive(Default)]
pub(super) struct Acks {
    waiting: Mutex<Vec<(Ack, Answer)>>,
    /// Reading and raising a mark is one step.
    writing: Mutex<()>,
}

impl Acks {
    /// Lets it wait. `true`: the first, who sees to it that [`Store::write_acks`] is called.
    pub(super) fn push(&self, ack: Ack, answer: Answer) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.push((ack, answer));
        waiting.len() == 1
    }
}

impl Store {
    /// Writes all marks that wait, and those that come while an earlier call is still at it.
    pub(super) fn write_acks(&self) {
        let _one_at_a_time = lock(&self.acks.writing);
        let mut waiting = std::mem::take(&mut *lock(&self.acks.waiting));
        while !waiting.is_empty() {
            // What one batch raises is not seen within it: the marks of one person in one conversation take turns.
            let mut seen = HashSet::new();
            let (batch, later): (Vec<_>, _) = waiting
                .into_iter()
                .partition(|(ack, _)| seen.insert((ack.user, ack.conversation)));
            let (acks, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            match self.raise(&acks) {
                Ok(risen) => {
                    for (answer, risen) in answers.into_iter().zip(risen) {
                        // Its connection may be gone.
                        let _ = answer.send(Ok(risen));
                    }
                }
                Err(error) => {
                    let error = HistoryError::from(error);
                    for answer in answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
            waiting = later;
        }
    }

    fn raise(&self, acks: &[Ack]) -> Result<Vec<Risen>, StoreError> {
        let snapshot = self.db.snapshot();
        let mut batch = self.db.batch();
        let mut all = Vec::with_capacity(acks.len());
        for ack in acks {
            let Some((peer, last_seq)) = self.register(ack.user, ack.conversation)? else {
                all.push(None);
                continue;
            };
            // A device may not say that it has what does not exist yet: it would never be told when it does.
            let seq = ack.seq.min(last_seq);
            let key = keys::ack(ack.user, ack.conversation, ack.device);
            let own = self.acked.get(key)?;
            if seq <= own.map_or(Ok(0), |v| codec::decode_number(&v))? {
                all.push(None);
                continue;
            }
            let before = self.highest_ack(&snapshot, ack.user, ack.conversation)?;
            batch.insert(&self.acked, key, seq.to_be_bytes());
            all.push((seq > before).then_some((seq, peer)));
        }
        if !batch.is_empty() {
            self.check_space_for_acks()?;
            self.commit_buffered(batch)?;
        }
        Ok(all)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No step under either leaves anything half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
