//! The account of this store: made, or joined by a new device whose owner knows the password.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sordino_crypto::{
    Secret,
    keys::DeviceKeys,
    lists::{Change, listed, parse},
    recovery::RecoveryKey,
    vault::{Contents, OpenError, OpenerKind, OpenerSecret, VaultId, WriteError},
};
use sordino_opaque::{LoginError, Malformed, Realm, Registration, confirmation};
use sordino_protocol::{Code, DeviceId, UserId, http, limits, list::DeviceList, pb};

use super::{Core, errands::replenish, now_ms, shared::StoredDevice};
use crate::{
    error::{Error, NO_NAME},
    machine::{NewDevice, SetPassword},
    net::{Http, Signer, auth::AccessToken, blocking},
    password::{Password, VaultPolicy},
    store::{SharedKeys, StoredAccount},
    types::User,
};

/// Makes the account of this store, or finds that an earlier attempt has made it.
pub(crate) async fn register(
    core: &Arc<Core>,
    username: String,
    password: Option<Password>,
) -> Result<User, Error> {
    if let Some(password) = &password {
        password.check(core.vault_policy, &username)?;
    }
    let _one = core.account.lock().await;
    if let Some(user) = made_before(core).await? {
        return taken_up(core, user, &username, password.as_ref()).await;
    }
    let name = username.clone();
    core.shared
        .run(move |machine| machine.begin_registration(&name, now_ms()))
        .await?;
    // A relay under another name would take the name, and then never get a login.
    unconfirmed(core).is_meant().await?;
    match ask_for_account(core, &username, password.as_ref()).await {
        Ok(user) => confirm(core, user).await,
        // By the last attempt, while it was asked whether it had come to anything.
        Err(refused) if matches!(refused.code(), Code::NameTaken | Code::UserExists) => {
            match made_before(core).await? {
                Some(user) => taken_up(core, user, &username, password.as_ref()).await,
                None => {
                    core.shared
                        .run(|machine| machine.registration_refused())
                        .await?;
                    Err(refused)
                }
            }
        }
        Err(error) => Err(error),
    }
}

async fn ask_for_account(
    core: &Arc<Core>,
    username: &str,
    password: Option<&Password>,
) -> Result<http::User, Error> {
    let password = match password {
        Some(password) => Some(set_password(core, username, password).await?),
        None => None,
    };
    let body = core
        .shared
        .run(move |machine| machine.registration(password))
        .await?;
    core.http.register(&body).await
}

/// Notes that the relay has this account and device.
async fn confirm(core: &Arc<Core>, made: http::User) -> Result<User, Error> {
    let user = User {
        id: made.user,
        username: made.username.clone(),
    };
    core.shared
        .run(move |machine| machine.registration_confirmed(&made))
        .await?;
    // Without prekeys nobody can write to this device. If it fails, the connection does it.
    if let Err(error) = replenish(core).await {
        tracing::info!(code = error.code().as_str(), "prekeys not uploaded yet");
    }
    Ok(user)
}

/// The relay, as the device of an account that it may know or not.
fn unconfirmed(core: &Arc<Core>) -> Http {
    let device = StoredDevice {
        shared: core.shared.clone(),
        unconfirmed: true,
    };
    core.http.of_device(Arc::new(device), None)
}

/// What an attempt whose answer was lost has made: the account of this store, if the relay has its device on the very list that
/// is stored here. Nothing that may exist is thrown away before this was asked.
async fn made_before(core: &Arc<Core>) -> Result<Option<http::User>, Error> {
    let Some(account) = core.shared.account() else {
        return Ok(None);
    };
    if account.registered {
        return Err(Error::new(Code::AlreadyRegistered, ""));
    }
    let list = core.shared.run(|machine| machine.own_list()).await?;
    is_listed(&unconfirmed(core), &list).await
}

/// The account, if the relay has this list of it, and on it the device that asks.
async fn is_listed(device: &Http, list: &DeviceList) -> Result<Option<http::User>, Error> {
    let found = async {
        let lists = device.lists(list.user, Some(list.version)).await?.lists;
        let user = device.user_by_id(list.user).await?;
        let same = lists.first().is_some_and(|found| *found == list.signed);
        Ok::<_, Error>(user.filter(|user| same && user.user == list.user))
    };
    match found.await {
        // The relay does not know the device.
        Err(error) if matches!(error.code(), Code::DeviceRevoked | Code::BadProof) => Ok(None),
        found => found,
    }
}

/// An earlier attempt has made this account. What is asked for now may be something else.
async fn taken_up(
    core: &Arc<Core>,
    user: http::User,
    username: &str,
    password: Option<&Password>,
) -> Result<User, Error> {
    let earlier = match password {
        _ if user.username != username => Some(format!("as {:?}", user.username)),
        None => None,
        // Which password it took is for the person to know.
        Some(password) => {
            let device = NewKeys::generate();
            match prove(core, username, password, &device).await {
                Ok(_) => None,
                Err(error) if error.code() == Code::WrongPassword => {
                    Some("with another password".to_owned())
                }
                Err(error) => return Err(error),
            }
        }
    };
    let name = user.username.clone();
    core.shared
        .run(move |machine| machine.is_named(&name))
        .await?;
    let user = confirm(core, user).await?;
    match earlier {
        None => Ok(user),
        Some(how) => {
            let detail = format!("an earlier attempt succeeded, {how}");
            Err(Error::new(Code::AlreadyRegistered, detail))
        }
    }
}

fn malformed(_: Malformed) -> Error {
    Error::new(Code::RelayMisbehaved, "its answer is none of OPAQUE's")
}

/// Makes what the relay is to keep of a password. It does not see the password.
async fn set_password(
    core: &Arc<Core>,
    username: &str,
    password: &Password,
) -> Result<SetPassword, Error> {
    let (registration, request) = Registration::start(password.bytes()).map_err(malformed)?;
    let asked = http::PasswordRequest {
        username: username.to_owned(),
        request: request.into(),
    };
    let http::PasswordAnswer { response, seed } = core.http.password_request(&asked).await?;
    let (relay, name) = (core.relay.name().to_owned(), username.to_owned());
    let opens_vault = core.vault_policy == VaultPolicy::PasswordToo;
    blocking(move || {
        let realm = Realm {
            relay: &relay,
            username: &name,
        };
        let made = registration.finish(realm, &response.0).map_err(malformed)?;
        Ok(SetPassword {
            record: http::NewPassword {
                seed,
                record: made.record.to_vec().into(),
            },
            export_key: opens_vault.then(|| Secret::copy_of(&made.export_key)),
        })
    })
    .await
}

/// What a right password yields.
struct Proved {
    user: UserId,
    token: AccessToken,
    export_key: Secret<64>,
}

/// Proves to the relay that this device's owner knows the password.
async fn prove(
    core: &Arc<Core>,
    username: &str,
    password: &Password,
    new: &NewKeys,
) -> Result<Proved, Error> {
    let (login, request) = sordino_opaque::Login::start(password.bytes()).map_err(malformed)?;
    let asked = http::PasswordLogin {
        username: username.to_owned(),
        device: new.device,
        request: request.into(),
    };
    let http::PasswordChallenge {
        nonce,
        attempt,
        response,
        ..
    } = core.http.password_login(&asked).await?;
    let (relay, name) = (core.relay.name().to_owned(), username.to_owned());
    let done = blocking(move || {
        let realm = Realm {
            relay: &relay,
            username: &name,
        };
        login
            .finish(realm, &response.0)
            .map_err(|error| match error {
                LoginError::Refused => Error::new(Code::WrongPassword, ""),
                LoginError::Malformed(error) => malformed(error),
            })
    });
    let done = done.await?;
    let signing_key = new.keys.public().signing_key;
    let confirmed = confirmation(&done.session_key, new.device.as_bytes(), &signing_key);
    let now = Instant::now();
    let finish = http::PasswordFinish {
        username: username.to_owned(),
        device: new.device,
        signing_key: signing_key.to_vec().into(),
        nonce,
        attempt,
        finalization: done.finalization.into(),
        confirmation: confirmed.to_vec().into(),
    };
    let token = core.http.password_finish(&finish).await?;
    let lifetime = std::time::Duration::from_secs(token.expires_in);
    Ok(Proved {
        user: token.user,
        token: AccessToken::new(token.access_token, lifetime, now),
        export_key: Secret::copy_of(&done.export_key),
    })
}

/// What a device that is on no list yet will be.
struct NewKeys {
    device: DeviceId,
    keys: DeviceKeys,
}

impl NewKeys {
    fn generate() -> Self {
        Self {
            device: DeviceId::from_bytes(rand::random()),
            keys: DeviceKeys::generate(&mut rand::rng()),
        }
    }
}

/// Signs as a device that may not be in the store yet.
struct NewDeviceSigner {
    user: UserId,
    new: Arc<NewKeys>,
}

impl Signer for NewDeviceSigner {
    fn device(&self) -> Result<(UserId, DeviceId), Error> {
        Ok((self.user, self.new.device))
    }

    fn sign_auth(&self, relay: &str, nonce: &[u8; 32]) -> Result<[u8; 64], Error> {
        Ok(self.new.keys.sign_auth(relay, nonce))
    }

    fn sign_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        nonce: &[u8; 32],
    ) -> Result<[u8; 64], Error> {
        Ok(self.new.keys.sign_request(method, path, body, nonce))
    }
}

/// An account whose password was right, and whose vault is still closed.
pub(crate) struct Locked {
    core: Arc<Core>,
    /// With the token that the password yielded, and no other.
    http: Http,
    user: UserId,
    username: String,
    new: Arc<NewKeys>,
    /// Where the password opens the vault.
    export_key: Option<Secret<64>>,
    list: DeviceList,
    vault: pb::Vault,
    /// What the relay was asked for, and instead of which device. Asked for again it is the same again: the relay may have it.
    asked: Mutex<Option<Asked>>,
}

#[derive(Clone)]
struct Asked {
    instead_of: Option<DeviceId>,
    put: http::PutList,
    list: DeviceList,
}

/// How far a login by password comes.
pub(crate) enum LoggedIn {
    /// An earlier attempt had come to its end, and its answer was lost.
    Done(User),
    Locked(Arc<Locked>),
}

/// Logs in on a store that has no account yet.
pub(crate) async fn login(
    core: &Arc<Core>,
    username: String,
    password: Password,
) -> Result<LoggedIn, Error> {
    if !limits::is_username(&username) {
        return Err(Error::new(Code::BadRequest, NO_NAME));
    }
    let _one = core.account.lock().await;
    let before = made_before(core).await?;
    if let Some(user) = before.as_ref().filter(|user| user.username != username) {
        return taken_up(core, user.clone(), &username, None)
            .await
            .map(LoggedIn::Done);
    }
    let new = Arc::new(NewKeys::generate());
    let proved = prove(core, &username, &password, &new).await?;
    if let Some(user) = before {
        return confirm(core, user).await.map(LoggedIn::Done);
    }
    let signer = NewDeviceSigner {
        user: proved.user,
        new: new.clone(),
    };
    let http = core.http.of_device(Arc::new(signer), Some(proved.token));
    let newest = http.lists(proved.user, None).await.map_err(ended)?.lists;
    let list = match newest.last().map(parse) {
        Some(Ok(list)) if list.user == proved.user => list,
        _ => {
            let detail = "the account's device list does not verify";
            return Err(Error::new(Code::BadKeys, detail));
        }
    };
    let vault = match list.vault_version {
        0 => return Err(Error::new(Code::NoVault, "the account has none")),
        _ => http.vault(proved.user).await.map_err(ended)?,
    };
    let by_password = is_opened_by_password(&vault);
    Ok(LoggedIn::Locked(Arc::new(Locked {
        core: core.clone(),
        http,
        user: proved.user,
        username,
        new,
        export_key: by_password.then_some(proved.export_key),
        list,
        vault,
        asked: Mutex::default(),
    })))
}

fn is_opened_by_password(vault: &pb::Vault) -> bool {
    let kind = OpenerKind::Password as u32;
    vault.wrapped_keys.iter().any(|key| key.kind == kind)
}

impl Locked {
    /// The devices of the account.
    pub(crate) fn list(&self) -> &DeviceList {
        &self.list
    }

    /// Whether the password opens the vault.
    pub(crate) fn is_opened_by_password(&self) -> bool {
        self.export_key.is_some()
    }

    /// Opens the vault, with the recovery key or else with the password, and puts this device on the account's list; `instead_of`
    /// leaves it.
    pub(crate) async fn unlock(
        &self,
        recovery_key: Option<&RecoveryKey>,
        instead_of: Option<DeviceId>,
    ) -> Result<User, Error> {
        let core = &self.core;
        let _one = core.account.lock().await;
        let asked = self.asked().clone();
        // Where the store has what was asked for, the answer may have been lost.
        if let Some(user) = made_before(core).await? {
            let name = self.username.as_str();
            return taken_up(core, user, name, None).await;
        }
        let asked = match asked.filter(|asked| asked.instead_of == instead_of) {
            Some(asked) => asked,
            None => {
                let (asked, device) = self.join(self.open_vault(recovery_key)?, instead_of)?;
                core.shared
                    .run(move |machine| machine.begin_joining(device, now_ms()))
                    .await?;
                self.asked().replace(asked.clone());
                asked
            }
        };
        let made = http::User {
            user: self.user,
            username: self.username.clone(),
        };
        if let Err(error) = self.http.put_list(self.user, &asked.put).await {
            let signer = NewDeviceSigner {
                user: self.user,
                new: self.new.clone(),
            };
            let device = core.http.of_device(Arc::new(signer), None);
            // It may be the answer to an attempt whose own answer was lost.
            if !matches!(is_listed(&device, &asked.list).await, Ok(Some(_))) {
                return Err(ended(error));
            }
        }
        confirm(core, made).await
    }

    fn asked(&self) -> MutexGuard<'_, Option<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_vault(&self, recovery_key: Option<&RecoveryKey>) -> Result<Contents, Error> {
        let secret = match recovery_key {
            Some(key) => OpenerSecret::recovery_key(key, self.user),
            None => {
                let key = self.export_key.as_ref();
                let key = key.ok_or_else(|| Error::new(Code::NoVault, "no password opens it"))?;
                OpenerSecret::password(key, self.user)
            }
        };
        let contents = secret.open(self.vault_id(self.list.vault_version), &self.vault);
        let contents = contents.map_err(|error| match error {
            OpenError::NotFor(_) => Error::new(Code::NoVault, error.to_string()),
            OpenError::Secret(OpenerKind::RecoveryKey) => Error::new(Code::WrongRecoveryKey, ""),
            // The password was right: the relay gives another vault than the one that was written with it.
            OpenError::Secret(OpenerKind::Password) | OpenError::Changed | OpenError::Malformed => {
                Error::new(Code::RelayMisbehaved, error.to_string())
            }
        })?;
        // What the vault holds must be what the list names; both are of the relay's choice.
        let newest = contents.backup_keys.iter().max_by_key(|keys| keys.version);
        let backup = newest.map(|keys| keys.sealer(self.user).listed());
        let named = (self.list.lsk, self.list.lsk_version, self.list.backup);
        let held = contents.list_signing_key.public();
        if (held, contents.list_signing_version, backup) != named {
            let detail = "its vault and its device list do not belong together";
            return Err(Error::new(Code::RelayMisbehaved, detail));
        }
        Ok(contents)
    }

    fn vault_id(&self, version: u32) -> VaultId<'_> {
        VaultId {
            user: self.user,
            identity_key: &self.list.identity_key,
            version,
            backup_version: self.list.backup.map_or(0, |backup| backup.version),
        }
    }

    /// The next list with this device on it, and what the device is to keep.
    fn join(
        &self,
        mut contents: Contents,
        instead_of: Option<DeviceId>,
    ) -> Result<(Asked, NewDevice), Error> {
        let refused = |error: sordino_protocol::list::ListError| {
            Error::new(Code::BadKeys, format!("the account's device list: {error}"))
        };
        let now = now_ms();
        let mut change = Change::of(&self.list, now).map_err(refused)?;
        let mut vault = None;
        if let Some(device) = instead_of {
            if self.list.device(device).is_none() {
                let detail = "there is no such device on the account";
                return Err(Error::new(Code::BadRequest, detail));
            }
            // What the device that leaves knows of the list-signing key must sign nothing more.
            contents.list_signing_key =
                sordino_crypto::keys::ListSigningKey::generate(&mut rand::rng());
            contents.list_signing_version = contents.list_signing_version.saturating_add(1);
            let version = self.list.vault_version.saturating_add(1);
            change = change
                .remove(device)
                .renew_lsk(&contents.identity_key, &contents.list_signing_key)
                .map_err(refused)?
                .vault(version);
            let written = self.vault_id(version).write(&mut rand::rng(), &contents);
            let written = written
                .map_err(|error: WriteError| Error::new(Code::Internal, error.to_string()))?;
            vault = Some(prost::Message::encode_to_vec(&written).into());
        } else if self.list.devices.len() >= limits::DEVICES {
            return Err(Error::new(Code::DeviceLimit, ""));
        }
        let NewKeys { device: id, keys } = self.new.as_ref();
        let entry = listed(self.user, &self.list.identity_key, *id, keys, now);
        let list = change.add_unvouched(entry).sign(&contents.list_signing_key);
        let list = list.map_err(refused)?;
        let (signing, identity) = keys.to_secret();
        let newest = contents.backup_keys.iter().max_by_key(|keys| keys.version);
        let backup = newest.map(|keys| keys.sealer(self.user));
        let device = NewDevice {
            account: StoredAccount {
                user: self.user,
                device: *id,
                username: self.username.clone(),
                registered: false,
                keys: DeviceKeys::from_secret(&signing, &identity),
            },
            shared: SharedKeys {
                list_signing_key: contents.list_signing_key,
                backup,
            },
            list: list.clone(),
        };
        let asked = Asked {
            instead_of,
            put: http::PutList {
                list: list.signed.clone().into(),
                vault,
                password: None,
            },
            list,
        };
        Ok((asked, device))
    }
}

/// The token of a login is good for a few minutes, and for one change of the account.
fn ended(error: Error) -> Error {
    match error.code() {
        Code::TokenExpired | Code::ListConflict | Code::DeviceRevoked | Code::NotAuthenticated => {
            let detail = "the login has ended, or the account was changed meanwhile: log in again";
            Error::new(Code::NotAuthenticated, detail)
        }
        _ => error,
    }
}
