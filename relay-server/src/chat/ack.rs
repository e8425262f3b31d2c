//! Acknowledgements: gathered, and written at most so often.
//!
//! They are cumulative, so the highest of a conversation stands for the others. History takes none beyond the last seq:
//! that is the bound on what a device may claim, without a table of what each connection was told.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sordino_protocol::{ConversationId, DeviceId, UserId};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::task::TaskTracker;

use super::identity::Identity;
use crate::{history::HistoryError, http::Api, session::Event};

/// Conversations that may wait; one more writes them at once, or is forgotten while others are being written: the next
/// acknowledgement says it again, and so does the next connection.
const MOST: usize = 256;
/// Connections whose acknowledgements are written at the same time: what they wait for is wanted for messages, too.
const AT_ONCE: usize = 256;

/// The acknowledgements of all connections that are being written.
pub(super) struct Writes {
    turns: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: TaskTracker::new(),
        }
    }
}

impl Writes {
    /// Waits for those under way. There must be no connection any more.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The acknowledgements of one connection that are not written yet.
#[derive(Default)]
pub(super) struct Acks {
    waiting: HashMap<ConversationId, u64>,
    written: Option<Instant>,
    /// Shared with the task that writes, as long as one does.
    writing: Option<Arc<()>>,
}

impl Acks {
    pub(super) fn add(&mut self, conversation: ConversationId, seq: u64) {
        if self.waiting.len() >= MOST && !self.waiting.contains_key(&conversation) {
            return;
        }
        let highest = self.waiting.entry(conversation).or_default();
        *highest = seq.max(*highest);
    }

    fn is_writing(&self) -> bool {
        let writing = self.writing.as_ref();
        writing.is_some_and(|writing| Arc::strong_count(writing) > 1)
    }

    /// When they are to be written, if there are any.
    pub(super) fn due(&self, now: Instant, every: Duration) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let full = self.waiting.len() >= MOST && !self.is_writing();
        Some(self.written.filter(|_| !full).map_or(now, |at| at + every))
    }

    /// Has them written, and the other person told where more is delivered now than before. A task of its own does it: a
    /// history that is slow must not keep the connection from its messages. While one is at it, the rest waits.
    pub(super) fn write(&mut self, api: &Arc<Api>, identity: &Identity, writes: &Writes) {
        self.written = Some(Instant::now());
        if self.is_writing() || self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let writing = Arc::clone(self.writing.get_or_insert_default());
        let (api, turns) = (Arc::clone(api), Arc::clone(&writes.turns));
        let whose = (identity.user, identity.device);
        writes.tasks.spawn(async move {
            // Nobody closes it.
            let _turn = turns.acquire().await;
            for (conversation, seq) in waiting {
                // The next acknowledgement says it again, and so does the next connection.
                if let Err(error) = write(&api, whose, conversation, seq).await {
                    tracing::warn!(%error, "an acknowledgement was not written");
                }
            }
            drop(writing);
        });
    }

    /// The same at the connection's end, though others may still be being written: marks only rise.
    pub(super) fn finish(&mut self, api: &Arc<Api>, identity: &Identity, writes: &Writes) {
        self.writing = None;
        self.write(api, identity, writes);
    }
}

async fn write(
    api: &Api,
    (user, device): (UserId, DeviceId),
    conversation: ConversationId,
    seq: u64,
) -> Result<(), HistoryError> {
    let acknowledged = api.history.acknowledge(user, device, conversation, seq);
    if let Some((seq, peer)) = acknowledged.await? {
        let event = Event::Delivered { conversation, seq };
        // A hint: the mark is in every page of conversations.
        if let Err(error) = api.sessions.publish(&[peer], event).await {
            tracing::warn!(%error, "a delivery was not announced");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    fn conversation(n: u64) -> ConversationId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        ConversationId::from_bytes(id)
    }

    #[test]
    fn the_first_is_due_at_once_and_the_next_a_while_later() {
        let (mut acks, now) = (Acks::default(), Instant::now());
        assert_eq!(acks.due(now, EVERY), None);
        acks.add(conversation(1), 5);
        acks.add(conversation(1), 3);
        assert_eq!(acks.waiting[&conversation(1)], 5);
        assert_eq!(acks.due(now, EVERY), Some(now));
        acks.waiting.clear();
        acks.written = Some(now);
        acks.add(conversation(1), 6);
        assert_eq!(acks.due(now, EVERY), Some(now + EVERY));
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let now = Instant::now();
        let mut acks = Acks {
            written: Some(now),
            ..Acks::default()
        };
        for n in 0..MOST as u64 {
            assert_ne!(acks.due(now, EVERY), Some(now));
            acks.add(conversation(n), 1);
        }
        assert_eq!(acks.due(now, EVERY), Some(now), "at once");
    }
}
