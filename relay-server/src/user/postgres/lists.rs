//! Users and their device lists in PostgreSQL.

use sordino_protocol::{
    DeviceId, UserId,
    list::{self, DeviceList},
    pb,
};
use sqlx::{PgPool, Postgres, Row, Transaction, postgres::PgRow};

use super::{admission, attempt::Stop, backups, credentials, emails, listener, resets};
use crate::user::{Credentials, UserError, rows};

/// Creates a user with the first version of its list.
pub(super) async fn create(
    pool: &PgPool,
    username: &str,
    list: &DeviceList,
    with: &Credentials,
) -> Result<(), Stop> {
    let mut tx = pool.begin().await?;
    // Waits for another that is creating the same, and does nothing if that one commits.
    let created =
        sqlx::query("INSERT INTO users (user_id, username) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(list.user.as_bytes().as_slice())
            .bind(username)
            .execute(&mut *tx)
            .await?;
    if created.rows_affected() == 0 {
        let taken = sqlx::query("SELECT 1 FROM users WHERE user_id = $1")
            .bind(list.user.as_bytes().as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        // Who asks again because the answer was lost has used their invite up.
        if taken.is_some() {
            return Err(UserError::UserExists.into());
        }
        admission::check(&mut tx, &with.admission).await?;
        return Err(UserError::NameTaken.into());
    }
    admission::spend(&mut tx, list.user, &with.admission).await?;
    if let Some(email) = &with.email {
        emails::set(&mut tx, list.user, email).await?;
    }
    insert(&mut tx, list).await?;
    credentials::put(&mut tx, list.user, with).await?;
    // Nobody is told: that there is no such user is never cached.
    Ok(tx.commit().await?)
}

/// Stores version n if the newest is n − 1, and removes the devices that are no longer listed.
pub(super) async fn put(pool: &PgPool, list: &DeviceList, with: &Credentials) -> Result<(), Stop> {
    let id = list.user.as_bytes().as_slice();
    let mut tx = pool.begin().await?;
    // One writer of a user's lists at a time, on all nodes: what follows sees what the one before committed.
    sqlx::query("SELECT 1 FROM users WHERE user_id = $1 FOR NO KEY UPDATE")
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(UserError::NotFound)?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM device_lists WHERE user_id = $1")
            .bind(id)
            .fetch_one(&mut *tx)
            .await?;
    let newest = newest.ok_or(UserError::NotFound)?;
    if newest.checked_add(1) != Some(i64::from(list.version)) {
        return Err(UserError::ListConflict.into());
    }
    let before = sqlx::query(
        "SELECT device_id, signing_key FROM devices WHERE user_id = $1 ORDER BY device_id",
    )
    .bind(id)
    .fetch_all(&mut *tx)
    .await?;
    for row in before {
        let device = device_id(&row)?;
        let key: Vec<u8> = row.try_get("signing_key")?;
        // A device that changed its key cannot use what the old one signed.
        if list
            .device(device)
            .is_some_and(|d| d.signing_key.as_slice() == key)
        {
            continue;
        }
        sqlx::query("DELETE FROM devices WHERE user_id = $1 AND device_id = $2")
            .bind(id)
            .bind(device.as_bytes().as_slice())
            .execute(&mut *tx)
            .await?;
    }
    insert(&mut tx, list).await?;
    credentials::put(&mut tx, list.user, with).await?;
    resets::end(&mut tx, list.user, with).await?;
    if let Some(closed) = &with.closes {
        backups::close(&mut tx, list.user, closed).await?;
    }
    listener::notify(&mut tx, list.user).await?;
    Ok(tx.commit().await?)
}

/// The newest version, as stored.
pub(super) async fn newest(pool: &PgPool, user: UserId) -> Result<Option<pb::Signed>, UserError> {
    sqlx::query("SELECT signed FROM device_lists WHERE user_id = $1 ORDER BY version DESC LIMIT 1")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(pool)
        .await?
        .map(signed)
        .transpose()
}

/// Versions from `from` on, ascending, at most `limit`.
pub(super) async fn from(
    pool: &PgPool,
    user: UserId,
    from: u32,
    limit: usize,
) -> Result<Vec<pb::Signed>, UserError> {
    sqlx::query(
        "SELECT signed FROM (SELECT * FROM device_lists UNION ALL SELECT * FROM deleted_lists) AS lists \
         WHERE user_id = $1 AND version >= $2 ORDER BY version LIMIT $3",
    )
    .bind(user.as_bytes().as_slice())
    .bind(i64::from(from))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(signed)
    .collect()
}

async fn insert(tx: &mut Transaction<'_, Postgres>, list: &DeviceList) -> Result<(), sqlx::Error> {
    let id = list.user.as_bytes().as_slice();
    sqlx::query("INSERT INTO device_lists (user_id, version, signed) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(i64::from(list.version))
        .bind(list::encode_signed(&list.signed))
        .execute(&mut **tx)
        .await?;
    for device in &list.devices {
        sqlx::query(
            "INSERT INTO devices (user_id, device_id, signing_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(device.device.as_bytes().as_slice())
        .bind(device.signing_key.as_slice())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The column `device_id`.
pub(super) fn device_id(row: &PgRow) -> Result<DeviceId, UserError> {
    let id: Vec<u8> = row.try_get("device_id")?;
    rows::device_id(&id)
}

/// The column `signed`.
pub(super) fn signed(row: PgRow) -> Result<pb::Signed, UserError> {
    rows::signed(row.try_get("signed")?)
}
