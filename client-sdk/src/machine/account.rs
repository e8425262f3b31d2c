//! The account: made once, confirmed by the relay.

use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists::{Pin, first_list, parse},
};
use sordino_protocol::{Code, DeviceId, UserId, http, limits, list::DeviceList};

use super::{Machine, begun};
use crate::error::{Error, NO_NAME};
use crate::store::{Durability, StoredAccount};

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

    /// The body that registers this device under a name. The keys are made once: until the relay has confirmed, the
    /// body for a name is the same again, also after a crash.
    ///
    /// # Errors
    /// `BadRequest` for what is no name, `AlreadyRegistered`; those of the store.
    pub fn begin_registration(
        &mut self,
        username: &str,
        now_ms: u64,
    ) -> Result<http::Register, Error> {
        if !limits::is_username(username) {
            return Err(Error::new(Code::BadRequest, NO_NAME));
        }
        match &self.account {
            Some(account) if account.registered => {
                return Err(Error::new(Code::AlreadyRegistered, ""));
            }
            Some(_) => {
                self.store
                    .transaction(Durability::Synced, |tx| tx.set_username(username, false))?;
            }
            None => self.make_account(username, now_ms)?,
        }
        if let Some(account) = &mut self.account {
            username.clone_into(&mut account.username);
        }
        let user = begun(self.account.as_ref())?.user;
        let list = self
            .store
            .read(|tx| tx.list(user, 1))?
            .ok_or_else(|| Error::new(Code::StoreDamaged, "the own device list"))?;
        Ok(http::Register {
            username: username.to_owned(),
            list: list.signed.into(),
            vault: None,
            password: None,
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
        let signed = first_list(
            account.user,
            account.device,
            &identity_key,
            &list_signing_key,
            &account.keys,
            now_ms,
        );
        let list: DeviceList = parse(&signed)
            .map_err(|_| Error::new(Code::Internal, "the own device list does not verify"))?;
        self.store.transaction(Durability::Synced, |tx| {
            tx.put_account(&account, &identity_key, &list_signing_key)?;
            tx.put_list(&list, now_ms)?;
            tx.put_pin(&Pin::first(&list), &[])
        })?;
        self.account = Some(account);
        Ok(())
    }

    /// The relay has made the account.
    ///
    /// # Errors
    /// `RelayMisbehaved` if it made another one; `NotRegistered`; those of the store.
    pub fn registration_confirmed(&mut self, user: &http::User) -> Result<(), Error> {
        let account = begun(self.account.as_ref())?;
        if (user.user, &user.username) != (account.user, &account.username) {
            return Err(Error::new(
                Code::RelayMisbehaved,
                "it registered another user or name",
            ));
        }
        self.store.transaction(Durability::Synced, |tx| {
            tx.set_username(&user.username, true)?;
            tx.put_name(user.user, &user.username)
        })?;
        if let Some(account) = &mut self.account {
            account.registered = true;
        }
        Ok(())
    }

    /// The name is taken: another may be tried with the same keys.
    ///
    /// # Errors
    /// Those of the store.
    pub fn registration_refused(&mut self) -> Result<(), Error> {
        self.store
            .transaction(Durability::Relaxed, |tx| tx.set_username("", false))?;
        if let Some(account) = &mut self.account {
            account.username.clear();
        }
        Ok(())
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
            tx.put_name(user.user, &user.username)
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
