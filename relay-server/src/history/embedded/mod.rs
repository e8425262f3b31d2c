//! History on one LSM store in a directory.
//!
//! A group of records is one atomic, fsynced commit: rows, wraps, states and registers together.

mod ack;
mod codec;
pub(crate) mod copy;
mod keys;
mod machine;
mod read;
mod store;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use sordino_protocol::{ConversationId, DeviceId, UserId};
use tokio::sync::oneshot;

use self::{ack::Ack, read::Limit};
pub use self::{
    machine::Machine,
    store::{Store, StoreError, StoreOptions},
    write::{GroupWrite, erased},
};
use super::{History, HistoryError, Mark, Progress, Rows};
#[cfg(feature = "cluster")]
use crate::delivery::apply::State;

/// The door of [`Store`].
#[derive(Clone)]
pub struct EmbeddedHistory(Arc<Store>);

impl EmbeddedHistory {
    /// On an open store.
    pub fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    /// A read may wait for the disk: never on a thread that serves sockets.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let store = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        match done {
            Ok(result) => Ok(result?),
            Err(error) => Err(HistoryError::Failed(error.to_string())),
        }
    }
}

/// For a move to another store.
#[cfg(feature = "cluster")]
impl EmbeddedHistory {
    /// Every conversation.
    pub(crate) async fn conversations(&self) -> Result<Vec<ConversationId>, HistoryError> {
        self.blocking(Store::conversations).await
    }

    /// A conversation's state.
    pub(crate) async fn state(&self, conversation: ConversationId) -> Result<State, HistoryError> {
        self.blocking(move |s| s.state(conversation)).await
    }

    /// What each device of a user has acknowledged.
    pub(crate) async fn acks(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Vec<(DeviceId, u64)>, HistoryError> {
        self.blocking(move |s| s.acks_of(user, conversation)).await
    }
}

#[async_trait]
impl History for EmbeddedHistory {
    async fn rows(
        &self,
        conversation: ConversationId,
        from: u64,
        to: u64,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError> {
        let limit = Limit {
            rows: max_rows,
            bytes: max_bytes,
        };
        self.blocking(move |s| s.rows(conversation, from, to, limit))
            .await
    }

    async fn rows_before(
        &self,
        conversation: ConversationId,
        before: Option<u64>,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError> {
        let limit = Limit {
            rows: max_rows,
            bytes: max_bytes,
        };
        self.blocking(move |s| s.rows_before(conversation, before, limit))
            .await
    }

    async fn peer(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<UserId>, HistoryError> {
        self.blocking(move |s| Ok(s.register(user, conversation)?.map(|(peer, _)| peer)))
            .await
    }

    async fn marks(
        &self,
        user: UserId,
        device: DeviceId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Mark>, HistoryError> {
        self.blocking(move |s| s.marks(user, device, after, limit))
            .await
    }

    async fn acknowledge(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<(u64, UserId)>, HistoryError> {
        let ack = Ack {
            user,
            device,
            conversation,
            seq,
        };
        let (answer, answered) = oneshot::channel();
        // Who finds others waiting is written with them.
        if self.0.acks.push(ack, answer) {
            self.blocking(|s| {
                s.write_acks();
                Ok(())
            })
            .await?;
        }
        let unanswered = |_| HistoryError::Failed("nobody wrote it".to_owned());
        answered.await.map_err(unanswered)?
    }

    async fn progress(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Progress>, HistoryError> {
        self.blocking(move |s| s.progress(user, conversation)).await
    }

    async fn healthy(&self) -> Result<(), HistoryError> {
        self.blocking(|s| s.check_space()).await
    }
}
