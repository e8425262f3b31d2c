//! Passwords and vaults, in SQLite.

use bytes::Bytes;
use sordino_protocol::UserId;
use sqlx::{Row, Sqlite, SqlitePool, Transaction};

use super::{Credentials, PasswordRecord, UserError};

/// Sets what there is to set.
pub(super) async fn put(
    tx: &mut Transaction<'_, Sqlite>,
    user: UserId,
    with: &Credentials,
) -> Result<(), UserError> {
    if let Some(password) = &with.password {
        sqlx::query(
            "INSERT INTO passwords (user_id, seed, record) VALUES (?, ?, ?) \
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
            "INSERT INTO vaults (user_id, vault) VALUES (?, ?) \
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
    readers: &SqlitePool,
    username: &str,
) -> Result<Option<PasswordRecord>, UserError> {
    let row = sqlx::query(
        "SELECT seed, record FROM passwords JOIN users ON id = user_id WHERE username = ?",
    )
    .bind(username)
    .fetch_optional(readers)
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
pub(super) async fn unlike(readers: &SqlitePool, seed: &str) -> Result<u64, UserError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM passwords WHERE seed <> ?")
        .bind(seed)
        .fetch_one(readers)
        .await?;
    Ok(count.cast_unsigned())
}

/// By the user's id.
pub(super) async fn vault(readers: &SqlitePool, user: UserId) -> Result<Option<Bytes>, UserError> {
    let vault: Option<Vec<u8>> = sqlx::query_scalar("SELECT vault FROM vaults WHERE user_id = ?")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(readers)
        .await?;
    Ok(vault.map(Into::into))
}
