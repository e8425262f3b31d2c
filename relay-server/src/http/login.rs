//! Logging a device in: a challenge, its signed answer, a token.

use std::sync::Arc;

use axum::{Json, extract::State};
use sordino_protocol::{
    Code,
    http::{Challenge, ChallengeRequest, Token, TokenRequest},
};

use super::{Api, ApiError, caller::no_device, request::Body};
use crate::auth::{proof, token::Subject};

/// `POST /v1/auth/challenge`. Answered for anyone: it does not say who is registered.
pub(super) async fn challenge(
    State(api): State<Arc<Api>>,
    body: Body,
) -> Result<Json<Challenge>, ApiError> {
    let ChallengeRequest { user, device } = body.json()?;
    let nonce = api.challenges.issue(user, device, (api.now_ms)());
    Ok(Json(Challenge {
        nonce: nonce.to_vec().into(),
        relay: api.name.clone(),
    }))
}

/// `POST /v1/auth/token`
pub(super) async fn token(
    State(api): State<Arc<Api>>,
    body: Body,
) -> Result<Json<Token>, ApiError> {
    let request: TokenRequest = body.json()?;
    let (user, device) = (request.user, request.device);
    let nonce = array(&request.nonce.0, "nonce")?;
    let signature = array(&request.signature.0, "signature")?;
    let now_ms = (api.now_ms)();
    if !api.challenges.stands(&nonce, user, device, now_ms) {
        return Err(Code::ChallengeExpired.into());
    }
    let Some(list) = api.users.newest_list(user).await? else {
        return Err(no_device(&*api.users, user).await.into());
    };
    let signing_key = list.device(device).map(|device| device.signing_key);
    let signing_key = signing_key.ok_or(Code::DeviceRevoked)?;
    if !proof::answers_challenge(&signing_key, &api.name, &nonce, &signature) {
        return Err(Code::BadProof.into());
    }
    api.must_be_enabled(user)?;
    api.redeem(&nonce, user, device).await?;
    let subject = Subject::device(user, device, &signing_key);
    let access_token = api.tokens.issue(subject, now_ms / 1000);
    Ok(Json(Token {
        access_token: access_token.map_err(|_| Code::Internal)?,
        expires_in: subject.lifetime(),
    }))
}

/// `GET /.well-known/jwks.json`
pub(super) async fn jwks(State(api): State<Arc<Api>>) -> Json<serde_json::Value> {
    Json(api.tokens.jwks())
}

pub(super) fn array<const N: usize>(bytes: &[u8], field: &str) -> Result<[u8; N], ApiError> {
    bytes
        .try_into()
        .map_err(|_| ApiError::new(Code::BadRequest, field))
}
