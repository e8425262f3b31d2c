//! Reading and marks. Everything here blocks; [`super::EmbeddedHistory`] moves it off the runtime's threads.

use std::collections::HashMap;

use fjall::{Guard, Readable, Snapshot};
use sordino_protocol::{ConversationId, DeviceId, UserId};

use super::{Store, StoreError, codec, keys};
use crate::history::{Mark, Progress, Rows, StoredRow, page::Page};

/// How far a page may go.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Store {
    pub(super) fn rows(
        &self,
        conversation: ConversationId,
        from: u64,
        to: u64,
        limit: Limit,
    ) -> Result<Rows, StoreError> {
        let snapshot = self.db.snapshot();
        let last_seq = self.last_seq(&snapshot, conversation)?;
        let to = to.min(last_seq);
        if from > to {
            return Ok(Rows {
                rows: vec![],
                last_seq,
                complete: true,
            });
        }
        let range = keys::row(conversation, from)..=keys::row(conversation, to);
        let found = snapshot.range(&self.rows, range);
        self.page(&snapshot, found, last_seq, limit)
    }

    pub(super) fn rows_before(
        &self,
        conversation: ConversationId,
        before: Option<u64>,
        limit: Limit,
    ) -> Result<Rows, StoreError> {
        let snapshot = self.db.snapshot();
        let last_seq = self.last_seq(&snapshot, conversation)?;
        let end = before.unwrap_or(u64::MAX).min(last_seq.saturating_add(1));
        let range = keys::row(conversation, 0)..keys::row(conversation, end);
        let found = snapshot.range(&self.rows, range).rev();
        self.page(&snapshot, found, last_seq, limit)
    }

    /// Every row of every conversation, in the order of their keys. Holds a snapshot, not the rows.
    pub fn every_row(&self) -> impl Iterator<Item = Result<StoredRow, StoreError>> {
        let snapshot = self.db.snapshot();
        snapshot.iter(&self.rows).map(move |guard| {
            let (key, value) = guard.into_inner()?;
            let wraps = snapshot.get(&self.wraps, &key)?;
            let seq = keys::tail(&key).ok_or_else(|| codec::damaged("a row's key"))?;
            codec::decode_row(u64::from_be_bytes(seq), &value, wraps.as_deref())
        })
    }

    /// Every conversation.
    #[cfg(feature = "cluster")]
    pub(super) fn conversations(&self) -> Result<Vec<ConversationId>, StoreError> {
        let states = self.db.snapshot().iter(&self.states);
        let id = |guard: Guard| {
            let key = guard.key()?;
            let id = keys::tail(&key).ok_or_else(|| codec::damaged("a state's key"))?;
            Ok(ConversationId::from_bytes(id))
        };
        states.map(id).collect()
    }

    /// What each device of a user has acknowledged.
    #[cfg(feature = "cluster")]
    pub(super) fn acks_of(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Vec<(DeviceId, u64)>, StoreError> {
        let snapshot = self.db.snapshot();
        let ack = |guard: Guard| {
            let (key, value) = guard.into_inner()?;
            let device = keys::tail(&key).ok_or_else(|| codec::damaged("a mark's key"))?;
            Ok((DeviceId::from_bytes(device), codec::decode_number(&value)?))
        };
        let found = snapshot.prefix(&self.acked, keys::register(user, conversation));
        found.map(ack).collect()
    }

    fn page(
        &self,
        snapshot: &Snapshot,
        found: impl Iterator<Item = Guard>,
        last_seq: u64,
        limit: Limit,
    ) -> Result<Rows, StoreError> {
        let mut page = Page::new(last_seq, limit.rows, limit.bytes);
        for guard in found {
            let (key, value) = guard.into_inner()?;
            let wraps = snapshot.get(&self.wraps, &key)?;
            let seq = keys::tail(&key).ok_or_else(|| codec::damaged("a row's key"))?;
            let row = codec::decode_row(u64::from_be_bytes(seq), &value, wraps.as_deref())?;
            if !page.push(row) {
                return Ok(page.cut());
            }
        }
        Ok(page.complete())
    }

    fn last_seq(
        &self,
        snapshot: &Snapshot,
        conversation: ConversationId,
    ) -> Result<u64, StoreError> {
        let state = snapshot.get(&self.states, conversation.as_bytes())?;
        match state {
            None => Ok(0),
            Some(value) => crate::delivery::apply::State::decode(&value)
                .map(|state| state.last_seq)
                .map_err(|_| codec::damaged("a conversation's state")),
        }
    }

    /// The user's register: peer and last_seq.
    pub(super) fn register(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<(UserId, u64)>, StoreError> {
        let value = self.registers.get(keys::register(user, conversation))?;
        value.map(|v| codec::decode_register(&v)).transpose()
    }

    pub(super) fn marks(
        &self,
        user: UserId,
        device: DeviceId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Mark>, StoreError> {
        let snapshot = self.db.snapshot();
        let first = after.unwrap_or(ConversationId::from_bytes([0; 16]));
        let last = ConversationId::from_bytes([0xff; 16]);
        let range = keys::register(user, first)..=keys::register(user, last);
        let mut marks = Vec::new();
        for guard in snapshot.range(&self.registers, range) {
            let (key, value) = guard.into_inner()?;
            let conversation = keys::tail(&key)
                .map(ConversationId::from_bytes)
                .ok_or_else(|| codec::damaged("a register's key"))?;
            if Some(conversation) == after {
                continue;
            }
            if marks.len() >= limit {
                break;
            }
            let (peer, last_seq) = codec::decode_register(&value)?;
            let own = snapshot.get(&self.acked, keys::ack(user, conversation, device))?;
            marks.push(Mark {
                conversation,
                peer,
                last_seq,
                peer_acked: self.highest_ack(&snapshot, peer, conversation)?,
                own_acked: own.map_or(Ok(0), |v| codec::decode_number(&v))?,
            });
        }
        Ok(marks)
    }

    /// What all devices of the user have.
    pub(super) fn progress(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Progress>, StoreError> {
        let Some((_, last_seq)) = self.register(user, conversation)? else {
            return Ok(None);
        };
        let snapshot = self.db.snapshot();
        let mut acked = HashMap::new();
        for guard in snapshot.prefix(&self.acked, keys::register(user, conversation)) {
            let (key, value) = guard.into_inner()?;
            let device = keys::tail(&key).ok_or_else(|| codec::damaged("a mark's key"))?;
            acked.insert(DeviceId::from_bytes(device), codec::decode_number(&value)?);
        }
        Ok(Some(Progress { last_seq, acked }))
    }

    pub(super) fn highest_ack(
        &self,
        snapshot: &Snapshot,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<u64, StoreError> {
        let mut highest = 0;
        for guard in snapshot.prefix(&self.acked, keys::register(user, conversation)) {
            highest = highest.max(codec::decode_number(&guard.value()?)?);
        }
        Ok(highest)
    }
}
