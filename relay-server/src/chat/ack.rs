//! Acknowledgements: gathered, and written at most so often.
//!
//! They are cumulative, so the highest of a conversation stands for the others. History takes none beyond the last seq:
//! that is the bound on what a device may claim, without a table of what each connection was told.

use std::{collections::HashMap, time::Duration};

use sordino_protocol::ConversationId;
use tokio::time::Instant;

use super::identity::Identity;
use crate::{history::HistoryError, http::Api, session::Event};

/// Conversations that may wait; one more writes them at once.
const MOST: usize = 256;

/// The acknowledgements of one connection that are not written yet.
#[derive(Default)]
pub(super) struct Acks {
    waiting: HashMap<ConversationId, u64>,
    written: Option<Instant>,
}

impl Acks {
    pub(super) fn add(&mut self, conversation: ConversationId, seq: u64) {
        let highest = self.waiting.entry(conversation).or_default();
        *highest = seq.max(*highest);
    }

    /// When they are to be written, if there are any.
    pub(super) fn due(&self, now: Instant, every: Duration) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let full = self.waiting.len() >= MOST;
        Some(self.written.filter(|_| !full).map_or(now, |at| at + every))
    }

    /// Writes them and tells the other person, where more is delivered now than before.
    pub(super) async fn write(&mut self, api: &Api, identity: &Identity) {
        self.written = Some(Instant::now());
        for (conversation, seq) in std::mem::take(&mut self.waiting) {
            // The next acknowledgement says it again, and so does the next connection.
            if let Err(error) = write(api, identity, conversation, seq).await {
                tracing::warn!(%error, "an acknowledgement was not written");
            }
        }
    }
}

async fn write(
    api: &Api,
    identity: &Identity,
    conversation: ConversationId,
    seq: u64,
) -> Result<(), HistoryError> {
    let (user, device) = (identity.user, identity.device);
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
