//! Who is disabled, in PostgreSQL.

use sordino_protocol::UserId;
use sqlx::PgPool;

use super::attempt::Stop;
use crate::user::{UserError, rows};

/// Disables a user, or enables them. Done twice, it is as if done once. A reset that waits is void: nobody could refuse it meanwhile.
pub(super) async fn set(
    pool: &PgPool,
    user: UserId,
    disabled: bool,
    now_ms: u64,
) -> Result<(), Stop> {
    let id = user.as_bytes().as_slice();
    let mut tx = pool.begin().await?;
    // Who deletes the account comes before or after, and leaves nothing of this.
    let there =
        sqlx::query("UPDATE users SET reset_ms = NULL WHERE user_id = $1 AND deleted_ms IS NULL")
            .bind(id)
            .execute(&mut *tx)
            .await?;
    if there.rows_affected() == 0 {
        return Err(UserError::NotFound.into());
    }
    if disabled {
        sqlx::query(
            "INSERT INTO disabled_users (user_id, since_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(rows::stored_ms(now_ms))
        .execute(&mut *tx)
        .await?;
    } else {
        sqlx::query("DELETE FROM disabled_users WHERE user_id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}

/// All of them.
pub(super) async fn all(pool: &PgPool) -> Result<Vec<UserId>, UserError> {
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT user_id FROM disabled_users JOIN users USING (user_id) WHERE deleted_ms IS NULL",
    )
    .fetch_all(pool)
    .await?;
    ids.iter().map(|id| rows::user_id(id)).collect()
}
