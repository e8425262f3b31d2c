//! Prekeys in PostgreSQL: stored, counted, and given out once.

use sordino_protocol::{DeviceId, UserId, http, limits, list};
use sqlx::{PgPool, Postgres, Row, Transaction};

use super::{
    attempt::Stop,
    listener,
    lists::{device_id, signed},
};
use crate::user::{
    Prekey, PrekeyKind, UserError,
    rows::{damaged, stored_ms},
};

/// Adds one-time keys, replaces the others.
pub(super) async fn put(
    pool: &PgPool,
    user: UserId,
    device: DeviceId,
    keys: &[Prekey],
    replace: bool,
) -> Result<(), Stop> {
    let keys = last_of_each(keys);
    let mut tx = pool.begin().await?;
    // One writer of a device's prekeys at a time, and no claim meanwhile.
    sqlx::query("SELECT 1 FROM devices WHERE user_id = $1 AND device_id = $2 FOR UPDATE")
        .bind(user.as_bytes().as_slice())
        .bind(device.as_bytes().as_slice())
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(UserError::NotFound)?;
    if replace {
        for kind in [PrekeyKind::OneTime, PrekeyKind::PqOneTime] {
            delete(&mut tx, user, device, kind).await?;
        }
    }
    for key in keys.iter().filter(|key| is_standing(key.kind)) {
        delete(&mut tx, user, device, key.kind).await?;
    }
    insert(&mut tx, user, device, &keys).await?;
    for (kind, keep) in [
        (PrekeyKind::OneTime, limits::ONE_TIME_PREKEYS),
        (PrekeyKind::PqOneTime, limits::PQ_ONE_TIME_PREKEYS),
    ] {
        trim(&mut tx, user, device, kind, keep).await?;
    }
    if keys.iter().any(|key| key.kind == PrekeyKind::Signed) {
        listener::notify(&mut tx, user).await?;
    }
    Ok(tx.commit().await?)
}

/// What is left.
pub(super) async fn count(
    pool: &PgPool,
    user: UserId,
    device: DeviceId,
) -> Result<http::PrekeyCount, UserError> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE kind = 5) AS one_time, \
                count(*) FILTER (WHERE kind = 7) AS pq_one_time, \
                coalesce(max(key_id) FILTER (WHERE kind = 4), 0) AS signed_id, \
                coalesce(max(key_id) FILTER (WHERE kind = 6), 0) AS pq_last_resort_id \
         FROM prekeys WHERE user_id = $1 AND device_id = $2",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .fetch_one(pool)
    .await?;
    let column = |name| {
        let number: i64 = row.try_get(name)?;
        u32::try_from(number).map_err(damaged)
    };
    Ok(http::PrekeyCount {
        one_time: column("one_time")?,
        pq_one_time: column("pq_one_time")?,
        signed_id: column("signed_id")?,
        pq_last_resort_id: column("pq_last_resort_id")?,
    })
}

/// When the SPKs of the user's devices expire.
pub(super) async fn spk_expiries(
    pool: &PgPool,
    user: UserId,
) -> Result<Vec<(DeviceId, u64)>, UserError> {
    sqlx::query("SELECT device_id, expires_ms FROM prekeys WHERE user_id = $1 AND kind = 4")
        .bind(user.as_bytes().as_slice())
        .fetch_all(pool)
        .await?
        .iter()
        .map(|row| {
            let expires: i64 = row.try_get("expires_ms")?;
            Ok((device_id(row)?, expires.cast_unsigned()))
        })
        .collect()
}

/// Takes a bundle out. Without one nothing is gone.
pub(super) async fn claim(
    pool: &PgPool,
    user: UserId,
    device: DeviceId,
    now_ms: u64,
) -> Result<Option<http::Bundle>, Stop> {
    let mut tx = pool.begin().await?;
    // Shared with other claims. Against writers: a bundle is of one moment, and not of a device being removed.
    let listed =
        sqlx::query("SELECT 1 FROM devices WHERE user_id = $1 AND device_id = $2 FOR KEY SHARE")
            .bind(user.as_bytes().as_slice())
            .bind(device.as_bytes().as_slice())
            .fetch_optional(&mut *tx)
            .await?;
    if listed.is_none() {
        return Ok(None);
    }
    let Some(spk) = standing(&mut tx, user, device, PrekeyKind::Signed, now_ms).await? else {
        return Ok(None);
    };
    let (pq, pq_one_time) = match take(&mut tx, user, device, PrekeyKind::PqOneTime, now_ms).await?
    {
        Some(key) => (key, true),
        None => match standing(&mut tx, user, device, PrekeyKind::PqLastResort, now_ms).await? {
            Some(key) => (key, false),
            None => return Ok(None),
        },
    };
    let one_time = take(&mut tx, user, device, PrekeyKind::OneTime, now_ms).await?;
    tx.commit().await?;
    Ok(Some(http::Bundle {
        device,
        signed: spk,
        one_time,
        pq,
        pq_one_time,
    }))
}

async fn standing(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
    now_ms: u64,
) -> Result<Option<http::Signed>, Stop> {
    let row = sqlx::query(
        "SELECT signed FROM prekeys WHERE user_id = $1 AND device_id = $2 AND kind = $3 AND expires_ms > $4",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(number(kind))
    .bind(stored_ms(now_ms))
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(signed).transpose()?.map(Into::into))
}

/// The oldest that has not expired and that no other claim holds: claims never wait for each other, and none gets the same.
async fn take(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
    now_ms: u64,
) -> Result<Option<http::Signed>, Stop> {
    let row = sqlx::query(
        "DELETE FROM prekeys WHERE arrival = \
           (SELECT arrival FROM prekeys WHERE user_id = $1 AND device_id = $2 AND kind = $3 AND expires_ms > $4 \
            ORDER BY arrival FOR UPDATE SKIP LOCKED LIMIT 1) \
         RETURNING signed",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(number(kind))
    .bind(stored_ms(now_ms))
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(signed).transpose()?.map(Into::into))
}

/// In one statement, numbered in the order given.
async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    device: DeviceId,
    keys: &[&Prekey],
) -> Result<(), Stop> {
    let kinds: Vec<_> = keys.iter().map(|key| number(key.kind)).collect();
    let ids: Vec<_> = keys.iter().map(|key| i64::from(key.id)).collect();
    let expiries: Vec<_> = keys.iter().map(|key| stored_ms(key.expires_ms)).collect();
    let signed: Vec<_> = keys
        .iter()
        .map(|key| list::encode_signed(&key.signed))
        .collect();
    sqlx::query(
        "INSERT INTO prekeys (user_id, device_id, kind, key_id, expires_ms, signed) \
         SELECT $1, $2, kind, key_id, expires_ms, signed \
         FROM unnest($3::smallint[], $4::bigint[], $5::bigint[], $6::bytea[]) \
              WITH ORDINALITY AS given (kind, key_id, expires_ms, signed, place) \
         ORDER BY place",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(kinds)
    .bind(ids)
    .bind(expiries)
    .bind(signed)
    .execute(&mut **tx)
    .await
    .map_err(|error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => UserError::PrekeyExists.into(),
        _ => Stop::Database(error),
    })?;
    Ok(())
}

async fn delete(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM prekeys WHERE user_id = $1 AND device_id = $2 AND kind = $3")
        .bind(user.as_bytes().as_slice())
        .bind(device.as_bytes().as_slice())
        .bind(number(kind))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps the newest `keep`: a device cannot fill the relay's disk.
async fn trim(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    device: DeviceId,
    kind: PrekeyKind,
    keep: usize,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM prekeys WHERE arrival IN \
           (SELECT arrival FROM prekeys WHERE user_id = $1 AND device_id = $2 AND kind = $3 \
            ORDER BY arrival DESC OFFSET $4)",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(number(kind))
    .bind(i64::try_from(keep).unwrap_or(i64::MAX))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Of the standing kinds the last one given stands.
fn last_of_each(keys: &[Prekey]) -> Vec<&Prekey> {
    let replaced = |at: usize, kind| keys.iter().skip(at + 1).any(|later| later.kind == kind);
    keys.iter()
        .enumerate()
        .filter(|(at, key)| !(is_standing(key.kind) && replaced(*at, key.kind)))
        .map(|(_, key)| key)
        .collect()
}

fn is_standing(kind: PrekeyKind) -> bool {
    matches!(kind, PrekeyKind::Signed | PrekeyKind::PqLastResort)
}

fn number(kind: PrekeyKind) -> i16 {
    i16::from(kind as u8)
}
