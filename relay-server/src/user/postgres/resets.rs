//! Resets of the identity key that wait, in PostgreSQL.

use sordino_protocol::UserId;
use sqlx::{PgPool, Postgres, Transaction};

use super::attempt::Stop;
use crate::user::{
    Credentials, Identity, UserError,
    rows::{self, stored_ms},
};

/// Notes a reset, unless one that is not stale waits. From when on it may be done.
pub(super) async fn ask(
    pool: &PgPool,
    user: UserId,
    ready_ms: u64,
    stale_ms: u64,
) -> Result<u64, UserError> {
    let asked: Option<i64> = sqlx::query_scalar(
        "UPDATE users SET reset_ms = CASE WHEN reset_ms > $1 THEN reset_ms ELSE $2 END, \
         reset_wake_ms = CASE WHEN reset_ms > $1 THEN reset_wake_ms END \
         WHERE user_id = $3 AND deleted_ms IS NULL RETURNING reset_ms",
    )
    .bind(stored_ms(stale_ms))
    .bind(stored_ms(ready_ms))
    .bind(user.as_bytes().as_slice())
    .fetch_optional(pool)
    .await?;
    Ok(asked.ok_or(UserError::NotFound)?.cast_unsigned())
}

/// From when on the reset that waits may be done.
pub(super) async fn of(pool: &PgPool, user: UserId) -> Result<Option<u64>, UserError> {
    let asked: Option<Option<i64>> =
        sqlx::query_scalar("SELECT reset_ms FROM users WHERE user_id = $1")
            .bind(user.as_bytes().as_slice())
            .fetch_optional(pool)
            .await?;
    Ok(asked.flatten().map(i64::cast_unsigned))
}

/// Forgets the reset that waits.
pub(super) async fn withdraw(pool: &PgPool, user: UserId) -> Result<(), UserError> {
    sqlx::query("UPDATE users SET reset_ms = NULL WHERE user_id = $1")
        .bind(user.as_bytes().as_slice())
        .execute(pool)
        .await?;
    Ok(())
}

/// Whose devices are to be woken by now for one that waits. They are so again from `again_ms` on. Of nodes that look at the same time each
/// skips what another has locked, and looks at the row as it is when the lock is its own.
pub(super) async fn claim_wakes(
    pool: &PgPool,
    now_ms: u64,
    again_ms: u64,
    limit: usize,
) -> Result<Vec<UserId>, UserError> {
    // An array is made once; a sub-select that is joined may run again, and lock more rows than are asked for.
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(
        "UPDATE users SET reset_wake_ms = $2 WHERE user_id = ANY (ARRAY( \
         SELECT user_id FROM users WHERE reset_ms > $1 AND (reset_wake_ms IS NULL OR reset_wake_ms <= $1) \
         AND NOT EXISTS (SELECT 1 FROM disabled_users WHERE disabled_users.user_id = users.user_id) \
         ORDER BY reset_wake_ms NULLS FIRST LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)) RETURNING user_id",
    )
    .bind(stored_ms(now_ms))
    .bind(stored_ms(again_ms))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    ids.iter().map(|id| rows::user_id(id)).collect()
}

/// Puts off what was claimed until `from_ms`.
pub(super) async fn put_off_wake(
    pool: &PgPool,
    user: UserId,
    from_ms: u64,
    to_ms: u64,
) -> Result<(), UserError> {
    sqlx::query("UPDATE users SET reset_wake_ms = $1 WHERE user_id = $2 AND reset_wake_ms = $3")
        .bind(stored_ms(to_ms))
        .bind(user.as_bytes().as_slice())
        .bind(stored_ms(from_ms))
        .execute(pool)
        .await?;
    Ok(())
}

/// Does the one that waits, where a list is stored by it; ends it, where the list or what comes with it makes it void. The user's row is
/// locked.
pub(super) async fn end(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    with: &Credentials,
) -> Result<(), Stop> {
    let due_ms = match with.identity {
        Identity::Same if with.password.is_none() => return Ok(()),
        Identity::Same | Identity::Other => None,
        Identity::OtherAfterWait { now_ms } => Some(stored_ms(now_ms)),
    };
    let ended = sqlx::query(
        "UPDATE users SET reset_ms = NULL WHERE user_id = $1 AND ($2::bigint IS NULL OR reset_ms <= $2)",
    )
    .bind(user.as_bytes().as_slice())
    .bind(due_ms)
    .execute(&mut **tx)
    .await?;
    match ended.rows_affected() {
        0 => Err(UserError::ResetWaits.into()),
        _ => Ok(()),
    }
}
