//! A relay, and bytes that are sent to it as they are.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{net::SocketAddr, path::Path, time::Duration};

use sordino_relay::{
    config::Config,
    relay::{Relay, start},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No test waits longer for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What must come, comes.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

/// A relay with the defaults but for `change`.
pub async fn relay(change: impl FnOnce(&mut Config)) -> (Relay, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = relay_in(dir.path(), change).await;
    (relay, dir)
}

pub async fn relay_in(dir: &Path, change: impl FnOnce(&mut Config)) -> Relay {
    let mut config = Config::new(dir);
    change(&mut config);
    start(config).await.expect("started")
}

/// A connection on which nothing was said.
pub async fn silent(addr: SocketAddr) -> TcpStream {
    soon(TcpStream::connect(addr)).await.expect("connected")
}

/// A GET on a connection that stays open; the status.
pub async fn get(stream: &mut TcpStream, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: relay\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    // Up to the end of the head: the answers to what is asked here have no body.
    let mut head = Vec::new();
    soon(async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
    })
    .await;
    status(&head)
}

pub fn status(answer: &[u8]) -> u16 {
    let digits = answer.get(9..12).and_then(|d| std::str::from_utf8(d).ok());
    let status = digits.and_then(|digits| digits.parse().ok());
    status.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(answer)))
}

/// All that comes until the relay ends the connection, in whatever way.
pub async fn until_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    soon(async {
        let _ = stream.read_to_end(&mut answer).await;
    })
    .await;
    answer
}

/// An answer: status, headers, body.
pub async fn answer(response: reqwest::Result<reqwest::Response>) -> (u16, Option<u64>, Body) {
    let response = response.expect("answered");
    let status = response.status().as_u16();
    let after = response.headers().get("retry-after");
    let after = after.map(|value| value.to_str().expect("text").parse().expect("seconds"));
    let text = response.text().await.expect("text");
    let body = serde_json::from_str(&text).unwrap_or_default();
    (status, after, Body(body))
}

pub struct Body(serde_json::Value);

impl Body {
    pub fn code(&self) -> &str {
        self.0["code"].as_str().unwrap_or_default()
    }

    pub fn retry_after_ms(&self) -> Option<u64> {
        self.0["retry_after_ms"].as_u64()
    }
}
