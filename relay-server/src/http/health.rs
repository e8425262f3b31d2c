//! What a load balancer asks.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use sordino_protocol::Code;
use tokio::time::timeout;

use super::{Api, ApiError};

/// Whoever asks and gets no answer takes this process for one that hangs: ours then cuts its sockets, which a store that is
/// silent is no reason for. Below the second that it waits.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /readyz`: it is not about to end, and users and messages can be written to (on a cluster: users). Else 503, with the reason in the body.
pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Result<StatusCode, ApiError> {
    if api.draining.is_cancelled() {
        return Err(Code::Draining.into());
    }
    let stores = async {
        api.users.healthy().await?;
        api.history.healthy().await?;
        Ok(StatusCode::NO_CONTENT)
    };
    let silent = |_| ApiError::new(Code::Internal, "a store does not answer");
    let asked = timeout(ANSWER_WITHIN, stores).await.map_err(silent);
    asked.flatten().map_err(ApiError::unavailable)
}
