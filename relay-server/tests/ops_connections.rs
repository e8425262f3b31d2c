//! Connections: how many, how long, how large.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod ops_support;

use std::{io::Write, num::NonZeroU32, time::Duration};

use ops_support::{answer, get, relay, silent, soon, status, until_end};
use sordino_protocol::limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

#[tokio::test]
async fn a_thousand_half_open_connections_lock_nobody_out() {
    let (relay, _dir) = relay(|config| {
        config.limits.half_open = 64;
        // Ended by making room, not by time.
        config.limits.header_seconds = 3600;
    })
    .await;
    let addr = relay.addr();
    let mut spoke = silent(addr).await;
    assert_eq!(get(&mut spoke, "/healthz").await, 204);
    let mut held = Vec::new();
    for n in 0..1_000 {
        held.push(silent(addr).await);
        // Meanwhile others come and are answered.
        if n % 100 == 0 {
            assert_eq!(get(&mut silent(addr).await, "/healthz").await, 204);
        }
    }
    // No more than 64 are still held: all the others come to their end.
    let mut ends = JoinSet::new();
    for mut stream in held {
        ends.spawn(async move { until_end(&mut stream).await });
    }
    for _ in 0..1_000 - 64 {
        let end = soon(ends.join_next()).await.expect("one more");
        assert_eq!(end.expect("ended"), b"");
    }
    // Who had spoken before the flood was not touched by it.
    assert_eq!(get(&mut spoke, "/healthz").await, 204);
    ends.abort_all();
    soon(relay.shutdown()).await;
}

/// One thread: the relay gets to run only after all have sent their request.
#[tokio::test(flavor = "current_thread")]
async fn who_has_spoken_is_not_taken_for_half_open_by_a_busy_relay() {
    let (relay, _dir) = relay(|config| config.limits.half_open = 1).await;
    let mut herd = Vec::new();
    for _ in 0..100 {
        let mut stream = std::net::TcpStream::connect(relay.addr()).expect("connected");
        let request = b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n";
        stream.write_all(request).expect("sent");
        herd.push(stream);
    }
    for stream in herd {
        stream.set_nonblocking(true).expect("set");
        let mut stream = TcpStream::from_std(stream).expect("taken over");
        assert_eq!(status(&until_end(&mut stream).await), 204);
    }
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_in_time() {
    let (relay, _dir) = relay(|config| config.limits.header_seconds = 1).await;
    let mut silent_one = silent(relay.addr()).await;
    let mut idle = silent(relay.addr()).await;
    assert_eq!(get(&mut idle, "/healthz").await, 204);
    until_end(&mut silent_one).await;
    until_end(&mut idle).await;
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn a_request_head_that_trickles_is_cut_off() {
    let (relay, _dir) = relay(|config| config.limits.header_seconds = 1).await;
    let (mut read, mut write) = silent(relay.addr()).await.into_split();
    let trickle = tokio::spawn(async move {
        let head = b"GET /healthz HTTP/1.1\r\nhost: relay\r\nx-endless: ";
        // Never silent for long, and never done.
        for byte in head.iter().chain(std::iter::repeat(&b'x')) {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    soon(async {
        let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
    })
    .await;
    trickle.abort();
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (relay, _dir) = relay(|config| config.limits.request_seconds = 1).await;
    let mut stream = silent(relay.addr()).await;
    let request =
        b"POST /v1/auth/challenge HTTP/1.1\r\nhost: relay\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(request).await.expect("sent");
    let answer = until_end(&mut stream).await;
    assert_eq!(status(&answer), 408);
    assert!(String::from_utf8_lossy(&answer).contains("\"timeout\""));
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let (relay, _dir) = relay(|_| {}).await;
    let url = format!("http://{}/v1/auth/challenge", relay.addr());
    let client = reqwest::Client::new();
    let large = vec![b' '; limits::HTTP_BODY_BYTES + 1];
    let (status_code, _, body) = answer(client.post(&url).body(large).send().await).await;
    assert_eq!((status_code, body.code()), (413, "too_large"));
    let fits = vec![b' '; limits::HTTP_BODY_BYTES];
    let (status_code, _, body) = answer(client.post(&url).body(fits).send().await).await;
    assert_eq!((status_code, body.code()), (400, "bad_request"));

    for head in [
        format!(
            "GET /healthz HTTP/1.1\r\nx-large: {}\r\n\r\n",
            "x".repeat(64 * 1024)
        ),
        format!(
            "GET /healthz HTTP/1.1\r\n{}\r\n",
            "x-many: 1\r\n".repeat(1_000)
        ),
    ] {
        let mut stream = silent(relay.addr()).await;
        // It may be refused, and the connection closed, before all of it was sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = until_end(&mut stream).await;
        assert!(answer.is_empty() || status(&answer) == 431);
    }
    assert_eq!(get(&mut silent(relay.addr()).await, "/healthz").await, 204);
    soon(relay.shutdown()).await;
}

#[tokio::test]
async fn beyond_the_limit_a_connection_waits_for_its_place() {
    let (relay, _dir) = relay(|config| {
        config.limits.connections = 2;
        config.limits.half_open = 1;
    })
    .await;
    // One after the other, or one would make room for the other.
    let mut first = silent(relay.addr()).await;
    assert_eq!(get(&mut first, "/healthz").await, 204);
    let mut second = silent(relay.addr()).await;
    assert_eq!(get(&mut second, "/healthz").await, 204);
    let addr = relay.addr();
    let mut third = silent(addr).await;
    let waiting = tokio::spawn(async move { get(&mut third, "/healthz").await });
    for _ in 0..20 {
        assert_eq!(get(&mut first, "/healthz").await, 204);
    }
    assert!(!waiting.is_finished());
    drop(second);
    assert_eq!(soon(waiting).await.expect("ended"), 204);
    soon(relay.shutdown()).await;
}

/// Whatever it asks for, an address that asks too often loses the connection.
#[tokio::test]
async fn one_address_does_not_take_every_place() {
    for request in [
        "GET /v1/nothing",
        "PATCH /v1/conversations",
        "DELETE /healthz",
        "POST /v1/socket",
    ] {
        let (relay, _dir) = relay(|config| {
            config.limits.connections = 8;
            config.limits.half_open = 2;
            // Places are not won back by time.
            config.limits.header_seconds = 3600;
            let few = NonZeroU32::new(3).expect("not zero");
            config.rates.address_per_second = NonZeroU32::MIN;
            config.rates.address_burst = few;
            config.rates.address_handshakes_per_second = NonZeroU32::MIN;
            config.rates.address_handshakes_burst = few;
        })
        .await;
        let mut held = Vec::new();
        for _ in 0..8 {
            let mut stream = silent(relay.addr()).await;
            let head = format!("{request} HTTP/1.1\r\nhost: relay\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("sent");
            soon(stream.read_u8()).await.expect("answered");
            held.push(stream);
        }
        let mut other = silent(relay.addr()).await;
        assert!(get(&mut other, "/healthz").await > 0, "{request}");
        drop(held);
        drop(other);
        soon(relay.shutdown()).await;
    }
}
