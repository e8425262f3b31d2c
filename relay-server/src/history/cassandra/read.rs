//! Reading rows and states.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use prost::bytes::Bytes;
use scylla::DeserializeRow;
use sordino_protocol::{ConversationId, MessageId};

use super::{BUCKET, Cassandra, bucket, session::failed, write::bucket_number};
use crate::{
    delivery::apply::State,
    history::{HistoryError, Rows, StoredRow, page::Page},
};

/// Rows of one query: bounded, whatever their size.
const CHUNK: usize = 32;

/// The newest state of a conversation with the rows before it, read together.
pub(crate) struct Newest {
    pub(crate) state: State,
    /// Descending; the last batch is among them.
    pub(crate) rows: Vec<StoredRow>,
}

#[derive(DeserializeRow)]
struct Columns {
    seq: i64,
    message_id: i64,
    header: Vec<u8>,
    content_hash: Vec<u8>,
    content: Option<Vec<u8>>,
    wraps: Option<Vec<u8>>,
}

#[derive(DeserializeRow)]
struct StateAndColumns {
    state: Option<Vec<u8>>,
    seq: i64,
    message_id: i64,
    header: Vec<u8>,
    content_hash: Vec<u8>,
    content: Option<Vec<u8>>,
    wraps: Option<Vec<u8>>,
}

impl Cassandra {
    /// The newest state, with at least `rows` of its rows where there are so many in its bucket. `None`: no row yet.
    pub(crate) async fn newest(
        &self,
        conversation: ConversationId,
        rows: usize,
    ) -> Result<Option<Newest>, HistoryError> {
        // Again, if another owner has begun a bucket meanwhile.
        let Some((bucket, _)) = self.newest_state(conversation, 0).await? else {
            return Ok(None);
        };
        let values = (
            conversation.as_bytes().as_slice(),
            bucket,
            i32::try_from(rows).unwrap_or(i32::MAX),
        );
        let now = self.now();
        let found = now.session.execute_unpaged(&now.statements.newest, values);
        let found = found.await.map_err(failed)?;
        let found = found.into_rows_result().map_err(failed)?;
        let mut newest: Option<Newest> = None;
        for columns in found.rows::<StateAndColumns>().map_err(failed)? {
            let columns = columns.map_err(failed)?;
            let row = Columns {
                seq: columns.seq,
                message_id: columns.message_id,
                header: columns.header,
                content_hash: columns.content_hash,
                content: columns.content,
                wraps: columns.wraps,
            };
            let newest = match &mut newest {
                Some(newest) => newest,
                None => newest.insert(Newest {
                    state: decode_state(columns.state)?,
                    rows: Vec::new(),
                }),
            };
            newest.rows.push(stored(row)?);
        }
        Ok(newest)
    }

    pub(super) async fn read_up(
        &self,
        conversation: ConversationId,
        from: u64,
        to: u64,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError> {
        let last_seq = self.last_seq(conversation, bucket_number(from)).await?;
        let to = to.min(last_seq);
        let mut page = Page::new(last_seq, max_rows, max_bytes);
        let mut next = from.max(1);
        while next <= to {
            let end = to.min((bucket(next) + 1) * BUCKET - 1);
            let values = (
                conversation.as_bytes().as_slice(),
                bucket_number(next),
                next.cast_signed(),
                end.cast_signed(),
                chunk(max_rows),
            );
            let now = self.now();
            let found = now.session.execute_unpaged(&now.statements.up, values);
            let found = found.await.map_err(failed)?;
            let found = found.into_rows_result().map_err(failed)?;
            // A bucket without a row that it must have: go on behind it, the hole shows by itself.
            let mut reached = end;
            for columns in found.rows::<Columns>().map_err(failed)? {
                let row = stored(columns.map_err(failed)?)?;
                reached = row.seq;
                if !page.push(row) {
                    return Ok(page.cut());
                }
            }
            next = reached + 1;
        }
        Ok(page.complete())
    }

    pub(super) async fn read_down(
        &self,
        conversation: ConversationId,
        before: Option<u64>,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError> {
        let hint = before.map_or(0, bucket_number);
        let last_seq = self.last_seq(conversation, hint).await?;
        let mut page = Page::new(last_seq, max_rows, max_bytes);
        let mut end = before.unwrap_or(u64::MAX).min(last_seq.saturating_add(1));
        while end > 1 {
            let values = (
                conversation.as_bytes().as_slice(),
                bucket_number(end - 1),
                end.cast_signed(),
                chunk(max_rows),
            );
            let now = self.now();
            let found = now.session.execute_unpaged(&now.statements.down, values);
            let found = found.await.map_err(failed)?;
            let found = found.into_rows_result().map_err(failed)?;
            let mut reached = bucket(end - 1) * BUCKET;
            for columns in found.rows::<Columns>().map_err(failed)? {
                let row = stored(columns.map_err(failed)?)?;
                reached = row.seq;
                if !page.push(row) {
                    return Ok(page.cut());
                }
            }
            end = reached;
        }
        Ok(page.complete())
    }

    /// One row, if it is there.
    pub(crate) async fn row(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<StoredRow>, HistoryError> {
        let seq_number = seq.cast_signed();
        let values = (
            conversation.as_bytes().as_slice(),
            bucket_number(seq),
            seq_number,
            seq_number,
            1,
        );
        let now = self.now();
        let found = now.session.execute_unpaged(&now.statements.up, values);
        let found = found.await.map_err(failed)?;
        let found = found.into_rows_result().map_err(failed)?;
        let row = found.maybe_first_row::<Columns>().map_err(failed)?;
        row.map(stored).transpose()
    }

    async fn last_seq(&self, conversation: ConversationId, hint: i32) -> Result<u64, HistoryError> {
        let newest = self.newest_state(conversation, hint).await?;
        Ok(newest.map_or(0, |(_, state)| state.last_seq))
    }

    /// The newest bucket and its state. Buckets are begun in their order, so every one up to it has a state: found in
    /// growing steps, then by halves. For a conversation of one bucket it is one read; `hint` is where the caller reads.
    async fn newest_state(
        &self,
        conversation: ConversationId,
        hint: i32,
    ) -> Result<Option<(i32, State)>, HistoryError> {
        let mut low = match self.state_of(conversation, hint).await? {
            Some(state) => (hint, state),
            // The caller reads behind the end.
            None if hint > 0 => match self.state_of(conversation, 0).await? {
                Some(state) => (0, state),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        let (mut high, mut step) = (None, 1);
        while is_full(&low) {
            let probe = match high {
                Some(high) if high - low.0 <= 1 => break,
                Some(high) => low.0 + (high - low.0) / 2,
                None => low.0.saturating_add(step),
            };
            match self.state_of(conversation, probe).await? {
                Some(state) => low = (probe, state),
                None => high = Some(probe),
            }
            step = step.saturating_mul(2);
        }
        Ok(Some(low))
    }

    /// Every conversation that has a bucket, each once. Reads all of the cluster: for a move alone.
    pub(crate) async fn conversations(&self) -> Result<HashSet<ConversationId>, HistoryError> {
        let text = format!(
            "SELECT DISTINCT conversation_id, bucket FROM {}.chat_histories",
            self.keyspace
        );
        let found = self
            .now()
            .session
            .query_iter(text, ())
            .await
            .map_err(failed)?;
        let mut rows = found.rows_stream::<(Vec<u8>, i32)>().map_err(failed)?;
        let mut all = HashSet::new();
        while let Some(row) = rows.next().await {
            let (id, _) = row.map_err(failed)?;
            let id = id.try_into().map_err(|_| failed("an id is damaged"))?;
            all.insert(ConversationId::from_bytes(id));
        }
        Ok(all)
    }

    async fn state_of(
        &self,
        conversation: ConversationId,
        bucket: i32,
    ) -> Result<Option<State>, HistoryError> {
        let values = (conversation.as_bytes().as_slice(), bucket);
        let now = self.now();
        let found = now.session.execute_unpaged(&now.statements.state, values);
        let found = found.await.map_err(failed)?;
        let found = found.into_rows_result().map_err(failed)?;
        let row = found.maybe_first_row::<(Option<Vec<u8>>,)>();
        match row.map_err(failed)? {
            Some((state @ Some(_),)) => decode_state(state).map(Some),
            _ => Ok(None),
        }
    }
}

/// Whether the next seq is in the next bucket.
fn is_full((bucket, state): &(i32, State)) -> bool {
    bucket_number(state.last_seq.saturating_add(1)) > *bucket
}

fn chunk(max_rows: usize) -> i32 {
    // One more than asked for shows whether there is more.
    i32::try_from(max_rows.saturating_add(1).min(CHUNK)).unwrap_or(1)
}

fn decode_state(state: Option<Vec<u8>>) -> Result<State, HistoryError> {
    State::decode(&state.unwrap_or_default()).map_err(failed)
}

fn stored(columns: Columns) -> Result<StoredRow, HistoryError> {
    let content_hash = columns.content_hash.try_into();
    let content = columns.content.filter(|content| !content.is_empty());
    // See `cell`.
    let wraps = columns.wraps.filter(|_| content.is_some());
    Ok(StoredRow {
        seq: columns.seq.cast_unsigned(),
        message_id: MessageId(columns.message_id.cast_unsigned()),
        header: columns.header.into(),
        content_hash: content_hash.map_err(|_| failed("a row's hash is damaged"))?,
        content: content.map(Bytes::from),
        wraps: wraps.map(Bytes::from),
    })
}
