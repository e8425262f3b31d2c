//! Passwords and vaults in PostgreSQL.

use bytes::Bytes;
use sordino_protocol::UserId;
use sqlx::{PgPool, Postgres, Row, Transaction};

use crate::user::{Credentials, PasswordRecord, UserError};

/// Sets what there is to set.
pub(super) async fn put(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
    with: &Credentials,
) -> Result<(), sqlx::Error> {
    if let Some(password) = &with.password {
        sqlx::query(
            "INSERT INTO passwords (user_id, seed, record) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id) DO UPDATE SET seed = excluded.seed, record = excluded.record",
        )
        .bind(user.as_bytes().as_slice())
        .bind(&password.seed)
        .bind(password.record.as_slice())
        .execute(&mut **tx)
        .await?;
    }
    if let Some(vault) = &with.vault {
        sqlx::query(
            "INSERT INTO vaults (user_id, vault) VALUES ($1, $2) \
             ON CONFLICT (user_id) DO UPDATE SET vault = excluded.vault",
        )
        .bind(user.as_bytes().as_slice())
        .bind(vault.as_ref())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// By the user's name.
pub(super) async fn password(
    pool: &PgPool,
    username: &str,
) -> Result<Option<PasswordRecord>, UserError> {
    // PostgreSQL has no such text, and calls it an error.
    if username.contains('\0') {
        return Ok(None);
    }
    let row = sqlx::query(
        "SELECT seed, record FROM passwords JOIN users USING (user_id) WHERE username = $1",
    )
    .bind(username)
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let record: Vec<u8> = row.try_get("record")?;
    Ok(Some(PasswordRecord {
        seed: row.try_get("seed")?,
        record: record.into(),
    }))
}

/// How many were made with other secrets.
pub(super) async fn unlike(pool: &PgPool, seed: &str) -> Result<u64, UserError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM passwords WHERE seed <> $1")
        .bind(seed)
        .fetch_one(pool)
        .await?;
    Ok(count.cast_unsigned())
}

/// By the user's id.
pub(super) async fn vault(pool: &PgPool, user: UserId) -> Result<Option<Bytes>, UserError> {
    let vault: Option<Vec<u8>> = sqlx::query_scalar("SELECT vault FROM vaults WHERE user_id = $1")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(pool)
        .await?;
    Ok(vault.map(Into::into))
}
