//! Who calls: a token for every request, a proof for every write.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use sordino_protocol::{Code, DeviceId, UserId, http::PROOF_HEADER, list::DeviceList};

use super::{
    Api, ApiError,
    error::{code_of_users, nobody},
    request::Body,
};
use crate::{
    auth::{
        password::name_id,
        proof::Proof,
        token::{Claims, Scope, TokenError, thumbprint},
    },
    ops::rates::client_of,
    user::Users,
};

/// The device whose token came along; it is on its owner's newest list.
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    /// When the token ends, milliseconds since the Unix epoch.
    pub(crate) expires_ms: u64,
    signing_key: [u8; 32],
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let found = Self::of_headers(api, &parts.headers).await;
        counted(api, parts, found, |caller| caller.user)
    }
}

impl Caller {
    /// Whose token the headers carry.
    pub(crate) async fn of_headers(api: &Api, headers: &HeaderMap) -> Result<Self, Code> {
        Self::of_token(api, bearer(headers)?).await
    }

    /// Whose token it is.
    pub(crate) async fn of_token(api: &Api, token: &str) -> Result<Self, Code> {
        Self::of_claims(api, claims(api, token)?).await
    }

    async fn of_claims(api: &Api, claims: Claims) -> Result<Self, Code> {
        if claims.scope.is_some() {
            return Err(Code::Forbidden);
        }
        let list = (api.users)
            .newest_list(claims.sub)
            .await
            .map_err(code_of_users)?;
        let Some(list) = list else {
            return Err(no_device(&*api.users, claims.sub).await);
        };
        // By key as well as by id: a device listed anew has to log in anew.
        let signing_key = list
            .device(claims.did)
            .map(|device| device.signing_key)
            .filter(|key| thumbprint(key) == claims.cnf.jkt)
            .ok_or(Code::DeviceRevoked)?;
        api.must_be_enabled(claims.sub)?;
        Ok(Self {
            user: claims.sub,
            device: claims.did,
            expires_ms: claims.exp.saturating_mul(1000),
            signing_key,
        })
    }

    /// Refuses what belongs to another user.
    pub(super) fn must_be_user(&self, user: UserId) -> Result<(), ApiError> {
        must_be(self.user, user)
    }

    /// Refuses what belongs to another device.
    pub(super) fn must_be_device(&self, user: UserId, device: DeviceId) -> Result<(), ApiError> {
        self.must_be_user(user)?;
        (self.device == device)
            .then_some(())
            .ok_or(Code::Forbidden.into())
    }

    /// Refuses a write that this device did not sign, or that was made before.
    pub(super) async fn must_have_signed(
        &self,
        api: &Api,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        body: &Body,
    ) -> Result<(), ApiError> {
        let who = (self.user, self.device, &self.signing_key);
        signed(api, who, self.user, (method, uri, headers), body).await
    }

    pub(crate) fn signing_key(&self) -> &[u8; 32] {
        &self.signing_key
    }
}

/// Who may ask for what an account is, or replace their own: a device, or one that is on no list yet and whose owner knew the
/// password.
pub(super) struct AccountCaller {
    pub(super) user: UserId,
    device: DeviceId,
    key: Key,
}

/// The key by which an owner signs.
enum Key {
    Listed([u8; 32]),
    /// [`thumbprint`] of it; the key itself comes with what the device asks for.
    Named(String),
}

impl FromRequestParts<Arc<Api>> for AccountCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let found = Self::of_headers(api, &parts.headers).await;
        counted(api, parts, found, Self::counted_as)
    }
}

impl AccountCaller {
    /// Whose token the headers carry.
    pub(super) async fn of_headers(api: &Api, headers: &HeaderMap) -> Result<Self, Code> {
        let claims = claims(api, bearer(headers)?)?;
        if claims.scope == Some(Scope::Account) {
            // A list that was stored since may have taken a thief off, or the password from them.
            let newest = api.users.newest_list(claims.sub).await;
            let newest = newest.map_err(code_of_users)?;
            let Some(newest) = newest else {
                return Err(no_device(&*api.users, claims.sub).await);
            };
            if Some(newest.version) != claims.list {
                return Err(Code::TokenExpired);
            }
            api.must_be_enabled(claims.sub)?;
            return Ok(Self {
                user: claims.sub,
                device: claims.did,
                key: Key::Named(claims.cnf.jkt),
            });
        }
        let caller = Caller::of_claims(api, claims).await?;
        Ok(Self {
            user: caller.user,
            device: caller.device,
            key: Key::Listed(caller.signing_key),
        })
    }

    /// Refuses what belongs to another user.
    pub(super) fn must_be_user(&self, user: UserId) -> Result<(), ApiError> {
        must_be(self.user, user)
    }

    /// By what its requests and writes are counted. Logins by themselves: who knows the password must not use up what the account's
    /// devices need to refuse them.
    pub(super) fn counted_as(&self) -> UserId {
        match self.key {
            Key::Listed(_) => self.user,
            // No user name has a space.
            Key::Named(_) => name_id(&format!("logins of {}", self.user)),
        }
    }

    /// Whether it is here because it knew the password.
    pub(super) fn knew_the_password(&self) -> bool {
        matches!(self.key, Key::Named(_))
    }

    /// Whether the device is on its owner's list, `newest`, already.
    pub(super) fn is_on(&self, newest: &DeviceList) -> bool {
        let listed = newest.device(self.device).map(|device| device.signing_key);
        match &self.key {
            Key::Listed(key) => listed == Some(*key),
            Key::Named(name) => listed.is_some_and(|key| thumbprint(&key) == *name),
        }
    }

    /// Refuses a write that this device did not sign, or that was made before. `key`: what the device that wants it says is its key,
    /// read only where nothing else tells.
    pub(super) async fn must_have_signed(
        &self,
        api: &Api,
        parts: (&Method, &Uri, &HeaderMap),
        body: &Body,
        key: impl FnOnce(DeviceId) -> Result<Option<[u8; 32]>, ApiError>,
    ) -> Result<(), ApiError> {
        let key = match &self.key {
            Key::Listed(key) => *key,
            Key::Named(name) => key(self.device)?
                .filter(|key| thumbprint(key) == *name)
                .ok_or(Code::Forbidden)?,
        };
        let who = (self.user, self.device, &key);
        signed(api, who, self.counted_as(), parts, body).await
    }
}

/// What is said to a device of somebody who has no list.
pub(crate) async fn no_device(users: &dyn Users, user: UserId) -> Code {
    match nobody(users, user).await {
        Code::UserDeleted => Code::AccountDeleted,
        Code::UserNotFound => Code::DeviceRevoked,
        code => code,
    }
}

/// Counts a request for its user, or for its address where it has no good token: nobody may try out tokens faster than they
/// may ask without one.
fn counted<T>(
    api: &Api,
    parts: &Parts,
    found: Result<T, Code>,
    user: impl FnOnce(&T) -> UserId,
) -> Result<T, ApiError> {
    match &found {
        Ok(caller) => api.rates.user(user(caller))?,
        Err(_) => api.rates.address(client_of(&parts.extensions))?,
    }
    Ok(found?)
}

/// Refuses what belongs to another user.
fn must_be(caller: UserId, user: UserId) -> Result<(), ApiError> {
    (caller == user).then_some(()).ok_or(Code::Forbidden.into())
}

fn bearer(headers: &HeaderMap) -> Result<&str, Code> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(Code::NotAuthenticated)
}

fn claims(api: &Api, token: &str) -> Result<Claims, Code> {
    let claims = api.tokens.verify(token, (api.now_ms)() / 1000);
    claims.map_err(|error| match error {
        TokenError::Expired => Code::TokenExpired,
        TokenError::Invalid | TokenError::Sign => Code::NotAuthenticated,
    })
}

/// Refuses a write that the device did not sign with its key, or that was made before.
async fn signed(
    api: &Api,
    (user, device, key): (UserId, DeviceId, &[u8; 32]),
    counted_as: UserId,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    body: &Body,
) -> Result<(), ApiError> {
    let proof = headers
        .get(PROOF_HEADER)
        .and_then(|value| Proof::parse(value.to_str().ok()?))
        .ok_or(Code::BadProof)?;
    if !proof.verify(key, method.as_str(), uri.path(), &body.0) {
        return Err(Code::BadProof.into());
    }
    api.rates.write(counted_as)?;
    api.redeem(&proof.nonce, user, device).await
}
