//! The key backup in PostgreSQL.

use bytes::Bytes;
use sordino_protocol::{
    DeviceId, UserId,
    batch::{Fit, Head, batch_hash},
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
        sqlx::query_scalar("SELECT backups_closed FROM users WHERE user_id = $1 FOR NO KEY UPDATE")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
    if closed.ok_or(UserError::NotFound)? >= i64::from(batch.version) {
        return Err(UserError::BackupClosed.into());
    }
    let device = batch.place.device.as_bytes().as_slice();
    let ends = sqlx::query(
        "SELECT device_id, number, hash FROM key_backups \
         WHERE user_id = $1 AND version = $2 AND device_id = $3 ORDER BY number DESC LIMIT 2",
    )
    .bind(id)
    .bind(i64::from(batch.version))
    .bind(device)
    .fetch_all(&mut *tx)
    .await?;
    let ends = ends.iter().map(head).collect::<Result<Vec<_>, _>>()?;
    let hash = batch_hash(&batch.bytes);
    let statement = match batch.fit(&hash, &ends)? {
        Fit::Last => return Ok(()),
        Fit::Next => {
            "INSERT INTO key_backups (hash, batch, user_id, version, device_id, number) VALUES ($1, $2, $3, $4, $5, $6)"
        }
        Fit::InPlaceOfLast => {
            "UPDATE key_backups SET hash = $1, batch = $2 \
             WHERE user_id = $3 AND version = $4 AND device_id = $5 AND number = $6"
        }
    };
    sqlx::query(statement)
        .bind(hash.as_slice())
        .bind(batch.bytes.as_ref())
        .bind(id)
        .bind(i64::from(batch.version))
        .bind(device)
        .bind(batch.place.number.cast_signed())
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

const HEADS: &str = "SELECT DISTINCT ON (device_id) device_id, number, hash FROM key_backups \
                     WHERE user_id = $1 AND version = $2 ORDER BY device_id, number DESC";

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
            hash: hash.try_into().map_err(|_| rows::damaged("a hash"))?,
        },
    })
}
