//! The account: made, joined, and changed.

use sordino_protocol::DeviceId;

use super::{Client, on_its_own};
use crate::{
    engine::{self, Credential, VaultSecret, now_ms},
    error::Error,
    link::LinkRequest,
    login::{LoginStep, RecoveryKey},
    password::Password,
    sign_up::{ExternalToken, SignUp},
    types::{BackupPolicy, BackupState, Device, Restoring, User},
};

impl Client {
    /// Makes an account under this name, with keys of this device that never leave it. With the password (`Some(&password)`) its owner
    /// logs in on another device ([`Client::login`]); without one (`None`) the account stays on this device. [`SignUp`] has what
    /// else the relay may ask for: an invite, or the token of the app's own login. If it fails for the network's sake,
    /// call it again with the same: it makes one account. Then show [`Client::recovery_key`].
    ///
    /// # Errors
    /// `BadRequest` for what is no name (3 to 32 of `a-z 0-9 . _ -`), or no e-mail address; `WeakPassword`, `NameTaken`, `EmailTaken`,
    /// `EmailNeeded`, `AlreadyRegistered`,
    /// `RegistrationClosed`, `InviteNeeded`, `InviteRefused`, `ExternalTokenNeeded`, `ExternalTokenRefused`, `HasAccount`, `IssuerAway`,
    /// `RateLimited`, `Unreachable`, `NoRelay`, `OtherRelay`, `RelayMisbehaved`; those of the store.
    pub async fn register(&self, username: &str, with: impl Into<SignUp>) -> Result<User, Error> {
        let (core, username) = (self.inner.core.clone(), username.to_owned());
        let with = with.into();
        on_its_own(async move { engine::register(&core, username, with).await }).await
    }

    /// The account's recovery key, which alone opens its vault if every device is lost (and is asked for on each new device, unless
    /// the app lets the password do it). Show it after the registration, and at each start until the person says that they wrote it
    /// down: then call [`Client::recovery_key_kept`]. `None` from then on, and on devices that joined later.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn recovery_key(&self) -> Result<Option<RecoveryKey>, Error> {
        let shared = &self.inner.core.shared;
        let key = shared.run(|machine| machine.recovery_key()).await?;
        Ok(key.map(RecoveryKey::new))
    }

    /// The person has this recovery key, as it was shown: this device forgets it. Another one that came meanwhile stays, and is to be
    /// shown ([`Event::NewRecoveryKey`](crate::Event::NewRecoveryKey)).
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn recovery_key_kept(&self, key: &RecoveryKey) -> Result<(), Error> {
        let (shared, key) = (&self.inner.core.shared, key.clone());
        shared
            .run(move |machine| machine.recovery_key_kept(key.key()))
            .await
    }

    /// Logs in on a device that has no account in its store yet. The password does not leave the device. It proves who asks, and
    /// opens nothing: what does is in [`Login::unlock`](crate::Login::unlock). What the account's other devices have shown so far is
    /// not shown on this one.
    ///
    /// # Errors
    /// `WrongPassword`, also where there is no such user; `AlreadyRegistered`; `NoVault` for an account that cannot be joined so;
    /// `RateLimited` (twelve tries an hour for a name, unless the operator says otherwise), `Unreachable`, `NoRelay`, `OtherRelay`,
    /// `RelayMisbehaved`, `BadKeys`; those of the store.
    pub async fn login(&self, username: &str, password: &Password) -> Result<LoginStep, Error> {
        let (core, username) = (self.inner.core.clone(), username.to_owned());
        let password = password.clone();
        let step =
            on_its_own(async move { engine::login(&core, username, password).await }).await?;
        Ok(step.into())
    }

    /// The same for a relay whose operator lets the app's own login decide: its token takes the place of name and password.
    ///
    /// # Errors
    /// `ExternalTokenRefused`; `UserNotFound` where whoever is logged in to the app has no account yet: register; `NotFound` from a relay
    /// with logins of its own; `IssuerAway`; otherwise as [`Client::login`].
    pub async fn login_external(&self, token: &ExternalToken) -> Result<LoginStep, Error> {
        let (core, token) = (self.inner.core.clone(), token.clone());
        let step = on_its_own(async move { engine::login_external(&core, token).await }).await?;
        Ok(step.into())
    }

    /// The account's devices, as far as this one knows.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn devices(&self) -> Result<Vec<Device>, Error> {
        let devices = self.inner.core.shared.run(|machine| machine.devices());
        let devices = devices.await?.into_iter().map(|own| Device {
            id: own.device,
            name: own.name,
            added_ms: own.added_ms,
            is_this: own.is_this,
        });
        Ok(devices.collect())
    }

    /// How far the key backup is: what is not in it yet, and, on a new device, what has been read of it. Both go on by themselves
    /// while there is a connection.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn backup(&self) -> Result<BackupState, Error> {
        let core = &self.inner.core;
        let (backlog, progress) = core
            .shared
            .run(|machine| Ok((machine.backlog()?, machine.restore_progress()?)))
            .await?;
        Ok(BackupState {
            on: core.backup != BackupPolicy::Off && backlog.ready,
            waiting: backlog.waiting,
            restoring: progress.reading.then_some(Restoring {
                read: progress.read,
                total: progress.total,
                messages: progress.messages,
            }),
        })
    }

    /// Calls this device so, for the account's other devices: nobody else learns it. [`ClientBuilder::device_name`](crate::ClientBuilder::device_name) does it once.
    ///
    /// # Errors
    /// `BadRequest` for more than 64 bytes or control characters; `NotRegistered`; those of the store.
    pub async fn name_device(&self, name: &str) -> Result<(), Error> {
        let core = &self.inner.core;
        let name = name.to_owned();
        core.shared
            .run(move |machine| machine.name_device(&name, now_ms()))
            .await?;
        core.wake(core.shared.account().map(|account| account.user));
        Ok(())
    }

    /// Removes a device from the account: it is logged out at once, and gets and sends nothing more. A phone that somebody else has
    /// knows the account's keys: with `secret` the account gets new ones, so that it cannot be used, together with the relay, to put
    /// a device on the account. This one may go, too.
    ///
    /// # Errors
    /// `HistoryOwed` where a device that was linked still waits for older messages from this one: nothing was removed. Ask the
    /// person, and then call [`Client::remove_device_anyway`]. `BadRequest` if there is no such device, or no other; `KeysMissing` (only without `secret`); `WrongRecoveryKey`,
    /// `WrongPassword`, `NoVault`; `ListConflict` if other devices change the account without end; `NotRegistered`,
    /// `RateLimited`, `Unreachable`, `RelayMisbehaved`, `BadKeys`; those of the store.
    pub async fn remove_device(
        &self,
        device: DeviceId,
        secret: Option<&VaultSecret>,
    ) -> Result<(), Error> {
        self.remove(device, secret, false).await
    }

    /// The same where a new device then misses older messages: they would have come from the one that leaves
    /// ([`Event::HistoryCutOff`](crate::Event::HistoryCutOff)).
    ///
    /// # Errors
    /// As [`Client::remove_device`], without `HistoryOwed`.
    pub async fn remove_device_anyway(
        &self,
        device: DeviceId,
        secret: Option<&VaultSecret>,
    ) -> Result<(), Error> {
        self.remove(device, secret, true).await
    }

    async fn remove(
        &self,
        device: DeviceId,
        secret: Option<&VaultSecret>,
        anyway: bool,
    ) -> Result<(), Error> {
        let (core, secret) = (self.inner.core.clone(), secret.cloned());
        on_its_own(async move { engine::remove_device(&core, device, secret, anyway).await }).await
    }

    /// Whether a device that was removed without a secret knows the account's keys still: whoever has it could, with a relay that helps, put
    /// a device on the account. Offer [`Client::renew_keys`]. Only as far as this device has seen it.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub async fn renewal_is_due(&self) -> Result<bool, Error> {
        let shared = &self.inner.core.shared;
        shared.run(|machine| machine.renewal_is_due()).await
    }

    /// Makes new keys of the account, where somebody may have learnt those that its devices keep.
    ///
    /// # Errors
    /// As [`Client::remove_device`].
    pub async fn renew_keys(&self, secret: &VaultSecret) -> Result<(), Error> {
        let (core, secret) = (self.inner.core.clone(), secret.clone());
        on_its_own(async move { engine::renew_keys(&core, secret).await }).await
    }

    /// Makes another recovery key; the one before opens nothing from then on. Then show [`Client::recovery_key`], as after the
    /// registration.
    ///
    /// # Errors
    /// As [`Client::remove_device`].
    pub async fn new_recovery_key(&self, secret: &VaultSecret) -> Result<(), Error> {
        let (core, secret) = (self.inner.core.clone(), secret.clone());
        on_its_own(async move { engine::new_recovery_key(&core, secret).await }).await
    }

    /// Gives the account another identity, for who has lost the recovery key, or fears that somebody has read the vault: new keys of everything, a new
    /// recovery key (show [`Client::recovery_key`]), and this device alone on it. History stays on this device, and in the new key backup. Other
    /// devices are logged out; contacts are told, and who had verified this person holds messages back until they have compared again.
    /// `credential`: the account's login, for one phone that somebody left open is not enough; `None` where it has none.
    ///
    /// # Errors
    /// `WrongPassword`, `ExternalTokenRefused`; `Forbidden` where the account has a login and none was given; as [`Client::remove_device`].
    pub async fn reset_identity(&self, credential: Option<&Credential>) -> Result<(), Error> {
        let (core, credential) = (self.inner.core.clone(), credential.cloned());
        on_its_own(async move { engine::reset_identity(&core, credential).await }).await
    }

    /// From when on, in Unix milliseconds, somebody who can log in gets another identity for the account, if they have asked for that
    /// ([`Event::ResetPending`](crate::Event::ResetPending)); as the relay has last said.
    #[must_use]
    pub fn pending_reset(&self) -> Option<u64> {
        self.inner.core.shared.views().reset_ms()
    }

    /// Refuses it: whoever asked has to begin again. Whoever it was knows the password: change it.
    ///
    /// # Errors
    /// `NotRegistered`, `Unreachable`, `RateLimited`, `RelayMisbehaved`.
    pub async fn refuse_reset(&self) -> Result<(), Error> {
        let core = self.inner.core.clone();
        on_its_own(async move { engine::refuse_reset(&core).await }).await
    }

    /// Sets another password. Devices stay logged in: they need none.
    ///
    /// # Errors
    /// `WrongPassword` for the old one, or where there is none; `WeakPassword` for the new one; as [`Client::remove_device`].
    pub async fn change_password(&self, old: &Password, new: &Password) -> Result<(), Error> {
        let core = self.inner.core.clone();
        let (old, new) = (old.clone(), new.clone());
        on_its_own(async move { engine::change_password(&core, old, new).await }).await
    }

    /// The e-mail address by which the relay's operator may reach this person, if they gave one. It is asked of the relay.
    ///
    /// # Errors
    /// `NotRegistered`, `RateLimited`, `Unreachable`, `RelayMisbehaved`.
    pub async fn email(&self) -> Result<Option<String>, Error> {
        let core = &self.inner.core;
        core.http.email(core.shared.registered()?.user).await
    }

    /// Gives the relay's operator another address, or none. No mail is sent to it, nobody else learns it, and nobody finds this person by
    /// it.
    ///
    /// # Errors
    /// `EmailTaken` where another account has it; `EmailNeeded` for none, where the operator asks for one; `BadRequest` for what is no
    /// address (3 to 254 bytes, one `@`, no spaces), or from a relay that keeps none; `NotRegistered`, `RateLimited` (twelve tries an hour,
    /// unless the operator says otherwise), `Unreachable`, `RelayMisbehaved`.
    pub async fn set_email(&self, email: Option<&str>) -> Result<(), Error> {
        let core = &self.inner.core;
        let user = core.shared.registered()?.user;
        let email = email.map(|typed| typed.trim().to_owned());
        core.http.put_email(user, email).await
    }

    /// Deletes the account, for ever: the relay forgets its devices, password, vault, key backup, prekeys and push tokens; every device is
    /// logged out ([`ConnectionState::Stopped`](crate::ConnectionState::Stopped), `AccountDeleted`), and nobody else gets the name. Who
    /// has talked with this person keeps what was said, and is told when they write. What is on the devices stays: remove the
    /// directories of their stores. If it fails for the network's sake, call it again.
    ///
    /// # Errors
    /// `WrongRecoveryKey`, `WrongPassword`, `NoVault`: nothing was deleted; `NotRegistered`, `RateLimited`, `Unreachable`,
    /// `RelayMisbehaved`, `BadKeys`; those of the store.
    pub async fn delete_account(&self, secret: &VaultSecret) -> Result<(), Error> {
        let (core, secret) = (self.inner.core.clone(), secret.clone());
        on_its_own(async move { engine::delete_account(&core, secret).await }).await
    }

    /// Meets a new device that shows this code ([`Linking::code`](crate::Linking::code)), to put it on the account. Waits until that
    /// device has answered.
    ///
    /// # Errors
    /// `BadRequest` for what is no such code, or one of another relay or account; `DeviceLimit` where there are ten devices: remove one;
    /// `LinkEnded` when the device did not answer in time; `RelayMisbehaved` where somebody stands in between; `NotRegistered`, `Unreachable`,
    /// `RateLimited`, `BadKeys`.
    pub async fn link(&self, code: &str) -> Result<LinkRequest, Error> {
        let linking = engine::Linking::begin(&self.inner.core, code).await?;
        Ok(LinkRequest::new(linking))
    }
}
