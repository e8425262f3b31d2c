//! Users and their device lists, in SQLite.

use sordino_protocol::{
    DeviceId, UserId,
    list::{self, DeviceList},
    pb,
};
use sqlx::{Row, Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

use super::{
    Credentials, UserError, admission, backups, credentials, emails, resets, rows, sqlite::signed,
};

/// Creates a user with the first version of its list.
pub(super) async fn create(
    tx: &mut Transaction<'_, Sqlite>,
    username: &str,
    list: &DeviceList,
    with: &Credentials,
) -> Result<(), UserError> {
    let id = list.user.as_bytes().as_slice();
    // First: who asks again because the answer was lost has used their invite up.
    let same = sqlx::query("SELECT 1 FROM users WHERE id = ?").bind(id);
    if same.fetch_optional(&mut **tx).await?.is_some() {
        return Err(UserError::UserExists);
    }
    admission::check(tx, &with.admission).await?;
    let named = sqlx::query("SELECT 1 FROM users WHERE username = ?").bind(username);
    if named.fetch_optional(&mut **tx).await?.is_some() {
        return Err(UserError::NameTaken);
    }
    sqlx::query("INSERT INTO users (id, username) VALUES (?, ?)")
        .bind(id)
        .bind(username)
        .execute(&mut **tx)
        .await?;
    admission::spend(tx, list.user, &with.admission).await?;
    if let Some(email) = &with.email {
        emails::set(tx, list.user, email).await?;
    }
    insert(tx, list).await?;
    credentials::put(tx, list.user, with).await
}

/// Stores version n if the newest is n − 1, and removes the devices that are no longer listed. The devices there were.
pub(super) async fn put(
    tx: &mut Transaction<'_, Sqlite>,
    list: &DeviceList,
    with: &Credentials,
) -> Result<Vec<DeviceId>, UserError> {
    let id = list.user.as_bytes().as_slice();
    let newest: Option<u32> =
        sqlx::query_scalar("SELECT max(version) FROM device_lists WHERE user_id = ?")
            .bind(id)
            .fetch_one(&mut **tx)
            .await?;
    let newest = newest.ok_or(UserError::NotFound)?;
    if newest.checked_add(1) != Some(list.version) {
        return Err(UserError::ListConflict);
    }
    let before = sqlx::query("SELECT device_id, signing_key FROM devices WHERE user_id = ?")
        .bind(id)
        .fetch_all(&mut **tx)
        .await?;
    let mut touched = Vec::new();
    for row in before {
        let device = device_id(&row)?;
        let key: Vec<u8> = row.try_get("signing_key")?;
        touched.push(device);
        // A device that changed its key cannot use what the old one signed.
        if list
            .device(device)
            .is_some_and(|d| d.signing_key.as_slice() == key)
        {
            continue;
        }
        sqlx::query("DELETE FROM devices WHERE user_id = ? AND device_id = ?")
            .bind(id)
            .bind(device.as_bytes().as_slice())
            .execute(&mut **tx)
            .await?;
    }
    insert(tx, list).await?;
    credentials::put(tx, list.user, with).await?;
    resets::end(tx, list.user, with).await?;
    if let Some(closed) = &with.closes {
        backups::close(tx, list.user, closed).await?;
    }
    Ok(touched)
}

/// The newest version, as stored.
pub(super) async fn newest(
    readers: &SqlitePool,
    user: UserId,
) -> Result<Option<pb::Signed>, UserError> {
    let newest = "SELECT signed FROM device_lists WHERE user_id = ? ORDER BY version DESC LIMIT 1";
    let newest = sqlx::query(newest)
        .bind(user.as_bytes().as_slice())
        .fetch_optional(readers)
        .await?;
    newest.as_ref().map(signed).transpose()
}

/// Versions from `from` on, ascending, at most `limit`.
pub(super) async fn from(
    readers: &SqlitePool,
    user: UserId,
    from: u32,
    limit: usize,
) -> Result<Vec<pb::Signed>, UserError> {
    sqlx::query(
        "SELECT signed FROM (SELECT * FROM device_lists UNION ALL SELECT * FROM deleted_lists) \
         WHERE user_id = ? AND version >= ? ORDER BY version LIMIT ?",
    )
    .bind(user.as_bytes().as_slice())
    .bind(from)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await?
    .iter()
    .map(signed)
    .collect()
}

async fn insert(tx: &mut Transaction<'_, Sqlite>, list: &DeviceList) -> Result<(), UserError> {
    let id = list.user.as_bytes().as_slice();
    sqlx::query("INSERT INTO device_lists (user_id, version, signed) VALUES (?, ?, ?)")
        .bind(id)
        .bind(list.version)
        .bind(list::encode_signed(&list.signed))
        .execute(&mut **tx)
        .await?;
    for device in &list.devices {
        sqlx::query(
            "INSERT INTO devices (user_id, device_id, signing_key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
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
pub(super) fn device_id(row: &SqliteRow) -> Result<DeviceId, UserError> {
    let id: Vec<u8> = row.try_get("device_id")?;
    rows::device_id(&id)
}
