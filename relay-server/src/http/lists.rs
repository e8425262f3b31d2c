//! Device lists: read by everyone, replaced by their owner's devices.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde::Deserialize;
use sordino_protocol::{
    Code, UserId, frame,
    http::{Base64, Lists, NewPassword, PutList},
    list::{self, DeviceList},
    pb,
};

use super::{
    Api, ApiError, Registration, backups,
    caller::AccountCaller,
    request::{Body, Ids, Params, to_the_end},
};
use crate::{
    session::Event,
    user::{Credentials, Identity, PasswordRecord, verify::verify},
};

/// Versions of one page.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    from: Option<u32>,
    limit: Option<usize>,
}

/// `GET /v1/users/{user}/lists`
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: AccountCaller,
    Ids(user): Ids<UserId>,
    Params(range): Params<Range>,
) -> Result<Json<Lists>, ApiError> {
    if caller.knew_the_password() {
        caller.must_be_user(user)?;
    }
    let newest = api.users.newest_list(user).await?;
    let deleted = newest.is_none();
    let version = match &newest {
        Some(newest) => newest.version,
        None => api.users.deleted(user).await?.ok_or(Code::UserNotFound)?,
    };
    let lists = match (range.from, newest) {
        (Some(from), _) => {
            let limit = range.limit.unwrap_or(PAGE).min(PAGE);
            api.users.lists(user, from, limit).await?
        }
        (None, Some(newest)) => vec![newest.signed.clone()],
        // Nobody begins anything with them any more.
        (None, None) => return Err(Code::UserDeleted.into()),
    };
    // A node may hear of the newest one after the store has it: what it gives is not beyond what it says there is.
    let given = u32::try_from(lists.len()).unwrap_or(u32::MAX);
    let last = range
        .from
        .unwrap_or(0)
        .saturating_add(given)
        .saturating_sub(1);
    Ok(Json(Lists {
        newest: if given == 0 {
            version
        } else {
            version.max(last)
        },
        lists: lists.into_iter().map(Into::into).collect(),
        deleted,
    }))
}

/// `PUT /v1/users/{user}/list`
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: AccountCaller,
    Ids(user): Ids<UserId>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_user(user)?;
    let bad = |error: list::ListError| ApiError::new(Code::BadList, error.to_string());
    let parse = || -> Result<_, ApiError> {
        let put: PutList = body.json()?;
        let next = list::parse(&put.list.clone().into(), verify).map_err(bad)?;
        Ok((put, next))
    };
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body, |device| {
            let (_, next) = parse()?;
            Ok(next.device(device).map(|device| device.signing_key))
        })
        .await?;
    let (put, next) = parse()?;
    let PutList {
        vault,
        closes_backup,
        password,
        ..
    } = put;
    if password.is_some() {
        let has = has_password(&api, user).await?;
        // A device that was left open must not be enough to set another password.
        if has && !caller.knew_the_password() {
            return Err(Code::Forbidden.into());
        }
        if !has {
            api.registration.takes_first_passwords()?;
        }
    }
    let newest = api
        .users
        .newest_list(user)
        .await?
        .ok_or(Code::UserNotFound)?;
    if next.user == user && next.version <= newest.version {
        return Err(Code::ListConflict.into());
    }
    newest.check_successor(&next, verify).map_err(bad)?;
    let identity = identity(&api, &caller, &newest, &next).await?;
    let reset = identity != Identity::Same;
    if reset {
        must_begin_anew(&newest, &next)?;
    }
    if reset && newest.vault_version > 0 && next.vault_version == newest.vault_version {
        return Err(ApiError::new(
            Code::BadVault,
            "another identity key needs another vault",
        ));
    }
    if next.backup != newest.backup && next.vault_version == newest.vault_version {
        return Err(ApiError::new(
            Code::BadVault,
            "another key backup needs another vault, which holds its keys",
        ));
    }
    let mut with = credentials(&api, &next, newest.vault_version, vault, password)?;
    with.identity = identity;
    with.closes = match (newest.backup, closes_backup) {
        (before, None) if before == next.backup || before.is_none() => None,
        (Some(before), Some(heads)) if next.backup != Some(before) => {
            Some(backups::closing(before.version, &heads)?)
        }
        _ => {
            let what =
                "a list that names another key backup closes the one before, and only such a list";
            return Err(ApiError::new(Code::BadRequest, what));
        }
    };
    to_the_end(async move { store(&api, &next, &with).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the list of another identity is, beyond what every next one is: nothing that the old keys open goes on in it.
fn must_begin_anew(newest: &DeviceList, next: &DeviceList) -> Result<(), ApiError> {
    let what = if next.devices.len() != 1 {
        "a list of another identity key names one device"
    } else if newest.lsk_version.checked_add(1) != Some(next.lsk_version) {
        "another identity key needs the next list-signing key"
    } else if newest.backup.is_some() && next.backup == newest.backup {
        "another identity key needs the next key backup"
    } else {
        return Ok(());
    };
    Err(ApiError::new(Code::BadList, what))
}

/// By what a list takes the identity key that it takes. One unlocked phone must not be enough to take an account over, and neither must a
/// password that was guessed: both together are, or the password and a wait of days in which no device refuses.
async fn identity(
    api: &Api,
    caller: &AccountCaller,
    newest: &DeviceList,
    next: &DeviceList,
) -> Result<Identity, ApiError> {
    if next.identity_key == newest.identity_key {
        return Ok(Identity::Same);
    }
    if !caller.knew_the_password() {
        let logs_in = has_password(api, newest.user).await?
            || matches!(api.registration, Registration::External(_))
                && api.users.has_subject(newest.user).await?;
        let what =
            "another identity key takes a login as well: a phone that was left open is not enough";
        return match logs_in {
            true => Err(ApiError::new(Code::Forbidden, what)),
            // There is nothing else by which they could be known.
            false => Ok(Identity::Other),
        };
    }
    if caller.is_on(newest) {
        return Ok(Identity::Other);
    }
    let now_ms = (api.now_ms)();
    match api.pending_reset(newest.user).await? {
        Some(ready_ms) if ready_ms <= now_ms => Ok(Identity::OtherAfterWait { now_ms }),
        _ => Err(ApiError::new(
            Code::Forbidden,
            "a login alone replaces the identity key only some days after that was asked for",
        )),
    }
}

/// Whether the user has a password that this relay can check.
pub(super) async fn has_password(api: &Api, user: UserId) -> Result<bool, ApiError> {
    let user = api.users.by_id(user).await?.ok_or(Code::UserNotFound)?;
    let record = api.users.password(&user.username).await?;
    Ok(record.is_some_and(|record| api.passwords.is_record(&record)))
}

/// What comes with a list, checked: the vault that it names, if that is another than before, and nothing else.
pub(super) fn credentials(
    api: &Api,
    list: &DeviceList,
    vault_before: u32,
    vault: Option<Base64>,
    password: Option<NewPassword>,
) -> Result<Credentials, ApiError> {
    let bad = |what: &str| ApiError::new(Code::BadVault, what);
    let vault = vault.map(|vault| vault.0);
    if let Some(bytes) = &vault {
        let vault: pb::Vault = frame::decode(bytes.clone(), &frame::VAULT)
            .map_err(|_| bad("the vault cannot be read"))?;
        let backup_version = list.backup.map_or(0, |backup| backup.version);
        if (vault.version, vault.backup_version) != (list.vault_version, backup_version) {
            return Err(bad("it is not the version that the list names"));
        }
    }
    if vault.is_some() != (list.vault_version != vault_before) {
        return Err(bad(
            "a list that names another vault comes with it, and only such a list",
        ));
    }
    let password = password.map(|password| PasswordRecord {
        seed: password.seed,
        record: password.record.0.to_vec().into(),
    });
    if password
        .as_ref()
        .is_some_and(|record| !api.passwords.is_record(record))
    {
        return Err(ApiError::new(Code::BadRequest, "password"));
    }
    Ok(Credentials {
        vault,
        password,
        ..Credentials::NONE
    })
}

/// Stores a list and tells the sockets of its user's devices.
async fn store(api: &Api, list: &DeviceList, with: &Credentials) -> Result<(), ApiError> {
    api.users.put_list(list, with).await?;
    announce(api, list.user).await;
    Ok(())
}

/// Tells the sockets of a user's devices that the list is another, or gone.
pub(super) async fn announce(api: &Api, user: UserId) {
    let users = [user];
    let told = api.sessions.publish(&users, Event::ListChanged);
    // A socket that is not told sends nothing more, for each message is held against the newest list; it goes on reading until
    // its token ends.
    if let Err(error) = told.await {
        tracing::warn!(%error, "a changed list was not announced");
    }
}
