//! Who is disabled, in SQLite.

use sordino_protocol::UserId;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{UserError, rows};

/// Disables a user, or enables them. Done twice, it is as if done once. A reset that waits is void: nobody could refuse it meanwhile.
pub(super) async fn set(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    disabled: bool,
    now_ms: u64,
) -> Result<(), UserError> {
    let id = user.as_bytes().as_slice();
    let there = sqlx::query("UPDATE users SET reset_ms = NULL WHERE id = ? AND deleted_ms IS NULL")
        .bind(id)
        .execute(&mut **tx)
        .await?;
    if there.rows_affected() == 0 {
        return Err(UserError::NotFound);
    }
    if disabled {
        sqlx::query(
            "INSERT INTO disabled_users (user_id, since_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(rows::stored_ms(now_ms))
        .execute(&mut **tx)
        .await?;
    } else {
        sqlx::query("DELETE FROM disabled_users WHERE user_id = ?")
            .bind(id)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// All of them.
pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<UserId>, UserError> {
    let ids: Vec<Vec<u8>> = sqlx::query_scalar("SELECT user_id FROM disabled_users")
        .fetch_all(readers)
        .await?;
    ids.iter().map(|id| rows::user_id(id)).collect()
}
