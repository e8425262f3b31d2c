//! The account: made once, or joined by a new device; confirmed by the relay.

use prost::Message;
use sordino_crypto::{
    Secret,
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists::{Pin, first_list, listed, parse},
    recovery::RecoveryKey,
    vault::{BackupKeys, Contents, OpenerSecret, VaultId},
};
use sordino_protocol::{Code, DeviceId, UserId, http, limits, list::DeviceList, pb};

use super::own_devices::{joined, recovery_opener, waiting_opener};
use super::restore::begin_restore;
use super::{Machine, begun, registered};
use crate::error::{Error, NO_NAME};
use crate::store::{Durability, SharedKeys, StoredAccount, Tx, Unsettled, VaultOpeners};

/// A password as the relay is to keep it.
pub struct SetPassword {
    /// For the relay.
    pub record: http::NewPassword,
    /// Where the password is to open the vault: what it alone yields.
    pub export_key: Option<Secret<64>>,
}

/// A device that is to join an account.
pub struct NewDevice {
    /// The account and this device's keys.
    pub account: StoredAccount,
    /// From the vault.
    pub shared: SharedKeys,
    /// What opens the key backup, from the vault.
    pub backup_keys: Vec<BackupKeys>,
    /// What opens the vault.
    pub openers: VaultOpeners,
    /// A new one, which the person has to be shown.
    pub recovery_key: Option<RecoveryKey>,
    /// The list that names the device.
    pub list: DeviceList,
}

/// Who this store belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: UserId,
    /// This device.
    pub device: DeviceId,
    /// The user's name.
    pub username: String,
    /// The relay has confirmed it.
    pub registered: bool,
}

impl Machine {
    /// The account, once [`Self::begin_registration`] has made it.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.account.as_ref().map(|account| Account {
            user: account.user,
            device: account.device,
            username: account.username.clone(),
            registered: account.registered,
        })
    }

    /// Makes the account under a name. Its keys are made once: until the relay has confirmed, they are the same again, also
    /// after a crash.
    ///
    /// # Errors
    /// `BadRequest` for what is no name, `AlreadyRegistered`; those of the store.
    pub fn begin_registration(&mut self, username: &str, now_ms: u64) -> Result<(), Error> {
        if !limits::is_username(username) {
            return Err(Error::new(Code::BadRequest, NO_NAME));
        }
        match &self.account {
            Some(account) if account.registered => {
                return Err(Error::new(Code::AlreadyRegistered, ""));
            }
            // A device that was to join an account, and came to nothing: what it has is that account's.
            Some(account) if !self.store.read(is_being_made)? => {
                let user = account.user;
                self.store
                    .transaction(Durability::Synced, |tx| tx.forget_account(user))?;
                self.account = None;
                self.make_account(username, now_ms)?;
            }
            Some(_) => self.is_named(username)?,
            None => self.make_account(username, now_ms)?,
        }
        Ok(())
    }

    /// The body that registers it: the same account and the same recovery key, however often it is asked for. The vault is
    /// written anew each time, for the password may be another one.
    ///
    /// # Errors
    /// `NotRegistered` before [`Self::begin_registration`]; those of the store.
    pub fn registration(&mut self, password: Option<SetPassword>) -> Result<http::Register, Error> {
        let account = begun(self.account.as_ref())?;
        let (list, shared, unsettled) = self.store.read(|tx| {
            let damaged = |what| Error::new(Code::StoreDamaged, what);
            Ok((
                tx.list(account.user, 1)?
                    .ok_or_else(|| damaged("the own device list"))?,
                tx.shared_keys()?.ok_or_else(|| damaged("the account"))?,
                tx.unsettled()?.ok_or_else(|| damaged("the vault's keys"))?,
            ))
        })?;
        let (record, export_key) = match password {
            Some(SetPassword { record, export_key }) => (Some(record), export_key),
            None => (None, None),
        };
        // Before the relay is asked: it may do it, and nobody hear of it.
        if let Some(key) = &unsettled.recovery_key {
            let openers = VaultOpeners {
                by_password: export_key.is_some(),
                recovery: recovery_opener(key, account.user),
            };
            self.store
                .transaction(Durability::Synced, |tx| tx.set_vault_openers(openers))?;
        }
        // An account that was begun by a version without vaults has none.
        let vault = match list.vault_version {
            0 => None,
            _ => Some(first_vault(&list, shared, unsettled, export_key.as_ref())?.into()),
        };
        Ok(http::Register {
            username: account.username.clone(),
            list: list.signed.into(),
            vault,
            password: record,
            invite: None,
            external_token: None,
            email: None,
        })
    }

    fn make_account(&mut self, username: &str, now_ms: u64) -> Result<(), Error> {
        let mut rng = rand::rng();
        let identity_key = IdentityKey::generate(&mut rng);
        let list_signing_key = ListSigningKey::generate(&mut rng);
        let account = StoredAccount {
            user: UserId::from_bytes(rand::random()),
            device: DeviceId::from_bytes(rand::random()),
            username: username.to_owned(),
            registered: false,
            keys: DeviceKeys::generate(&mut rng),
        };
        let backup = BackupKeys {
            version: 1,
            backup_key: Secret::random(&mut rng),
            shared_key: Secret::random(&mut rng),
            closed: Vec::new(),
        };
        let shared = SharedKeys {
            list_signing_key,
            backup: Some(backup.sealer(account.user)),
        };
        let signed = first_list(
            account.user,
            account.device,
            &identity_key,
            &shared.list_signing_key,
            &account.keys,
            shared.backup.as_ref(),
            now_ms,
        );
        let unsettled = Unsettled {
            identity_key: Some(identity_key),
            backup_key: Some(backup.backup_key),
            recovery_key: Some(RecoveryKey::generate(&mut rng)),
        };
        let list: DeviceList = parse(&signed)
            .map_err(|_| Error::new(Code::Internal, "the own device list does not verify"))?;
        self.store.transaction(Durability::Synced, |tx| {
            tx.put_account(&account, &shared)?;
            tx.put_unsettled(&unsettled)?;
            tx.put_list(&list, now_ms)?;
            tx.put_pin(&Pin::first(&list), &[])
        })?;
        self.account = Some(account);
        Ok(())
    }

    /// The account goes by this name until the relay confirms one: another is asked for, or an earlier attempt had asked for it.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn is_named(&mut self, username: &str) -> Result<(), Error> {
        begun(self.account.as_ref())?;
        self.store
            .transaction(Durability::Synced, |tx| tx.set_username(username, false))?;
        if let Some(account) = &mut self.account {
            username.clone_into(&mut account.username);
        }
        Ok(())
    }

    /// The relay has made the account, or put this device on it.
    ///
    /// # Errors
    /// `RelayMisbehaved` if it made another one; `NotRegistered`; those of the store.
    pub fn registration_confirmed(
        &mut self,
        user: &http::User,
        device_name: &str,
        now_ms: u64,
    ) -> Result<(), Error> {
        let account = begun(self.account.as_ref())?;
        if (user.user, &user.username) != (account.user, &account.username) {
            return Err(Error::new(
                Code::RelayMisbehaved,
                "it registered another user or name",
            ));
        }
        self.store.transaction(Durability::Synced, |tx| {
            tx.set_username(&user.username, true)?;
            if tx
                .list(user.user, 1)?
                .is_some_and(|list| list.vault_version > 0)
            {
                tx.forget_vault_keys()?;
            }
            if let Some(list) = newest_held(tx, user.user)? {
                joined(tx, account, device_name, &list, now_ms)?;
            }
            tx.put_name(user.user, &user.username)
        })?;
        if let Some(account) = &mut self.account {
            account.registered = true;
        }
        self.store.forget_log()
    }

    /// The recovery key, from the registration until the person has it.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn recovery_key(&self) -> Result<Option<RecoveryKey>, Error> {
        // Before that nothing is opened by it.
        registered(self.account.as_ref())?;
        let unsettled = self.store.read(|tx| tx.unsettled())?;
        Ok(unsettled.and_then(|unsettled| unsettled.recovery_key))
    }

    /// The person has written this recovery key down: it is forgotten. Another one, which came meanwhile, is not.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn recovery_key_kept(&mut self, key: &RecoveryKey) -> Result<(), Error> {
        let user = registered(self.account.as_ref())?.user;
        self.store.transaction(Durability::Synced, |tx| {
            match waiting_opener(tx, user)? == Some(recovery_opener(key, user)) {
                true => tx.forget_recovery_key(),
                false => Ok(()),
            }
        })?;
        self.store.forget_log()
    }

    /// The own list that is stored: the newest that this device has seen, or made.
    ///
    /// # Errors
    /// `NotRegistered` where there is no account, not even an unconfirmed one; those of the store.
    pub fn own_list(&self) -> Result<DeviceList, Error> {
        let user = begun(self.account.as_ref())?.user;
        let list = self.store.read(|tx| newest_held(tx, user))?;
        list.ok_or_else(|| Error::new(Code::StoreDamaged, "the own device list"))
    }

    /// What a list says of this device, under another identity key.
    ///
    /// # Errors
    /// `NotRegistered`.
    pub fn own_entry(
        &self,
        identity_key: &[u8; 32],
        now_ms: u64,
    ) -> Result<pb::ListedDevice, Error> {
        let me = registered(self.account.as_ref())?;
        Ok(listed(me.user, identity_key, me.device, &me.keys, now_ms))
    }

    /// Keeps the keys of a device before the relay is asked to list it. An earlier attempt that the relay has not confirmed is
    /// forgotten.
    ///
    /// # Errors
    /// `AlreadyRegistered`; those of the store.
    pub fn begin_joining(&mut self, device: NewDevice, now_ms: u64) -> Result<(), Error> {
        if self
            .account
            .as_ref()
            .is_some_and(|account| account.registered)
        {
            return Err(Error::new(Code::AlreadyRegistered, ""));
        }
        let NewDevice {
            account,
            shared,
            backup_keys,
            openers,
            recovery_key,
            list,
        } = device;
        let before = self.account.as_ref().map(|account| account.user);
        self.store.transaction(Durability::Synced, |tx| {
            if let Some(before) = before {
                tx.forget_account(before)?;
            }
            tx.put_account(&account, &shared)?;
            tx.set_vault_openers(openers)?;
            if let Some(key) = &recovery_key {
                tx.put_recovery_key(key)?;
            }
            begin_restore(tx, &backup_keys)?;
            let entry = list.device(account.device);
            tx.set_linked_by(entry.and_then(|entry| entry.co_signer))?;
            tx.put_list(&list, now_ms)?;
            tx.put_pin(&Pin::first(&list), &[])
        })?;
        self.account = Some(account);
        Ok(())
    }

    /// The name is taken: another may be tried with the same keys.
    ///
    /// # Errors
    /// Those of the store.
    pub fn registration_refused(&mut self) -> Result<(), Error> {
        self.is_named("")
    }

    /// Answers a login challenge of the relay with this name.
    ///
    /// # Errors
    /// `NotRegistered`.
    pub fn sign_auth(&self, relay_name: &str, nonce: &[u8; 32]) -> Result<[u8; 64], Error> {
        let account = begun(self.account.as_ref())?;
        Ok(account.keys.sign_auth(relay_name, nonce))
    }

    /// Signs a write over HTTP.
    ///
    /// # Errors
    /// `NotRegistered`.
    pub fn sign_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        nonce: &[u8; 32],
    ) -> Result<[u8; 64], Error> {
        let account = begun(self.account.as_ref())?;
        Ok(account.keys.sign_request(method, path, body, nonce))
    }

    /// Remembers a user's name, as the relay gave it.
    ///
    /// # Errors
    /// Those of the store.
    pub fn learn_name(&mut self, user: &http::User) -> Result<(), Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            tx.put_name(user.user, &user.username)?;
            // Of somebody who is gone it gives none.
            tx.set_deleted(user.user, false)?;
            Ok(())
        })
    }

    /// People with whom there is a conversation and whose names were not learnt, at most `limit`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn nameless(&self, limit: u32) -> Result<Vec<UserId>, Error> {
        self.store.read(|tx| tx.nameless(limit))
    }

    /// A user's name, if it was learnt.
    ///
    /// # Errors
    /// Those of the store.
    pub fn name(&self, user: UserId) -> Result<Option<String>, Error> {
        self.store.read(|tx| tx.name(user))
    }
}

/// Whether the account that the relay has not confirmed is one that this device makes: then its identity key is here.
fn is_being_made(tx: &Tx<'_>) -> Result<bool, Error> {
    let unsettled = tx.unsettled()?;
    Ok(unsettled.is_some_and(|unsettled| unsettled.identity_key.is_some()))
}

/// The newest list of a user that is stored.
fn newest_held(tx: &Tx<'_>, user: UserId) -> Result<Option<DeviceList>, Error> {
    match tx.pin(user)? {
        Some((pin, _)) => tx.list(user, pin.version),
        None => Ok(None),
    }
}

/// The first vault: opened by the recovery key and, where there is an export key, by the password.
fn first_vault(
    list: &DeviceList,
    shared: SharedKeys,
    unsettled: Unsettled,
    export_key: Option<&Secret<64>>,
) -> Result<Vec<u8>, Error> {
    let damaged = || Error::new(Code::StoreDamaged, "the vault's keys");
    let user = list.user;
    let recovery_key = unsettled.recovery_key.ok_or_else(damaged)?;
    let backup = shared.backup.ok_or_else(damaged)?;
    let by_password = export_key.map(|key| OpenerSecret::password(key, user).opener());
    let openers = [OpenerSecret::recovery_key(&recovery_key, user).opener()];
    let contents = Contents {
        identity_key: unsettled.identity_key.ok_or_else(damaged)?,
        list_signing_key: shared.list_signing_key,
        list_signing_version: list.lsk_version,
        openers: openers.into_iter().chain(by_password).collect(),
        backup_keys: vec![BackupKeys {
            version: backup.version(),
            backup_key: unsettled.backup_key.ok_or_else(damaged)?,
            shared_key: Secret::copy_of(backup.shared_key().expose()),
            closed: Vec::new(),
        }],
    };
    let id = VaultId {
        user,
        identity_key: &list.identity_key,
        version: list.vault_version,
        backup_version: backup.version(),
    };
    let vault = id.write(&mut rand::rng(), &contents);
    let vault = vault.map_err(|error| Error::new(Code::Internal, error.to_string()))?;
    Ok(vault.encode_to_vec())
}
