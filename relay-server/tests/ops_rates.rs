//! Rates and addresses.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod ops_support;

use std::num::NonZeroU32;

use ops_support::{Body, answer, relay, soon};
use reqwest::{Client, RequestBuilder};
use sordino_relay::{config::Config, relay::Relay};

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

fn trusted(config: &mut Config) {
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
}

/// Three requests, and the next in a second.
fn few(config: &mut Config) {
    config.rates.address_per_second = n(1);
    config.rates.address_burst = n(3);
}

fn from(relay: &Relay, path: &str, forwarded: &str) -> RequestBuilder {
    let url = format!("http://{}{path}", relay.addr());
    Client::new().get(url).header("x-forwarded-for", forwarded)
}

async fn ask(relay: &Relay, path: &str, forwarded: &str) -> (u16, Option<u64>, Body) {
    answer(from(relay, path, forwarded).send().await).await
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let (relay, _dir) = relay(few).await;
    let mut limited = None;
    // What is refused, unknown or without a good token counts as well.
    for path in [
        "/healthz",
        "/v1/nothing",
        "/v1/users/x",
        "/.well-known/jwks.json",
    ]
    .repeat(3)
    {
        let (status, after, body) = ask(&relay, path, "").await;
        if status == 429 {
            limited = Some((after, body));
            break;
        }
    }
    let (after, body) = limited.expect("limited");
    assert_eq!((after, body.code()), (Some(1), "rate_limited"));
    assert!((1..=1000).contains(&body.retry_after_ms().expect("a time")));
    soon(relay.shutdown()).await;
}

async fn limited(relay: &Relay, forwarded: &str) -> bool {
    for _ in 0..10 {
        if ask(relay, "/healthz", forwarded).await.0 == 429 {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_are_told_apart() {
    let (relay, _dir) = relay(|config| {
        few(config);
        trusted(config);
    })
    .await;
    assert!(limited(&relay, "198.51.100.1").await);
    // A client that writes the header itself does not become another.
    assert!(limited(&relay, "192.0.2.7, 198.51.100.1").await);
    assert_eq!(ask(&relay, "/healthz", "198.51.100.2").await.0, 204);
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn a_stranger_cannot_speak_for_another_address() {
    let (relay, _dir) = relay(few).await;
    assert!(limited(&relay, "198.51.100.1").await);
    assert!(limited(&relay, "198.51.100.2").await);
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_it_listens_on_every_address() {
    let (relay, _dir) = relay(|config| {
        config.server.listen = ([0, 0, 0, 0], 0).into();
        trusted(config);
    })
    .await;
    let url = format!("http://127.0.0.1:{}/healthz", relay.addr().port());
    let (status, ..) = answer(reqwest::get(url).await).await;
    assert_eq!(status, 204);
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn handshakes_are_refused_before_the_token_is_looked_at() {
    let (relay, _dir) = relay(|config| {
        config.rates.address_handshakes_per_second = n(1);
        config.rates.address_handshakes_burst = n(2);
        config.rates.handshakes_per_second = n(1);
        config.rates.handshakes_burst = n(3);
        trusted(config);
    })
    .await;
    let mut codes = Vec::new();
    for forwarded in ["198.51.100.1"; 3].into_iter().chain(["198.51.100.2"; 2]) {
        let (status, after, body) = ask(&relay, "/v1/socket", forwarded).await;
        codes.push((status, after, body.code().to_owned()));
    }
    // Not a WebSocket: that is found out only by those who were let through.
    let let_through = (400, None, "bad_request".to_owned());
    assert_eq!(codes[..2], [let_through.clone(), let_through.clone()]);
    assert_eq!(codes[2], (429, Some(1), "rate_limited".to_owned()));
    assert_eq!(codes[3], let_through);
    assert_eq!(codes[4], (503, Some(1), "busy".to_owned()));
    soon(relay.shutdown()).await;
}
