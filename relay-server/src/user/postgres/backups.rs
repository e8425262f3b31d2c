//! The key backup in PostgreSQL.

use bytes::Bytes;
use sordino_protocol::{
    DeviceId, UserId,
    batch::{Fit, Head, batch_hash},
    limits,
};
use sqlx::{PgPool, Postgres, Row, Transaction, postgres::PgRow};

use super::attempt::Stop;
use crate::user::{Batch, ChainHead, ClosedBackup, UserError, rows};

/// Adds a batch to its chain.
pub(super) async fn put(pool: &PgPool, user: UserId, batch: &Batch) -> Result<(), Stop> {
    let id = user.as_bytes().as_slice();
    let mut tx = pool.begin().await?;
    // One writer of a user's chains at a time, and none while a list closes them.
    let closed: Option<i64> =
        sqlx::query_scalar("SELECT backups_closed FROM users WHERE user_id = $1 AND deleted_ms IS NULL FOR NO KEY UPDATE")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
    if closed.ok_or(UserError::NotFound)? >= i64::from(batch.version) {
        return Err(UserError::BackupClosed.into());
    }
    let device = batch.place.device.as_bytes().as_slice();
    let version = i64::from(batch.version);
    let end = sqlx::query(
        "SELECT device_id, number, hash, previous FROM key_backup_ends \
         WHERE user_id = $1 AND version = $2 AND device_id = $3",
    )
    .bind(id)
    .bind(version)
    .bind(device)
    .fetch_optional(&mut *tx)
    .await?;
    let end = match &end {
        Some(row) => Some((head(row)?.head, rows::hash(row.try_get("previous")?)?)),
        None => None,
    };
    if end.is_none() {
        let chains: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM key_backup_ends WHERE user_id = $1 AND version = $2",
        )
        .bind(id)
        .bind(version)
        .fetch_one(&mut *tx)
        .await?;
        if usize::try_from(chains).is_ok_and(|chains| chains >= limits::BACKUP_CHAINS) {
            return Err(UserError::TooManyChains.into());
        }
    }
    let hash = batch_hash(&batch.bytes);
    let statement = match batch.fit(&hash, end)? {
        Fit::Last => return Ok(()),
        Fit::Next => {
            "INSERT INTO key_backups (batch, user_id, version, device_id, number) VALUES ($1, $2, $3, $4, $5)"
        }
        Fit::InPlaceOfLast => {
            "UPDATE key_backups SET batch = $1 WHERE user_id = $2 AND version = $3 AND device_id = $4 AND number = $5"
        }
    };
    let number = batch.place.number.cast_signed();
    sqlx::query(statement)
        .bind(batch.bytes.as_ref())
        .bind(id)
        .bind(version)
        .bind(device)
        .bind(number)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO key_backup_ends (user_id, version, device_id, number, hash, previous) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, version, device_id) \
         DO UPDATE SET number = excluded.number, hash = excluded.hash, previous = excluded.previous",
    )
    .bind(id)
    .bind(version)
    .bind(device)
    .bind(number)
    .bind(hash.as_slice())
    .bind(batch.place.previous.as_slice())
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Where the chains of a version end, by device.
pub(super) async fn heads(
    pool: &PgPool,
    user: UserId,
    version: u32,
) -> Result<Vec<ChainHead>, UserError> {
    let found = sqlx::query(HEADS)
        .bind(user.as_bytes().as_slice())
        .bind(i64::from(version))
        .fetch_all(pool)
        .await?;
    found.iter().map(head).collect()
}

const HEADS: &str = "SELECT device_id, number, hash FROM key_backup_ends WHERE user_id = $1 AND version = $2 ORDER BY device_id";

/// Closes a version where its chains end as `closed` says.
pub(super) async fn close(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    closed: &ClosedBackup,
) -> Result<(), Stop> {
    let found = sqlx::query(HEADS)
        .bind(user.as_bytes().as_slice())
        .bind(i64::from(closed.version))
        .fetch_all(&mut **tx)
        .await?;
    let found: Vec<_> = found.iter().map(head).collect::<Result<_, _>>()?;
    closed.must_end_at(&found)?;
    sqlx::query(
        "UPDATE users SET backups_closed = greatest(backups_closed, $1) WHERE user_id = $2",
    )
    .bind(i64::from(closed.version))
    .bind(user.as_bytes().as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Batches of a chain, descending from a number.
pub(super) async fn batches(
    pool: &PgPool,
    user: UserId,
    (version, device): (u32, DeviceId),
    upto: u64,
    limit: usize,
) -> Result<Vec<Bytes>, UserError> {
    let found: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT batch FROM key_backups \
         WHERE user_id = $1 AND version = $2 AND device_id = $3 AND number <= $4 ORDER BY number DESC LIMIT $5",
    )
    .bind(user.as_bytes().as_slice())
    .bind(i64::from(version))
    .bind(device.as_bytes().as_slice())
    .bind(i64::try_from(upto).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(Bytes::from).collect())
}

fn head(row: &PgRow) -> Result<ChainHead, UserError> {
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
