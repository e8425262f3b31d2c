//! The account of this store.

use rusqlite::params;
use sordino_crypto::{
    Secret,
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
};
use sordino_protocol::{DeviceId, UserId};
use zeroize::Zeroizing;

use super::Tx;
use super::sql::N;
use crate::error::Error;

/// The account as it is kept.
pub struct StoredAccount {
    /// Whose.
    pub user: UserId,
    /// This device.
    pub device: DeviceId,
    /// The name asked for; empty where it was refused.
    pub username: String,
    /// The relay has confirmed it.
    pub registered: bool,
    /// Keys of this device.
    pub keys: DeviceKeys,
}

/// What a discovered rollback of the store has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackState {
    /// When it was last discovered.
    pub last_ms: Option<u64>,
    /// Not every conversation has caught up since.
    pub recovering: bool,
    /// Two copies are in use.
    pub stopped: bool,
}

impl Tx<'_> {
    /// The account, if one was begun.
    pub fn account(&self) -> Result<Option<StoredAccount>, Error> {
        self.one(
            "SELECT user, device, username, registered, device_signing_key, device_identity_key FROM account",
            [],
            |row| {
                let signing = Secret::copy_of(&Zeroizing::new(row.get(4)?));
                let identity = Secret::copy_of(&Zeroizing::new(row.get(5)?));
                Ok(StoredAccount {
                    user: UserId::from_bytes(row.get(0)?),
                    device: DeviceId::from_bytes(row.get(1)?),
                    username: row.get(2)?,
                    registered: row.get(3)?,
                    keys: DeviceKeys::from_secret(&signing, &identity),
                })
            },
        )
    }

    /// Keeps a new account and the secrets of its keys: also that of UIK, for the vault to come. What that means where a
    /// device is stolen is in `docs/threat-model.md`.
    pub fn put_account(
        &self,
        account: &StoredAccount,
        identity_key: &IdentityKey,
        list_signing_key: &ListSigningKey,
    ) -> Result<(), Error> {
        let (signing, identity) = account.keys.to_secret();
        self.run(
            "INSERT INTO account (id, user, device, username, identity_key, list_signing_key,
                 device_signing_key, device_identity_key) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                account.user.as_bytes(),
                account.device.as_bytes(),
                account.username,
                identity_key.to_secret().expose(),
                list_signing_key.to_secret().expose(),
                signing.expose(),
                identity.expose(),
            ],
        )?;
        Ok(())
    }

    /// LSK.
    #[cfg(test)]
    pub fn list_signing_key(&self) -> Result<Option<ListSigningKey>, Error> {
        self.one("SELECT list_signing_key FROM account", [], |row| {
            let secret = Secret::from_bytes(row.get(0)?);
            Ok(ListSigningKey::from_secret(&secret))
        })
    }

    /// The name that is asked for, and whether the relay has confirmed it.
    pub fn set_username(&self, username: &str, registered: bool) -> Result<(), Error> {
        self.run(
            "UPDATE account SET username = ?1, registered = ?2",
            params![username, registered],
        )?;
        Ok(())
    }

    /// What a rollback has left.
    pub fn rollback_state(&self) -> Result<RollbackState, Error> {
        let state = self.one(
            "SELECT last_rollback_ms, recovering, stopped FROM account",
            [],
            |row| {
                Ok(RollbackState {
                    last_ms: row.get::<_, Option<N>>(0)?.map(|n| n.0),
                    recovering: row.get(1)?,
                    stopped: row.get(2)?,
                })
            },
        )?;
        Ok(state.unwrap_or(RollbackState {
            last_ms: None,
            recovering: false,
            stopped: false,
        }))
    }

    /// Notes what a rollback has left.
    pub fn set_rollback_state(&self, state: RollbackState) -> Result<(), Error> {
        self.run(
            "UPDATE account SET last_rollback_ms = ?1, recovering = ?2, stopped = ?3",
            params![state.last_ms.map(N), state.recovering, state.stopped],
        )?;
        Ok(())
    }

    /// Whether every prekey on the relay is to be replaced.
    pub fn replaces_prekeys(&self) -> Result<bool, Error> {
        let flag = self.one("SELECT replace_prekeys FROM account", [], |row| row.get(0))?;
        Ok(flag.unwrap_or(false))
    }

    /// Sets [`Self::replaces_prekeys`].
    pub fn set_replaces_prekeys(&self, replace: bool) -> Result<(), Error> {
        self.run("UPDATE account SET replace_prekeys = ?1", [replace])?;
        Ok(())
    }

    /// Remembers a user's name.
    pub fn put_name(&self, user: UserId, username: &str) -> Result<(), Error> {
        self.run(
            "INSERT INTO names VALUES (?1, ?2) ON CONFLICT DO UPDATE SET username = excluded.username",
            params![user.as_bytes(), username],
        )?;
        Ok(())
    }

    /// People with whom there is a conversation and whose names were not learnt.
    pub fn nameless(&self, limit: u32) -> Result<Vec<UserId>, Error> {
        self.all(
            "SELECT peer FROM conversations WHERE peer NOT IN (SELECT user FROM names) LIMIT ?1",
            [limit],
            |row| row.get(0).map(UserId::from_bytes),
        )
    }

    /// A user's name, if it was learnt.
    pub fn name(&self, user: UserId) -> Result<Option<String>, Error> {
        self.one(
            "SELECT username FROM names WHERE user = ?1",
            [user.as_bytes()],
            |row| row.get(0),
        )
    }
}
