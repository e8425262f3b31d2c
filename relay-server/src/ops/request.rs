//! What holds for every request: it ends in time, it is counted, and a fault in one ends no other.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use sordino_protocol::Code;
use tokio::time::timeout;

use crate::http::ApiError;

/// Answers within `limit`, and counts the answer under its route.
pub async fn bounded(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    // The pattern, never the path: that one holds names and ids.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let begun = Instant::now();
    // A handler shares only what is behind locks that take a panic into account.
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = match timeout(limit, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!(route, "a request failed on a fault of the relay");
            ApiError::from(Code::Internal).into_response()
        }
        Err(_) => ApiError::from(Code::Timeout).into_response(),
    };
    let status = response.status().as_str().to_owned();
    ::metrics::histogram!("sordino_http_request_seconds", "route" => route.clone())
        .record(begun.elapsed());
    ::metrics::counter!("sordino_http_requests_total", "route" => route, "status" => status)
        .increment(1);
    response
}

#[cfg(test)]
mod tests {
    use axum::{
        Router, body::Body, http::StatusCode, middleware::from_fn_with_state, routing::get,
    };
    use tower::ServiceExt;

    use super::*;

    async fn status(path: &str) -> StatusCode {
        let faulty = async || -> StatusCode { panic!("a fault, as the test wants it") };
        let routes: Router = Router::new()
            .route("/good", get(async || StatusCode::OK))
            .route("/endless", get(std::future::pending::<StatusCode>))
            .route("/faulty", get(faulty))
            .layer(from_fn_with_state(Duration::from_millis(20), bounded));
        let request = Request::get(path).body(Body::empty()).expect("a request");
        routes.oneshot(request).await.expect("answered").status()
    }

    #[tokio::test]
    async fn every_request_is_answered() {
        assert_eq!(status("/good").await, StatusCode::OK);
        assert_eq!(status("/endless").await, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(status("/faulty").await, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
