//! The move of a filled relay with embedded stores into the cluster, before the cluster's first start.
//!
//! Everything is written as delivery would have written it, so that a second run writes the same bytes under the same
//! timestamps. What is moved has no place in the new log: its states say so (no `at`), and counters alone decide what of the
//! log is new.

mod conversation;
mod users;

use std::{
    collections::HashSet,
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use sordino_protocol::{ConversationId, UserId};

use super::{ClusterError, history, log};
use crate::{
    broker::kafka::{Topic, TopicError},
    config::Config,
    history::{
        HistoryError,
        cassandra::{self, Cassandra, ConnectError, MigrateError},
        embedded::{EmbeddedHistory, Store, StoreError, StoreOptions},
    },
    relay::LOCK,
    user::{UserError, postgres},
};

/// Conversations in work at a time.
const AT_ONCE: usize = 16;

/// Why a relay does not move.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The cluster cannot be marked.
    #[error(transparent)]
    Mark(#[from] MigrateError),
    /// There is no data.
    #[error("there is no relay's data in {0}")]
    Absent(PathBuf),
    /// A relay runs on it.
    #[error("a relay runs on {0}: stop it first, for good")]
    Running(PathBuf),
    /// The cluster has been in use.
    #[error(
        "the topic {0} has been written to: a relay can only be moved into a cluster that no node has served yet"
    )]
    InUse(String),
    /// A user who is not the source's.
    #[error(
        "PostgreSQL has the user {0}, who is not in the data directory or not as there: move into an empty database, and if this was a move before which the relay ran again, empty it first"
    )]
    ForeignUser(UserId),
    /// A conversation that is not the source's.
    #[error(
        "Cassandra has the conversation {0}, which is not in the data directory or not as there: move into an empty keyspace"
    )]
    ForeignConversation(ConversationId),
    /// The source is damaged.
    #[error("the conversation {0} is damaged ({1}): nothing is moved beyond it")]
    Damaged(ConversationId, &'static str),
    /// Reading back showed something else.
    #[error("{0} is not in the cluster as it is in the data directory: run this again")]
    NotAsMoved(String),
    /// The cluster's servers.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The source's messages.
    #[error(transparent)]
    Source(#[from] StoreError),
    /// Users, at either end.
    #[error(transparent)]
    Users(#[from] UserError),
    /// Messages, at either end.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] postgres::ConnectError),
    /// Cassandra.
    #[error(transparent)]
    Cassandra(#[from] ConnectError),
    /// Kafka.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What was moved, and read back as it is in the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Users; none where they were in PostgreSQL already.
    pub users: u64,
    /// Their devices.
    pub devices: u64,
    /// All versions of their lists.
    pub lists: u64,
    /// What is left of their prekeys.
    pub prekeys: u64,
    /// Conversations.
    pub conversations: u64,
    /// Messages.
    pub rows: u64,
    /// Marks of what devices have.
    pub marks: u64,
}

/// Called with what is being done, how much of it is done, and how much there is.
pub type Say = Box<dyn FnMut(&str, u64, u64) + Send>;

/// Moves everything from the data directory of a stopped relay into the cluster, whose tables and topic are there, and reads
/// it back. The directory stays as it is. After an interruption, whenever it comes, it can be run again. Cancel safe.
pub async fn move_in(config: &Config, from: &Path, mut say: Say) -> Result<Moved, MoveError> {
    let messages = crate::stores::messages(from);
    if !messages.exists() {
        return Err(MoveError::Absent(from.to_owned()));
    }
    let lock = std::fs::File::open(from.join(LOCK))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => MoveError::Running(from.to_owned()),
        TryLockError::Error(error) => error.into(),
    })?;
    // Sent to once, the cluster is ahead of the source.
    if !Topic::new(log(config)?).is_unused().await? {
        return Err(MoveError::InUse(config.kafka.topic.clone()));
    }
    let opened = tokio::task::spawn_blocking(move || Store::open(StoreOptions::new(messages)));
    let source = EmbeddedHistory::new(Arc::new(opened.await.map_err(io::Error::other)??));
    let target = Cassandra::connect(&history(config)?).await?;
    let all = source.conversations().await?;
    let known: HashSet<_> = all.iter().copied().collect();
    let there = target.conversations().await?;
    if let Some(foreign) = there.difference(&known).next() {
        return Err(MoveError::ForeignConversation(*foreign));
    }

    // A node that started now would accept what the move then writes over.
    let cluster = history(config)?;
    cassandra::set_moving(&cluster, true).await?;
    let mut moved = users::move_in(config, from, &mut say).await?;
    let of = all.len() as u64;
    let moving = stream::iter(&all)
        .map(|id| conversation::move_in(&source, &target, *id))
        .buffer_unordered(AT_ONCE);
    let mut moving = std::pin::pin!(moving);
    while let Some((rows, marks)) = moving.try_next().await? {
        moved.conversations += 1;
        moved.rows += rows;
        moved.marks += marks;
        say("conversations", moved.conversations, of);
    }
    let reading = stream::iter(&all)
        .map(|id| conversation::read_back(&source, &target, *id))
        .buffer_unordered(AT_ONCE);
    let mut reading = std::pin::pin!(reading);
    let (mut read, mut rows) = (0, 0);
    while let Some(found) = reading.try_next().await? {
        rows += found;
        read += 1;
        say("conversations read back", read, of);
    }
    if rows != moved.rows || target.conversations().await? != known {
        return Err(MoveError::NotAsMoved("the number of messages".to_owned()));
    }
    // One that ran already may have.
    if !Topic::new(log(config)?).is_unused().await? {
        return Err(MoveError::InUse(config.kafka.topic.clone()));
    }
    cassandra::set_moving(&cluster, false).await?;
    drop(lock);
    Ok(moved)
}
