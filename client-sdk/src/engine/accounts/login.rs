//! A new device whose owner knows the password: it opens the account's vault and gets on the account's list.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sordino_crypto::{
    Secret,
    keys::DeviceKeys,
    lists::{listed, parse},
    recovery::RecoveryKey,
    vault::{OpenerKind, OpenerSecret},
};
use sordino_protocol::{Code, DeviceId, UserId, http, limits, list::DeviceList, pb};

use super::{
    confirm,
    external::enter,
    is_listed, made_before,
    password::{NewKeys, prove},
    taken_up,
    vault::{Backup, OpenVault, Renewed, is_opened_by},
};
use crate::{
    engine::{Core, now_ms},
    error::{Error, NO_NAME},
    machine::{NewDevice, must_have_room},
    net::{Http, Signer, auth::AccessToken},
    password::Password,
    sign_up::{ExternalToken, SignUp},
    store::StoredAccount,
    types::User,
};

/// How often it is tried while a device that leaves still adds to the backup.
const ATTEMPTS: usize = 5;

/// Signs as a device that may not be in the store yet.
pub(super) struct NewDeviceSigner {
    user: UserId,
    pub(super) new: NewKeys,
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
    pub(super) core: Arc<Core>,
    /// With the token that the password yielded, and no other.
    pub(super) http: Http,
    pub(super) user: UserId,
    pub(super) username: String,
    pub(super) signer: Arc<NewDeviceSigner>,
    /// Where the password opens the vault.
    export_key: Option<Secret<64>>,
    /// The password may open the next one.
    is_strong: bool,
    pub(super) list: DeviceList,
    vault: pb::Vault,
    /// What the relay was asked for, and instead of which device. Asked for again it is the same again: the relay may have it.
    asked: Mutex<Option<Asked>>,
}

#[derive(Clone)]
pub(super) struct Asked {
    how: How,
    put: http::PutList,
    list: DeviceList,
}

/// How this device gets on the account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The vault was opened; a device may leave with it.
    Unlocked { instead_of: Option<DeviceId> },
    /// The account begins anew.
    Reset,
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
        return taken_up(core, user.clone(), &username, &SignUp::new())
            .await
            .map(LoggedIn::Done);
    }
    let new = NewKeys::generate();
    let proved = prove(core, &username, &password, new.signer()).await?;
    if let Some(user) = before {
        return confirm(core, user).await.map(LoggedIn::Done);
    }
    let user = http::User {
        user: proved.user,
        username,
    };
    let is_strong = password.may_open(core.vault_policy, &user.username);
    let opens = Some((proved.export_key, is_strong));
    Locked::find(core, user, new, proved.token, opens)
        .await
        .map(LoggedIn::Locked)
}

/// The same for a person of an app with a login of its own.
pub(crate) async fn login_external(
    core: &Arc<Core>,
    token: ExternalToken,
) -> Result<LoggedIn, Error> {
    let _one = core.account.lock().await;
    if let Some(user) = made_before(core).await? {
        let (name, with) = (user.username.clone(), SignUp::new().external(&token));
        return taken_up(core, user, &name, &with).await.map(LoggedIn::Done);
    }
    let new = NewKeys::generate();
    let entered = enter(core, &token, new.signer()).await?;
    Locked::find(core, entered.user, new, entered.token, None)
        .await
        .map(LoggedIn::Locked)
}

impl Locked {
    /// The account that a token leads to, as it is. `opens`: of the password, which may open the vault, and whether it may open the next.
    async fn find(
        core: &Arc<Core>,
        http::User { user, username }: http::User,
        new: NewKeys,
        token: AccessToken,
        opens: Option<(Secret<64>, bool)>,
    ) -> Result<Arc<Self>, Error> {
        let signer = Arc::new(NewDeviceSigner { user, new });
        let http = core.http.of_device(signer.clone(), Some(token));
        let newest = http.lists(user, None).await.map_err(ended)?.lists;
        let list = match newest.last().map(parse) {
            Some(Ok(list)) if list.user == user => list,
            _ => {
                let detail = "the account's device list does not verify";
                return Err(Error::new(Code::BadKeys, detail));
            }
        };
        let vault = match list.vault_version {
            0 => return Err(Error::new(Code::NoVault, "the account has none")),
            _ => http.vault(user).await.map_err(ended)?,
        };
        let by_password = is_opened_by(&vault, OpenerKind::Password);
        let (export_key, is_strong) = opens.unzip();
        Ok(Arc::new(Self {
            core: core.clone(),
            http,
            user,
            username,
            signer,
            export_key: export_key.filter(|_| by_password),
            is_strong: is_strong.unwrap_or(false),
            list,
            vault,
            asked: Mutex::default(),
        }))
    }

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
        let how = How::Unlocked { instead_of };
        let mut asked = self.asked(how);
        // Where the store has what was asked for, the answer may have been lost.
        if let Some(user) = made_before(core).await? {
            let name = self.username.as_str();
            return taken_up(core, user, name, &SignUp::new()).await;
        }
        let made = http::User {
            user: self.user,
            username: self.username.clone(),
        };
        for left in (0..ATTEMPTS).rev() {
            let now = match asked.take() {
                Some(asked) => asked,
                None => self.begin(recovery_key, instead_of).await?,
            };
            match self.put(&now).await {
                // The device that leaves still adds to the backup that is to be closed.
                Err(error) if error.code() == Code::BackupMoved && left > 0 => {}
                Err(error) => return Err(ended(error)),
                Ok(()) => break,
            }
        }
        confirm(core, made).await
    }

    /// Asks the relay for the list that names this device.
    pub(super) async fn put(&self, asked: &Asked) -> Result<(), Error> {
        let Err(error) = self.http.put_list(self.user, &asked.put).await else {
            return Ok(());
        };
        if error.code() == Code::BackupMoved {
            return Err(error);
        }
        let device = self.core.http.of_device(self.signer.clone(), None);
        // It may be the answer to an attempt whose own answer was lost.
        match is_listed(&device, &asked.list).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(error),
        }
    }

    /// Makes what the relay is to be asked for, and stores this device's part of it.
    async fn begin(
        &self,
        recovery_key: Option<&RecoveryKey>,
        instead_of: Option<DeviceId>,
    ) -> Result<Asked, Error> {
        let vault = self.open_vault(recovery_key)?;
        let backup = match self.list.backup {
            Some(backup) => {
                let ends = self.http.backup_heads(self.user, backup.version).await;
                let ends = ends.map_err(ended)?;
                // Of devices that left there may be chains until there is no room for another.
                match instead_of.is_some() || ends.len() + limits::DEVICES >= limits::BACKUP_CHAINS
                {
                    true => Backup::Closes(ends),
                    false => Backup::GoesOn,
                }
            }
            None => Backup::GoesOn,
        };
        let renewed = self.join(vault, backup, instead_of)?;
        self.keep(How::Unlocked { instead_of }, renewed, None).await
    }

    /// Stores this device's part of what the relay is asked for next. `recovery_key`: a new one that opens the vault from then on.
    pub(super) async fn keep(
        &self,
        how: How,
        renewed: Renewed,
        recovery_key: Option<RecoveryKey>,
    ) -> Result<Asked, Error> {
        let Renewed {
            list,
            vault,
            shared,
            closes_backup,
            backup_keys,
            openers,
        } = renewed;
        let NewKeys { device, keys } = &self.signer.new;
        let (signing, identity) = keys.to_secret();
        let device = NewDevice {
            account: StoredAccount {
                user: self.user,
                device: *device,
                username: self.username.clone(),
                registered: false,
                keys: DeviceKeys::from_secret(&signing, &identity),
            },
            shared,
            backup_keys,
            openers,
            recovery_key,
            list: list.clone(),
        };
        self.core
            .shared
            .run(move |machine| machine.begin_joining(device, now_ms()))
            .await?;
        let asked = Asked {
            how,
            put: http::PutList {
                list: list.signed.clone().into(),
                vault: Some(vault),
                closes_backup,
                password: None,
            },
            list,
        };
        self.last_asked().replace(asked.clone());
        Ok(asked)
    }

    /// What the relay was asked for in this way.
    pub(super) fn asked(&self, how: How) -> Option<Asked> {
        self.last_asked().clone().filter(|asked| asked.how == how)
    }

    /// Whether the relay was asked for something in another way.
    pub(super) fn asked_otherwise(&self, how: How) -> bool {
        let asked = self.last_asked();
        asked.as_ref().is_some_and(|asked| asked.how != how)
    }

    fn last_asked(&self) -> MutexGuard<'_, Option<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the password yields, where a new vault is to be opened by it as the one before is.
    pub(super) fn opens_next_vault(&self) -> Option<&Secret<64>> {
        // That the one before was opened by it the relay says: a weak one would not have been taken.
        self.export_key.as_ref().filter(|_| self.is_strong)
    }

    fn open_vault(&self, recovery_key: Option<&RecoveryKey>) -> Result<OpenVault, Error> {
        let secret = match recovery_key {
            Some(key) => OpenerSecret::recovery_key(key, self.user),
            None => {
                let key = self.export_key.as_ref();
                let key = key.ok_or_else(|| Error::new(Code::NoVault, "no password opens it"))?;
                OpenerSecret::password(key, self.user)
            }
        };
        OpenVault::open(&self.list, &self.vault, &secret)
    }

    /// The next list with this device on it, and its vault.
    fn join(
        &self,
        vault: OpenVault,
        backup: Backup,
        instead_of: Option<DeviceId>,
    ) -> Result<Renewed, Error> {
        if instead_of.is_none() {
            must_have_room(&self.list)?;
        }
        let now = now_ms();
        let NewKeys { device: id, keys } = &self.signer.new;
        let entry = listed(self.user, &self.list.identity_key, *id, keys, now);
        vault.renew(now, backup, |change| {
            let change = change.add_unvouched(entry);
            match instead_of {
                Some(device) if self.list.device(device).is_some() => Ok(change.remove(device)),
                Some(_) => {
                    let detail = "there is no such device on the account";
                    Err(Error::new(Code::BadRequest, detail))
                }
                None => Ok(change),
            }
        })
    }
}

/// The token of a login is good for a few minutes, and for one change of the account.
pub(super) fn ended(error: Error) -> Error {
    match error.code() {
        Code::TokenExpired
        | Code::ListConflict
        | Code::BackupMoved
        | Code::DeviceRevoked
        | Code::NotAuthenticated => {
            let detail = "the login has ended, or the account was changed meanwhile: log in again";
            Error::new(Code::NotAuthenticated, detail)
        }
        _ => error,
    }
}
