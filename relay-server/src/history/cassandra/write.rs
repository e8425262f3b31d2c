//! What delivery writes: rows with the state behind them, registers, erasures.

use std::sync::Arc;

use scylla::{
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
    value::CqlValue,
};
use sordino_protocol::{ConversationId, UserId};

use super::{Cassandra, bucket, session::failed, statements::Statements};
use crate::{
    delivery::apply::State,
    history::{HistoryError, StoredRow},
};

/// Rows of one bucket of a conversation, and the state after them.
pub struct RowsWrite<'a> {
    /// Whose.
    pub conversation: ConversationId,
    /// At least one, ascending, all of one bucket.
    pub rows: &'a [Arc<StoredRow>],
    /// What the conversation is once they are written.
    pub state: &'a State,
}

impl Cassandra {
    /// Writes rows and state as one mutation of one partition: all of it is there, or nothing.
    ///
    /// # Errors
    /// Cassandra did not acknowledge it: some replicas may have it, and it is to be written again.
    pub async fn write(&self, write: &RowsWrite<'_>) -> Result<(), HistoryError> {
        let now = self.now();
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        let mut values = Vec::with_capacity(write.rows.len() + 1);
        let id = || CqlValue::Blob(write.conversation.as_bytes().to_vec());
        for row in write.rows {
            batch.append_statement(now.statements.put_row.clone());
            values.push(vec![
                id(),
                CqlValue::Int(bucket_number(row.seq)),
                CqlValue::BigInt(row.seq.cast_signed()),
                CqlValue::BigInt(row.message_id.0.cast_signed()),
                CqlValue::Blob(row.header.to_vec()),
                CqlValue::Blob(row.content_hash.to_vec()),
                cell(row.content.as_ref()),
                cell(row.wraps.as_ref()),
                CqlValue::BigInt(row_timestamp(row)),
            ]);
        }
        let last_seq = write.state.last_seq;
        batch.append_statement(now.statements.put_state.clone());
        values.push(vec![
            CqlValue::BigInt(last_seq.cast_signed()),
            CqlValue::Blob(write.state.encode()),
            id(),
            CqlValue::Int(bucket_number(last_seq)),
        ]);
        let done = now.session.batch(&batch, values).await;
        done.map(drop).map_err(failed)
    }

    /// Raises both people's `last_seq`. They take turns: with one of the two behind, the conversation's newest bucket is
    /// still found.
    ///
    /// # Errors
    /// Cassandra did not acknowledge it; it is to be done again.
    pub async fn raise(
        &self,
        conversation: ConversationId,
        people: [UserId; 2],
        last_seq: u64,
    ) -> Result<(), HistoryError> {
        let raise = |user: UserId, peer: UserId| async move {
            let values = (
                user.as_bytes().as_slice(),
                conversation.as_bytes().as_slice(),
                peer.as_bytes().as_slice(),
                last_seq.cast_signed(),
                last_seq.cast_signed(),
            );
            self.put(|statements| &statements.put_register, values)
                .await
        };
        let [one, other] = people;
        if one == other {
            raise(one, other).await
        } else {
            futures_util::try_join!(raise(one, other), raise(other, one)).map(drop)
        }
    }

    /// Empties a stored row, for a record that the log took in at `unix_ms`. The row's own cells lose against it, also
    /// those that a replay writes again, and also where the log's clock went back in between.
    pub(crate) async fn empty(
        &self,
        conversation: ConversationId,
        row: &StoredRow,
        unix_ms: u64,
    ) -> Result<(), HistoryError> {
        let of_erasure = micros(unix_ms).saturating_add(LAST_MICRO);
        let values = (
            of_erasure.max(row_timestamp(row).saturating_add(LAST_MICRO)),
            conversation.as_bytes().as_slice(),
            bucket_number(row.seq),
            row.seq.cast_signed(),
        );
        self.put(|statements| &statements.put_empty, values).await
    }

    /// Carries out a statement that writes.
    pub(super) async fn put(
        &self,
        statement: impl Fn(&Statements) -> &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), HistoryError> {
        let now = self.now();
        let put = statement(&now.statements);
        let done = now.session.execute_unpaged(put, values).await;
        done.map(drop).map_err(failed)
    }
}

/// Of equal timestamps Cassandra keeps the larger value, which is not the empty one: an erasure stands at the end of its
/// millisecond.
const LAST_MICRO: i64 = 999;

/// A row's append time, which is part of its id: whoever writes the row again writes the same.
fn row_timestamp(row: &StoredRow) -> i64 {
    micros(row.message_id.unix_ms())
}

fn micros(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms.saturating_mul(1000)).unwrap_or(i64::MAX - LAST_MICRO)
}

/// What was erased is an empty cell; nothing that was sent is empty, but wraps may be: they share the content's fate.
fn cell(bytes: Option<&prost::bytes::Bytes>) -> CqlValue {
    CqlValue::Blob(bytes.map(|bytes| bytes.to_vec()).unwrap_or_default())
}

/// The bucket, as a column.
pub(super) fn bucket_number(seq: u64) -> i32 {
    i32::try_from(bucket(seq)).unwrap_or(i32::MAX)
}
