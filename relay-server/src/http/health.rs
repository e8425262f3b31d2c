//! What a load balancer asks.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use sordino_protocol::Code;

use super::{Api, ApiError};

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /readyz`: it is not about to end, and users and messages can be written to (on a cluster: users). Else 503, with the reason in the body.
pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Result<StatusCode, ApiError> {
    if api.draining.is_cancelled() {
        return Err(Code::Draining.into());
    }
    let users = api.users.healthy().await;
    users.map_err(|error| ApiError::from(error).unavailable())?;
    let history = api.history.healthy().await;
    history.map_err(|error| ApiError::from(error).unavailable())?;
    Ok(StatusCode::NO_CONTENT)
}
