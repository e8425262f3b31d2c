//! Everything that a store of users keeps of one of them, for a move to another store.

use std::path::Path;

use sordino_protocol::UserId;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};

use super::{UserError, rows, sqlite};

/// A user as stored, with all versions of the list. Equal only if nothing differs. Without a reset that waits: it has to be asked for
/// again, for the source may be of before it was refused.
#[derive(PartialEq, Eq)]
pub(crate) struct WholeUser {
    pub(crate) id: UserId,
    pub(crate) username: String,
    /// When the account was deleted.
    pub(crate) deleted_ms: Option<i64>,
    /// Version and signed list, ascending.
    pub(crate) lists: Vec<(i64, Vec<u8>)>,
    /// Id and signing key, by id.
    pub(crate) devices: Vec<(Vec<u8>, Vec<u8>)>,
    /// Device, provider, token and when it was set, by device.
    pub(crate) push: Vec<(Vec<u8>, String, String, i64)>,
    /// In the order of arrival.
    pub(crate) prekeys: Vec<WholePrekey>,
    /// Seed and record.
    pub(crate) password: Option<(String, Vec<u8>)>,
    pub(crate) vault: Option<Vec<u8>>,
    /// Hash of issuer and subject.
    pub(crate) subject: Option<Vec<u8>>,
    /// Versions of the key backup up to this one are closed.
    pub(crate) backups_closed: i64,
    /// By version, device and number.
    pub(crate) batches: Vec<WholeBatch>,
    /// Tag, whether blocked, and when it was decided, by tag.
    pub(crate) blocks: Vec<(Vec<u8>, bool, i64)>,
    /// The e-mail address, and what it is compared by.
    pub(crate) email: Option<(String, String)>,
    /// Since when the user is disabled.
    pub(crate) disabled_ms: Option<i64>,
}

/// Version, device, number and batch.
pub(crate) type WholeBatch = (i64, Vec<u8>, i64, Vec<u8>);

/// Hash, uses that are left and end of an invite.
pub(crate) type WholeInvite = (Vec<u8>, i64, i64);

/// A prekey as stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WholePrekey {
    pub(crate) device: Vec<u8>,
    pub(crate) kind: i16,
    pub(crate) key_id: i64,
    pub(crate) expires_ms: i64,
    pub(crate) signed: Vec<u8>,
}

/// The users of a stopped relay. Nobody else writes to the file.
pub(crate) struct WholeUsers(SqliteConnection);

impl WholeUsers {
    /// Opens the file, and brings its tables up to date as a start would.
    pub(crate) async fn open(file: &Path) -> Result<Self, UserError> {
        sqlite::SqliteUsers::open(file).await?.close().await;
        Ok(Self(sqlite::open_to_read(file).await?))
    }

    /// All ids.
    pub(crate) async fn ids(&mut self) -> Result<Vec<UserId>, UserError> {
        let found = sqlx::query("SELECT id FROM users ORDER BY id")
            .fetch_all(&mut self.0)
            .await?;
        let id = |row: &SqliteRow| {
            let id: Vec<u8> = row.try_get("id")?;
            UserId::from_slice(&id).map_err(rows::damaged)
        };
        found.iter().map(id).collect()
    }

    /// All of one of them.
    pub(crate) async fn get(&mut self, id: UserId) -> Result<WholeUser, UserError> {
        let key = id.as_bytes().as_slice();
        let (username, deleted_ms, backups_closed) =
            sqlx::query_as("SELECT username, deleted_ms, backups_closed FROM users WHERE id = ?")
                .bind(key)
                .fetch_one(&mut self.0)
                .await?;
        let lists = sqlx::query_as(
            "SELECT version, signed FROM (SELECT * FROM device_lists UNION ALL SELECT * FROM deleted_lists) \
             WHERE user_id = ? ORDER BY version",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let devices = sqlx::query_as(
            "SELECT device_id, signing_key FROM devices WHERE user_id = ? ORDER BY device_id",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let prekeys = sqlx::query(
            "SELECT device_id, kind, key_id, expires_ms, signed FROM prekeys WHERE user_id = ? ORDER BY arrival",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let push = sqlx::query_as(
            "SELECT device_id, provider, token, set_ms FROM push_targets WHERE user_id = ? ORDER BY device_id",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let password = sqlx::query_as("SELECT seed, record FROM passwords WHERE user_id = ?")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let vault = sqlx::query_scalar("SELECT vault FROM vaults WHERE user_id = ?")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let subject = sqlx::query_scalar("SELECT hash FROM subjects WHERE user_id = ?")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let batches = sqlx::query_as(
            "SELECT version, device_id, number, batch FROM key_backups WHERE user_id = ? \
             ORDER BY version, device_id, number",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let blocks = sqlx::query_as(
            "SELECT tag, blocked, decided_ms FROM blocks WHERE user_id = ? ORDER BY tag",
        )
        .bind(key)
        .fetch_all(&mut self.0)
        .await?;
        let email = sqlx::query_as("SELECT address, folded FROM emails WHERE user_id = ?")
            .bind(key)
            .fetch_optional(&mut self.0)
            .await?;
        let disabled_ms =
            sqlx::query_scalar("SELECT since_ms FROM disabled_users WHERE user_id = ?")
                .bind(key)
                .fetch_optional(&mut self.0)
                .await?;
        let prekey = |row: SqliteRow| {
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

    /// All invites, by hash.
    pub(crate) async fn invites(&mut self) -> Result<Vec<WholeInvite>, UserError> {
        let all = "SELECT hash, uses_left, expires_ms FROM invites ORDER BY hash";
        Ok(sqlx::query_as(all).fetch_all(&mut self.0).await?)
    }

    /// Lets go of the file.
    pub(crate) async fn close(self) -> Result<(), UserError> {
        Ok(self.0.close().await?)
    }
}
