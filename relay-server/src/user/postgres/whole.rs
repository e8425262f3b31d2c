//! Whole users, as they come from another store.

use std::collections::HashSet;

use sordino_protocol::{
    UserId,
    batch::{Place, batch_hash},
};
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};

use super::{
    ConnectError, Options,
    connect::{address, dial},
};
use crate::{
    config::Secret,
    user::{
        UserError, rows,
        whole::{WholeInvite, WholePrekey, WholeUser},
    },
};

/// A connection for one move. Not bounded: nobody else uses the database meanwhile.
pub(crate) struct Importer(PgConnection);

impl Importer {
    pub(crate) async fn connect(url: &Secret) -> Result<Self, ConnectError> {
        let dialled = dial(&address(url)?, Options::default().timeout).await;
        dialled.map(Self)
    }

    /// Who is here.
    pub(crate) async fn ids(&mut self) -> Result<HashSet<UserId>, UserError> {
        let found = sqlx::query("SELECT user_id FROM users")
            .fetch_all(&mut self.0)
            .await?;
        let id = |row: &PgRow| {
            let id: Vec<u8> = row.try_get("user_id")?;
            UserId::from_slice(&id).map_err(rows::damaged)
        };
        found.iter().map(id).collect()
    }

    /// All of one user, who is here.
    pub(crate) async fn get(&mut self, id: UserId) -> Result<WholeUser, UserError> {
        let key = id.as_bytes().as_slice();
        let (username, deleted_ms, backups_closed) = sqlx::query_as(
            "SELECT username, deleted_ms, backups_closed FROM users WHERE user_id = $1",
        )
        .bind(key)
        .fetch_one(&mut self.0)
        .await?;
        let lists = sqlx::query_as(
            "SELECT version, signed FROM (SELECT * FROM device_lists UNION ALL SELECT * FROM deleted_lists) AS lists \
             WHERE user_id = $1 ORDER BY version",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let devices = sqlx::query_as(
            "SELECT device_id, signing_key FROM devices WHERE user_id = $1 ORDER BY device_id",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let prekeys = sqlx::query(
            "SELECT device_id, kind, key_id, expires_ms, signed FROM prekeys WHERE user_id = $1 ORDER BY arrival",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let push = sqlx::query_as(
            "SELECT device_id, provider, token, set_ms FROM push_targets WHERE user_id = $1 ORDER BY device_id",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let password = sqlx::query_as("SELECT seed, record FROM passwords WHERE user_id = $1")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let vault = sqlx::query_scalar("SELECT vault FROM vaults WHERE user_id = $1")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let subject = sqlx::query_scalar("SELECT hash FROM subjects WHERE user_id = $1")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let batches = sqlx::query_as(
            "SELECT version, device_id, number, batch FROM key_backups WHERE user_id = $1 \
             ORDER BY version, device_id, number",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let blocks = sqlx::query_as(
            "SELECT tag, blocked, decided_ms FROM blocks WHERE user_id = $1 ORDER BY tag",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let email = sqlx::query_as("SELECT address, folded FROM emails WHERE user_id = $1")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let disabled_ms =
            sqlx::query_scalar("SELECT since_ms FROM disabled_users WHERE user_id = $1")
                .bind(key)
                .fetch_optional(&mut self.0)
                .await?;
        let prekey = |row: PgRow| {
            Ok(WholePrekey {
                device: row.try_get("device_id")?,
                kind: row.try_get("kind")?,
                key_id: row.try_get("key_id")?,
                expires_ms: row.try_get("expires_ms")?,
                signed: row.try_get("signed")?,
            })
        };
        Ok(WholeUser {
            id,
            username,
            deleted_ms,
            lists,
            devices,
            push,
            password,
            vault,
            subject,
            backups_closed,
            batches,
            blocks,
            email,
            disabled_ms,
            prekeys: prekeys
                .into_iter()
                .map(prekey)
                .collect::<Result<_, sqlx::Error>>()?,
        })
    }

    /// Stores a user who is not here: everything, or nothing.
    pub(crate) async fn put(&mut self, user: &WholeUser) -> Result<(), UserError> {
        let id = user.id.as_bytes().as_slice();
        let mut tx = self.0.begin().await?;
        sqlx::query(
            "INSERT INTO users (user_id, username, backups_closed, deleted_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(id)
        .bind(&user.username)
        .bind(user.backups_closed)
        .bind(user.deleted_ms)
        .execute(&mut *tx)
        .await?;
        let insert = match user.deleted_ms {
            None => "INSERT INTO device_lists (user_id, version, signed) VALUES ($1, $2, $3)",
            Some(_) => "INSERT INTO deleted_lists (user_id, version, signed) VALUES ($1, $2, $3)",
        };
        for (version, signed) in &user.lists {
            sqlx::query(insert)
                .bind(id)
                .bind(version)
                .bind(signed)
                .execute(&mut *tx)
                .await?;
        }
        for (device, key) in &user.devices {
            sqlx::query(
                "INSERT INTO devices (user_id, device_id, signing_key) VALUES ($1, $2, $3)",
            )
            .bind(id)
            .bind(device)
            .bind(key)
            .execute(&mut *tx)
            .await?;
        }
        for (device, provider, token, set_ms) in &user.push {
            sqlx::query(
                "INSERT INTO push_targets (user_id, device_id, provider, token, set_ms) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(id)
            .bind(device)
            .bind(provider)
            .bind(token)
            .bind(set_ms)
            .execute(&mut *tx)
            .await?;
        }
        if let Some((seed, record)) = &user.password {
            sqlx::query("INSERT INTO passwords (user_id, seed, record) VALUES ($1, $2, $3)")
                .bind(id)
                .bind(seed)
                .bind(record)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(vault) = &user.vault {
            sqlx::query("INSERT INTO vaults (user_id, vault) VALUES ($1, $2)")
                .bind(id)
                .bind(vault)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(subject) = &user.subject {
            sqlx::query("INSERT INTO subjects (hash, user_id) VALUES ($1, $2)")
                .bind(subject)
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
        for (at, (version, device, number, batch)) in user.batches.iter().enumerate() {
            sqlx::query(
                "INSERT INTO key_backups (user_id, version, device_id, number, batch) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(id)
            .bind(version)
            .bind(device)
            .bind(number)
            .bind(batch)
            .execute(&mut *tx)
            .await?;
            let next = user.batches.get(at + 1);
            if next.is_some_and(|next| (&next.0, &next.1) == (version, device)) {
                continue;
            }
            let place =
                Place::of(batch).ok_or_else(|| rows::damaged("a batch of the key backup"))?;
            sqlx::query(
                "INSERT INTO key_backup_ends (user_id, version, device_id, number, hash, previous) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(id)
            .bind(version)
            .bind(device)
            .bind(number)
            .bind(batch_hash(batch).as_slice())
            .bind(place.previous.as_slice())
            .execute(&mut *tx)
            .await?;
        }
        for (tag, blocked, decided_ms) in &user.blocks {
            sqlx::query(
                "INSERT INTO blocks (user_id, tag, blocked, decided_ms) VALUES ($1, $2, $3, $4)",
            )
            .bind(id)
            .bind(tag)
            .bind(blocked)
            .bind(decided_ms)
            .execute(&mut *tx)
            .await?;
        }
        if let Some((address, folded)) = &user.email {
            sqlx::query("INSERT INTO emails (user_id, address, folded) VALUES ($1, $2, $3)")
                .bind(id)
                .bind(address)
                .bind(folded)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(since_ms) = user.disabled_ms {
            sqlx::query("INSERT INTO disabled_users (user_id, since_ms) VALUES ($1, $2)")
                .bind(id)
                .bind(since_ms)
                .execute(&mut *tx)
                .await?;
        }
        // One after another: the order of arrival is the order in which they are given out.
        for key in &user.prekeys {
            sqlx::query(
                "INSERT INTO prekeys (user_id, device_id, kind, key_id, expires_ms, signed) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(id)
            .bind(&key.device)
            .bind(key.kind)
            .bind(key.key_id)
            .bind(key.expires_ms)
            .bind(&key.signed)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// All invites, by hash.
    pub(crate) async fn invites(&mut self) -> Result<Vec<WholeInvite>, UserError> {
        let all = "SELECT hash, uses_left, expires_ms FROM invites ORDER BY hash";
        Ok(sqlx::query_as(all).fetch_all(&mut self.0).await?)
    }

    /// Stores an invite. One that is there stays as it is.
    pub(crate) async fn put_invite(&mut self, invite: &WholeInvite) -> Result<(), UserError> {
        let (hash, uses_left, expires_ms) = invite;
        sqlx::query(
            "INSERT INTO invites (hash, uses_left, expires_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(hash)
        .bind(uses_left)
        .bind(expires_ms)
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<(), UserError> {
        Ok(self.0.close().await?)
    }
}
