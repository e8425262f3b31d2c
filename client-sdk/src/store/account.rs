//! The account of this store.

use rusqlite::{Row, params};
use sordino_crypto::{
    Secret,
    backup::BackupSealer,
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    recovery::RecoveryKey,
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

/// What every device of a user keeps besides its own keys.
pub struct SharedKeys {
    /// LSK.
    pub list_signing_key: ListSigningKey,
    /// What the backup is sealed with, if there is one.
    pub backup: Option<BackupSealer>,
}

/// What the vault is to hold and no device keeps.
pub struct Unsettled {
    /// UIK, until the relay has the vault.
    pub identity_key: Option<IdentityKey>,
    /// BSK, until the relay has the vault.
    pub backup_key: Option<Secret<32>>,
    /// Until the person has it.
    pub recovery_key: Option<RecoveryKey>,
}

/// What opens the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultOpeners {
    /// The password does.
    pub by_password: bool,
    /// The recovery key's opener, by its fingerprint.
    pub recovery: [u8; 32],
}

/// What is to take the place of [`SharedKeys`].
pub struct NextKeys {
    /// The version of the list that is to name them.
    pub list_version: u32,
    /// The keys.
    pub shared: SharedKeys,
    /// The recovery key from then on, if it is another.
    pub recovery_key: Option<RecoveryKey>,
    /// What opens the vault from then on.
    pub openers: VaultOpeners,
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

pub(super) fn secret<const BYTES: usize>(bytes: Option<[u8; BYTES]>) -> Option<Secret<BYTES>> {
    let bytes = bytes.map(Zeroizing::new);
    bytes.map(|bytes| Secret::copy_of(&bytes))
}

/// The columns backup's version, its public key, BPSK.
fn backup_columns(shared: &SharedKeys) -> (u32, Option<&[u8]>, Option<&[u8]>) {
    let backup = shared.backup.as_ref();
    (
        backup.map_or(0, BackupSealer::version),
        backup.map(BackupSealer::public_key),
        backup.map(|backup| backup.shared_key().expose().as_slice()),
    )
}

/// From the columns LSK, user, backup's version, its public key, BPSK.
fn shared_keys(row: &Row<'_>) -> rusqlite::Result<SharedKeys> {
    let key = Secret::copy_of(&Zeroizing::new(row.get(0)?));
    let (user, version) = (UserId::from_bytes(row.get(1)?), row.get(2)?);
    let (public, shared): (Option<Vec<u8>>, _) = (row.get(3)?, secret(row.get(4)?));
    let backup = public
        .zip(shared)
        .map(|(public, shared)| BackupSealer::new(user, version, public, shared));
    Ok(SharedKeys {
        list_signing_key: ListSigningKey::from_secret(&key),
        backup,
    })
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

    /// Keeps a new account and the secrets of its keys.
    pub fn put_account(&self, account: &StoredAccount, shared: &SharedKeys) -> Result<(), Error> {
        let (signing, identity) = account.keys.to_secret();
        let (version, public_key, shared_key) = backup_columns(shared);
        self.run(
            "INSERT INTO account (id, user, device, username, registered, list_signing_key, device_signing_key,
                 device_identity_key, backup_version, backup_public_key, backup_shared_key)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                account.user.as_bytes(),
                account.device.as_bytes(),
                account.username,
                account.registered,
                shared.list_signing_key.to_secret().expose(),
                signing.expose(),
                identity.expose(),
                version,
                public_key,
                shared_key,
            ],
        )?;
        Ok(())
    }

    /// Forgets an account that the relay has not confirmed, with everything that was made for it.
    pub fn forget_account(&self, user: UserId) -> Result<(), Error> {
        for table in [
            "account",
            "unsettled",
            "next_keys",
            "device_names",
            "restore_chains",
            "restore_keys",
            "restored_keys",
        ] {
            self.run(&format!("DELETE FROM {table}"), [])?;
        }
        for table in ["lists", "pins"] {
            let of = format!("DELETE FROM {table} WHERE user = ?1");
            self.run(&of, [user.as_bytes()])?;
        }
        Ok(())
    }

    /// What every device of the user keeps.
    pub fn shared_keys(&self) -> Result<Option<SharedKeys>, Error> {
        self.one(
            "SELECT list_signing_key, user, backup_version, backup_public_key, backup_shared_key FROM account",
            [],
            shared_keys,
        )
    }

    /// Others take their place.
    pub fn set_shared_keys(&self, shared: &SharedKeys) -> Result<(), Error> {
        let (version, public_key, shared_key) = backup_columns(shared);
        self.run(
            "UPDATE account SET list_signing_key = ?1, backup_version = ?2, backup_public_key = ?3, backup_shared_key = ?4",
            params![
                shared.list_signing_key.to_secret().expose(),
                version,
                public_key,
                shared_key,
            ],
        )?;
        Ok(())
    }

    /// Keeps keys that the relay is to be asked for, beside those of earlier attempts.
    pub fn put_next_keys(&self, next: &NextKeys) -> Result<(), Error> {
        let (version, public_key, shared_key) = backup_columns(&next.shared);
        let recovery_key = next.recovery_key.as_ref().map(RecoveryKey::to_secret);
        self.run(
            "INSERT OR REPLACE INTO next_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                next.shared.list_signing_key.to_secret().expose(),
                next.list_version,
                version,
                public_key,
                shared_key,
                recovery_key.as_ref().map(|key| key.expose().as_slice()),
                next.openers.by_password,
                next.openers.recovery,
            ],
        )?;
        Ok(())
    }

    /// What [`Self::put_next_keys`] kept, in the order of the lists.
    pub fn next_keys(&self) -> Result<Vec<NextKeys>, Error> {
        self.all(
            "SELECT n.list_signing_key, user, n.backup_version, n.backup_public_key, n.backup_shared_key,
                 list_version, recovery_key, n.vault_by_password, n.vault_recovery
             FROM next_keys n, account ORDER BY list_version",
            [],
            |row| {
                Ok(NextKeys {
                    shared: shared_keys(row)?,
                    list_version: row.get(5)?,
                    recovery_key: secret(row.get(6)?).map(RecoveryKey::from_secret),
                    openers: VaultOpeners {
                        by_password: row.get(7)?,
                        recovery: row.get(8)?,
                    },
                })
            },
        )
    }

    /// With a list of this version they are the account's, or will never be.
    pub fn forget_next_keys(&self, list_version: u32) -> Result<(), Error> {
        let forget = "DELETE FROM next_keys WHERE list_version <= ?1";
        self.run(forget, [list_version]).map(drop)
    }

    /// What is known to open the vault.
    pub fn vault_openers(&self) -> Result<Option<VaultOpeners>, Error> {
        let found = self.one(
            "SELECT vault_by_password, vault_recovery FROM account",
            [],
            |row| Ok((row.get(0)?, row.get::<_, Option<_>>(1)?)),
        )?;
        Ok(found.and_then(|(by_password, recovery)| {
            let recovery = recovery?;
            Some(VaultOpeners {
                by_password,
                recovery,
            })
        }))
    }

    /// This opens the vault from now on.
    pub fn set_vault_openers(&self, openers: VaultOpeners) -> Result<(), Error> {
        self.run(
            "UPDATE account SET vault_by_password = ?1, vault_recovery = ?2",
            params![openers.by_password, openers.recovery],
        )?;
        Ok(())
    }

    /// When the other devices were last asked for keys.
    pub fn asked_keys_ms(&self) -> Result<Option<u64>, Error> {
        let asked = self.one("SELECT asked_keys_ms FROM account", [], |row| {
            row.get::<_, Option<N>>(0)
        })?;
        Ok(asked.flatten().map(|at| at.0))
    }

    /// Sets [`Self::asked_keys_ms`].
    pub fn set_asked_keys_ms(&self, at: Option<u64>) -> Result<(), Error> {
        self.run("UPDATE account SET asked_keys_ms = ?1", [at.map(N)])?;
        Ok(())
    }

    /// What a device is called.
    pub fn put_device_name(&self, device: DeviceId, name: &str) -> Result<(), Error> {
        self.run(
            "INSERT OR REPLACE INTO device_names VALUES (?1, ?2)",
            params![device.as_bytes(), name],
        )?;
        Ok(())
    }

    /// What a device is called; empty where that is not known.
    pub fn device_name(&self, device: DeviceId) -> Result<String, Error> {
        let name = self.one(
            "SELECT name FROM device_names WHERE device = ?1",
            [device.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(name.unwrap_or_default())
    }

    /// LSK.
    #[cfg(test)]
    pub fn list_signing_key(&self) -> Result<Option<ListSigningKey>, Error> {
        Ok(self.shared_keys()?.map(|keys| keys.list_signing_key))
    }

    /// Keeps what the vault is to hold, until it does.
    pub fn put_unsettled(&self, unsettled: &Unsettled) -> Result<(), Error> {
        let identity_key = unsettled.identity_key.as_ref().map(IdentityKey::to_secret);
        let recovery_key = unsettled.recovery_key.as_ref().map(RecoveryKey::to_secret);
        self.run(
            "INSERT INTO unsettled (id, identity_key, backup_key, recovery_key) VALUES (1, ?1, ?2, ?3)",
            params![
                identity_key.as_ref().map(|key| key.expose().as_slice()),
                unsettled.backup_key.as_ref().map(|key| key.expose().as_slice()),
                recovery_key.as_ref().map(|key| key.expose().as_slice()),
            ],
        )?;
        Ok(())
    }

    /// What [`Self::put_unsettled`] kept and was not forgotten since.
    pub fn unsettled(&self) -> Result<Option<Unsettled>, Error> {
        self.one(
            "SELECT identity_key, backup_key, recovery_key FROM unsettled",
            [],
            |row| {
                let identity_key: Option<Secret<32>> = secret(row.get(0)?);
                Ok(Unsettled {
                    identity_key: identity_key.map(|key| IdentityKey::from_secret(&key)),
                    backup_key: secret(row.get(1)?),
                    recovery_key: secret(row.get(2)?).map(RecoveryKey::from_secret),
                })
            },
        )
    }

    /// Keeps a recovery key that opens the vault from now on, until the person has it.
    pub fn put_recovery_key(&self, key: &RecoveryKey) -> Result<(), Error> {
        self.run(
            "INSERT INTO unsettled (id, recovery_key) VALUES (1, ?1)
             ON CONFLICT DO UPDATE SET recovery_key = excluded.recovery_key",
            [key.to_secret().expose().as_slice()],
        )?;
        Ok(())
    }

    /// The relay has the vault.
    pub fn forget_vault_keys(&self) -> Result<(), Error> {
        let forget = "UPDATE unsettled SET identity_key = NULL, backup_key = NULL";
        self.run(forget, [])?;
        self.forget_what_is_settled()
    }

    fn forget_what_is_settled(&self) -> Result<(), Error> {
        let nothing = "DELETE FROM unsettled
             WHERE identity_key IS NULL AND backup_key IS NULL AND recovery_key IS NULL";
        self.run(nothing, []).map(drop)
    }

    /// The person has the recovery key.
    pub fn forget_recovery_key(&self) -> Result<(), Error> {
        let forget = "UPDATE unsettled SET recovery_key = NULL";
        self.run(forget, [])?;
        self.forget_what_is_settled()
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
