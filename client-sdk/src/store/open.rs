//! Opening the file: fails closed, checks before it trusts, migrates forward.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::Connection;
use sordino_protocol::error::Code;
use zeroize::Zeroizing;

use super::lock::Lock;
use super::{StoreKey, failed, failed_io, private, search};
use crate::error::Error;

/// The steps from an empty file to today's tables; number n takes a store from version n to n + 1.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_keys.sql"),
    include_str!("../../migrations/0002_conversations.sql"),
    include_str!("../../migrations/0003_vault.sql"),
    include_str!("../../migrations/0004_devices.sql"),
    include_str!("../../migrations/0005_backup.sql"),
    include_str!("../../migrations/0006_links.sql"),
    include_str!("../../migrations/0007_contacts.sql"),
    include_str!("../../migrations/0010_receipts.sql"),
    include_str!("../../migrations/0011_search.sql"),
    include_str!("../../migrations/0017_messages.sql"),
    include_str!("../../migrations/0018_requests.sql"),
    include_str!("../../migrations/0015_decisions.sql"),
    include_str!("../../migrations/0016_blocks.sql"),
    include_str!("../../migrations/0014_signals.sql"),
    include_str!("../../migrations/0012_deleted.sql"),
    include_str!("../../migrations/0021_unread.sql"),
    include_str!("../../migrations/0023_late.sql"),
    include_str!("../../migrations/0020_noted.sql"),
    include_str!("../../migrations/0019_settings.sql"),
    include_str!("../../migrations/0026_backup_anew.sql"),
    include_str!("../../migrations/0024_chains.sql"),
    include_str!("../../migrations/0027_meant.sql"),
    include_str!("../../migrations/0028_own_late.sql"),
    include_str!("../../migrations/0029_contradictions.sql"),
    include_str!("../../migrations/0030_accepted_keys.sql"),
];

/// The size of a page, SQLCipher's default.
const PAGE: u64 = 4096;

/// Whether there is a store, whatever became of it, or only the place for one.
pub(super) fn is_there(path: &Path, lock: &mut Lock) -> Result<bool, Error> {
    match path.metadata() {
        Ok(file) => Ok(file.len() > 0 || lock.check()?.is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed_io(error)),
    }
}

pub(super) fn open(path: &Path, key: &StoreKey, lock: &mut Lock) -> Result<Connection, Error> {
    if !path.try_exists().map_err(failed_io)? {
        lock.forget()?;
    }
    let known = lock.check()?;
    create(path, known.is_some())?;
    let mut connection = Connection::open(path).map_err(failed)?;
    let version = connection
        .query_row("PRAGMA cipher_version", [], |row| row.get::<_, String>(0))
        .unwrap_or_default();
    require_cipher(&version)?;
    unlock(&connection, key).map_err(|error| {
        if error.code() == Code::StoreDamaged && known != Some(key.check()) {
            return Error::new(Code::StoreWrongKey, "");
        }
        error
    })?;
    let version = schema_version(&connection)?;
    connection
        .execute_batch(
            // What is deleted is overwritten where it costs no write of its own: keys that only the vault is to hold leave.
            "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST;",
        )
        .map_err(failed)?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(failed)?;
    // First the pages of the write-ahead log: the file's own copy of them may be torn by a crash.
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(failed)?;
    require_whole(&connection)?;
    search::teach(&connection)?;
    migrate(&mut connection, version)?;
    lock.set_check(key.check())?;
    Ok(connection)
}

/// Makes an empty file for the owner only. SQLite would take an existing one of less than a page for a new
/// store: it is none if a store was ever opened here, or if it holds something else.
fn create(path: &Path, opened_before: bool) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    match private(&mut options).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            match (path.metadata().map_err(failed_io)?.len(), opened_before) {
                (PAGE.., _) | (0, false) => Ok(()),
                (_, true) => Err(Error::new(Code::StoreDamaged, "the file is cut off")),
                (_, false) => Err(Error::new(Code::StoreWrongKey, "not a store")),
            }
        }
        Err(error) => Err(failed_io(error)),
    }
}

fn require_cipher(version: &str) -> Result<(), Error> {
    if version.is_empty() {
        return Err(Error::new(Code::CipherMissing, ""));
    }
    Ok(())
}

pub(super) fn unlock(connection: &Connection, key: &StoreKey) -> Result<(), Error> {
    let mut hex = Zeroizing::new([0; 64]);
    hex::encode_to_slice(key.expose(), hex.as_mut_slice())
        .map_err(|_| Error::new(Code::StoreFailed, "key length"))?;
    let mut statement = Zeroizing::new(String::with_capacity(192));
    statement.push_str("PRAGMA cipher_log_level = NONE; PRAGMA key = \"x'");
    statement.extend(hex.iter().map(|digit| char::from(*digit)));
    statement.push_str("'\";");
    connection.execute_batch(&statement).map_err(failed)?;
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(failed)
}

fn schema_version(connection: &Connection) -> Result<usize, Error> {
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed)?;
    match usize::try_from(version) {
        Ok(known) if known <= MIGRATIONS.len() => Ok(known),
        Ok(_) => Err(Error::new(Code::StoreNewer, format!("version {version}"))),
        Err(_) => Err(Error::new(Code::StoreDamaged, "version is negative")),
    }
}

/// Every page has its authentic content, and the pages make a whole. Reads the whole file.
fn require_whole(connection: &Connection) -> Result<(), Error> {
    let damaged = |detail| Error::new(Code::StoreDamaged, detail);
    let mut statement = connection
        .prepare("PRAGMA cipher_integrity_check")
        .map_err(failed)?;
    if statement.exists([]).map_err(failed)? {
        return Err(damaged("a page is not authentic"));
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(damaged("the pages do not fit together"));
    }
    Ok(())
}

fn migrate(connection: &mut Connection, from: usize) -> Result<(), Error> {
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(failed)?;
    for (done, step) in (1_i64..).zip(MIGRATIONS).skip(from) {
        let tx = connection.transaction().map_err(failed)?;
        tx.execute_batch(step).map_err(failed)?;
        tx.pragma_update(None, "user_version", done)
            .map_err(failed)?;
        tx.commit().map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_cipher_nothing_is_opened() {
        let error = require_cipher("").unwrap_err();
        assert_eq!(error.code(), Code::CipherMissing);
        assert!(require_cipher("4.10.0 community").is_ok());
    }
}
