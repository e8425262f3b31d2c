//! E-mail addresses, in SQLite.

use sordino_protocol::{UserId, http};
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{Email, UserError, sqlite::user};

/// Sets a user's address in place of the one before, or removes it.
pub(super) async fn put(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    email: Option<&Email>,
) -> Result<(), UserError> {
    sqlx::query("SELECT 1 FROM users WHERE id = ? AND deleted_ms IS NULL")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(UserError::NotFound)?;
    sqlx::query("DELETE FROM emails WHERE user_id = ?")
        .bind(user.as_bytes().as_slice())
        .execute(&mut **tx)
        .await?;
    match email {
        Some(email) => set(tx, user, email).await,
        None => Ok(()),
    }
}

/// Sets the address of a user who has none.
pub(super) async fn set(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    email: &Email,
) -> Result<(), UserError> {
    let set =
        "INSERT INTO emails (user_id, address, folded) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    let set = sqlx::query(set)
        .bind(user.as_bytes().as_slice())
        .bind(email.address())
        .bind(email.folded())
        .execute(&mut **tx)
        .await?;
    match set.rows_affected() {
        0 => Err(UserError::EmailTaken),
        _ => Ok(()),
    }
}

/// A user's address.
pub(super) async fn of(readers: &SqlitePool, user: UserId) -> Result<Option<String>, UserError> {
    let address = sqlx::query_scalar("SELECT address FROM emails WHERE user_id = ?")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(readers);
    Ok(address.await?)
}

/// Whose address it is.
pub(super) async fn whose(
    readers: &SqlitePool,
    email: &Email,
) -> Result<Option<http::User>, UserError> {
    sqlx::query("SELECT id, username FROM users JOIN emails ON id = user_id WHERE folded = ?")
        .bind(email.folded())
        .fetch_optional(readers)
        .await?
        .map(user)
        .transpose()
}
