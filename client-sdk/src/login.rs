//! A login by password on a new device: what it still takes, and what the person may choose.

use sordino_crypto::recovery::RecoveryKey as Key;
use sordino_protocol::{Code, DeviceId};
use zeroize::Zeroizing;

use std::{sync::Arc, time::Duration};

use crate::{
    client::on_its_own,
    engine::{self, Locked, LoggedIn, ResetBy},
    error::Error,
    link::Linking,
    types::{Device, User},
};

/// The recovery key: opens the account's vault on a new device. Shown once, and written down by the person.
#[derive(Clone)]
pub struct RecoveryKey(Arc<Key>);

impl RecoveryKey {
    pub(crate) fn new(key: Key) -> Self {
        Self(Arc::new(key))
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0
    }

    /// From what a person typed: case, spaces and hyphens do not matter, nor does O for 0, or I or L for 1.
    ///
    /// # Errors
    /// `BadRequest` with what is wrong with it: a typing error is found without asking anybody.
    pub fn parse(typed: &str) -> Result<Self, Error> {
        let key = Key::parse(typed);
        key.map(Self::new)
            .map_err(|error| Error::new(Code::BadRequest, error.to_string()))
    }

    /// Nine groups of four characters, to be written down. Wiped when dropped.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        self.0.text()
    }
}

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKey")
    }
}

/// How far [`Client::login`](crate::Client::login) has come.
#[derive(Debug)]
pub enum LoginStep {
    /// This device is on the account: an earlier login, or the registration, had come to its end, and its answer was lost. After a
    /// registration there is a recovery key to be shown.
    Done(User),
    /// The password was right. What the account consists of is in its vault, which is still closed.
    Locked(Login),
}

impl From<LoggedIn> for LoginStep {
    fn from(step: LoggedIn) -> Self {
        match step {
            LoggedIn::Done(user) => Self::Done(user),
            LoggedIn::Locked(locked) => Self::Locked(Login(locked)),
        }
    }
}

/// An account whose password was right. Good for four minutes, then log in again. Dropping it changes nothing.
pub struct Login(Arc<Locked>);

/// What opens the vault.
#[derive(Debug)]
pub enum Unlock {
    /// The recovery key.
    RecoveryKey(RecoveryKey),
    /// The password that was just right, where the vault is opened by it: [`Login::is_opened_by_password`].
    Password,
}

/// How far [`Login::reset`] has come.
#[derive(Debug)]
pub enum ResetStep {
    /// This device is on the account, alone. Show [`Client::recovery_key`](crate::Client::recovery_key).
    Done(User),
    /// The account's devices are told, and each of them may refuse. If none has, it is to be called again after so long, once more logged
    /// in, within a week.
    Waits(Duration),
}

impl Login {
    /// Devices of the account, in the order in which they came. Where there are ten, one of them has to go.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let devices = self.0.list().devices.iter();
        devices
            .map(|device| Device {
                id: device.device,
                name: String::new(),
                added_ms: device.added_ms,
                is_this: false,
            })
            .collect()
    }

    /// Whether [`Unlock::Password`] will do.
    #[must_use]
    pub fn is_opened_by_password(&self) -> bool {
        self.0.is_opened_by_password()
    }

    /// Opens the vault and puts this device on the account: [`Client::me`](crate::Client::me) is the person then, and
    /// [`Client::connect`](crate::Client::connect) connects. `remove`: a device that leaves with it, which has to be if there are
    /// ten; it is logged out at once. May be called again after an error.
    ///
    /// # Errors
    /// `WrongRecoveryKey`; `NoVault` for a password that opens none; `DeviceLimit`; `BadRequest` for a device to remove that
    /// there is not; `NotAuthenticated` where the login has ended or somebody else changed the account: log in again;
    /// `RelayMisbehaved`, `BadKeys`, `RateLimited`, `Unreachable`; those of the store.
    pub async fn unlock(&self, by: &Unlock, remove: Option<DeviceId>) -> Result<User, Error> {
        let recovery_key = match by {
            Unlock::RecoveryKey(key) => Some(key.0.clone()),
            Unlock::Password => None,
        };
        let locked = self.0.clone();
        on_its_own(async move { locked.unlock(recovery_key.as_deref(), remove).await }).await
    }

    /// For who has neither the recovery key nor a device of the account: gives it another identity, with this device alone on it. At the first
    /// call the relay begins to wait (seven days, unless its operator says otherwise), for a guessed password must not be enough. The
    /// account keeps its name. What was written before stays unreadable on this device; every other one is logged out, and contacts are told
    /// that the person has another identity key.
    ///
    /// # Errors
    /// As [`Login::unlock`], without those of a vault.
    pub async fn reset(&self) -> Result<ResetStep, Error> {
        let locked = self.0.clone();
        let step = on_its_own(async move { locked.reset().await }).await?;
        Ok(match step {
            ResetBy::Done(user) => ResetStep::Done(user),
            ResetBy::Waits(wait) => ResetStep::Waits(wait),
        })
    }

    /// Lets a device of the account put this one on it, without the recovery key: show [`Linking::code`] to it.
    #[must_use]
    pub fn link(&self) -> Linking {
        Linking::new(engine::Joining::new(self.0.clone()))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}
