//! The file: opened, copied, checked.

use std::{path::Path, time::Duration};

use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::user::{UserError, rows};

/// Copies the file as it is at this moment, whoever writes to it meanwhile; how many users are in the copy. `to` must not
/// exist.
pub(crate) async fn copy(file: &Path, to: &Path) -> Result<u64, UserError> {
    let mut source = open_to_read(file).await?;
    let to_text = to
        .to_str()
        .ok_or_else(|| UserError::Failed(format!("{} is not UTF-8", to.display())))?;
    sqlx::query("VACUUM INTO ?")
        .bind(to_text)
        .execute(&mut source)
        .await?;
    source.close().await?;
    let mut copy = open_to_read(to).await?;
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(&mut copy)
        .await?;
    copy.close().await?;
    Ok(users.cast_unsigned())
}

/// Reads the whole file and looks for damage.
pub(crate) async fn check_whole(file: &Path) -> Result<(), UserError> {
    let mut file = open_to_read(file).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut file)
        .await?;
    file.close().await?;
    if found != "ok" {
        return Err(rows::damaged(found));
    }
    Ok(())
}

pub(in crate::user) async fn open_to_read(file: &Path) -> Result<SqliteConnection, UserError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .busy_timeout(Duration::from_secs(5));
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Why the tables in this file are not brought up to date.
pub(super) fn refused(file: &Path, error: &MigrateError) -> UserError {
    let file = file.display();
    UserError::Failed(match error {
        MigrateError::VersionMissing(found) => format!(
            "the tables in {file} are of version {found}, made by a later relay: use that relay, or a newer one"
        ),
        MigrateError::VersionMismatch(changed) => format!(
            "version {changed} of the tables in {file} is not the one that this relay knows: use the relay that made them"
        ),
        error => format!("{file}: {error}"),
    })
}

pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        // A list or a claim that was answered must survive the loss of power.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
}

pub(super) async fn writer(options: &SqliteConnectOptions) -> Result<SqlitePool, UserError> {
    let pool = SqlitePoolOptions::new().max_connections(1);
    Ok(pool.connect_with(options.clone()).await?)
}
