//! History in Cassandra, for any number of nodes.
//!
//! Nothing here locks or compares: rows are write-once and deterministic, registers are max-registers (each carries its own
//! number as its write timestamp). So a replay, or a node that does not know yet that another took over, writes what is
//! there already, or loses.

mod keyspace;
mod marks;
mod migrate;
mod read;
mod session;
mod statements;
mod write;

use async_trait::async_trait;
use sordino_protocol::{ConversationId, DeviceId, UserId};

pub(crate) use self::migrate::set_moving;
pub use self::{
    migrate::{LogOf, MigrateError, log_of, migrate, recorded_log},
    session::{Cassandra, ConnectError, Options},
    write::RowsWrite,
};
use super::{History, HistoryError, Mark, Progress, Rows};

/// Seqs of one partition of `chat_histories`.
pub(crate) const BUCKET: u64 = 10_000;

/// The partition in which a row stands.
pub(crate) const fn bucket(seq: u64) -> u64 {
    seq / BUCKET
}

#[async_trait]
impl History for Cassandra {
    async fn rows(
        &self,
        conversation: ConversationId,
        from: u64,
        to: u64,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError> {
        self.read_up(conversation, from, to, max_rows, max_bytes)
            .await
    }

    async fn rows_before(
        &self,
        conversation: ConversationId,
        before: Option<u64>,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Rows, HistoryError> {
        self.read_down(conversation, before, max_rows, max_bytes)
            .await
    }

    async fn peer(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<UserId>, HistoryError> {
        let register = self.register(user, conversation).await?;
        Ok(register.map(|register| register.peer))
    }

    async fn marks(
        &self,
        user: UserId,
        device: DeviceId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Mark>, HistoryError> {
        self.marks_after(user, device, after, limit).await
    }

    async fn acknowledge(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<(u64, UserId)>, HistoryError> {
        self.raise_mark(user, device, conversation, seq).await
    }

    async fn acknowledge_told(
        &self,
        user: UserId,
        device: DeviceId,
        (conversation, peer): (ConversationId, UserId),
        seq: u64,
    ) -> Result<Option<(u64, UserId)>, HistoryError> {
        // First: a device whose own mark stands does not say it again.
        self.raise_peer_acked(peer, conversation, seq).await?;
        self.raise_acked(user, device, conversation, seq).await?;
        Ok(Some((seq, peer)))
    }

    async fn progress(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Progress>, HistoryError> {
        let register = self.register(user, conversation).await?;
        register.map(marks::Register::progress).transpose()
    }

    /// Always: it is every node's Cassandra. A node that called itself unready without it would take its devices from a
    /// relay that still accepts what they send.
    async fn healthy(&self) -> Result<(), HistoryError> {
        Ok(())
    }
}
