//! Users: registered, and found by name or id.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use sordino_protocol::{
    Code, UserId,
    http::{Register, User},
    limits, list,
};

use super::{
    Api, ApiError,
    caller::Caller,
    request::{Body, Ids},
};
use crate::user::verify::verify;

/// `POST /v1/users`
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    body: Body,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let Register { username, list } = body.json()?;
    if !limits::is_username(&username) {
        return Err(ApiError::new(Code::BadRequest, "username"));
    }
    api.rates.sign_up()?;
    let list = list::parse(&list.into(), verify)
        .map_err(|error| ApiError::new(Code::BadList, error.to_string()))?;
    if list.version != 1 || list.devices.len() != 1 {
        return Err(ApiError::new(
            Code::BadList,
            "the first list is version 1 and names one device",
        ));
    }
    api.users.create(&username, &list).await?;
    let user = list.user;
    Ok((StatusCode::CREATED, Json(User { user, username })))
}

/// `GET /v1/users/by-name/{username}`
pub(super) async fn by_name(
    State(api): State<Arc<Api>>,
    _: Caller,
    Ids(username): Ids<String>,
) -> Result<Json<User>, ApiError> {
    let user = api.users.by_name(&username).await?;
    Ok(Json(user.ok_or(Code::UserNotFound)?))
}

/// `GET /v1/users/{user}`
pub(super) async fn by_id(
    State(api): State<Arc<Api>>,
    _: Caller,
    Ids(user): Ids<UserId>,
) -> Result<Json<User>, ApiError> {
    let user = api.users.by_id(user).await?;
    Ok(Json(user.ok_or(Code::UserNotFound)?))
}
