//! What a load balancer asks.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use super::{Api, ApiError};

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /readyz`: the stores can be written to.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Result<StatusCode, ApiError> {
    api.users.healthy().await?;
    api.history.healthy().await?;
    Ok(StatusCode::NO_CONTENT)
}
