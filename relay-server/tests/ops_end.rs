//! Metrics, readiness and the end.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod ops_support;

#[path = "../src/user/fixtures.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod fixtures;

use std::{net::SocketAddr, time::SystemTime};

use fixtures::{Person, device_id};
use futures_util::StreamExt;
use ops_support::{answer, relay_in, silent, soon, status, until_end};
use serde_json::json;
use sordino_protocol::http::Signed;
// What the fixtures expect of their parent.
use sordino_relay::user::{Prekey, PrekeyKind, verify};
use sordino_relay::{
    auth::{
        signing_key::TokenKey,
        token::{Subject, Tokens},
    },
    relay::Relay,
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A relay with an operator's listener, and the key of its tokens.
async fn observed(unready_seconds: u64) -> (Relay, SocketAddr, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = relay_in(dir.path(), |config| {
        config.ops.listen = Some(([127, 0, 0, 1], 0).into());
        config.ops.unready_seconds = Some(unready_seconds);
    })
    .await;
    let ops = relay.ops_addr().expect("it listens");
    (relay, ops, dir)
}

async fn ready(addr: SocketAddr) -> (u16, String) {
    let url = format!("http://{addr}/readyz");
    let (status, _, body) = answer(reqwest::get(url).await).await;
    (status, body.code().to_owned())
}

/// Waits until it says that it is about to end.
async fn draining(addr: SocketAddr) {
    soon(async {
        while ready(addr).await != (503, "draining".to_owned()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A device on a real socket, past `Welcome` and `Sync`.
async fn connect(relay: &Relay, dir: &TempDir) -> Socket {
    let alice = Person::new(1);
    let list = alice.list(None, &[1]);
    let body = json!({ "username": "alice", "list": Signed::from(list.signed.clone()) });
    let registered = reqwest::Client::new()
        .post(format!("http://{}/v1/users", relay.addr()))
        .body(body.to_string());
    assert_eq!(answer(registered.send().await).await.0, 201);
    let key = TokenKey::load_or_create(&dir.path().join("token.key")).expect("a key");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let token = Tokens::new("localhost", &key)
        .issue(
            Subject::device(
                alice.user,
                device_id(1),
                &alice.device_key(1).verifying_key().to_bytes(),
            ),
            now.expect("after 1970").as_secs(),
        )
        .expect("signed");
    let url = format!("ws://{}/v1/socket", relay.addr());
    let mut request = url.into_client_request().expect("a request");
    let headers = request.headers_mut();
    let bearer = format!("Bearer {token}").parse().expect("ascii");
    headers.insert("authorization", bearer);
    let protocol = sordino_protocol::SUBPROTOCOL.parse().expect("ascii");
    headers.insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = soon(connect_async(request)).await.expect("connected");
    for _ in 0..2 {
        let frame = soon(socket.next()).await.expect("a frame").expect("read");
        assert!(matches!(frame, Message::Binary(_)));
    }
    socket
}

fn shut_down(relay: Relay) -> JoinHandle<()> {
    tokio::spawn(relay.shutdown())
}

#[tokio::test]
async fn metrics_are_for_the_operator_alone() {
    let (relay, ops, dir) = observed(0).await;
    let _socket = connect(&relay, &dir).await;
    let url = format!("http://{ops}/metrics");
    let text = reqwest::get(url).await.expect("answered").text().await;
    let text = text.expect("text");
    for line in [
        "# TYPE sordino_connections gauge",
        "# TYPE sordino_connections_half_open gauge",
        "# TYPE sordino_connections_total counter",
        "# TYPE sordino_http_requests_total counter",
        "# TYPE sordino_http_request_seconds histogram",
        "# TYPE sordino_chat_connections gauge",
        "# TYPE sordino_draining gauge",
        "sordino_draining 0",
        "sordino_http_requests_total{route=\"/v1/users\",status=\"201\"} ",
        "sordino_http_requests_total{route=\"/v1/socket\",status=\"101\"} ",
        "sordino_http_request_seconds_bucket{route=\"/v1/users\",le=\"0.005\"} ",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    // Names and ids of users never become labels.
    assert!(!text.contains("alice"));
    let public = format!("http://{}/metrics", relay.addr());
    assert_eq!(answer(reqwest::get(public).await).await.0, 404);
    soon(relay.shutdown()).await;
    let gone = reqwest::get(format!("http://{ops}/healthz")).await;
    assert!(gone.is_err());
}

#[tokio::test]
async fn it_says_that_it_ends_before_it_accepts_no_more() {
    let (relay, ops, _dir) = observed(3_600).await;
    let public = relay.addr();
    assert_eq!(ready(public).await.0, 204);
    assert_eq!(ready(ops).await.0, 204);
    let ending = shut_down(relay);
    draining(public).await;
    assert_eq!(ready(ops).await.0, 503);
    let alive = reqwest::get(format!("http://{public}/healthz")).await;
    assert_eq!(answer(alive).await.0, 204);
    ending.abort();
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_new_ones_find_no_door() {
    let (relay, ops, _dir) = observed(0).await;
    let public = relay.addr();
    let mut stream = silent(public).await;
    let head = b"POST /v1/auth/challenge HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n\r\n{";
    stream.write_all(head).await.expect("sent");
    let mut idle = silent(public).await;
    // Once this one is answered the other two were accepted.
    assert_eq!(ready(public).await.0, 204);
    let ending = shut_down(relay);
    draining(ops).await;
    // Who has nothing under way is let go at once.
    assert_eq!(until_end(&mut idle).await, b"");
    soon(async { while TcpStream::connect(public).await.is_ok() {} }).await;
    assert!(!ending.is_finished());
    stream.write_all(b"}").await.expect("sent");
    assert_eq!(status(&until_end(&mut stream).await), 400);
    soon(ending).await.expect("ended");
}

/// A connection's HTTP part, its task and its buffers, must not live on beside the socket.
#[tokio::test]
async fn an_idle_socket_is_one_task() {
    let (relay, _, dir) = observed(0).await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    // Those of the start end by themselves, too.
    let mut before = tasks();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        match std::mem::replace(&mut before, tasks()) {
            earlier if earlier == before => break,
            _ => {}
        }
    }
    let socket = connect(&relay, &dir).await;
    // Those of the sign-up before it end by themselves.
    soon(async {
        while tasks() != before + 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(socket);
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn sockets_are_asked_to_come_back_and_their_streams_end() {
    let (relay, _, dir) = observed(0).await;
    let mut socket = connect(&relay, &dir).await;
    let ending = shut_down(relay);
    let Message::Close(Some(close)) = soon(socket.next()).await.expect("a frame").expect("read")
    else {
        panic!("not closed with a reason")
    };
    assert_eq!(u16::from(close.code), 4000);
    while soon(socket.next()).await.is_some() {}
    soon(ending).await.expect("ended");
}
