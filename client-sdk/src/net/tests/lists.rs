//! Device lists, page by page, of relays that have many of them, or say so.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::Query,
    routing::{get, post},
};
use serde::Deserialize;
use sordino_protocol::{
    Code,
    http::{Challenge, Lists, Token},
};
use tokio::net::TcpListener;

use super::{Person, http};

const PAGE: u32 = 100;

#[derive(Deserialize)]
struct Range {
    from: Option<u32>,
}

/// A relay that has `held` versions of the person's list, all the same, and says that it has `said`.
async fn serves(person: &Arc<Person>, held: u32, said: u32) -> String {
    let list = person.list.clone();
    let page = move |Query(Range { from }): Query<Range>| async move {
        let from = from.unwrap_or(held);
        let count = held.saturating_add(1).saturating_sub(from).min(PAGE);
        let lists = (0..count).map(|_| list.clone().into()).collect();
        Json(Lists {
            lists,
            newest: said,
            deleted: false,
        })
    };
    let challenge = Json(Challenge {
        nonce: vec![1; 32].into(),
        relay: "localhost".to_owned(),
    });
    let token = Json(Token {
        access_token: "token".to_owned(),
        expires_in: 600,
    });
    let routes = Router::new()
        .route("/v1/users/{user}/lists", get(page))
        .route("/v1/auth/challenge", post(async || challenge))
        .route("/v1/auth/token", post(async || token));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

#[tokio::test]
async fn a_long_chain_comes_in_parts_and_says_that_there_is_more() {
    let person = Person::new();
    let http = http(&serves(&person, 2_050, 2_050).await, &person);
    for (from, count) in [
        (None, 1),
        (Some(1), 2_000),
        (Some(2_000), 51),
        (Some(2_051), 0),
    ] {
        let fetched = http.lists(person.user, from).await.expect("lists");
        assert_eq!((fetched.lists.len(), fetched.newest), (count, 2_050));
    }
}

#[tokio::test]
async fn a_relay_that_does_not_give_what_it_says_there_is_misbehaves() {
    let person = Person::new();
    for said in [3, u32::MAX] {
        let http = http(&serves(&person, 2, said).await, &person);
        for from in [1, 3] {
            let error = http.lists(person.user, Some(from)).await.expect_err("told");
            assert_eq!(error.code(), Code::RelayMisbehaved);
        }
    }
}
