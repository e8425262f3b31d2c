//! One conversation: its rows with the state behind each batch, both people's registers, and marks.

use std::{sync::Arc, time::Duration};

use sordino_protocol::{ConversationId, Header, UserId};

use super::MoveError;
use crate::{
    delivery::apply::State,
    history::{
        History, HistoryError, StoredRow,
        cassandra::{BUCKET, Cassandra, RowsWrite, bucket},
        embedded::EmbeddedHistory,
    },
};

/// As delivery writes them.
const BATCH_ROWS: u64 = 16;
const BATCH_BYTES: usize = 256 * 1024;

/// Moves what is not there yet. Returns the numbers of rows and marks.
pub(super) async fn move_in(
    source: &EmbeddedHistory,
    target: &Cassandra,
    id: ConversationId,
) -> Result<(u64, u64), MoveError> {
    let last = source.state(id).await?;
    let newest = trying(|| target.newest(id, 1)).await?;
    let there = newest.map_or_else(State::default, |newest| newest.state);
    if there.last_seq > last.last_seq {
        return Err(MoveError::ForeignConversation(id));
    }
    // States are made again from the rows: those in the middle are not stored, and the last one shows that nothing is missing.
    let mut state = State::default();
    let mut people = None;
    while state.last_seq < last.last_seq {
        let from = state.last_seq + 1;
        let batch = batch(source, id, from, last.last_seq).await?;
        for row in &batch {
            let header = next(&mut state, row, id)?;
            people.get_or_insert([header.sender, header.recipient]);
            if state.last_seq == there.last_seq && state != there {
                return Err(MoveError::ForeignConversation(id));
            }
        }
        if state.last_seq > there.last_seq {
            let write = RowsWrite {
                conversation: id,
                rows: &batch,
                state: &state,
            };
            trying(|| target.write(&write)).await?;
        }
        for row in batch.iter().filter(|row| row.content.is_none()) {
            // An earlier run may have moved what was deleted since.
            trying(|| target.empty(id, row, row.message_id.unix_ms())).await?;
        }
    }
    if state.counters != last.counters {
        return Err(MoveError::Damaged(id, "rows and counters differ"));
    }
    let Some([one, other]) = people else {
        return Ok((0, 0));
    };
    trying(|| target.raise(id, [one, other], last.last_seq)).await?;
    let mut marks = 0;
    for user in once_each(one, other) {
        for (device, seq) in source.acks(user, id).await? {
            trying(|| target.acknowledge(user, device, id, seq)).await?;
            marks += 1;
        }
    }
    Ok((last.last_seq, marks))
}

/// Rows of one bucket, `from` first.
async fn batch(
    source: &EmbeddedHistory,
    id: ConversationId,
    from: u64,
    last: u64,
) -> Result<Vec<Arc<StoredRow>>, MoveError> {
    let end = ((bucket(from) + 1) * BUCKET - 1).min(from + BATCH_ROWS - 1);
    let page = source.rows(id, from, end.min(last), usize::MAX, BATCH_BYTES);
    let rows = page.await?.rows;
    if rows.is_empty() {
        return Err(MoveError::Damaged(id, "a row is missing"));
    }
    Ok(rows.into_iter().map(Arc::new).collect())
}

/// The state after a row.
fn next(state: &mut State, row: &StoredRow, id: ConversationId) -> Result<Header, MoveError> {
    let damaged = |what| MoveError::Damaged(id, what);
    let header = Header::parse(&row.header).map_err(|_| damaged("a header"))?;
    let counter = state
        .counters
        .entry((header.sender, header.sender_device))
        .or_default();
    if header.conversation != id || row.seq != state.last_seq + 1 || header.counter != *counter + 1
    {
        return Err(damaged("rows are out of order"));
    }
    *counter = header.counter;
    state.last_seq = row.seq;
    Ok(header)
}

/// Compares every row, both registers and the state. Not the marks: one that is missing costs an acknowledgement. Returns the
/// number of rows.
pub(super) async fn read_back(
    source: &EmbeddedHistory,
    target: &Cassandra,
    id: ConversationId,
) -> Result<u64, MoveError> {
    let differs = || MoveError::NotAsMoved(format!("the conversation {id}"));
    let last = source.state(id).await?;
    let mut people = None;
    let mut from = 1;
    while from <= last.last_seq {
        let rows = batch(source, id, from, last.last_seq).await?;
        let to = from + rows.len() as u64 - 1;
        let found = trying(|| target.rows(id, from, to, rows.len(), usize::MAX)).await?;
        let same = rows
            .iter()
            .zip(&found.rows)
            .all(|(row, found)| is(row, found));
        if !same || found.rows.len() != rows.len() || found.last_seq != last.last_seq {
            return Err(differs());
        }
        if let Some(row) = rows.first() {
            let header = Header::parse(&row.header).map_err(|_| differs())?;
            people.get_or_insert([header.sender, header.recipient]);
        }
        from = to + 1;
    }
    let moved = trying(|| target.newest(id, 1)).await?;
    let moved = moved.map_or_else(State::default, |newest| newest.state);
    if moved
        != (State {
            at: None,
            ..last.clone()
        })
    {
        return Err(differs());
    }
    let Some([one, other]) = people else {
        return Ok(0);
    };
    for (user, peer) in [(one, other), (other, one)] {
        let (found, seen) = trying(|| target.register_of(user, id))
            .await?
            .ok_or_else(differs)?;
        if (found, seen) != (peer, last.last_seq) {
            return Err(differs());
        }
    }
    Ok(last.last_seq)
}

/// Wraps that are gone are empty in Cassandra.
fn is(row: &StoredRow, found: &StoredRow) -> bool {
    let wraps = |row: &StoredRow| match row.content {
        Some(_) => row.wraps.clone().unwrap_or_default(),
        None => Default::default(),
    };
    let fixed = |row: &StoredRow| {
        (
            row.seq,
            row.message_id,
            row.header.clone(),
            row.content_hash,
        )
    };
    fixed(row) == fixed(found) && row.content == found.content && wraps(row) == wraps(found)
}

/// The conversation with oneself has one.
fn once_each(one: UserId, other: UserId) -> impl Iterator<Item = UserId> {
    std::iter::once(one).chain((one != other).then_some(other))
}

/// A request that a busy cluster did not answer is sent again: the same bytes under the same timestamp.
async fn trying<T, F: Future<Output = Result<T, HistoryError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, HistoryError> {
    const ATTEMPTS: u32 = 6;
    for n in 1..ATTEMPTS {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => tracing::warn!(%error, "trying again"),
        }
        tokio::time::sleep(Duration::from_millis(100 << n)).await;
    }
    attempt().await
}
