//! The encrypted store: one SQLCipher file, held by one process, changed only by whole transactions.

mod account;
mod backup;
mod changes;
mod contacts;
mod conversations;
mod expiry;
mod key;
mod late;
mod links;
mod lists;
mod lock;
mod log;
mod open;
mod outbox;
mod prekeys;
mod search;
mod sessions;
mod settings;
mod sql;
#[cfg(test)]
mod tests;
mod timeline;

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use sordino_protocol::error::Code;

use crate::error::Error;
pub use account::{NextKeys, RollbackState, SharedKeys, StoredAccount, Unsettled, VaultOpeners};
pub use backup::{Chain, ChainToRead, Passes, RestoreProgress, Upload};
pub use changes::{Change, ChangeKind};
pub use contacts::{Accepted, Decided, Decision, Seen};
pub use conversations::Conversation;
pub use key::{FileKey, FixedKey, KeyStore, StoreKey};
pub use late::{LateRow, LateSender, Meant, OwnKey};
pub use links::Linked;
pub use lists::ChainSent;
pub use log::{Row, RowKind, WITHOUT_CHAIN};
pub use outbox::{Entry, Envelope, Outgoing};
pub use sessions::StoredSession;
pub use settings::Settings;
pub use timeline::{ItemKind, MessageRef, Progress, StoredItem, UNPLACED};

/// What a committed transaction survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power loss. For whatever is sent afterwards: a ratchet that fell back would reuse keys.
    Synced,
    /// The death of the process. A power loss may undo it, cursor and ratchet together: the relay gives the
    /// rows again.
    Relaxed,
}

/// An open store. Dropping it closes the file and releases the lock.
pub struct Store {
    connection: Connection,
    // Declared last: the file is closed before the lock is released.
    _lock: lock::Lock,
}

/// A running transaction; what it did is undone unless it ends well.
pub struct Tx<'a>(rusqlite::Transaction<'a>);

impl Store {
    /// Opens the store at `path`, making it if there is none. The lock file lies beside it. Errors name the path.
    ///
    /// Every page is checked: about 10 ms for each MB of the file.
    ///
    /// # Errors
    /// `StoreLocked`, `StoreKeyLost`, `StoreWrongKey`, `StoreDamaged`, `StoreNewer`, `CipherMissing`; `StoreFailed` for
    /// anything that the disk or its permissions refuse.
    pub fn open(path: &Path, keys: &dyn KeyStore) -> Result<Self, Error> {
        let mut lock_path = path.to_path_buf().into_os_string();
        lock_path.push(".lock");
        let mut lock = lock::Lock::take(Path::new(&lock_path)).map_err(|error| error.at(path))?;
        let is_there = open::is_there(path, &mut lock).map_err(|error| error.at(path))?;
        let key = match is_there {
            true => keys.existing()?,
            false => keys.key()?,
        };
        let connection = open::open(path, &key, &mut lock).map_err(|error| error.at(path))?;
        Ok(Self {
            connection,
            _lock: lock,
        })
    }

    /// Runs `work` over one state of the store, which it must not change.
    ///
    /// # Errors
    /// What `work` returned, or `StoreFailed` or `StoreDamaged`.
    pub fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let tx = Tx(self.connection.unchecked_transaction().map_err(failed)?);
        work(&tx)
    }

    /// Runs `work` as one transaction: all of it is stored, or, if it fails, nothing.
    ///
    /// # Errors
    /// What `work` returned, or `StoreFailed` or `StoreDamaged`.
    pub fn transaction<T>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let level = match durability {
            Durability::Synced => "FULL",
            Durability::Relaxed => "NORMAL",
        };
        self.connection
            .pragma_update(None, "synchronous", level)
            .map_err(failed)?;
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let tx = Tx(tx);
        let result = work(&tx)?;
        tx.0.commit().map_err(failed)?;
        Ok(result)
    }

    /// Empties the write-ahead log, which holds earlier states of the pages: keys that were to leave.
    ///
    /// # Errors
    /// `StoreFailed`.
    pub fn forget_log(&self) -> Result<(), Error> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(failed)
    }
}

/// What an error of SQLite means to the caller.
fn failed(error: rusqlite::Error) -> Error {
    if let rusqlite::Error::FromSqlConversionFailure(..)
    | rusqlite::Error::InvalidColumnType(..)
    | rusqlite::Error::IntegralValueOutOfRange(..) = error
    {
        return Error::new(Code::StoreDamaged, "a value is out of its range");
    }
    let code = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Code::StoreDamaged,
        // By a program that does not know our lock file.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Code::StoreLocked,
        _ => Code::StoreFailed,
    };
    // Only the name of the code: the message of a failed statement may quote it.
    let detail = error.sqlite_error_code().map_or_else(
        || "a value does not fit".to_owned(),
        |code| format!("{code:?}"),
    );
    Error::new(code, detail)
}

fn failed_io(error: std::io::Error) -> Error {
    Error::new(Code::StoreFailed, error.kind().to_string())
}

/// A file that `options` creates may be read by its owner only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
