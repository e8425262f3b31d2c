//! History: rows, the state of conversations, and each user's marks. It is also the store-and-forward queue.

#[cfg(feature = "cluster")]
pub mod cassandra;
pub mod embedded;
mod page;
mod wraps;

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use sordino_protocol::{ConversationId, DeviceId, MessageId, UserId, hash::Hash};

/// A sequenced message, for all devices. Write-once and deterministic: a replay writes the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// Its place, dense from 1.
    pub seq: u64,
    /// Snowflake of append time, partition, offset.
    pub message_id: MessageId,
    /// Hd as received.
    pub header: Bytes,
    /// SHA-256 of the content as received.
    pub content_hash: Hash,
    /// C; `None` once erased or expired.
    pub content: Option<Bytes>,
    /// Encoded [`sordino_protocol::pb::Wraps`]; `None` once erased or expired.
    pub wraps: Option<Bytes>,
}

/// Rows of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// In the order that was asked for.
    pub rows: Vec<StoredRow>,
    /// The conversation's last seq when it was read.
    pub last_seq: u64,
    /// The range was read to its end, or to `last_seq`; not cut by a limit.
    pub complete: bool,
}

/// One conversation of a user, as one of their devices sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The conversation.
    pub conversation: ConversationId,
    /// The other person (the user itself, in the conversation with oneself).
    pub peer: UserId,
    /// Its last seq.
    pub last_seq: u64,
    /// The highest seq that any device of the peer has acknowledged.
    pub peer_acked: u64,
    /// The highest seq that this device has acknowledged.
    pub own_acked: u64,
}

/// What a user's devices have of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its last seq.
    pub last_seq: u64,
    /// The highest seq that each has acknowledged; without an entry none.
    pub acked: HashMap<DeviceId, u64>,
}

impl Progress {
    /// Of one device.
    pub fn of(&self, device: DeviceId) -> u64 {
        self.acked.get(&device).copied().unwrap_or(0)
    }
}

/// A store that cannot answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HistoryError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Anything else; the text is for the operator's log.
    #[error("history: {0}")]
    Failed(String),
}

/// The door of history, as chat uses it. What delivery writes through is beside its implementation.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// Rows `from..=to`, ascending; as many as fit `max_rows` and `max_bytes` (at least one).
    async fn rows(
        &self,
        conversation: ConversationId,
        from: u64,
        to: u64,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError>;

    /// Rows before `before`, descending; `None` begins with the newest.
    async fn rows_before(
        &self,
        conversation: ConversationId,
        before: Option<u64>,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError>;

    /// The peer of `user` in this conversation, if `user` takes part in it and it has a row.
    async fn peer(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<UserId>, HistoryError>;

    /// A user's conversations, ascending by id, after `after`.
    async fn marks(
        &self,
        user: UserId,
        device: DeviceId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Mark>, HistoryError>;

    /// Raises the device's mark to `seq` (never lowers it). If the user's highest mark rose: that, and the peer to tell.
    async fn acknowledge(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<(u64, UserId)>, HistoryError>;

    /// The same for a `seq` that this conversation with this peer is known to have reached: nothing needs to be read. The
    /// peer may be told though another device of the user was as far already.
    async fn acknowledge_told(
        &self,
        user: UserId,
        device: DeviceId,
        (conversation, _peer): (ConversationId, UserId),
        seq: u64,
    ) -> Result<Option<(u64, UserId)>, HistoryError> {
        self.acknowledge(user, device, conversation, seq).await
    }

    /// What all devices of a user have of a conversation; `None`: the user has no part in it, or it has no row.
    async fn progress(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Progress>, HistoryError>;

    /// Whether it can be written to, for `/readyz`.
    async fn healthy(&self) -> Result<(), HistoryError>;
}
