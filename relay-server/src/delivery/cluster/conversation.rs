//! One conversation at work: apply, persist, tell, in the order of the log.

use std::{sync::Arc, time::Duration};

use sordino_protocol::{Class, ConversationId, UserId};
use tokio::time::sleep;

use super::{
    Shared,
    consumer::Work,
    partition::{Partition, Placed},
    persist::{self, Stopped},
    tell,
};
use crate::{
    delivery::{
        apply::{Outcome, Position, State, apply},
        sequenced,
    },
    history::{StoredRow, cassandra::bucket},
    session::Event,
    snowflake::message_id,
};

/// Rows of one batch.
pub(super) const BATCH_ROWS: usize = 16;
/// Their bytes. Cassandra warns of batches beyond 5 KiB because of those that span partitions; this one does not.
const BATCH_BYTES: usize = 256 * 1024;

/// Works until nothing is left of the conversation, or the partition has another owner.
pub(super) async fn run(work: Arc<Work>, partition: Arc<Partition>, conversation: ConversationId) {
    let mut state = partition.cached(conversation);
    while let Some(first) = partition.next(conversation, &mut state) {
        let before = match state.take() {
            Some(state) => state,
            None => match persist::load(&work, &partition, conversation).await {
                Ok(state) => state,
                Err(Stopped) => return,
            },
        };
        let mut batch = Batch::new(&work.shared, &partition, before);
        batch.push(first);
        while let Some(next) = partition.next_if(conversation, |next| batch.has_room(next)) {
            batch.push(next);
        }
        match batch.carry_out(&work, &partition, conversation).await {
            Ok(after) => state = Some(after),
            Err(Stopped) => return,
        }
    }
}

/// Records of one conversation that are persisted together.
struct Batch {
    epoch: u64,
    worker: u16,
    state: State,
    rows: Vec<Arc<StoredRow>>,
    bytes: usize,
    /// What the records of rows and all others came to, in order.
    decided: Vec<(Placed, Outcome)>,
    /// An erasure stands alone: what it empties has to be stored before it.
    closed: bool,
}

impl Batch {
    fn new(shared: &Shared, partition: &Partition, state: State) -> Self {
        Self {
            epoch: shared.epoch,
            worker: u16::try_from(partition.number).unwrap_or(0),
            state,
            rows: Vec::new(),
            bytes: 0,
            decided: Vec::new(),
            closed: false,
        }
    }

    /// Whether one more record may join: rows of one bucket only.
    fn has_room(&self, next: &Placed) -> bool {
        let last = self.rows.last();
        let same_bucket =
            last.is_none_or(|row| bucket(row.seq) == bucket(self.state.last_seq.saturating_add(1)));
        !self.closed
            && next.record.header.class != Class::Erase
            && same_bucket
            && self.decided.len() < BATCH_ROWS
            && self.bytes + next.held.bytes <= BATCH_BYTES
    }

    fn push(&mut self, placed: Placed) {
        let header = &placed.record.header;
        let at = Position {
            epoch: self.epoch,
            offset: placed.offset,
        };
        let sender = (header.sender, header.sender_device);
        let outcome = apply(&mut self.state, at, sender, header.counter);
        if let Outcome::Sequenced { seq } = outcome {
            let id = message_id(placed.unix_ms, self.worker, placed.offset);
            self.rows.push(Arc::new(sequenced(&placed.record, seq, id)));
        }
        self.bytes += placed.held.bytes;
        self.closed = header.class == Class::Erase;
        self.decided.push((placed, outcome));
    }

    /// Persists, then tells. Returns the state after it, which is durable.
    async fn carry_out(
        self,
        work: &Work,
        partition: &Arc<Partition>,
        conversation: ConversationId,
    ) -> Result<State, Stopped> {
        if let [(placed, Outcome::Sequenced { seq })] = self.decided.as_slice()
            && placed.record.header.class == Class::Erase
        {
            // Before the row: a replay finds the record decided and does nothing more.
            persist::erase(work, partition, &placed.record.header, *seq, placed.unix_ms).await?;
        }
        if !self.rows.is_empty() {
            persist::rows(work, partition, conversation, &self.rows, &self.state).await?;
        }
        let says_something = |(_, outcome): &(Placed, Outcome)| *outcome != Outcome::Gap;
        if self.decided.iter().any(says_something)
            && let Some((placed, _)) = self.decided.first()
        {
            let header = &placed.record.header;
            let people = [header.sender, header.recipient];
            let last_seq = self.state.last_seq;
            // For duplicates and replays too: their first owner may have died between rows and registers.
            persist::registers(work, partition, conversation, people, last_seq).await?;
        }
        metrics::counter!("sordino_delivery_sequenced_total").increment(self.rows.len() as u64);
        metrics::histogram!("sordino_delivery_group_records").record(self.decided.len() as f64);
        // One for each that was sequenced, in the same order.
        let mut rows = self.rows.into_iter();
        for (placed, outcome) in self.decided {
            let header = &placed.record.header;
            let people: [UserId; 2] = [header.sender, header.recipient];
            let event = match outcome {
                Outcome::Sequenced { .. } => {
                    rows.next().map(|row| Event::Row { conversation, row })
                }
                Outcome::Duplicate | Outcome::Replayed => Some(Event::Nudge {
                    conversation,
                    last_seq: self.state.last_seq,
                }),
                Outcome::Gap => None,
            };
            let (offset, last_seq) = (placed.offset, self.state.last_seq);
            match event {
                Some(event) => {
                    let whom = (conversation, people);
                    tell::tell(&work.shared, partition, offset, whom, event, last_seq).await;
                }
                None => partition.done(offset),
            }
        }
        Ok(self.state)
    }
}

/// The wait before something is tried again; it doubles.
pub(super) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self(Self::FIRST)
    }

    /// Waits, unless the partition is lost meanwhile.
    pub(super) async fn wait(&mut self, partition: &Partition) -> Result<(), Stopped> {
        tokio::select! {
            () = sleep(self.0) => {}
            () = partition.lost.cancelled() => return Err(Stopped),
        }
        self.0 = (self.0 * 2).min(Self::LONGEST);
        Ok(())
    }
}
