//! Another identity for the account, where nothing is left that opens its vault.
//!
//! A device that is on the account makes it, for a person who can log in as well. Who can do nothing but log in asks for it, and makes it
//! some days later, unless a device of the account has refused.

use std::{sync::Arc, time::Duration};

use sordino_crypto::{lists::listed, recovery::RecoveryKey as Key};
use sordino_protocol::{Code, http, list::DeviceList};

use super::{
    confirm,
    devices::{Here, until_nobody_was_faster},
    external::enter,
    login::{Asked, How, Locked, ended},
    made_before,
    password::NewKeys,
    taken_up, this_device,
    vault::{Backup, OpenVault},
};
use crate::{
    engine::{Core, now_ms},
    error::Error,
    net::Http,
    password::Password,
    sign_up::{ExternalToken, SignUp},
    types::User,
};

/// What shows the relay who a person is, besides a device of theirs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credential {
    /// The password.
    Password(Password),
    /// The token of the app's own login.
    External(ExternalToken),
}

/// How far a reset by login alone has come.
pub(crate) enum ResetBy {
    /// This device is on the account, alone.
    Done(User),
    /// It may be done in so long.
    Waits(Duration),
}

/// Gives the account another identity, with this device alone on it.
pub(crate) async fn reset_identity(
    core: &Arc<Core>,
    credential: Option<Credential>,
) -> Result<(), Error> {
    let _one = core.account.lock().await;
    until_nobody_was_faster(|| reset(core, credential.as_ref())).await
}

async fn reset(core: &Arc<Core>, credential: Option<&Credential>) -> Result<(), Error> {
    let here = Here::find(core).await?;
    let (token, opens) = match credential {
        None => (None, None),
        Some(Credential::Password(password)) => {
            let proved = here.prove(core, password).await?;
            // One that would not have been taken for that at the sign-up does not open the vault now.
            let opens = password.may_open(core.vault_policy, &here.username);
            (Some(proved.token), opens.then_some(proved.export_key))
        }
        Some(Credential::External(token)) => {
            let entered = enter(core, token, here.signer()?).await?;
            if entered.user.user != here.user {
                let detail = "whoever is logged in to the app is somebody else";
                return Err(Error::new(Code::ExternalTokenRefused, detail));
            }
            (Some(entered.token), None)
        }
    };
    let http = this_device(core, false, token);
    let key = Key::generate(&mut rand::rng());
    let vault = OpenVault::anew(&here.list, &key, opens.as_ref());
    let identity_key = vault.identity_key();
    let entry = core
        .shared
        .run(move |machine| machine.own_entry(&identity_key, now_ms()));
    let entry = entry.await?;
    let backup = left_behind(&core.http, &here.list).await?;
    let renewed = vault.renew(now_ms(), backup, |change| Ok(change.reset(entry)))?;
    here.put_renewed(core, &http, renewed, Some(key), None)
        .await
}

/// What becomes of the key backup that nobody opens any more.
async fn left_behind(http: &Http, list: &DeviceList) -> Result<Backup, Error> {
    Ok(match list.backup {
        Some(backup) => Backup::Closes(http.backup_heads(list.user, backup.version).await?),
        None => Backup::GoesOn,
    })
}

/// Withdraws what somebody who can log in has asked for.
pub(crate) async fn refuse_reset(core: &Arc<Core>) -> Result<(), Error> {
    let user = core.shared.registered()?.user;
    core.http.withdraw_reset(user).await
}

impl Locked {
    /// Asks for another identity for the account, or makes it once the wait is over.
    pub(crate) async fn reset(&self) -> Result<ResetBy, Error> {
        let _one = self.core.account.lock().await;
        let asked = self.asked(How::Reset);
        if let Some(user) = made_before(&self.core).await? {
            let name = self.username.as_str();
            let user = taken_up(&self.core, user, name, &SignUp::new()).await?;
            if self.asked_otherwise(How::Reset) {
                let detail = "the recovery key had opened it: nothing was reset";
                return Err(Error::new(Code::AlreadyRegistered, detail));
            }
            return Ok(ResetBy::Done(user));
        }
        let now = match asked {
            Some(asked) => asked,
            None => {
                let key = self.signer.new.signer().1;
                let http::Reset { ready_ms, now_ms } =
                    self.http.ask_reset(self.user, &key).await.map_err(ended)?;
                if now_ms < ready_ms {
                    return Ok(ResetBy::Waits(Duration::from_millis(ready_ms - now_ms)));
                }
                self.begin_anew().await?
            }
        };
        self.put(&now).await.map_err(ended)?;
        let made = http::User {
            user: self.user,
            username: self.username.clone(),
        };
        confirm(&self.core, made).await.map(ResetBy::Done)
    }

    /// Makes the list that begins again, and stores this device's part of it. What opens the vault from then on is the recovery key that
    /// is shown afterwards, and the password where that is to open it.
    async fn begin_anew(&self) -> Result<Asked, Error> {
        let key = Key::generate(&mut rand::rng());
        let opens = self.opens_next_vault();
        let vault = OpenVault::anew(&self.list, &key, opens);
        let NewKeys { device, keys } = &self.signer.new;
        let entry = listed(self.user, &vault.identity_key(), *device, keys, now_ms());
        let backup = left_behind(&self.http, &self.list).await.map_err(ended)?;
        let renewed = vault.renew(now_ms(), backup, |change| Ok(change.reset(entry)))?;
        self.keep(How::Reset, renewed, Some(key)).await
    }
}
