//! Where a device is woken: set and removed by the device itself.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use sordino_protocol::{Code, DeviceId, UserId, http::PutPush, limits};

use super::{
    Api, ApiError,
    caller::Caller,
    request::{Body, Ids},
};
use crate::user::PushTarget;

/// `PUT /v1/users/{user}/devices/{device}/push`
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids((user, device)): Ids<(UserId, DeviceId)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_device(user, device)?;
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body)
        .await?;
    let PutPush { provider, token } = body.json()?;
    if !limits::is_push_token(&token) {
        let what = "the token is empty, too long, or no printable ASCII";
        return Err(ApiError::new(Code::BadRequest, what));
    }
    let target = PushTarget {
        device,
        provider,
        token,
        set_ms: (api.now_ms)(),
    };
    api.users.put_push(user, &target).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/users/{user}/devices/{device}/push`
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids((user, device)): Ids<(UserId, DeviceId)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_device(user, device)?;
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body)
        .await?;
    api.users.remove_push(user, device, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
