//! The key backup, in SQLite.

use bytes::Bytes;
use sordino_protocol::{
    DeviceId, UserId,
    batch::{Fit, Head, batch_hash},
    limits,
};
use sqlx::{Row, Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

use super::{Batch, ChainHead, ClosedBackup, UserError, rows};

/// Adds a batch to its chain.
pub(super) async fn put(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    batch: &Batch,
) -> Result<(), UserError> {
    let id = user.as_bytes().as_slice();
    let closed: Option<i64> =
        sqlx::query_scalar("SELECT backups_closed FROM users WHERE id = ? AND deleted_ms IS NULL")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
    if closed.ok_or(UserError::NotFound)? >= i64::from(batch.version) {
        return Err(UserError::BackupClosed);
    }
    let device = batch.place.device.as_bytes().as_slice();
    let end = sqlx::query(
        "SELECT device_id, number, hash, previous FROM key_backup_ends \
         WHERE user_id = ? AND version = ? AND device_id = ?",
    )
    .bind(id)
    .bind(batch.version)
    .bind(device)
    .fetch_optional(&mut **tx)
    .await?;
    let end = match &end {
        Some(row) => Some((head(row)?.head, rows::hash(row.try_get("previous")?)?)),
        None => None,
    };
    if end.is_none() {
        let chains: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM key_backup_ends WHERE user_id = ? AND version = ?",
        )
        .bind(id)
        .bind(batch.version)
        .fetch_one(&mut **tx)
        .await?;
        if usize::try_from(chains).is_ok_and(|chains| chains >= limits::BACKUP_CHAINS) {
            return Err(UserError::TooManyChains);
        }
    }
    let hash = batch_hash(&batch.bytes);
    let statement = match batch.fit(&hash, end)? {
        Fit::Last => return Ok(()),
        Fit::Next => {
            "INSERT INTO key_backups (batch, user_id, version, device_id, number) VALUES (?, ?, ?, ?, ?)"
        }
        Fit::InPlaceOfLast => {
            "UPDATE key_backups SET batch = ? WHERE user_id = ? AND version = ? AND device_id = ? AND number = ?"
        }
    };
    let number = batch.place.number.cast_signed();
    sqlx::query(statement)
        .bind(batch.bytes.as_ref())
        .bind(id)
        .bind(batch.version)
        .bind(device)
        .bind(number)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO key_backup_ends (user_id, version, device_id, number, hash, previous) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (user_id, version, device_id) \
         DO UPDATE SET number = excluded.number, hash = excluded.hash, previous = excluded.previous",
    )
    .bind(id)
    .bind(batch.version)
    .bind(device)
    .bind(number)
    .bind(hash.as_slice())
    .bind(batch.place.previous.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Where the chains of a version end, by device.
pub(super) async fn heads(
    readers: &SqlitePool,
    user: UserId,
    version: u32,
) -> Result<Vec<ChainHead>, UserError> {
    let found = sqlx::query(HEADS)
        .bind(user.as_bytes().as_slice())
        .bind(version)
        .fetch_all(readers)
        .await?;
    found.iter().map(head).collect()
}

const HEADS: &str = "SELECT device_id, number, hash FROM key_backup_ends WHERE user_id = ? AND version = ? ORDER BY device_id";

/// Closes a version where its chains end as `closed` says.
pub(super) async fn close(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    closed: &ClosedBackup,
) -> Result<(), UserError> {
    let found = sqlx::query(HEADS)
        .bind(user.as_bytes().as_slice())
        .bind(closed.version)
        .fetch_all(&mut **tx)
        .await?;
    let found: Vec<_> = found.iter().map(head).collect::<Result<_, _>>()?;
    closed.must_end_at(&found)?;
    sqlx::query("UPDATE users SET backups_closed = max(backups_closed, ?) WHERE id = ?")
        .bind(closed.version)
        .bind(user.as_bytes().as_slice())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Batches of a chain, descending from a number.
pub(super) async fn batches(
    readers: &SqlitePool,
    user: UserId,
    (version, device): (u32, DeviceId),
    upto: u64,
    limit: usize,
) -> Result<Vec<Bytes>, UserError> {
    let found: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT batch FROM key_backups \
         WHERE user_id = ? AND version = ? AND device_id = ? AND number <= ? ORDER BY number DESC LIMIT ?",
    )
    .bind(user.as_bytes().as_slice())
    .bind(version)
    .bind(device.as_bytes().as_slice())
    .bind(i64::try_from(upto).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await?;
    Ok(found.into_iter().map(Bytes::from).collect())
}

fn head(row: &SqliteRow) -> Result<ChainHead, UserError> {
    let (device, number, hash): (Vec<u8>, i64, Vec<u8>) = (
        row.try_get("device_id")?,
        row.try_get("number")?,
        row.try_get("hash")?,
    );
    Ok(ChainHead {
        device: rows::device_id(&device)?,
        head: Head {
            number: number.cast_unsigned(),
            hash: rows::hash(hash)?,
        },
    })
}
