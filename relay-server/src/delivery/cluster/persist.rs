//! Reading and writing history until it is done. Without Cassandra a conversation waits here, and the log holds the rest.

use std::sync::Arc;

use sordino_protocol::{ConversationId, Header, UserId};

use super::{
    consumer::Work,
    conversation::{BATCH_ROWS, Backoff},
    partition::Partition,
};
use crate::{
    delivery::apply::State,
    history::{HistoryError, StoredRow, cassandra::RowsWrite, embedded::erased},
    ops::said,
};

/// The partition has another owner, or must not go on.
#[derive(Debug)]
pub(super) struct Stopped;

/// The state of a conversation that is not in memory.
pub(super) async fn load(
    work: &Work,
    partition: &Partition,
    conversation: ConversationId,
) -> Result<State, Stopped> {
    let history = &work.shared.history;
    let newest = until_done(work, partition, || history.newest(conversation, BATCH_ROWS)).await?;
    let Some(newest) = newest else {
        return Ok(State::default());
    };
    let at = newest.state.at.filter(|at| at.epoch == work.shared.epoch);
    let Some(at) = at else {
        return Ok(newest.state);
    };
    work.must_be_in_the_log(partition, at.offset).await?;
    if at.offset >= partition.begin() {
        // The former owner may have died with its last batch on one replica of three: what this read saw, the next might
        // not. The rows are whole (a batch is one mutation), so writing them again makes them as durable as any.
        let mut rows: Vec<_> = newest.rows.into_iter().map(Arc::new).collect();
        rows.reverse();
        rows_of(work, partition, conversation, &rows, &newest.state).await?;
    }
    Ok(newest.state)
}

/// Writes rows with the state behind them.
pub(super) async fn rows(
    work: &Work,
    partition: &Partition,
    conversation: ConversationId,
    rows: &[Arc<StoredRow>],
    state: &State,
) -> Result<(), Stopped> {
    let begun = std::time::Instant::now();
    rows_of(work, partition, conversation, rows, state).await?;
    metrics::histogram!("sordino_delivery_commit_seconds").record(begun.elapsed());
    Ok(())
}

async fn rows_of(
    work: &Work,
    partition: &Partition,
    conversation: ConversationId,
    rows: &[Arc<StoredRow>],
    state: &State,
) -> Result<(), Stopped> {
    let history = &work.shared.history;
    let write = RowsWrite {
        conversation,
        rows,
        state,
    };
    until_done(work, partition, || history.write(&write)).await
}

/// Raises both people's registers.
pub(super) async fn registers(
    work: &Work,
    partition: &Partition,
    conversation: ConversationId,
    people: [UserId; 2],
    last_seq: u64,
) -> Result<(), Stopped> {
    let history = &work.shared.history;
    until_done(work, partition, || {
        history.raise(conversation, people, last_seq)
    })
    .await
}

/// Empties the rows that an erasure names, as far as its sender wrote them and they come before it.
pub(super) async fn erase(
    work: &Work,
    partition: &Partition,
    header: &Header,
    own_seq: u64,
    unix_ms: u64,
) -> Result<(), Stopped> {
    let history = &work.shared.history;
    for &seq in header.erase.iter().filter(|seq| **seq < own_seq) {
        let conversation = header.conversation;
        let row = until_done(work, partition, || history.row(conversation, seq)).await?;
        if let Some(row) = row
            && erased(&row, header.sender).is_some()
        {
            until_done(work, partition, || {
                history.empty(conversation, &row, unix_ms)
            })
            .await?;
        }
    }
    Ok(())
}

async fn until_done<T, F: Future<Output = Result<T, HistoryError>>>(
    work: &Work,
    partition: &Partition,
    attempt: impl Fn() -> F,
) -> Result<T, Stopped> {
    let mut backoff = Backoff::new();
    loop {
        let outcome = {
            // Nobody closes it.
            let _turn = work.shared.batches.acquire().await.map_err(|_| Stopped)?;
            attempt().await
        };
        match outcome {
            Ok(done) => return Ok(done),
            Err(error) => {
                metrics::counter!("sordino_delivery_retries_total").increment(1);
                said::warn(&format!("{error}; trying again"));
                backoff.wait(partition).await?;
            }
        }
    }
}
