//! E-mail addresses, in PostgreSQL.

use sordino_protocol::{UserId, http};
use sqlx::{PgPool, Postgres, Transaction};

use super::{attempt::Stop, user};
use crate::user::{Email, UserError};

/// Sets a user's address in place of the one before, or removes it. Of two who change theirs for each other's one is tried again.
pub(super) async fn put(pool: &PgPool, user: UserId, email: Option<&Email>) -> Result<(), Stop> {
    let id = user.as_bytes().as_slice();
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT 1 FROM users WHERE user_id = $1 AND deleted_ms IS NULL FOR NO KEY UPDATE")
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(UserError::NotFound)?;
    sqlx::query("DELETE FROM emails WHERE user_id = $1")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    if let Some(email) = email {
        set(&mut tx, user, email).await?;
    }
    Ok(tx.commit().await?)
}

/// Sets the address of a user who has none. Waits for another who sets the same. A node of an earlier version deletes an account and leaves
/// its address: nobody has that.
pub(super) async fn set(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    email: &Email,
) -> Result<(), Stop> {
    sqlx::query(
        "DELETE FROM emails USING users \
         WHERE emails.user_id = users.user_id AND folded = $1 AND deleted_ms IS NOT NULL",
    )
    .bind(email.folded())
    .execute(&mut **tx)
    .await?;
    let set =
        "INSERT INTO emails (user_id, address, folded) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let set = sqlx::query(set)
        .bind(user.as_bytes().as_slice())
        .bind(email.address())
        .bind(email.folded())
        .execute(&mut **tx)
        .await?;
    match set.rows_affected() {
        0 => Err(UserError::EmailTaken.into()),
        _ => Ok(()),
    }
}

/// A user's address.
pub(super) async fn of(pool: &PgPool, user: UserId) -> Result<Option<String>, UserError> {
    let address = sqlx::query_scalar(
        "SELECT address FROM emails JOIN users USING (user_id) WHERE user_id = $1 AND deleted_ms IS NULL",
    )
    .bind(user.as_bytes().as_slice())
    .fetch_optional(pool);
    Ok(address.await?)
}

/// Whose address it is.
pub(super) async fn whose(pool: &PgPool, email: &Email) -> Result<Option<http::User>, UserError> {
    sqlx::query(
        "SELECT user_id, username FROM users JOIN emails USING (user_id) \
         WHERE folded = $1 AND deleted_ms IS NULL",
    )
    .bind(email.folded())
    .fetch_optional(pool)
    .await?
    .map(user)
    .transpose()
}
