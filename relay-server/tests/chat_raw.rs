//! A socket written byte by byte: what a WebSocket library would never send.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use chat_support::{Person, Relay, people, relay, serves, soon};
use sordino_protocol::{
    SUBPROTOCOL, frame, limits,
    pb::{self, client_frame},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// An upgraded connection of Alice's device, the head of the answer read.
async fn open(relay: &Relay, alice: &Person, extra: &str) -> (TcpStream, String) {
    let mut stream = soon(TcpStream::connect(relay.addr))
        .await
        .expect("connected");
    let token = relay.token(alice, 1, 0);
    let request = format!(
        "GET /v1/socket HTTP/1.1\r\nhost: relay\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         sec-websocket-protocol: {SUBPROTOCOL}\r\nauthorization: Bearer {token}\r\n{extra}\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    soon(async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
    })
    .await;
    let head = String::from_utf8(head).expect("text").to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    (stream, head)
}

/// A frame masked with zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match u16::try_from(payload.len()) {
        Ok(len) if len < 126 => out.push(0x80 | len as u8),
        Ok(len) => {
            out.push(0x80 | 126);
            out.extend(len.to_be_bytes());
        }
        Err(_) => {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
    out
}

/// Sends this and waits until the relay has ended the connection.
async fn ends(stream: &mut TcpStream, bytes: &[u8]) {
    // It may end before everything is sent.
    let _ = soon(stream.write_all(bytes)).await;
    let mut rest = Vec::new();
    soon(async {
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
}

fn question() -> Vec<u8> {
    let list = pb::ListConversations {
        request: 77,
        ..Default::default()
    };
    frame::encode_client(client_frame::Frame::ListConversations(list)).to_vec()
}

/// Reads until the answer to [`question`] comes.
async fn answered(stream: &mut TcpStream) {
    soon(async {
        loop {
            let first = stream.read_u8().await.expect("a frame");
            let len = match stream.read_u8().await.expect("a length") {
                126 => usize::from(stream.read_u16().await.expect("a length")),
                len => usize::from(len),
            };
            let mut payload = vec![0; len];
            stream.read_exact(&mut payload).await.expect("a payload");
            if first == FIN | BINARY
                && let Ok(pb::relay_frame::Frame::Conversations(page)) =
                    frame::decode_relay(payload.into())
            {
                assert_eq!(page.request, 77);
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_against_the_rules_of_websockets_ends_its_connection_alone() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut b = relay.connect(&bob, 2).await;
    let claiming = |len: u64| {
        let head = [&[FIN | BINARY, 0x80 | 127][..], &len.to_be_bytes(), &[0; 4]];
        head.concat()
    };
    let unmasked = [&[FIN | BINARY, 4][..], b"abcd"].concat();
    let large = vec![0; limits::FRAME_BYTES + 1];
    let half = vec![0; limits::FRAME_BYTES / 2 + 1];
    let parts = [masked(BINARY, &half), masked(FIN | CONTINUATION, &half)];
    for (what, bytes) in [
        ("unmasked", unmasked),
        ("compressed", masked(FIN | RSV1 | BINARY, &question())),
        ("reserved opcode", masked(FIN | 3, b"")),
        ("reserved control opcode", masked(FIN | 11, b"")),
        ("large ping", masked(FIN | PING, &[0; 126])),
        ("ping in parts", masked(PING, b"a")),
        ("continuation of nothing", masked(FIN | CONTINUATION, b"a")),
        (
            "a second beginning",
            [masked(BINARY, b"a"), masked(BINARY, b"b")].concat(),
        ),
        ("close of one byte", masked(FIN | CLOSE, &[3])),
        (
            "close with a reserved code",
            masked(FIN | CLOSE, &1005u16.to_be_bytes()),
        ),
        ("text that is not UTF-8", masked(FIN | TEXT, &[0xff])),
        ("text", masked(FIN | TEXT, b"{}")),
        ("a length beyond all", claiming(u64::MAX)),
        ("half of that", claiming(u64::MAX >> 1)),
        ("too large", masked(FIN | BINARY, &large)),
        ("too large in parts", parts.concat()),
    ] {
        let (mut stream, _) = open(&relay, &alice, "").await;
        ends(&mut stream, &bytes).await;
        // Shown when a later one fails.
        println!("{what}: ended");
        serves(&mut b).await;
    }
    relay.shutdown().await;
}

#[tokio::test]
async fn no_extension_is_agreed_on() {
    let (relay, _dir) = relay().await;
    let (alice, _) = people(&relay).await;
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let (mut stream, head) = open(&relay, &alice, offer).await;
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    stream
        .write_all(&masked(FIN | BINARY, &question()))
        .await
        .expect("sent");
    answered(&mut stream).await;
    drop(stream);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_message_in_very_many_parts_is_put_together() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut b = relay.connect(&bob, 2).await;
    let (mut stream, _) = open(&relay, &alice, "").await;
    let message = question();
    let mut bytes = masked(BINARY, &message[..1]);
    for _ in 0..50_000 {
        bytes.extend(masked(CONTINUATION, b""));
    }
    stream.write_all(&bytes).await.expect("sent");
    serves(&mut b).await;
    // A control frame may stand between the parts.
    stream
        .write_all(&masked(FIN | PING, b"now"))
        .await
        .expect("sent");
    stream
        .write_all(&masked(FIN | CONTINUATION, &message[1..]))
        .await
        .expect("sent");
    answered(&mut stream).await;
    drop(stream);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_flood_of_pings_holds_nobody_up() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut b = relay.connect(&bob, 2).await;
    let (mut stream, _) = open(&relay, &alice, "").await;
    let pings = masked(FIN | PING, &[7; 125]).repeat(1_000);
    let flood = async { while stream.write_all(&pings).await.is_ok() {} };
    let others = async {
        for _ in 0..50 {
            serves(&mut b).await;
        }
    };
    tokio::select! {
        () = flood => panic!("a ping is no offence"),
        () = others => {}
    }
    drop(stream);
    serves(&mut b).await;
    relay.shutdown().await;
}
