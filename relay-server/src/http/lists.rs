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
    list::{self, DeviceList},
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
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body)
        .await?;
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
    // Not dropped with the request when its connection is lost: a list that is stored must be announced, or a device that it
    // removes keeps its socket.
    let stored = tokio::spawn(async move { store(&api, &next).await });
    stored.await.map_err(|error| {
        tracing::error!(%error, "a list was not stored to the end");
        Code::Internal
    })??;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores a list and tells the sockets of its user's devices.
async fn store(api: &Api, list: &DeviceList) -> Result<(), ApiError> {
    api.users.put_list(list).await?;
    let users = [list.user];
    let told = api.sessions.publish(&users, Event::ListChanged);
    // A socket that is not told sends nothing more, for each message is held against the newest list; it goes on reading until
    // its token ends.
    if let Err(error) = told.await {
        tracing::warn!(%error, "a changed list was not announced");
    }
    Ok(())
}
