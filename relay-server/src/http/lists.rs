//! Device lists: read by everyone, replaced by their owner's devices.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde::Deserialize;
use sordino_protocol::{
    Code, UserId,
    http::{Lists, PutList},
    list,
};

use super::{
    Api, ApiError,
    caller::Caller,
    request::{Body, Ids, Params},
};
use crate::{session::Event, user::verify::verify};

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
    _: Caller,
    Ids(user): Ids<UserId>,
    Params(range): Params<Range>,
) -> Result<Json<Lists>, ApiError> {
    let newest = api
        .users
        .newest_list(user)
        .await?
        .ok_or(Code::UserNotFound)?;
    let lists = match range.from {
        None => vec![newest.signed.clone()],
        Some(from) => {
            let limit = range.limit.unwrap_or(PAGE).min(PAGE);
            api.users.lists(user, from, limit).await?
        }
    };
    Ok(Json(Lists {
        lists: lists.into_iter().map(Into::into).collect(),
        newest: newest.version,
    }))
}

/// `PUT /v1/users/{user}/list`
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids(user): Ids<UserId>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_user(user)?;
    caller.must_have_signed(&api, (&method, &uri, &headers), &body)?;
    let bad = |error: list::ListError| ApiError::new(Code::BadList, error.to_string());
    let PutList { list } = body.json()?;
    let next = list::parse(&list.into(), verify).map_err(bad)?;
    let newest = api
        .users
        .newest_list(user)
        .await?
        .ok_or(Code::UserNotFound)?;
    if next.user == user && next.version <= newest.version {
        return Err(Code::ListConflict.into());
    }
    newest.check_successor(&next, verify).map_err(bad)?;
    api.users.put_list(&next).await?;
    // A node that cannot be told finds out at the device's next request: each one asks for the newest list.
    if let Err(error) = api.sessions.publish(&[user], Event::ListChanged).await {
        tracing::warn!(%error, "a changed list was not announced");
    }
    Ok(StatusCode::NO_CONTENT)
}
