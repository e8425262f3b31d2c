//! The account of this store: made, or joined by a new device whose owner knows the password.

use std::{sync::Arc, time::Instant};

use sordino_crypto::{
    Secret,
    keys::DeviceKeys,
    lists::{Change, listed, parse},
    recovery::RecoveryKey,
    vault::{Contents, OpenError, OpenerKind, OpenerSecret, VaultId, WriteError},
};
use sordino_opaque::{LoginError, Malformed, Realm, Registration, confirmation};
use sordino_protocol::{Code, DeviceId, UserId, http, limits, list::DeviceList, pb};

use super::{Core, errands::replenish, now_ms};
use crate::{
    error::{Error, NO_NAME},
    machine::{NewDevice, SetPassword},
    net::{Http, auth::AccessToken, blocking},
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
    let name = username.clone();
    core.shared
        .run(move |machine| machine.begin_registration(&name, now_ms()))
        .await?;
    // A relay under another name would take the name, and then never get a login.
    core.http.is_meant().await?;
    let made = match ask_for_account(core, &username, password.as_ref()).await {
        Ok(user) => user,
        Err(error) if matches!(error.code(), Code::NameTaken | Code::UserExists) => {
            made_before(core, &username, password.as_ref(), error).await?
        }
        Err(error) => return Err(error),
    };
    confirm(core, made).await
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

/// The answer to an earlier attempt may have been lost: then the name is taken by this very account.
async fn made_before(
    core: &Arc<Core>,
    username: &str,
    password: Option<&Password>,
    refused: Error,
) -> Result<http::User, Error> {
    let Some(user) = own_account(core).await? else {
        core.shared
            .run(|machine| machine.registration_refused())
            .await?;
        return Err(refused);
    };
    let earlier = |how| {
        let detail = format!("an earlier attempt succeeded, {how}");
        Err(Error::new(Code::AlreadyRegistered, detail))
    };
    if user.username != username {
        let name = user.username.clone();
        core.shared
            .run(move |machine| {
                machine.begin_registration(&user.username, now_ms())?;
                machine.registration_confirmed(&user)
            })
            .await?;
        return earlier(format!("as {name:?}"));
    }
    let Some(password) = password else {
        return Ok(user);
    };
    // Which password it took is for the person to know.
    let keys = DeviceKeys::generate(&mut rand::rng());
    let device = DeviceId::from_bytes(rand::random());
    match prove(core, username, password, device, &keys).await {
        Ok(_) => Ok(user),
        Err(error) if error.code() == Code::WrongPassword => {
            confirm(core, user).await?;
            earlier("with another password".to_owned())
        }
        Err(error) => Err(error),
    }
}

/// The account that the relay has for the device of this store, if it knows the device.
async fn own_account(core: &Arc<Core>) -> Result<Option<http::User>, Error> {
    let Some(me) = core.shared.account() else {
        return Ok(None);
    };
    match core.http.user_by_id(me.user).await {
        Ok(found) => Ok(found.filter(|user| user.user == me.user)),
        // The relay does not know this device: there is no such account.
        Err(error) if matches!(error.code(), Code::DeviceRevoked | Code::BadProof) => Ok(None),
        Err(error) => Err(error),
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
    device: DeviceId,
    keys: &DeviceKeys,
) -> Result<Proved, Error> {
    let (login, request) = sordino_opaque::Login::start(password.bytes()).map_err(malformed)?;
    let asked = http::PasswordLogin {
        username: username.to_owned(),
        device,
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
    let signing_key = keys.public().signing_key;
    let confirmed = confirmation(&done.session_key, device.as_bytes(), &signing_key);
    let now = Instant::now();
    let finish = http::PasswordFinish {
        username: username.to_owned(),
        device,
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

/// An account whose password was right, and whose vault is still closed.
pub(crate) struct Locked {
    core: Arc<Core>,
    /// With the token that the password yielded.
    http: Http,
    user: UserId,
    username: String,
    device: DeviceId,
    keys: DeviceKeys,
    export_key: Secret<64>,
    list: DeviceList,
    vault: pb::Vault,
}

/// How far a login by password comes.
pub(crate) enum LoggedIn {
    /// An earlier attempt had come to its end, and its answer was lost.
    Done(User),
    Locked(Box<Locked>),
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
    if let Some(account) = core.shared.account() {
        if account.registered {
            return Err(Error::new(Code::AlreadyRegistered, ""));
        }
        if account.username == username
            && let Some(user) = own_account(core).await?
        {
            return confirm(core, user).await.map(LoggedIn::Done);
        }
    }
    let keys = DeviceKeys::generate(&mut rand::rng());
    let device = DeviceId::from_bytes(rand::random());
    let proved = prove(core, &username, &password, device, &keys).await?;
    let http = core.http.with_token(proved.token);
    let newest = http.lists(proved.user, None).await?.lists;
    let newest = newest.last().map(parse);
    let list = match newest {
        Some(Ok(list)) if list.user == proved.user => list,
        _ => {
            let detail = "the account's device list does not verify";
            return Err(Error::new(Code::BadKeys, detail));
        }
    };
    let vault = match list.vault_version {
        0 => return Err(Error::new(Code::NoVault, "the account has none")),
        _ => http.vault(proved.user).await?,
    };
    Ok(LoggedIn::Locked(Box::new(Locked {
        core: core.clone(),
        http,
        user: proved.user,
        username,
        device,
        keys,
        export_key: proved.export_key,
        list,
        vault,
    })))
}

impl Locked {
    /// The devices of the account.
    pub(crate) fn list(&self) -> &DeviceList {
        &self.list
    }

    /// Whether the password opens the vault.
    pub(crate) fn is_opened_by_password(&self) -> bool {
        let kind = OpenerKind::Password as u32;
        self.vault.wrapped_keys.iter().any(|key| key.kind == kind)
    }

    /// Opens the vault, with the recovery key or else with the password, and puts this device on the account's list; `instead_of`
    /// leaves it.
    pub(crate) async fn unlock(
        &self,
        recovery_key: Option<&RecoveryKey>,
        instead_of: Option<DeviceId>,
    ) -> Result<User, Error> {
        let contents = self.open_vault(recovery_key)?;
        let (put, device) = self.join(contents, instead_of)?;
        self.core
            .shared
            .run(move |machine| machine.begin_joining(device, now_ms()))
            .await?;
        let made = http::User {
            user: self.user,
            username: self.username.clone(),
        };
        match self.http.put_list(self.user, &put).await {
            Ok(()) => {}
            // The answer may be that to an attempt whose own answer was lost: then the device can log in.
            Err(error) => match own_account(&self.core).await {
                Ok(Some(_)) => {}
                _ => return Err(ended(error)),
            },
        }
        confirm(&self.core, made).await
    }

    fn open_vault(&self, recovery_key: Option<&RecoveryKey>) -> Result<Contents, Error> {
        let secret = match recovery_key {
            Some(key) => OpenerSecret::recovery_key(key, self.user),
            None => OpenerSecret::password(&self.export_key, self.user),
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
    ) -> Result<(http::PutList, NewDevice), Error> {
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
        let keys = &self.keys;
        let entry = listed(self.user, &self.list.identity_key, self.device, keys, now);
        let list = change.add_unvouched(entry).sign(&contents.list_signing_key);
        let list = list.map_err(refused)?;
        let (signing, identity) = keys.to_secret();
        let newest = contents.backup_keys.iter().max_by_key(|keys| keys.version);
        let backup = newest.map(|keys| keys.sealer(self.user));
        let device = NewDevice {
            account: StoredAccount {
                user: self.user,
                device: self.device,
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
        let put = http::PutList {
            list: list.signed.into(),
            vault,
            password: None,
        };
        Ok((put, device))
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
