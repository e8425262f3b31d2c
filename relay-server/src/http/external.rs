//! Logging in by the app's own login, for a device that is on no list yet. What it yields is what a password yields.

use std::sync::Arc;

use axum::{Json, extract::State};
use sordino_protocol::{
    Code,
    http::{ExternalAccount, ExternalLogin},
};

use super::{Api, ApiError, login::array, registration::Registration, request::Body};
use crate::auth::token::{Scope, Subject};

/// `POST /v1/auth/external`
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    body: Body,
) -> Result<Json<ExternalAccount>, ApiError> {
    let ExternalLogin {
        external_token,
        device,
        signing_key,
    } = body.json()?;
    let signing_key = array(&signing_key.0, "signing_key")?;
    let Registration::External(issuer) = &api.registration else {
        let what = "this relay has accounts of its own: log in by password";
        return Err(ApiError::new(Code::NotFound, what));
    };
    let now_ms = (api.now_ms)();
    let subject = issuer.verify(&external_token, now_ms).await?;
    // Only whoever has a good token learns that: it is theirs.
    let nobody = || {
        let what = "whoever is logged in to the app has no account here: register";
        ApiError::new(Code::UserNotFound, what)
    };
    let user = api.users.by_subject(&subject).await?.ok_or_else(nobody)?;
    api.must_be_enabled(user.user)?;
    let newest = api.users.newest_list(user.user).await?;
    let newest = newest.ok_or_else(nobody)?;
    let subject = Subject {
        user: user.user,
        device,
        signing_key: &signing_key,
        scope: Some(Scope::Account),
        list: Some(newest.version),
    };
    let access_token = api.tokens.issue(subject, now_ms / 1000);
    Ok(Json(ExternalAccount {
        user: user.user,
        username: user.username,
        access_token: access_token.map_err(|_| Code::Internal)?,
        expires_in: subject.lifetime(),
    }))
}
