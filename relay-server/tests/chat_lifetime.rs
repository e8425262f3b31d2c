//! Who may connect, and how connections end.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_support::{
    AT_ONCE, Device, Draft, Person, device_id, is_draft, now_ms, people, relay, relay_with, serves,
    soon, until,
};
use futures_util::StreamExt;
use sordino_protocol::{
    SUBPROTOCOL,
    pb::{self, client_frame, relay_frame::Frame},
};
use sordino_relay::{
    auth::{
        signing_key::TokenKey,
        token::{Subject, Tokens},
    },
    chat::Settings,
    ops::drain::Pace,
    session::Event,
};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn only_this_version_of_the_protocol_is_spoken() {
    let (relay, _dir) = relay().await;
    let (alice, _) = people(&relay).await;
    let token = relay.token(&alice, 1, 0);
    for protocol in [None, Some("sordino.v2"), Some("chat")] {
        let refused = relay.handshake(&token, protocol).await.map(drop);
        assert_eq!(refused, Err((426, "unsupported_version".to_owned())));
    }
    let offered = format!("sordino.v9, {SUBPROTOCOL}");
    assert!(relay.handshake(&token, Some(&offered)).await.is_ok());
    let plain = reqwest::get(format!("http://{}/v1/socket", relay.addr)).await;
    assert_eq!(plain.expect("answered").status(), 400);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_token_that_does_not_hold_opens_nothing() {
    let (relay, dir) = relay().await;
    let (alice, _) = people(&relay).await;
    let good = relay.token(&alice, 1, 0);
    let parts: Vec<_> = good.split('.').collect();
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
    let key = |name: &str| TokenKey::load_or_create(&dir.path().join(name)).expect("a key");
    let issue = |tokens: Tokens| {
        let dsk = alice.device_key(1).verifying_key().to_bytes();
        tokens
            .issue(
                Subject::device(alice.user, device_id(1), &dsk),
                now_ms() / 1000,
            )
            .expect("signed")
    };
    let unauthenticated = [
        String::new(),
        "a.b.c".to_owned(),
        good[..good.len() - 4].to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        issue(Tokens::new(chat_support::NAME, &key("other.key"))),
        issue(Tokens::new("elsewhere.example", &key("token.key"))),
    ];
    for token in unauthenticated {
        let refused = relay.handshake(&token, Some(SUBPROTOCOL)).await.map(drop);
        assert_eq!(
            refused,
            Err((401, "not_authenticated".to_owned())),
            "{token}"
        );
    }
    let expired = relay.token(&alice, 1, 601);
    let refused = relay.handshake(&expired, Some(SUBPROTOCOL)).await.map(drop);
    assert_eq!(refused, Err((401, "token_expired".to_owned())));
    let unlisted = relay.token(&alice, 9, 0);
    let refused = relay
        .handshake(&unlisted, Some(SUBPROTOCOL))
        .await
        .map(drop);
    assert_eq!(refused, Err((403, "device_revoked".to_owned())));
    assert_eq!(relay.chat.open(), 0);
    relay.shutdown().await;
}
#[tokio::test]
async fn a_removed_device_is_told_to_stop_and_does_not_come_back() {
    let (relay, _dir) = relay().await;
    let alice = Person::new(1);
    let before = relay.register(&alice, &[1, 3]).await;
    let mut stays = relay.connect(&alice, 1).await;
    let mut goes = relay.connect(&alice, 3).await;
    let after = alice.list(Some(&before), &[1]);
    let status = relay.put_list(&alice, 1, &after).await;
    assert_eq!(status, 204);
    assert_eq!(goes.closed().await.0, 4005);
    serves(&mut stays).await;
    let token = relay.token(&alice, 3, 0);
    let refused = relay.handshake(&token, Some(SUBPROTOCOL)).await.map(drop);
    assert_eq!(refused, Err((403, "device_revoked".to_owned())));
    // The same id with another key is another device.
    let again = alice.list_with_keys(Some(&after), &[(1, 1), (3, 4)]);
    assert_eq!(relay.put_list(&alice, 1, &again).await, 204);
    let refused = relay.handshake(&token, Some(SUBPROTOCOL)).await.map(drop);
    assert_eq!(refused, Err((403, "device_revoked".to_owned())));
    relay.shutdown().await;
}

#[tokio::test]
async fn devices_of_somebody_who_is_disabled_are_told_why_and_what_is_written_waits() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    let set = async |disabled| {
        let users = &relay.api.users;
        let set = users.set_disabled(alice.user, disabled, 1).await;
        set.expect("stored");
        relay.api.disabled.look(&**users).await.expect("read");
    };
    set(true).await;
    let users = [alice.user];
    let told = relay.api.sessions.publish(&users, Event::ListChanged);
    told.await.expect("told");
    assert_eq!(a.closed().await, (4005, "account_disabled".to_owned()));
    let token = relay.token(&alice, 1, 0);
    let refused = relay.handshake(&token, Some(SUBPROTOCOL)).await.map(drop);
    assert_eq!(refused, Err((403, "account_disabled".to_owned())));
    let draft = Draft::new((&bob, 2), (&alice, &[1]), 1);
    b.send(draft.frame()).await;
    assert_eq!(b.answer().await, (1, None));
    set(false).await;
    let mut a = relay.connect(&alice, 1).await;
    let page = a.pull(draft.header.conversation, 1, 1).await;
    is_draft(&page.expect("rows").rows[0], &draft, 1);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_reset_that_waits_is_told_to_every_device_and_so_is_that_it_was_refused() {
    async fn pending(device: &mut Device<'_>) -> u64 {
        match device.frame().await {
            Frame::ResetPending(pending) => pending.ready_ms,
            other => panic!("{other:?}"),
        }
    }
    let (relay, _dir) = relay().await;
    let alice = Person::new(1);
    relay.register(&alice, &[1, 3]).await;
    let mut there = relay.connect(&alice, 1).await;
    assert_eq!(relay.ask_reset(&alice, 9).await, 200);
    let ready_ms = relay.api.users.reset(alice.user).await.expect("read");
    assert_eq!(Some(pending(&mut there).await), ready_ms);
    let token = relay.token(&alice, 3, 0);
    let socket = relay.handshake(&token, Some(SUBPROTOCOL)).await;
    let mut comes_later = Device {
        person: &alice,
        device: 3,
        socket: socket.expect("connected"),
    };
    match comes_later.frame().await {
        Frame::Welcome(welcome) => {
            let said = (welcome.resets, Some(welcome.reset_ready_ms));
            assert_eq!(said, (true, ready_ms));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(comes_later.frame().await, Frame::Sync(_)));
    assert_eq!(relay.refuse_reset(&alice, 3).await, 204);
    for device in [&mut there, &mut comes_later] {
        assert_eq!(pending(device).await, 0);
    }
    relay.shutdown().await;
}

#[tokio::test]
async fn a_token_is_renewed_on_the_open_connection() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    // Five seconds before its end.
    let mut a = relay
        .connect_with(&alice, 1, &relay.token(&alice, 1, 595))
        .await;
    let Frame::TokenExpiring(expiring) = a.frame().await else {
        panic!("not told")
    };
    assert!(expiring.expires_ms > now_ms() && expiring.expires_ms < now_ms() + 6_000);
    let refresh = |token: &str| {
        client_frame::Frame::RefreshToken(pb::RefreshToken {
            token: token.to_owned(),
        })
    };
    for (token, code) in [
        (relay.token(&bob, 2, 0), "not_authenticated"),
        (relay.token(&alice, 1, 601), "token_expired"),
        (relay.token(&alice, 9, 0), "device_revoked"),
        ("rubbish".to_owned(), "not_authenticated"),
    ] {
        a.ask(refresh(&token)).await;
        let Frame::Problem(problem) = a.frame().await else {
            panic!("not refused")
        };
        assert_eq!((problem.request, problem.code.as_str()), (0, code));
    }
    a.ask(refresh(&relay.token(&alice, 1, 0))).await;
    let Frame::TokenRefreshed(refreshed) = a.frame().await else {
        panic!("not renewed")
    };
    assert!(refreshed.expires_ms > now_ms() + 590_000);
    until(async || now_ms() > expiring.expires_ms).await;
    serves(&mut a).await;
    relay.shutdown().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let (relay, _dir) = relay().await;
    let (alice, _) = people(&relay).await;
    let mut a = relay
        .connect_with(&alice, 1, &relay.token(&alice, 1, 598))
        .await;
    assert!(matches!(a.frame().await, Frame::TokenExpiring(_)));
    assert_eq!(a.closed().await.0, 4002);
    until(async || relay.chat.open() == 0).await;
    relay.shutdown().await;
}

#[tokio::test]
async fn who_answers_no_ping_is_gone_and_who_does_stays() {
    let (relay, _dir) = relay_with(Settings {
        ping_after: Duration::from_millis(100),
        dead_after: Duration::from_millis(1500),
        ..Settings::default()
    })
    .await;
    let (alice, bob) = people(&relay).await;
    let dead = relay.connect(&alice, 1).await;
    let mut alive = relay.connect(&bob, 2).await;
    // Reading is what answers pings.
    let reading = tokio::spawn({
        let mut socket = alive.socket;
        async move {
            let until_dead = async {
                while let Some(Ok(message)) = socket.next().await {
                    assert!(matches!(message, Message::Ping(_)), "{message:?}");
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(3), until_dead).await;
            socket
        }
    });
    until(async || relay.chat.open() == 1).await;
    alive = Device {
        person: &bob,
        device: 2,
        socket: reading.await.expect("read"),
    };
    serves(&mut alive).await;
    drop(dead);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_relay_that_drains_lets_nobody_in() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    let drain = tokio::spawn({
        let chat = relay.chat.clone();
        async move { chat.drain(AT_ONCE).await }
    });
    assert_eq!(a.closed().await, (4000, String::new()));
    let token = relay.token(&bob, 2, 0);
    let refused = relay.handshake(&token, Some(SUBPROTOCOL)).await.map(drop);
    assert_eq!(refused, Err((503, "draining".to_owned())));
    soon(drain).await.expect("drained");
    assert_eq!(relay.chat.open(), 0);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_device_that_is_told_to_move_is_served_until_it_leaves() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    let b = relay.connect(&bob, 2).await;
    let drain = tokio::spawn({
        let chat = relay.chat.clone();
        let grace = Duration::from_secs(3600);
        async move { chat.drain(Pace { grace, ..AT_ONCE }).await }
    });
    let moving = async { while !matches!(a.frame().await, Frame::Moving(_)) {} };
    soon(moving).await;
    serves(&mut a).await;
    drop((a, b));
    until(async || relay.chat.open() == 0).await;
    drain.abort();
    relay.shutdown().await;
}

#[tokio::test]
async fn an_address_has_so_many_sockets_and_gets_those_back_that_end() {
    let (relay, _dir) = relay_with(Settings {
        sockets_per_address: 2,
        ..Settings::default()
    })
    .await;
    let (alice, bob) = people(&relay).await;
    let a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    let token = relay.token(&bob, 2, 0);
    let one_more = relay.handshake(&token, Some(SUBPROTOCOL)).await;
    assert_eq!(one_more.err(), Some((429, "rate_limited".to_owned())));
    serves(&mut b).await;
    drop(a);
    until(async || relay.chat.open() == 1).await;
    until(async || relay.handshake(&token, Some(SUBPROTOCOL)).await.is_ok()).await;
    relay.shutdown().await;
}
