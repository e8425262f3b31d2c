//! The end of an account, in PostgreSQL.

use sordino_protocol::UserId;
use sqlx::{PgConnection, PgPool};

use super::{attempt::Stop, listener};
use crate::user::{
    UserError,
    rows::{damaged, stored_ms},
};

/// Forgets everything of a user but id, name and lists. Done once, it is done.
pub(super) async fn delete(pool: &PgPool, user: UserId, now_ms: u64) -> Result<(), Stop> {
    let id = user.as_bytes().as_slice();
    let mut tx = pool.begin().await?;
    // Who writes a list or a batch of this user has come to its end, or finds nothing.
    let marked = "UPDATE users SET deleted_ms = coalesce(deleted_ms, $1), reset_ms = NULL WHERE user_id = $2";
    let marked = sqlx::query(marked)
        .bind(stored_ms(now_ms))
        .bind(id)
        .execute(&mut *tx)
        .await?;
    if marked.rows_affected() == 0 {
        return Err(UserError::NotFound.into());
    }
    for statement in [
        "INSERT INTO deleted_lists SELECT user_id, version, signed FROM device_lists WHERE user_id = $1",
        "DELETE FROM device_lists WHERE user_id = $1",
        "DELETE FROM subjects WHERE user_id = $1",
        // With them their prekeys, and where they are woken.
        "DELETE FROM devices WHERE user_id = $1",
        "DELETE FROM passwords WHERE user_id = $1",
        "DELETE FROM vaults WHERE user_id = $1",
        "DELETE FROM key_backups WHERE user_id = $1",
        "DELETE FROM key_backup_ends WHERE user_id = $1",
        "DELETE FROM blocks WHERE user_id = $1",
        "DELETE FROM emails WHERE user_id = $1",
        "DELETE FROM disabled_users WHERE user_id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut *tx).await?;
    }
    listener::notify(&mut tx, user).await?;
    Ok(tx.commit().await?)
}

/// Forgets what a node of an earlier version, which knew of less, has left of those whom it deleted.
pub(super) async fn finish(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM emails USING users WHERE emails.user_id = users.user_id AND deleted_ms IS NOT NULL",
        "DELETE FROM disabled_users USING users WHERE disabled_users.user_id = users.user_id AND deleted_ms IS NOT NULL",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The newest version of the lists that a deleted user has left.
pub(super) async fn deleted(pool: &PgPool, user: UserId) -> Result<Option<u32>, UserError> {
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM deleted_lists WHERE user_id = $1")
            .bind(user.as_bytes().as_slice())
            .fetch_one(pool)
            .await?;
    newest
        .map(|newest| u32::try_from(newest).map_err(damaged))
        .transpose()
}
