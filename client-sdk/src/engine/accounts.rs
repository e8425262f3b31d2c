//! The account of this store: made, or joined by a new device whose owner knows the password.

mod deletion;
mod devices;
mod external;
mod link;
mod login;
mod password;
mod reset;
mod vault;

use std::sync::Arc;

use sordino_protocol::{Code, http, list::DeviceList};

pub(crate) use self::deletion::delete_account;
pub use self::{devices::VaultSecret, reset::Credential};
pub(crate) use self::{
    devices::{change_password, new_recovery_key, remove_device, renew_keys},
    link::{Joining, Linking},
    login::{Locked, LoggedIn, login, login_external},
    reset::{ResetBy, refuse_reset, reset_identity},
};
use self::{
    external::enter,
    password::{NewKeys, prove, set_password},
};
#[cfg(test)]
pub(crate) use self::{
    link::code_of,
    vault::{Backup, OpenVault},
};
use super::{Core, errands::replenish, now_ms, shared::StoredDevice};
use crate::{
    error::Error,
    net::{Http, auth::AccessToken},
    sign_up::{Invite, SignUp},
    types::User,
};

/// Makes the account of this store, or finds that an earlier attempt has made it.
pub(crate) async fn register(
    core: &Arc<Core>,
    username: String,
    with: SignUp,
) -> Result<User, Error> {
    if let Some(password) = &with.password {
        password.check(core.vault_policy, &username)?;
    }
    let _one = core.account.lock().await;
    if let Some(user) = made_before(core).await? {
        return taken_up(core, user, &username, &with).await;
    }
    let name = username.clone();
    core.shared
        .run(move |machine| machine.begin_registration(&name, now_ms()))
        .await?;
    // A relay under another name would take the name, and then never get a login.
    unconfirmed(core).is_meant().await?;
    match ask_for_account(core, &username, &with).await {
        Ok(user) => confirm(core, user).await,
        // By the last attempt, while it was asked whether it had come to anything.
        Err(refused) if matches!(refused.code(), Code::NameTaken | Code::UserExists) => {
            match made_before(core).await? {
                Some(user) => taken_up(core, user, &username, &with).await,
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
    with: &SignUp,
) -> Result<http::User, Error> {
    let password = match &with.password {
        Some(password) => Some(set_password(core, None, username, password).await?),
        None => None,
    };
    let registration = core
        .shared
        .run(move |machine| machine.registration(password))
        .await?;
    let body = http::Register {
        invite: with.invite.as_ref().map(Invite::expose).map(str::to_owned),
        external_token: with
            .external
            .as_ref()
            .map(|token| token.expose().to_owned()),
        email: with.email.as_ref().map(|email| email.0.clone()),
        ..registration
    };
    core.http.register(&body).await
}

/// Notes that the relay has this account and device.
async fn confirm(core: &Arc<Core>, made: http::User) -> Result<User, Error> {
    let user = User {
        id: made.user,
        username: made.username.clone(),
    };
    let name = core.device_name.clone();
    core.shared
        .run(move |machine| machine.registration_confirmed(&made, &name, now_ms()))
        .await?;
    core.wake([user.id]);
    // Without prekeys nobody can write to this device. If it fails, the connection does it.
    if let Err(error) = replenish(core).await {
        tracing::info!(code = error.code().as_str(), "prekeys not uploaded yet");
    }
    Ok(user)
}

/// The relay, as this device of an account that it may know or not (`unconfirmed`). Without a token the device logs in by itself.
fn this_device(core: &Arc<Core>, unconfirmed: bool, token: Option<AccessToken>) -> Http {
    let device = StoredDevice {
        shared: core.shared.clone(),
        unconfirmed,
    };
    core.http.of_device(Arc::new(device), token)
}

fn unconfirmed(core: &Arc<Core>) -> Http {
    this_device(core, true, None)
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
        Err(error)
            if matches!(
                error.code(),
                Code::DeviceRevoked | Code::AccountDeleted | Code::BadProof
            ) =>
        {
            Ok(None)
        }
        found => found,
    }
}

/// An earlier attempt has made this account. What is asked for now may be something else.
async fn taken_up(
    core: &Arc<Core>,
    user: http::User,
    username: &str,
    with: &SignUp,
) -> Result<User, Error> {
    let earlier = match with {
        _ if user.username != username => Some(format!("as {:?}", user.username)),
        // Whoever is logged in to the app may have changed since.
        SignUp {
            external: Some(token),
            ..
        } => match enter(core, token, NewKeys::generate().signer()).await {
            Ok(entered) if entered.user.user == user.user => None,
            Ok(_) => Some("for somebody else".to_owned()),
            Err(error) if error.code() == Code::UserNotFound => {
                Some("for somebody else".to_owned())
            }
            Err(error) => return Err(error),
        },
        // Which password it took is for the person to know.
        SignUp {
            password: Some(password),
            ..
        } => {
            let device = NewKeys::generate();
            match prove(core, username, password, device.signer()).await {
                Ok(_) => None,
                Err(error) if error.code() == Code::WrongPassword => {
                    Some("with another password".to_owned())
                }
                Err(error) => return Err(error),
            }
        }
        SignUp { .. } => None,
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
