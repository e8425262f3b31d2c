//! By what accounts are made, in SQLite: invites, and subjects of the app's own login.

use sordino_protocol::{UserId, hash::Hash, http};
use sqlx::{Row, Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

use super::{
    Admission, Invite, UserError,
    rows::{self, stored_ms},
    sqlite::user,
};

/// Whether it still holds. Asked before a name is said to be taken: who may not come in learns of nobody.
pub(super) async fn check(
    tx: &mut Transaction<'_, Sqlite>,
    by: &Admission,
) -> Result<(), UserError> {
    match by {
        Admission::Open => Ok(()),
        Admission::Invite { hash, now_ms } => {
            let holds = "SELECT 1 FROM invites WHERE hash = ? AND uses_left > 0 AND expires_ms > ?";
            let holds = sqlx::query(holds)
                .bind(hash.as_slice())
                .bind(stored_ms(*now_ms))
                .fetch_optional(&mut **tx)
                .await?;
            holds.map(drop).ok_or(UserError::InviteRefused)
        }
        Admission::Subject(hash) => {
            let taken = sqlx::query("SELECT 1 FROM subjects WHERE hash = ?")
                .bind(hash.as_slice())
                .fetch_optional(&mut **tx)
                .await?;
            taken.map_or(Ok(()), |_| Err(UserError::HasAccount))
        }
    }
}

/// Uses it for this account, after [`check`] in the same transaction.
pub(super) async fn spend(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    by: &Admission,
) -> Result<(), UserError> {
    match by {
        Admission::Open => {}
        Admission::Invite { hash, .. } => {
            sqlx::query("UPDATE invites SET uses_left = uses_left - 1 WHERE hash = ?")
                .bind(hash.as_slice())
                .execute(&mut **tx)
                .await?;
        }
        Admission::Subject(hash) => {
            sqlx::query("INSERT INTO subjects (hash, user_id) VALUES (?, ?)")
                .bind(hash.as_slice())
                .bind(user.as_bytes().as_slice())
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

/// Keeps an invite, and forgets those that are of no use any more.
pub(super) async fn put_invite(
    tx: &mut Transaction<'_, Sqlite>,
    invite: &Invite,
    now_ms: u64,
) -> Result<(), UserError> {
    sqlx::query("DELETE FROM invites WHERE uses_left = 0 OR expires_ms <= ?")
        .bind(stored_ms(now_ms))
        .execute(&mut **tx)
        .await?;
    sqlx::query("INSERT INTO invites (hash, uses_left, expires_ms) VALUES (?, ?, ?)")
        .bind(invite.hash.as_slice())
        .bind(invite.uses)
        .bind(stored_ms(invite.expires_ms))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets an invite.
pub(super) async fn remove_invite(
    tx: &mut Transaction<'_, Sqlite>,
    hash: &Hash,
    now_ms: u64,
) -> Result<bool, UserError> {
    let removed: Option<bool> = sqlx::query_scalar(
        "DELETE FROM invites WHERE hash = ? RETURNING uses_left > 0 AND expires_ms > ?",
    )
    .bind(hash.as_slice())
    .bind(stored_ms(now_ms))
    .fetch_optional(&mut **tx)
    .await?;
    Ok(removed.unwrap_or(false))
}

/// Invites that still make accounts.
pub(super) async fn invites_after(
    readers: &SqlitePool,
    after: &[u8],
    limit: usize,
    now_ms: u64,
) -> Result<Vec<Invite>, UserError> {
    let found = sqlx::query(
        "SELECT hash, uses_left, expires_ms FROM invites \
         WHERE hash > ? AND uses_left > 0 AND expires_ms > ? ORDER BY hash LIMIT ?",
    )
    .bind(after)
    .bind(stored_ms(now_ms))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await?;
    let invite = |row: SqliteRow| {
        rows::invite(
            row.try_get("hash")?,
            row.try_get("uses_left")?,
            row.try_get("expires_ms")?,
        )
    };
    found.into_iter().map(invite).collect()
}

/// Whose account it is.
pub(super) async fn by_subject(
    readers: &SqlitePool,
    hash: &Hash,
) -> Result<Option<http::User>, UserError> {
    sqlx::query("SELECT id, username FROM users JOIN subjects ON id = user_id WHERE hash = ?")
        .bind(hash.as_slice())
        .fetch_optional(readers)
        .await?
        .map(user)
        .transpose()
}

/// Whether the user has a subject.
pub(super) async fn has_subject(readers: &SqlitePool, user: UserId) -> Result<bool, UserError> {
    let found = sqlx::query("SELECT 1 FROM subjects WHERE user_id = ?")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(readers);
    Ok(found.await?.is_some())
}
