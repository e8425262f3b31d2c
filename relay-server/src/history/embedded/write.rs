//! What delivery writes through: the rows, states and registers of one group, in one commit.

use std::sync::Arc;

use fjall::{OwnedWriteBatch, Slice};
use sordino_protocol::{ConversationId, Header, UserId};

use super::{Store, StoreError, codec, keys};
use crate::{delivery::apply::State, history::StoredRow};

/// Everything that a group of records changes. Committed as a whole or not at all.
#[derive(Default)]
pub struct GroupWrite {
    /// Rows, new ones and earlier ones whose content is erased. The last of equal places counts.
    pub rows: Vec<(ConversationId, Arc<StoredRow>)>,
    /// The conversations that moved, with both people.
    pub states: Vec<(ConversationId, State, [UserId; 2])>,
}

impl Store {
    /// The durable state of a conversation. Blocking.
    pub fn state(&self, conversation: ConversationId) -> Result<State, StoreError> {
        match self.states.get(conversation.as_bytes())? {
            None => Ok(State::default()),
            Some(value) => {
                State::decode(&value).map_err(|_| codec::damaged("a conversation's state"))
            }
        }
    }

    /// A stored row. Blocking.
    pub fn row(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<StoredRow>, StoreError> {
        let key = keys::row(conversation, seq);
        let Some(value) = self.rows.get(key)? else {
            return Ok(None);
        };
        let wraps = self.wraps.get(key)?;
        codec::decode_row(seq, &value, wraps.as_deref()).map(Some)
    }

    /// Writes a group, synced. Blocking. After an error nothing of it is visible, and whether it is stored is unknown.
    pub fn commit(&self, write: &GroupWrite) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for (conversation, row) in &write.rows {
            self.put_row(&mut batch, *conversation, row)?;
        }
        for (conversation, state, [a, b]) in &write.states {
            batch.insert(
                &self.states,
                Slice::from(conversation.as_bytes().as_slice()),
                state.encode(),
            );
            for (user, peer) in [(a, b), (b, a)] {
                let register = codec::encode_register(*peer, state.last_seq);
                batch.insert(
                    &self.registers,
                    keys::register(*user, *conversation),
                    register,
                );
            }
        }
        self.commit_synced(batch)
    }

    fn put_row(
        &self,
        batch: &mut OwnedWriteBatch,
        conversation: ConversationId,
        row: &StoredRow,
    ) -> Result<(), StoreError> {
        let key = keys::row(conversation, row.seq);
        batch.insert(&self.rows, key, codec::encode_row(row)?);
        match &row.wraps {
            Some(wraps) => batch.insert(&self.wraps, key, wraps.to_vec()),
            None => batch.remove(&self.wraps, key),
        }
        Ok(())
    }
}

/// The row without what it said, if `sender` wrote it and it still says something. The row itself stays: every seq has one.
pub fn erased(row: &StoredRow, sender: UserId) -> Option<StoredRow> {
    let header = Header::parse(&row.header).ok()?;
    let says = row.content.is_some() || row.wraps.is_some();
    (header.sender == sender && says).then(|| StoredRow {
        content: None,
        wraps: None,
        ..row.clone()
    })
}
