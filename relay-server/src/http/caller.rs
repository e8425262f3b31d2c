//! Who calls: a token for every request, a proof for every write.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use sordino_protocol::{Code, DeviceId, UserId, http::PROOF_HEADER};

use super::{Api, ApiError, error::code_of_users, request::Body};
use crate::{
    auth::{
        proof::Proof,
        token::{TokenError, thumbprint},
    },
    ops::rates::client_of,
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
        match Self::of_headers(api, &parts.headers).await {
            Ok(caller) => {
                api.rates.user(caller.user)?;
                Ok(caller)
            }
            Err(code) => {
                // Nobody may try out tokens faster than they may ask without one.
                api.rates.address(client_of(&parts.extensions))?;
                Err(code.into())
            }
        }
    }
}

impl Caller {
    /// Whose token the headers carry.
    pub(crate) async fn of_headers(api: &Api, headers: &HeaderMap) -> Result<Self, Code> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(Code::NotAuthenticated)?;
        Self::of_token(api, token).await
    }

    /// Whose token it is.
    pub(crate) async fn of_token(api: &Api, token: &str) -> Result<Self, Code> {
        let claims =
            api.tokens
                .verify(token, (api.now_ms)() / 1000)
                .map_err(|error| match error {
                    TokenError::Expired => Code::TokenExpired,
                    TokenError::Invalid | TokenError::Sign => Code::NotAuthenticated,
                })?;
        let list = (api.users)
            .newest_list(claims.sub)
            .await
            .map_err(code_of_users)?;
        // By key as well as by id: a device listed anew has to log in anew.
        let signing_key = list
            .and_then(|list| list.device(claims.did).map(|device| device.signing_key))
            .filter(|key| thumbprint(key) == claims.cnf.jkt)
            .ok_or(Code::DeviceRevoked)?;
        Ok(Self {
            user: claims.sub,
            device: claims.did,
            expires_ms: claims.exp.saturating_mul(1000),
            signing_key,
        })
    }

    /// Refuses what belongs to another user.
    pub(super) fn must_be_user(&self, user: UserId) -> Result<(), ApiError> {
        (self.user == user)
            .then_some(())
            .ok_or(Code::Forbidden.into())
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
        let proof = headers
            .get(PROOF_HEADER)
            .and_then(|value| Proof::parse(value.to_str().ok()?))
            .ok_or(Code::BadProof)?;
        if !proof.verify(&self.signing_key, method.as_str(), uri.path(), &body.0) {
            return Err(Code::BadProof.into());
        }
        api.rates.write(self.user)?;
        api.redeem(&proof.nonce, self.user, self.device).await
    }

    pub(crate) fn signing_key(&self) -> &[u8; 32] {
        &self.signing_key
    }
}
