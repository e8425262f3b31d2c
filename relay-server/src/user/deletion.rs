//! The end of an account, in SQLite.

use sordino_protocol::UserId;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{UserError, rows::stored_ms};

/// Forgets everything of a user but id, name and lists. Done once, it is done.
pub(super) async fn delete(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    now_ms: u64,
) -> Result<(), UserError> {
    let id = user.as_bytes().as_slice();
    let marked =
        "UPDATE users SET deleted_ms = coalesce(deleted_ms, ?), reset_ms = NULL WHERE id = ?";
    let marked = sqlx::query(marked)
        .bind(stored_ms(now_ms))
        .bind(id)
        .execute(&mut **tx)
        .await?;
    if marked.rows_affected() == 0 {
        return Err(UserError::NotFound);
    }
    for statement in [
        "INSERT INTO deleted_lists SELECT user_id, version, signed FROM device_lists WHERE user_id = ?",
        "DELETE FROM device_lists WHERE user_id = ?",
        // With them their prekeys, and where they are woken.
        "DELETE FROM devices WHERE user_id = ?",
        "DELETE FROM passwords WHERE user_id = ?",
        "DELETE FROM vaults WHERE user_id = ?",
        "DELETE FROM key_backups WHERE user_id = ?",
        "DELETE FROM key_backup_ends WHERE user_id = ?",
        "DELETE FROM subjects WHERE user_id = ?",
        "DELETE FROM blocks WHERE user_id = ?",
        "DELETE FROM emails WHERE user_id = ?",
        "DELETE FROM disabled_users WHERE user_id = ?",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

/// The newest version of the lists that a deleted user has left.
pub(super) async fn deleted(readers: &SqlitePool, user: UserId) -> Result<Option<u32>, UserError> {
    let newest = "SELECT max(version) FROM deleted_lists WHERE user_id = ?";
    let newest = sqlx::query_scalar(newest)
        .bind(user.as_bytes().as_slice())
        .fetch_one(readers);
    Ok(newest.await?)
}
