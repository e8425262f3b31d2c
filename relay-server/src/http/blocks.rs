//! Whom a person has blocked, as their devices say.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use sordino_protocol::{Code, UserId, http::PutBlock, limits};

use super::{
    Api, ApiError,
    caller::Caller,
    error::code_of_users,
    request::{Body, Ids},
};
use crate::user::Block;

/// `PUT /v1/users/{user}/blocks/{other}`
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids((user, other)): Ids<(UserId, UserId)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_user(user)?;
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body)
        .await?;
    let PutBlock {
        blocked,
        decided_ms,
    } = body.json()?;
    if user == other {
        return Err(ApiError::new(Code::BadRequest, "that is oneself"));
    }
    if !(1..limits::DECIDED_MS).contains(&decided_ms) {
        return Err(ApiError::new(Code::BadRequest, "decided_ms"));
    }
    let block = Block {
        tag: api.block_key.tag(user, other),
        blocked,
        decided_ms,
    };
    api.users.put_block(user, &block).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// Whether a person has said that they do not want to hear of what another one sends.
    pub(crate) async fn has_blocked(&self, user: UserId, other: UserId) -> Result<bool, Code> {
        let blocked = self.users.blocked(user).await.map_err(code_of_users)?;
        // Most people have blocked nobody.
        if blocked.is_empty() {
            return Ok(false);
        }
        let tag = self.block_key.tag(user, other);
        Ok(blocked.binary_search(&tag).is_ok())
    }
}
