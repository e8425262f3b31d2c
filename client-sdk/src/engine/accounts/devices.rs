//! Changes of an account that one of its devices makes: a device removed, its keys, its secrets.

use std::sync::Arc;

use sordino_crypto::{
    lists::Change,
    recovery::RecoveryKey as Key,
    vault::{Opener, OpenerKind, OpenerSecret},
};
use sordino_protocol::{Code, DeviceId, UserId, http, list::DeviceList, pb};

use super::{
    password::{Proved, prove, set_password},
    this_device,
    vault::{Backup, OpenVault, Renewed, is_opened_by},
};
use crate::{
    engine::{
        Core,
        backup::{chain_is_elsewhere, fill},
        errands::newest_lists,
        now_ms,
    },
    error::Error,
    login::RecoveryKey,
    machine::{SetPassword, removing},
    net::Http,
    password::Password,
    store::NextKeys,
};

/// How often a change is made anew because another device was faster.
const ATTEMPTS: usize = 3;

/// What opens the vault of an account that this device is on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum VaultSecret {
    /// The recovery key.
    RecoveryKey(RecoveryKey),
    /// The password, where the vault is opened by it ([`VaultPolicy::PasswordToo`](crate::VaultPolicy::PasswordToo)).
    Password(Password),
}

/// This device, the account, and its newest list.
pub(super) struct Here {
    pub(super) user: UserId,
    pub(super) username: String,
    pub(super) device: DeviceId,
    pub(super) list: DeviceList,
}

impl Here {
    pub(super) async fn find(core: &Arc<Core>) -> Result<Self, Error> {
        let account = core.shared.registered()?;
        newest_lists(core, account.user).await?;
        let list = core.shared.run(|machine| machine.own_list()).await?;
        Ok(Self {
            user: account.user,
            username: account.username,
            device: account.device,
            list,
        })
    }

    /// What the relay is to give this device a token of the password for.
    pub(super) async fn prove(
        &self,
        core: &Arc<Core>,
        password: &Password,
    ) -> Result<Proved, Error> {
        prove(core, &self.username, password, self.signer()?).await
    }

    /// Who is to get the token of a login.
    pub(super) fn signer(&self) -> Result<(DeviceId, [u8; 32]), Error> {
        let listed = self.list.device(self.device);
        let listed = listed.ok_or_else(|| Error::new(Code::DeviceRevoked, ""))?;
        Ok((self.device, listed.signing_key))
    }

    /// Where the key backup ends that is to be left behind.
    async fn close_backup(&self, core: &Arc<Core>) -> Result<Backup, Error> {
        match self.list.backup {
            Some(backup) => {
                let version = backup.version;
                let ends = core.http.backup_heads(self.user, version).await?;
                let own = ends.iter().find(|end| end.device == self.device);
                let own = own.map(|end| end.head);
                let same = core
                    .shared
                    .run(move |machine| machine.own_chain_ends_at(version, own));
                if same.await? {
                    return Ok(Backup::Closes(ends));
                }
                // What the vault says is believed for ever: as far as this device can, it puts in what is missing before.
                chain_is_elsewhere(core, version, own).await?;
                if let Err(error) = fill(core).await {
                    tracing::warn!(code = error.code().as_str(), "the key backup is not filled");
                }
                let ends = core.http.backup_heads(self.user, version).await?;
                Ok(Backup::Closes(ends))
            }
            None => Ok(Backup::GoesOn),
        }
    }

    pub(super) async fn open_vault(
        &self,
        core: &Arc<Core>,
        secret: &VaultSecret,
    ) -> Result<OpenVault, Error> {
        if self.list.vault_version == 0 {
            return Err(Error::new(Code::NoVault, "the account has none"));
        }
        let vault = core.http.vault(self.user).await?;
        let secret = match secret {
            VaultSecret::RecoveryKey(key) => OpenerSecret::recovery_key(key.key(), self.user),
            VaultSecret::Password(_) if !is_opened_by(&vault, OpenerKind::Password) => {
                return Err(Error::new(Code::NoVault, "no password opens it"));
            }
            VaultSecret::Password(password) => {
                let proved = self.prove(core, password).await?;
                OpenerSecret::password(&proved.export_key, self.user)
            }
        };
        OpenVault::open(&self.list, &vault, &secret)
    }

    /// Stores the next list, which names the vault and the backup of before.
    pub(super) async fn put(
        &self,
        core: &Arc<Core>,
        http: &Http,
        list: DeviceList,
        password: Option<http::NewPassword>,
    ) -> Result<(), Error> {
        let put = http::PutList {
            list: list.signed.clone().into(),
            vault: None,
            closes_backup: None,
            password,
        };
        self.store(core, http, list, &put).await
    }

    /// Stores the next list with what belongs to it, and takes what it means.
    async fn store(
        &self,
        core: &Arc<Core>,
        http: &Http,
        list: DeviceList,
        put: &http::PutList,
    ) -> Result<(), Error> {
        let stored = http.put_list(self.user, put).await;
        if let Err(error) = stored {
            // It may be stored all the same: the answer was lost.
            let now = match error.code() {
                Code::ListConflict | Code::BackupMoved => return Err(error),
                _ => Self::find(core).await,
            };
            return match now {
                Ok(now) if now.list.hash == list.hash => Ok(()),
                _ => Err(error),
            };
        }
        let user = self.user;
        let taken = core.shared.change(move |machine| {
            let happenings = machine.take_lists(user, vec![list.signed], now_ms())?;
            machine.greet(now_ms())?;
            Ok(((), happenings))
        });
        taken.await?;
        core.wake([user]);
        Ok(())
    }

    /// Stores the next list with the next vault: keys are kept before the relay is asked for them.
    pub(super) async fn put_renewed(
        &self,
        core: &Arc<Core>,
        http: &Http,
        renewed: Renewed,
        recovery_key: Option<Key>,
        password: Option<http::NewPassword>,
    ) -> Result<(), Error> {
        let Renewed {
            list,
            vault,
            shared,
            closes_backup,
            openers,
            ..
        } = renewed;
        let next = NextKeys {
            list_version: list.version,
            shared,
            recovery_key,
            openers,
        };
        core.shared
            .run(move |machine| machine.begin_new_keys(&next))
            .await?;
        let put = http::PutList {
            list: list.signed.clone().into(),
            vault: Some(vault),
            closes_backup,
            password,
        };
        self.store(core, http, list, &put).await
    }
}

/// Removes a device; with `secret` what it knows of the account's keys is worth nothing from then on. Unless `anyway`, not one that
/// still owes another what was before it.
pub(crate) async fn remove_device(
    core: &Arc<Core>,
    device: DeviceId,
    secret: Option<VaultSecret>,
    anyway: bool,
) -> Result<(), Error> {
    let _one = core.account.lock().await;
    let missed = core
        .shared
        .run(move |machine| machine.would_be_missed(device));
    if !anyway && missed.await? {
        return Err(Error::new(Code::HistoryOwed, ""));
    }
    until_nobody_was_faster(|| remove(core, device, secret.as_ref())).await
}

async fn remove(
    core: &Arc<Core>,
    device: DeviceId,
    secret: Option<&VaultSecret>,
) -> Result<(), Error> {
    let here = Here::find(core).await?;
    // One that leaves could tell nobody of new keys.
    if let Some(secret) = secret.filter(|_| device != here.device) {
        let vault = here.open_vault(core, secret).await?;
        let backup = here.close_backup(core).await?;
        let renewed = vault.renew(now_ms(), backup, |change| {
            removing(change, &here.list, device)
        })?;
        return here
            .put_renewed(core, &core.http, renewed, None, None)
            .await;
    }
    let before = here.list.clone();
    let list = core
        .shared
        .run(move |machine| machine.without_device(&before, device, now_ms()))
        .await?;
    here.put(core, &core.http, list, None).await
}

/// Makes new keys of the account: what anybody may have learnt of those before is worth nothing from then on.
pub(crate) async fn renew_keys(core: &Arc<Core>, secret: VaultSecret) -> Result<(), Error> {
    let _one = core.account.lock().await;
    until_nobody_was_faster(|| renew(core, &secret, false)).await
}

/// Makes another recovery key, and new keys of the account.
pub(crate) async fn new_recovery_key(core: &Arc<Core>, secret: VaultSecret) -> Result<(), Error> {
    let _one = core.account.lock().await;
    until_nobody_was_faster(|| renew(core, &secret, true)).await
}

async fn renew(
    core: &Arc<Core>,
    secret: &VaultSecret,
    another_recovery_key: bool,
) -> Result<(), Error> {
    let here = Here::find(core).await?;
    let mut vault = here.open_vault(core, secret).await?;
    let key = another_recovery_key.then(|| Key::generate(&mut rand::rng()));
    if let Some(key) = &key {
        let opener = OpenerSecret::recovery_key(key, here.user).opener();
        replace_opener(&mut vault, OpenerKind::RecoveryKey, Some(opener));
    }
    let backup = here.close_backup(core).await?;
    let renewed = vault.renew(now_ms(), backup, unchanged)?;
    here.put_renewed(core, &core.http, renewed, key, None).await
}

/// Sets another password. Where the old one opens the vault, the new one does from then on, unless the app's policy has become
/// another, and the account has new keys.
pub(crate) async fn change_password(
    core: &Arc<Core>,
    old: Password,
    new: Password,
) -> Result<(), Error> {
    let _one = core.account.lock().await;
    until_nobody_was_faster(|| replace_password(core, &old, &new)).await
}

async fn replace_password(core: &Arc<Core>, old: &Password, new: &Password) -> Result<(), Error> {
    let here = Here::find(core).await?;
    new.check(core.vault_policy, &here.username)?;
    let proved = here.prove(core, old).await?;
    let owner = this_device(core, false, Some(proved.token));
    let SetPassword { record, export_key } =
        set_password(core, Some(&owner), &here.username, new).await?;
    let vault = match here.list.vault_version {
        0 => None,
        _ => Some(core.http.vault(here.user).await?),
    };
    let by_password = |vault: &pb::Vault| is_opened_by(vault, OpenerKind::Password);
    let known = core
        .shared
        .run(|machine| machine.vault_is_opened_by_password())
        .await?;
    if known && !vault.as_ref().is_some_and(by_password) {
        // The old password would go on opening it.
        let detail = "it leaves out of the vault that the password opens it";
        return Err(Error::new(Code::RelayMisbehaved, detail));
    }
    if let Some(vault) = vault.filter(by_password) {
        let secret = OpenerSecret::password(&proved.export_key, here.user);
        let mut vault = OpenVault::open(&here.list, &vault, &secret)?;
        // None where the app's policy has become another.
        let opener = export_key.map(|key| OpenerSecret::password(&key, here.user).opener());
        replace_opener(&mut vault, OpenerKind::Password, opener);
        let backup = here.close_backup(core).await?;
        let renewed = vault.renew(now_ms(), backup, unchanged)?;
        let record = Some(record);
        return here.put_renewed(core, &owner, renewed, None, record).await;
    }
    let before = here.list.clone();
    let list = core
        .shared
        .run(move |machine| machine.same_devices(&before, now_ms()))
        .await?;
    here.put(core, &owner, list, Some(record)).await
}

fn unchanged(change: Change<'_>) -> Result<Change<'_>, Error> {
    Ok(change)
}

fn replace_opener(vault: &mut OpenVault, kind: OpenerKind, by: Option<Opener>) {
    let openers = &mut vault.contents.openers;
    openers.retain(|opener| opener.kind() != kind);
    openers.extend(by);
}

pub(super) async fn until_nobody_was_faster<Attempt>(
    change: impl Fn() -> Attempt,
) -> Result<(), Error>
where
    Attempt: Future<Output = Result<(), Error>>,
{
    for _ in 1..ATTEMPTS {
        match change().await {
            // The token of a password ends with any other change of the list.
            Err(error)
                if matches!(
                    error.code(),
                    Code::ListConflict | Code::BackupMoved | Code::TokenExpired
                ) => {}
            done => return done,
        }
    }
    change().await
}
