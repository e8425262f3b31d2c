//! Prekeys in SQLite: stored, counted, and given out once.

use sordino_protocol::{DeviceId, UserId, http, limits, list};
use sqlx::{Row, Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

use super::{Prekey, PrekeyKind, UserError, rows::stored_ms, sqlite::signed};

/// Adds one-time keys, replaces the others.
pub(super) async fn put(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    device: DeviceId,
    keys: &[Prekey],
    replace: bool,
) -> Result<(), UserError> {
    let listed = sqlx::query("SELECT 1 FROM devices WHERE user_id = ? AND device_id = ?")
        .bind(user.as_bytes().as_slice())
        .bind(device.as_bytes().as_slice())
        .fetch_optional(&mut **tx)
        .await?;
    // Inside the transaction: a device removed a moment ago must not leave keys behind.
    if listed.is_none() {
        return Err(UserError::NotFound);
    }
    if replace {
        for kind in [PrekeyKind::OneTime, PrekeyKind::PqOneTime] {
            delete(tx, user, device, kind).await?;
        }
    }
    for key in keys {
        if matches!(key.kind, PrekeyKind::Signed | PrekeyKind::PqLastResort) {
            delete(tx, user, device, key.kind).await?;
        }
        insert(tx, user, device, key).await?;
    }
    trim(
        tx,
        user,
        device,
        PrekeyKind::OneTime,
        limits::ONE_TIME_PREKEYS,
    )
    .await?;
    trim(
        tx,
        user,
        device,
        PrekeyKind::PqOneTime,
        limits::PQ_ONE_TIME_PREKEYS,
    )
    .await
}

/// What is left.
pub(super) async fn count(
    pool: &SqlitePool,
    user: UserId,
    device: DeviceId,
) -> Result<http::PrekeyCount, UserError> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE kind = 5) AS one_time, \
                count(*) FILTER (WHERE kind = 7) AS pq_one_time, \
                coalesce(max(key_id) FILTER (WHERE kind = 4), 0) AS signed_id, \
                coalesce(max(key_id) FILTER (WHERE kind = 6), 0) AS pq_last_resort_id \
         FROM prekeys WHERE user_id = ? AND device_id = ?",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .fetch_one(pool)
    .await?;
    Ok(http::PrekeyCount {
        one_time: row.try_get("one_time")?,
        pq_one_time: row.try_get("pq_one_time")?,
        signed_id: row.try_get("signed_id")?,
        pq_last_resort_id: row.try_get("pq_last_resort_id")?,
    })
}

/// When the device's SPK expires.
pub(super) async fn spk_expiry(
    pool: &SqlitePool,
    user: UserId,
    device: DeviceId,
) -> Result<Option<u64>, UserError> {
    let expires: Option<i64> = sqlx::query_scalar(
        "SELECT expires_ms FROM prekeys WHERE user_id = ? AND device_id = ? AND kind = ?",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(PrekeyKind::Signed as u8)
    .fetch_optional(pool)
    .await?;
    Ok(expires.map(i64::cast_unsigned))
}

/// Takes a bundle out. The caller commits it, or rolls back where there is none.
pub(super) async fn claim(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    device: DeviceId,
    now_ms: u64,
) -> Result<Option<http::Bundle>, UserError> {
    let Some(spk) = standing(tx, user, device, PrekeyKind::Signed, now_ms).await? else {
        return Ok(None);
    };
    let (pq, pq_one_time) = match take(tx, user, device, PrekeyKind::PqOneTime, now_ms).await? {
        Some(key) => (key, true),
        None => match standing(tx, user, device, PrekeyKind::PqLastResort, now_ms).await? {
            Some(key) => (key, false),
            None => return Ok(None),
        },
    };
    Ok(Some(http::Bundle {
        device,
        signed: spk,
        one_time: take(tx, user, device, PrekeyKind::OneTime, now_ms).await?,
        pq,
        pq_one_time,
    }))
}

async fn standing(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
    now_ms: u64,
) -> Result<Option<http::Signed>, UserError> {
    sqlx::query(
        "SELECT signed FROM prekeys WHERE user_id = ? AND device_id = ? AND kind = ? AND expires_ms > ?",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(kind as u8)
    .bind(stored_ms(now_ms))
    .fetch_optional(&mut **tx)
    .await?
    .map(served)
    .transpose()
}

/// The oldest that has not expired: deleted in the statement that reads it.
async fn take(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
    now_ms: u64,
) -> Result<Option<http::Signed>, UserError> {
    sqlx::query(
        "DELETE FROM prekeys WHERE arrival = \
           (SELECT arrival FROM prekeys WHERE user_id = ? AND device_id = ? AND kind = ? AND expires_ms > ? \
            ORDER BY arrival LIMIT 1) \
         RETURNING signed",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(kind as u8)
    .bind(stored_ms(now_ms))
    .fetch_optional(&mut **tx)
    .await?
    .map(served)
    .transpose()
}

async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    device: DeviceId,
    key: &Prekey,
) -> Result<(), UserError> {
    sqlx::query(
        "INSERT INTO prekeys (user_id, device_id, kind, key_id, expires_ms, signed) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(key.kind as u8)
    .bind(key.id)
    .bind(stored_ms(key.expires_ms))
    .bind(list::encode_signed(&key.signed))
    .execute(&mut **tx)
    .await
    .map_err(|error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => UserError::PrekeyExists,
        _ => error.into(),
    })?;
    Ok(())
}

async fn delete(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
) -> Result<(), UserError> {
    sqlx::query("DELETE FROM prekeys WHERE user_id = ? AND device_id = ? AND kind = ?")
        .bind(user.as_bytes().as_slice())
        .bind(device.as_bytes().as_slice())
        .bind(kind as u8)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps the newest `keep`: a device cannot fill the relay's disk.
async fn trim(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
    keep: usize,
) -> Result<(), UserError> {
    sqlx::query(
        "DELETE FROM prekeys WHERE arrival IN \
           (SELECT arrival FROM prekeys WHERE user_id = ? AND device_id = ? AND kind = ? \
            ORDER BY arrival DESC LIMIT -1 OFFSET ?)",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(kind as u8)
    .bind(i64::try_from(keep).unwrap_or(i64::MAX))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn served(row: SqliteRow) -> Result<http::Signed, UserError> {
    Ok(signed(&row)?.into())
}
