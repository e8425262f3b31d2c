//! The store itself: keyspaces, epoch, and the one way to commit.

pub(super) mod create;

use std::{
    io,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};

use super::{Machine, ack::Acks, codec};
use crate::history::HistoryError;

/// Settings of the embedded history.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Its directory; made if it does not exist.
    pub path: PathBuf,
    /// New messages are refused when the disk has less than this left, in bytes. The store's own upkeep (journal,
    /// compaction) lives on it meanwhile.
    pub reserve_bytes: u64,
    /// Memory for blocks that were read, in bytes.
    pub cache_bytes: u64,
    /// The machine below; tests give their own.
    pub machine: Machine,
}

impl StoreOptions {
    /// The defaults: 256 MiB of reserve, 32 MiB of cache.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            reserve_bytes: 256 * 1024 * 1024,
            cache_bytes: 32 * 1024 * 1024,
            machine: Machine::default(),
        }
    }
}

/// What may go wrong with the store. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "the history in {0} is in use by another process; stop it, or give this relay a directory of its own"
    )]
    Locked(PathBuf),
    /// Written by another version.
    #[error(
        "the history in {0} was written by another version of the relay (format {1}); this one reads format {FORMAT}"
    )]
    Format(PathBuf, u64),
    /// It does not open.
    #[error(
        "the history in {path} cannot be opened ({cause}); restore it from a backup, or move it away to begin anew, but read docs/recovery.md first: either way messages are lost, and people who wrote to each other before cannot go on as they were"
    )]
    Open {
        /// Where.
        path: PathBuf,
        /// What the engine says.
        cause: String,
    },
    /// A value that cannot be read.
    #[error(
        "the history is damaged: {0} cannot be read; restore it from a backup, but read docs/recovery.md first: messages that came later are lost, and people who wrote to each other since cannot go on as they were"
    )]
    Damaged(String),
    /// No space is left. Where it was seen before the commit nothing was written; after a failed commit that is unknown.
    #[error("the disk is full")]
    Full,
    /// The engine failed.
    #[error("the history store failed: {0}")]
    Engine(fjall::Error),
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for HistoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            other => Self::Failed(other.to_string()),
        }
    }
}

/// The layout of keys and values, states of conversations included.
const FORMAT: u64 = 2;

/// The embedded history: one LSM store.
pub struct Store {
    pub(super) db: Database,
    /// Rows without their wraps: wraps are erased earlier, and read only by those who are addressed.
    pub(super) rows: Keyspace,
    pub(super) wraps: Keyspace,
    pub(super) states: Keyspace,
    pub(super) registers: Keyspace,
    pub(super) acked: Keyspace,
    pub(super) acks: Acks,
    options: StoreOptions,
    epoch: u64,
    /// The engine refuses to write until it is opened again, because the disk was full.
    stuck: AtomicBool,
}

impl Store {
    /// Opens or creates it, and begins a new epoch of the log. Blocking.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let path = options.path.clone();
        // The engine asserts on some damaged files. A panic that says nothing is no message for an operator.
        let opened = AssertUnwindSafe(|| Self::open_engine(options));
        std::panic::catch_unwind(opened).unwrap_or_else(|_| {
            Err(StoreError::Open {
                path,
                cause: "its files are damaged".to_owned(),
            })
        })
    }

    fn open_engine(options: StoreOptions) -> Result<Self, StoreError> {
        let path = options.path.clone();
        let opening = |error: fjall::Error| match error {
            fjall::Error::Locked => StoreError::Locked(path.clone()),
            error => StoreError::Open {
                path: path.clone(),
                cause: error.to_string(),
            },
        };
        create::where_there_is_none(&options.path).map_err(opening)?;
        let db = Database::builder(&options.path)
            .cache_size(options.cache_bytes)
            .open()
            .map_err(opening)?;
        let keyspace = |name| create::keyspace(&db, name).map_err(opening);
        let meta = keyspace("meta")?;
        let stored = |key: &str| -> Result<Option<u64>, StoreError> {
            let value = meta.get(key).map_err(opening)?;
            value.map(|v| codec::decode_number(&v)).transpose()
        };
        match stored("format")? {
            None | Some(FORMAT) => {}
            Some(other) => return Err(StoreError::Format(path, other)),
        }
        // Embedded offsets begin again with every start. The epoch must be durable before the first record is sequenced
        // under it, or a second start would use it again and take new records for replayed ones.
        let epoch = stored("epoch")?.unwrap_or(0).saturating_add(1);
        let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&meta, "format", FORMAT.to_be_bytes());
        batch.insert(&meta, "epoch", epoch.to_be_bytes());
        batch.commit().map_err(opening)?;
        Ok(Self {
            rows: keyspace("rows")?,
            wraps: keyspace("wraps")?,
            states: keyspace("states")?,
            registers: keyspace("registers")?,
            acked: keyspace("acked")?,
            db,
            acks: Acks::default(),
            options,
            epoch,
            stuck: AtomicBool::new(false),
        })
    }

    /// The epoch of the log that this start began.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where it lives.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Records what it takes on disk, and what the disk has left.
    pub fn record_usage(&self) {
        if let Ok(bytes) = self.db.disk_space() {
            metrics::gauge!("sordino_store_bytes").set(bytes as f64);
        }
        if let Ok(free) = (self.options.machine.available)(&self.options.path) {
            metrics::gauge!("sordino_store_free_bytes").set(free as f64);
        }
    }

    /// The store can no longer promise anything.
    pub fn fatal(&self, why: &str) {
        (self.options.machine.fatal)(why);
    }

    /// Refuses when the disk has less than the reserve left.
    pub fn check_space(&self) -> Result<(), StoreError> {
        self.check_left(self.options.reserve_bytes)
    }

    /// Acknowledgements are small and make nothing that a person would miss: they may use half of the reserve.
    pub(super) fn check_space_for_acks(&self) -> Result<(), StoreError> {
        self.check_left(self.options.reserve_bytes / 2)
    }

    fn check_left(&self, needed: u64) -> Result<(), StoreError> {
        let machine = &self.options.machine;
        let left = (machine.available)(&self.options.path).map_err(fjall::Error::from)?;
        if left < needed {
            return Err(StoreError::Full);
        }
        if self.stuck.load(Ordering::Relaxed) {
            self.fatal(
                "the disk was full and has space again; the store writes again after a restart",
            );
            return Err(StoreError::Full);
        }
        Ok(())
    }

    /// Commits durably: when this returns `Ok`, the batch survives the death of the machine. It is visible to readers only
    /// from then on, so that nobody sees a seq that a crash takes back.
    pub(super) fn commit_synced(&self, batch: OwnedWriteBatch) -> Result<(), StoreError> {
        let machine = &self.options.machine;
        let committed = (machine.before_sync)()
            .map_err(fjall::Error::from)
            .and_then(|()| batch.durability(Some(PersistMode::SyncData)).commit());
        committed.map_err(|error| self.failed(error))
    }

    /// Commits what may be lost with the machine, not with the process.
    pub(super) fn commit_buffered(&self, batch: OwnedWriteBatch) -> Result<(), StoreError> {
        batch
            .durability(Some(PersistMode::Buffer))
            .commit()
            .map_err(|error| self.failed(error))
    }

    /// The engine has refused all writes since its journal failed. With a full disk it waits for space, reading goes on;
    /// after anything else only a restart helps.
    fn failed(&self, error: fjall::Error) -> StoreError {
        if self.stuck.load(Ordering::Relaxed)
            || is_full(&error)
            || self.check_space_for_acks().is_err()
        {
            self.stuck.store(true, Ordering::Relaxed);
            tracing::error!("the disk is full, messages are refused: {error}");
            return StoreError::Full;
        }
        self.fatal(&error.to_string());
        StoreError::Engine(error)
    }

    /// Syncs everything, at the end.
    pub fn flush(&self) -> Result<(), StoreError> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

fn is_full(error: &fjall::Error) -> bool {
    let full = |e: &io::Error| {
        matches!(
            e.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    };
    match error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => full(e),
        _ => false,
    }
}
