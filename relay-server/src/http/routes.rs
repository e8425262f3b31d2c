//! Every route.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    middleware::from_fn_with_state,
    routing::{get, post, put},
};
use sordino_protocol::{Code, limits};

use super::{
    Api, ApiError, accounts, backups, blocks, claims, deletion, emails, external, health, history,
    links, lists, login, passwords, prekeys, push, resets,
};
use crate::ops::rates;

/// The routes of the HTTP interface.
pub fn router(api: Arc<Api>) -> Router {
    // Without a token: bounded by address. The others are bounded by user, in `Caller`.
    let by_address = from_fn_with_state(api.rates.clone(), rates::by_address);
    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/.well-known/jwks.json", get(login::jwks))
        .route("/v1/auth/challenge", post(login::challenge))
        .route("/v1/auth/token", post(login::token))
        .route("/v1/auth/password", post(passwords::begin))
        .route("/v1/auth/password/finish", post(passwords::finish))
        .route("/v1/auth/external", post(external::log_in))
        .route("/v1/passwords", post(passwords::register))
        .route("/v1/users", post(accounts::register))
        .route("/v1/users/{user}/deletion", post(deletion::delete))
        .fallback(nothing_here)
        .layer(by_address.clone());
    Router::new()
        .route("/v1/users/by-name/{username}", get(accounts::by_name))
        .route("/v1/users/{user}", get(accounts::by_id))
        .route("/v1/users/{user}/lists", get(lists::read))
        .route("/v1/users/{user}/list", put(lists::replace))
        .route(
            "/v1/users/{user}/links/{channel}/{side}/{number}",
            get(links::get).put(links::put),
        )
        .route(
            "/v1/users/{user}/reset",
            post(resets::ask).delete(resets::withdraw),
        )
        .route("/v1/users/{user}/vault", get(passwords::vault))
        .route(
            "/v1/users/{user}/email",
            get(emails::read).put(emails::replace),
        )
        .route(
            "/v1/users/{user}/devices/{device}/backups/{version}",
            put(backups::put),
        )
        .route("/v1/users/{user}/backups/{version}", get(backups::heads))
        .route(
            "/v1/users/{user}/backups/{version}/{device}",
            get(backups::read),
        )
        .route(
            "/v1/users/{user}/devices/{device}/prekeys",
            get(prekeys::count).put(prekeys::put),
        )
        .route(
            "/v1/users/{user}/devices/{device}/push",
            put(push::put).delete(push::remove),
        )
        .route("/v1/users/{user}/blocks/{other}", put(blocks::put))
        .route("/v1/users/{user}/prekeys/claim", post(claims::claim))
        .route("/v1/conversations", get(history::conversations))
        .route(
            "/v1/conversations/{conversation}/messages",
            get(history::messages),
        )
        .merge(open)
        .method_not_allowed_fallback(nothing_here.layer(by_address))
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES))
        .with_state(api)
}

async fn nothing_here() -> ApiError {
    Code::NotFound.into()
}
