//! What a group of records amounts to: outcomes, one write, and what the devices are told. No store is written here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sordino_protocol::{Class, ConversationId, UserId};

use super::{
    apply::{Outcome, Position, State, apply},
    cache::StateCache,
    publish::{Decision, Publication},
    sequenced,
};
use crate::{
    broker::{AppendError, Record, memory::Entry},
    history::{
        StoredRow,
        embedded::{GroupWrite, Store, StoreError, erased},
    },
    session::Event,
    snowflake::message_id,
};

/// The embedded log has one partition.
const WORKER: u16 = 0;

/// A conversation while a group changes it.
struct Open {
    state: State,
    people: [UserId; 2],
    /// Rows of this group, by seq, erasures applied.
    rows: BTreeMap<u64, Arc<StoredRow>>,
    moved: bool,
}

/// A group at work.
pub(super) struct Group<'a> {
    store: &'a Store,
    cache: &'a mut StateCache,
    open: HashMap<ConversationId, Open>,
    /// What each record came to, in order, with what to say about it.
    said: Vec<(ConversationId, [UserId; 2], Outcome)>,
}

/// A group, decided.
pub(super) struct Decided {
    pub(super) write: GroupWrite,
    /// One for each record, in order.
    pub(super) decisions: Vec<Decision>,
    pub(super) sequenced: u64,
    /// Every state that was loaded; true once the write is durable.
    pub(super) states: Vec<(ConversationId, State)>,
}

impl<'a> Group<'a> {
    pub(super) fn new(store: &'a Store, cache: &'a mut StateCache) -> Self {
        Self {
            store,
            cache,
            open: HashMap::new(),
            said: Vec::new(),
        }
    }

    /// Decides one record. On an error the whole group is to be dropped, the states it took with it.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let record = &entry.record;
        let header = &record.header;
        let at = Position {
            epoch: self.store.epoch(),
            offset: entry.offset,
        };
        let people = [header.sender, header.recipient];
        let open = self.open(header.conversation, people)?;
        let sender = (header.sender, header.sender_device);
        let outcome = apply(&mut open.state, at, sender, header.counter);
        if let Outcome::Sequenced { seq } = outcome {
            let id = message_id(entry.unix_ms, WORKER, entry.offset);
            open.moved = true;
            open.rows.insert(seq, Arc::new(sequenced(record, seq, id)));
            if header.class == Class::Erase {
                self.erase(record, seq)?;
            }
        }
        self.said.push((header.conversation, people, outcome));
        Ok(())
    }

    fn open(
        &mut self,
        conversation: ConversationId,
        people: [UserId; 2],
    ) -> Result<&mut Open, StoreError> {
        use std::collections::hash_map::Entry::{Occupied, Vacant};
        match self.open.entry(conversation) {
            Occupied(open) => Ok(open.into_mut()),
            Vacant(slot) => {
                let state = match self.cache.take(&conversation) {
                    Some(state) => state,
                    None => self.store.state(conversation)?,
                };
                Ok(slot.insert(Open {
                    state,
                    people,
                    rows: BTreeMap::new(),
                    moved: false,
                }))
            }
        }
    }

    /// Empties the rows that the record names, as far as its sender wrote them and they come before it.
    fn erase(&mut self, record: &Record, own_seq: u64) -> Result<(), StoreError> {
        let conversation = record.header.conversation;
        let Some(open) = self.open.get_mut(&conversation) else {
            return Ok(());
        };
        for &seq in record.header.erase.iter().filter(|seq| **seq < own_seq) {
            let row = match open.rows.get(&seq) {
                Some(row) => Some(Arc::clone(row)),
                None => self.store.row(conversation, seq)?.map(Arc::new),
            };
            if let Some(empty) = row.and_then(|row| erased(&row, record.header.sender)) {
                open.rows.insert(seq, Arc::new(empty));
            }
        }
        Ok(())
    }

    /// Write and decisions, in the order of the records.
    pub(super) fn decide(self) -> Decided {
        let mut decided = Decided {
            write: GroupWrite::default(),
            decisions: Vec::with_capacity(self.said.len()),
            sequenced: 0,
            states: Vec::new(),
        };
        for (conversation, users, outcome) in &self.said {
            let Some(open) = self.open.get(conversation) else {
                continue;
            };
            let (answer, event) = match outcome {
                Outcome::Sequenced { seq } => {
                    decided.sequenced += 1;
                    let row = open.rows.get(seq).cloned();
                    let event = row.map(|row| Event::Row {
                        conversation: *conversation,
                        row,
                    });
                    (Ok(()), event)
                }
                // A crash may have come between persist and push: the replay or the resend heals it. The registers need
                // no second write here, unlike in Cassandra: they were committed with the rows.
                Outcome::Duplicate | Outcome::Replayed => {
                    let event = Event::Nudge {
                        conversation: *conversation,
                        last_seq: open.state.last_seq,
                    };
                    (Ok(()), Some(event))
                }
                Outcome::Gap => (Err(AppendError::Gap), None),
            };
            let publication = event.map(|event| Publication::new(*users, event));
            decided.decisions.push((answer, publication));
        }
        for (conversation, open) in self.open {
            let rows = open.rows.into_values().map(|row| (conversation, row));
            decided.write.rows.extend(rows);
            if open.moved {
                let state = open.state.clone();
                decided
                    .write
                    .states
                    .push((conversation, state, open.people));
            }
            decided.states.push((conversation, open.state));
        }
        decided
    }
}
