//! Where devices are woken, in SQLite.

use sordino_protocol::{DeviceId, UserId};
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::{PushTarget, UserError, rows};

/// Sets it, if the device is listed.
pub(super) async fn put(
    writer: &SqlitePool,
    user: UserId,
    target: &PushTarget,
) -> Result<(), UserError> {
    // One statement: a device removed a moment ago gets none.
    let put = sqlx::query(
        "INSERT INTO push_targets (user_id, device_id, provider, token, set_ms) \
         SELECT user_id, device_id, ?, ?, ? FROM devices WHERE user_id = ? AND device_id = ? \
         ON CONFLICT (user_id, device_id) DO UPDATE SET provider = excluded.provider, token = excluded.token, \
         set_ms = excluded.set_ms",
    )
    .bind(target.provider.as_str())
    .bind(&target.token)
    .bind(rows::stored_ms(target.set_ms))
    .bind(user.as_bytes().as_slice())
    .bind(target.device.as_bytes().as_slice())
    .execute(writer)
    .await?;
    match put.rows_affected() {
        0 => Err(UserError::NotFound),
        _ => Ok(()),
    }
}

/// Those of a user.
pub(super) async fn of(readers: &SqlitePool, user: UserId) -> Result<Vec<PushTarget>, UserError> {
    let rows = sqlx::query(
        "SELECT device_id, provider, token, set_ms FROM push_targets WHERE user_id = ? ORDER BY device_id",
    )
    .bind(user.as_bytes().as_slice())
    .fetch_all(readers)
    .await?;
    rows.iter().map(target).collect()
}

/// Removes it, if it is still `only`.
pub(super) async fn remove(
    writer: &SqlitePool,
    user: UserId,
    device: DeviceId,
    only: Option<&PushTarget>,
) -> Result<(), UserError> {
    sqlx::query(
        "DELETE FROM push_targets WHERE user_id = ?1 AND device_id = ?2 \
         AND (?3 IS NULL OR (provider = ?3 AND token = ?4))",
    )
    .bind(user.as_bytes().as_slice())
    .bind(device.as_bytes().as_slice())
    .bind(only.map(|only| only.provider.as_str()))
    .bind(only.map(|only| only.token.as_str()))
    .execute(writer)
    .await?;
    Ok(())
}

/// Devices that have one, ascending.
pub(super) async fn devices(
    readers: &SqlitePool,
    after: Option<(UserId, DeviceId)>,
    limit: usize,
) -> Result<Vec<(UserId, DeviceId)>, UserError> {
    let (user, device) = rows::place(after);
    let rows = sqlx::query(
        "SELECT user_id, device_id FROM push_targets WHERE (user_id, device_id) > (?, ?) \
         ORDER BY user_id, device_id LIMIT ?",
    )
    .bind(user)
    .bind(device)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await?;
    rows.iter().map(of_device).collect()
}

fn target(row: &SqliteRow) -> Result<PushTarget, UserError> {
    let device: Vec<u8> = row.try_get("device_id")?;
    let provider: String = row.try_get("provider")?;
    rows::push_target(
        &device,
        &provider,
        row.try_get("token")?,
        row.try_get("set_ms")?,
    )
}

fn of_device(row: &SqliteRow) -> Result<(UserId, DeviceId), UserError> {
    let (user, device): (Vec<u8>, Vec<u8>) = (row.try_get("user_id")?, row.try_get("device_id")?);
    Ok((rows::user_id(&user)?, rows::device_id(&device)?))
}
