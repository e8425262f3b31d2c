//! Resets of the identity key that wait, in SQLite.

use sordino_protocol::UserId;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{
    Credentials, Identity, UserError,
    rows::{self, stored_ms},
};

/// Notes a reset, unless one that is not stale waits. From when on it may be done.
pub(super) async fn ask(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    ready_ms: u64,
    stale_ms: u64,
) -> Result<u64, UserError> {
    let asked: Option<i64> = sqlx::query_scalar(
        "UPDATE users SET reset_ms = CASE WHEN reset_ms > ?1 THEN reset_ms ELSE ?2 END, \
         reset_wake_ms = CASE WHEN reset_ms > ?1 THEN reset_wake_ms END \
         WHERE id = ?3 AND deleted_ms IS NULL RETURNING reset_ms",
    )
    .bind(stored_ms(stale_ms))
    .bind(stored_ms(ready_ms))
    .bind(user.as_bytes().as_slice())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(asked.ok_or(UserError::NotFound)?.cast_unsigned())
}

/// From when on the reset that waits may be done.
pub(super) async fn of(readers: &SqlitePool, user: UserId) -> Result<Option<u64>, UserError> {
    let asked: Option<Option<i64>> = sqlx::query_scalar("SELECT reset_ms FROM users WHERE id = ?")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(readers)
        .await?;
    Ok(asked.flatten().map(i64::cast_unsigned))
}

/// Forgets the reset that waits.
pub(super) async fn withdraw(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
) -> Result<(), UserError> {
    sqlx::query("UPDATE users SET reset_ms = NULL WHERE id = ?")
        .bind(user.as_bytes().as_slice())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whose devices are to be woken by now for one that waits. They are so again from `again_ms` on.
pub(super) async fn claim_wakes(
    writer: &SqlitePool,
    now_ms: u64,
    again_ms: u64,
    limit: usize,
) -> Result<Vec<UserId>, UserError> {
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(
        "UPDATE users SET reset_wake_ms = ?2 WHERE id IN \
         (SELECT id FROM users WHERE reset_ms > ?1 AND (reset_wake_ms IS NULL OR reset_wake_ms <= ?1) \
         AND id NOT IN (SELECT user_id FROM disabled_users) ORDER BY reset_wake_ms NULLS FIRST LIMIT ?3) \
         RETURNING id",
    )
    .bind(stored_ms(now_ms))
    .bind(stored_ms(again_ms))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(writer)
    .await?;
    ids.iter().map(|id| rows::user_id(id)).collect()
}

/// Puts off what was claimed until `from_ms`.
pub(super) async fn put_off_wake(
    writer: &SqlitePool,
    user: UserId,
    from_ms: u64,
    to_ms: u64,
) -> Result<(), UserError> {
    sqlx::query("UPDATE users SET reset_wake_ms = ? WHERE id = ? AND reset_wake_ms = ?")
        .bind(stored_ms(to_ms))
        .bind(user.as_bytes().as_slice())
        .bind(stored_ms(from_ms))
        .execute(writer)
        .await?;
    Ok(())
}

/// Does the one that waits, where a list is stored by it; ends it, where the list or what comes with it makes it void.
pub(super) async fn end(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    with: &Credentials,
) -> Result<(), UserError> {
    match with.identity {
        Identity::Same if with.password.is_none() => Ok(()),
        Identity::Same | Identity::Other => withdraw(tx, user).await,
        Identity::OtherAfterWait { now_ms } => {
            let done =
                sqlx::query("UPDATE users SET reset_ms = NULL WHERE id = ? AND reset_ms <= ?")
                    .bind(user.as_bytes().as_slice())
                    .bind(stored_ms(now_ms))
                    .execute(&mut **tx)
                    .await?;
            match done.rows_affected() {
                0 => Err(UserError::ResetWaits),
                _ => Ok(()),
            }
        }
    }
}
