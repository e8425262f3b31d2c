//! Delivery: takes records off the log in its order, sequences them, persists them, and tells the devices.
//!
//! [`apply`] decides, without I/O. [`embedded`] carries it out on the embedded stores, `cluster` on Kafka and Cassandra.

pub mod apply;
mod cache;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod embedded;
mod group;
mod publish;

use sordino_protocol::MessageId;

use crate::{broker::Record, history::StoredRow};

/// The row of a record that has its place. Deterministic: whoever sequences the record makes the same.
fn sequenced(record: &Record, seq: u64, message_id: MessageId) -> StoredRow {
    StoredRow {
        seq,
        message_id,
        header: record.header_bytes.clone(),
        content_hash: record.content_hash,
        content: Some(record.content.clone()),
        wraps: Some(record.wraps.clone()),
    }
}
