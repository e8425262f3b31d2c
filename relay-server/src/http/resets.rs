//! Another identity key for who has lost what opens the vault. Whoever is on the account and can log in as well gets it at once
//! (`lists`); whoever can do nothing but log in asks for it and waits, while the account's devices are told and may refuse.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use sordino_protocol::{
    Code, UserId,
    http::{AskReset, Reset},
};

use super::{
    Api, ApiError,
    caller::{AccountCaller, Caller},
    lists,
    login::array,
    request::{Body, Ids, to_the_end},
};

/// How long it may be done once the wait is over. Then it has to be asked for again: devices that come late are told of it.
const OPEN_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// `POST /v1/users/{user}/reset`
pub(super) async fn ask(
    State(api): State<Arc<Api>>,
    caller: AccountCaller,
    Ids(user): Ids<UserId>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Reset>, ApiError> {
    caller.must_be_user(user)?;
    let AskReset { signing_key } = body.json()?;
    let signing_key = array(&signing_key.0, "signing_key")?;
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body, |_| {
            Ok(Some(signing_key))
        })
        .await?;
    if !caller.knew_the_password() {
        return Err(Code::Forbidden.into());
    }
    let now_ms = (api.now_ms)();
    let (ready_ms, stale_ms) = (now_ms + api.reset_wait_ms, now_ms.saturating_sub(OPEN_MS));
    let ready_ms = to_the_end(async move {
        let asked = api.users.ask_reset(user, ready_ms, stale_ms).await?;
        lists::announce(&api, user).await;
        Ok(asked)
    })
    .await?;
    Ok(Json(Reset { ready_ms, now_ms }))
}

/// `DELETE /v1/users/{user}/reset`
pub(super) async fn withdraw(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids(user): Ids<UserId>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_user(user)?;
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body)
        .await?;
    to_the_end(async move {
        api.users.withdraw_reset(user).await?;
        lists::announce(&api, user).await;
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// From when on another identity key may be given to the account, where somebody has asked for it.
    pub(crate) async fn pending_reset(&self, user: UserId) -> Result<Option<u64>, ApiError> {
        let stale_ms = (self.now_ms)().saturating_sub(OPEN_MS);
        let asked = self.users.reset(user).await?;
        Ok(asked.filter(|ready_ms| *ready_ms > stale_ms))
    }
}
