//! Passwords (OPAQUE, RFC 9807): set, and used by a device that is on no list yet; and the vault, which is what such a device is after.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap, header},
};
use sordino_opaque::is_confirmed;
use sordino_protocol::{
    Code, UserId,
    http::{
        PasswordAnswer, PasswordChallenge, PasswordFinish, PasswordLogin, PasswordRequest,
        PasswordToken, StoredVault,
    },
    limits,
};

use super::{
    Api, ApiError,
    caller::AccountCaller,
    lists::has_password,
    login::array,
    request::{Body, Ids},
};
use crate::{
    auth::{
        password::name_id,
        token::{Scope, Subject},
    },
    ops::{fleet::Bucket, rates::client_of},
};

/// `POST /v1/passwords`
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PasswordAnswer>, ApiError> {
    let PasswordRequest { username, request } = body.json()?;
    must_be_username(&username)?;
    // First, so that tokens that are none are counted as well.
    count_guesser(&api, &extensions).await?;
    let owner = match headers.contains_key(header::AUTHORIZATION) {
        true => Some(AccountCaller::of_headers(&api, &headers).await?),
        false => None,
    };
    let user = api.users.by_name(&username).await?;
    let is_theirs =
        |owner: &AccountCaller| user.as_ref().is_some_and(|user| user.user == owner.user);
    let owner = owner.filter(is_theirs);
    // Who asks for a name's OPRF before the name is taken could try passwords later, so that counts, too. And who asks for somebody's
    // name must not keep that person from changing their password.
    let of = owner.as_ref().map_or_else(
        || name_id(&username),
        |owner| name_id(&format!("password of {}", owner.counted_as())),
    );
    count_guess_of(&api, of).await?;
    match user {
        None => api.registration.begins_with_passwords()?,
        Some(user) => {
            let owner = owner.ok_or(Code::NameTaken)?;
            if has_password(&api, user.user).await? {
                let may = owner.knew_the_password();
                may.then_some(()).ok_or(Code::NameTaken)?;
            } else {
                api.registration.takes_first_passwords()?;
            }
        }
    }
    let response = api.passwords.register(&username, &request.0);
    Ok(Json(PasswordAnswer {
        response: response.map_err(|_| malformed("request"))?.into(),
        seed: api.passwords.seed().to_owned(),
    }))
}

/// `POST /v1/auth/password`. Answered for anyone: it does not say who is registered, nor does the work that it takes.
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    extensions: Extensions,
    body: Body,
) -> Result<Json<PasswordChallenge>, ApiError> {
    let PasswordLogin {
        username,
        device,
        request,
    } = body.json()?;
    must_be_username(&username)?;
    count_guess(&api, &extensions, name_id(&username)).await?;
    let record = api.users.password(&username).await?;
    let nonce = api
        .challenges
        .issue(name_id(&username), device, (api.now_ms)());
    let begun = api
        .passwords
        .begin(&username, record.as_ref(), &nonce, &request.0);
    let (attempt, response) = begun.map_err(|_| malformed("request"))?;
    Ok(Json(PasswordChallenge {
        nonce: nonce.to_vec().into(),
        attempt: attempt.into(),
        response: response.into(),
        relay: api.name.clone(),
    }))
}

/// `POST /v1/auth/password/finish`
pub(super) async fn finish(
    State(api): State<Arc<Api>>,
    body: Body,
) -> Result<Json<PasswordToken>, ApiError> {
    let finish: PasswordFinish = body.json()?;
    let nonce = array(&finish.nonce.0, "nonce")?;
    let signing_key = array(&finish.signing_key.0, "signing_key")?;
    let (name, device, now_ms) = (&finish.username, finish.device, (api.now_ms)());
    if !api.challenges.stands(&nonce, name_id(name), device, now_ms) {
        return Err(Code::ChallengeExpired.into());
    }
    let (attempt, finalization) = (&finish.attempt.0, &finish.finalization.0);
    let record = api.users.password(name).await?;
    // Also without a record: who has one must not be told by the time that this takes.
    let session = (api.passwords).finish(name, record.as_ref(), &nonce, attempt, finalization);
    let given = &finish.confirmation.0;
    let confirmed = |session| is_confirmed(&session, device.as_bytes(), &signing_key, given);
    if !session.is_some_and(confirmed) {
        return Err(Code::WrongPassword.into());
    }
    api.redeem(&nonce, name_id(name), device).await?;
    let user = api.users.by_name(name).await?.ok_or(Code::WrongPassword)?;
    // Only to who knows the password.
    api.must_be_enabled(user.user)?;
    let newest = api.users.newest_list(user.user).await?;
    let subject = Subject {
        user: user.user,
        device,
        signing_key: &signing_key,
        scope: Some(Scope::Account),
        list: newest.map(|list| list.version),
    };
    let access_token = api.tokens.issue(subject, now_ms / 1000);
    Ok(Json(PasswordToken {
        user: user.user,
        access_token: access_token.map_err(|_| Code::Internal)?,
        expires_in: subject.lifetime(),
    }))
}

/// `GET /v1/users/{user}/vault`
pub(super) async fn vault(
    State(api): State<Arc<Api>>,
    owner: AccountCaller,
    Ids(user): Ids<UserId>,
) -> Result<Json<StoredVault>, ApiError> {
    owner.must_be_user(user)?;
    let vault = api.users.vault(user).await?.ok_or(Code::NotFound)?;
    Ok(Json(StoredVault {
        vault: sordino_protocol::http::Base64(vault),
    }))
}

fn must_be_username(username: &str) -> Result<(), ApiError> {
    match limits::is_username(username) {
        true => Ok(()),
        false => Err(malformed("username")),
    }
}

/// Counts a question by whose answers something of people could be found out: of this address, and `of` somebody.
pub(super) async fn count_guess(
    api: &Api,
    extensions: &Extensions,
    of: UserId,
) -> Result<(), ApiError> {
    count_guesser(api, extensions).await?;
    count_guess_of(api, of).await
}

/// Counts it of this address alone.
pub(super) async fn count_guesser(api: &Api, extensions: &Extensions) -> Result<(), ApiError> {
    let address = client_of(extensions);
    api.rates.address_password(address)?;
    let share = api.rates.address_passwords();
    let bucket = Bucket::AddressPasswords(address.0);
    Ok(api.fleet.take(bucket, share, 1).await.unwrap_or(Ok(()))?)
}

async fn count_guess_of(api: &Api, of: UserId) -> Result<(), ApiError> {
    api.rates.password(of)?;
    let taken = (api.fleet)
        .take(Bucket::Passwords(of), api.rates.passwords(), 1)
        .await;
    Ok(taken.unwrap_or(Ok(()))?)
}

fn malformed(what: &str) -> ApiError {
    ApiError::new(Code::BadRequest, what)
}
