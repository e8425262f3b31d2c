//! The log. Chat appends, delivery consumes; a conversation is a function of its records, in the log's order.

#[cfg(feature = "cluster")]
pub(crate) mod codec;
#[cfg(feature = "cluster")]
pub mod kafka;
pub mod memory;

use bytes::Bytes;
use sordino_protocol::{Header, hash::Hash};

/// A message that chat has checked, on its way to be sequenced.
#[derive(Debug, Clone)]
pub struct Record {
    /// Parsed from `header_bytes`.
    pub header: Header,
    /// Hd as received.
    pub header_bytes: Bytes,
    /// C as received.
    pub content: Bytes,
    /// SHA-256 of `content`.
    pub content_hash: Hash,
    /// Encoded [`sordino_protocol::pb::Wraps`], each wrap as received.
    pub wraps: Bytes,
}

/// Why a record was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue is full: nothing happened.
    #[error("the log's queue is full")]
    Busy,
    /// An earlier counter of the same device in the same conversation is missing: nothing happened.
    #[error("an earlier counter is missing")]
    Gap,
    /// The disk is full. What it met on its way to the disk may be stored all the same: like [`Self::Unknown`], but there is no
    /// use in sending it again soon.
    #[error("the disk is full")]
    StorageFull,
    /// It may or may not have been taken in; the sender sends it again and nothing is doubled.
    #[error("the outcome is unknown")]
    Unknown,
}

/// The door of the log.
pub trait Log: Send + Sync + 'static {
    /// Appends. `Ok` means durable (P1): the record, or its duplicate from before, survives the death of any process.
    ///
    /// Calls for one conversation reach the log in the order of the calls (not of the polls of their futures).
    fn append(
        &self,
        record: Record,
    ) -> futures_util::future::BoxFuture<'static, Result<(), AppendError>>;
}

/// Counts a record that was not taken in.
fn refused(error: AppendError) {
    let reason = match error {
        AppendError::Busy => "busy",
        AppendError::Gap => "gap",
        AppendError::StorageFull => "storage_full",
        AppendError::Unknown => "unknown",
    };
    metrics::counter!("sordino_log_refused_total", "reason" => reason).increment(1);
}
