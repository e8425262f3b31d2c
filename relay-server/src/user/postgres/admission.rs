//! By what accounts are made, in PostgreSQL: invites, and subjects of the app's own login.

use sordino_protocol::{UserId, hash::Hash, http};
use sqlx::{PgPool, Postgres, Row, Transaction, postgres::PgRow};

use super::{attempt::Stop, user};
use crate::user::{
    Admission, Invite, UserError,
    rows::{self, stored_ms},
};

/// Whether it still holds. Asked before a name is said to be taken: who may not come in learns of nobody.
pub(super) async fn check(tx: &mut Transaction<'_, Postgres>, by: &Admission) -> Result<(), Stop> {
    match by {
        Admission::Open => Ok(()),
        Admission::Invite { hash, now_ms } => {
            let holds =
                "SELECT 1 FROM invites WHERE hash = $1 AND uses_left > 0 AND expires_ms > $2";
            let holds = sqlx::query(holds)
                .bind(hash.as_slice())
                .bind(stored_ms(*now_ms))
                .fetch_optional(&mut **tx)
                .await?;
            holds.map(drop).ok_or(UserError::InviteRefused.into())
        }
        Admission::Subject(hash) => {
            let taken = sqlx::query("SELECT 1 FROM subjects WHERE hash = $1")
                .bind(hash.as_slice())
                .fetch_optional(&mut **tx)
                .await?;
            taken.map_or(Ok(()), |_| Err(UserError::HasAccount.into()))
        }
    }
}

/// Uses it for an account that was just made. Waits for another that uses the same.
pub(super) async fn spend(
    tx: &mut Transaction<'_, Postgres>,
    made: UserId,
    by: &Admission,
) -> Result<(), Stop> {
    let (spent, refused) = match by {
        Admission::Open => return Ok(()),
        Admission::Invite { hash, now_ms } => (
            sqlx::query(
                "UPDATE invites SET uses_left = uses_left - 1 \
                 WHERE hash = $1 AND uses_left > 0 AND expires_ms > $2",
            )
            .bind(hash.as_slice())
            .bind(stored_ms(*now_ms))
            .execute(&mut **tx)
            .await?,
            UserError::InviteRefused,
        ),
        Admission::Subject(hash) => (
            sqlx::query(
                "INSERT INTO subjects (hash, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(hash.as_slice())
            .bind(made.as_bytes().as_slice())
            .execute(&mut **tx)
            .await?,
            UserError::HasAccount,
        ),
    };
    match spent.rows_affected() {
        0 => Err(refused.into()),
        _ => Ok(()),
    }
}

/// Keeps an invite, and forgets those that are of no use any more.
pub(super) async fn put_invite(
    pool: &PgPool,
    invite: &Invite,
    now_ms: u64,
) -> Result<(), UserError> {
    sqlx::query("DELETE FROM invites WHERE uses_left = 0 OR expires_ms <= $1")
        .bind(stored_ms(now_ms))
        .execute(pool)
        .await?;
    sqlx::query("INSERT INTO invites (hash, uses_left, expires_ms) VALUES ($1, $2, $3)")
        .bind(invite.hash.as_slice())
        .bind(i64::from(invite.uses))
        .bind(stored_ms(invite.expires_ms))
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets an invite.
pub(super) async fn remove_invite(
    pool: &PgPool,
    hash: &Hash,
    now_ms: u64,
) -> Result<bool, UserError> {
    let removed: Option<bool> = sqlx::query_scalar(
        "DELETE FROM invites WHERE hash = $1 RETURNING uses_left > 0 AND expires_ms > $2",
    )
    .bind(hash.as_slice())
    .bind(stored_ms(now_ms))
    .fetch_optional(pool)
    .await?;
    Ok(removed.unwrap_or(false))
}

/// Invites that still make accounts.
pub(super) async fn invites_after(
    pool: &PgPool,
    after: &[u8],
    limit: usize,
    now_ms: u64,
) -> Result<Vec<Invite>, UserError> {
    let found = sqlx::query(
        "SELECT hash, uses_left, expires_ms FROM invites \
         WHERE hash > $1 AND uses_left > 0 AND expires_ms > $2 ORDER BY hash LIMIT $3",
    )
    .bind(after)
    .bind(stored_ms(now_ms))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let invite = |row: PgRow| {
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
    pool: &PgPool,
    hash: &Hash,
) -> Result<Option<http::User>, UserError> {
    sqlx::query("SELECT user_id, username FROM users JOIN subjects USING (user_id) WHERE hash = $1")
        .bind(hash.as_slice())
        .fetch_optional(pool)
        .await?
        .map(user)
        .transpose()
}

/// Whether the user has a subject.
pub(super) async fn has_subject(pool: &PgPool, user: UserId) -> Result<bool, UserError> {
    let found = sqlx::query("SELECT 1 FROM subjects WHERE user_id = $1")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(pool);
    Ok(found.await?.is_some())
}
