//! The socket, over relays of one connection.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sordino_protocol::{
    Code,
    frame::{decode_client, encode_relay},
    pb::{self, client_frame, relay_frame},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header},
        protocol::CloseFrame,
    },
};

use super::answers;
use crate::{
    error::Error,
    net::{
        RelayUrl,
        auth::AccessToken,
        socket::{self, End},
        tls,
    },
};

/// A relay of one connection, played by `play`.
async fn plays<F>(play: impl FnOnce(WebSocketStream<TcpStream>) -> F + Send + 'static) -> RelayUrl
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepted");
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let check = |request: &Request, mut response: Response| {
            let headers = request.headers();
            assert_eq!(headers[header::AUTHORIZATION], "Bearer secret");
            assert_eq!(headers[header::SEC_WEBSOCKET_PROTOCOL], "sordino.v1");
            response.headers_mut().insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static("sordino.v1"),
            );
            Ok(response)
        };
        let stream = accept_hdr_async(stream, check).await.expect("handshake");
        play(stream).await;
    });
    RelayUrl::parse(&url, None).expect("address")
}

async fn connect(relay: &RelayUrl) -> Result<(socket::Reader, socket::Writer), End> {
    let now = std::time::Instant::now();
    let token = AccessToken::new("secret".to_owned(), Duration::from_secs(600), now);
    socket::connect(relay, &tls(None).expect("TLS"), &token).await
}

#[tokio::test]
async fn frames_go_both_ways_and_unknown_ones_are_passed_over() {
    let relay = plays(|mut stream| async move {
        let later = Message::Binary(vec![0xfa, 0x07, 0x00].into());
        stream.send(later).await.expect("sent");
        let sync = encode_relay(relay_frame::Frame::Sync(pb::Sync {}));
        stream.send(Message::Binary(sync)).await.expect("sent");
        let Some(Ok(Message::Binary(frame))) = stream.next().await else {
            panic!("no frame")
        };
        assert!(matches!(
            decode_client(frame),
            Ok(client_frame::Frame::Ack(pb::Ack { seq: 7, .. }))
        ));
        let end = CloseFrame {
            code: 4001.into(),
            reason: "2500".into(),
        };
        stream.close(Some(end)).await.expect("closed");
    })
    .await;
    let (mut reader, writer) = connect(&relay).await.expect("connected");
    assert!(matches!(
        reader.next().await,
        Ok(relay_frame::Frame::Sync(_))
    ));
    let ack = pb::Ack {
        conversation: Bytes::from_static(&[1; 16]),
        seq: 7,
    };
    assert!(writer.send(client_frame::Frame::Ack(ack)));
    assert_eq!(
        reader.next().await.err(),
        Some(End::Again {
            floor: Duration::from_millis(2500),
            backoff: true,
            why: Code::Busy,
        })
    );
}

#[tokio::test]
async fn close_codes_say_what_to_do() {
    let now = |why| End::Again {
        floor: Duration::ZERO,
        backoff: false,
        why,
    };
    for (code, want) in [
        (4000, now(Code::Draining)),
        (4002, End::Login),
        (4003, End::LOST),
        (4004, now(Code::Timeout)),
        (4006, End::LOST),
        (1001, End::LOST),
    ] {
        let relay = plays(move |mut stream| async move {
            let end = CloseFrame {
                code: code.into(),
                reason: "".into(),
            };
            stream.close(Some(end)).await.expect("closed");
        })
        .await;
        let (mut reader, _writer) = connect(&relay).await.expect("connected");
        assert_eq!(reader.next().await.err(), Some(want), "{code}");
    }
    let relay = plays(|mut stream| async move {
        let end = CloseFrame {
            code: 4005.into(),
            reason: "".into(),
        };
        stream.close(Some(end)).await.expect("closed");
    })
    .await;
    let (mut reader, _writer) = connect(&relay).await.expect("connected");
    assert!(matches!(reader.next().await, Err(End::Stop(_))));
}

#[tokio::test]
async fn a_frame_beyond_the_bounds_ends_the_connection() {
    for frame in [
        Message::Binary(vec![0; 70_000].into()),
        Message::Binary(vec![0x0b; 64].into()),
        Message::Text("text".into()),
    ] {
        let relay = plays(|mut stream| async move {
            let _ = stream.send(frame).await;
            let _ = stream.next().await;
        })
        .await;
        let (mut reader, _writer) = connect(&relay).await.expect("connected");
        assert_eq!(reader.next().await.err(), Some(End::LOST));
    }
}

#[tokio::test]
async fn a_refused_handshake_says_what_to_do() {
    for (status, body, want) in [
        (401, r#"{"code":"token_expired","detail":""}"#, End::Login),
        (
            503,
            r#"{"code":"draining","detail":"","retry_after_ms":900}"#,
            End::Again {
                floor: Duration::from_millis(900),
                backoff: true,
                why: Code::Draining,
            },
        ),
        (
            502,
            "",
            End::Again {
                floor: Duration::ZERO,
                backoff: true,
                why: Code::Busy,
            },
        ),
        (
            403,
            r#"{"code":"device_revoked","detail":"gone"}"#,
            End::Stop(Error::new(Code::DeviceRevoked, "gone")),
        ),
    ] {
        let status = StatusCode::from_u16(status).expect("status");
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let url = answers(answer.into_bytes()).await;
        let relay = RelayUrl::parse(&url, None).expect("address");
        assert_eq!(connect(&relay).await.err(), Some(want), "{status}");
    }
}

#[tokio::test]
async fn no_subprotocol_is_no_relay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepted");
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let plain = |_: &Request, response: Response| Ok::<_, ErrorResponse>(response);
        let _ = accept_hdr_async(stream, plain).await;
    });
    let relay = RelayUrl::parse(&url, None).expect("address");
    let end = connect(&relay).await.err();
    assert!(matches!(end, Some(End::Stop(error)) if error.code() == Code::UnsupportedVersion));
}

/// A connection to a relay that is gone without a word: it reads nothing and answers no ping. From here on the clock jumps to
/// whatever waits next.
async fn silent() -> (socket::Reader, socket::Writer) {
    let relay = plays(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let both = connect(&relay).await.expect("connected");
    tokio::time::pause();
    both
}

/// Whoever reads asks anew whenever anything else happens.
#[tokio::test]
async fn silence_is_noticed_although_other_things_happen() {
    let (mut reader, _writer) = silent().await;
    let mut waits = 0;
    let end = loop {
        if let Ok(end) = timeout(Duration::from_secs(9), reader.next()).await {
            break end;
        }
        waits += 1;
        assert!(waits < 10, "not noticed");
    };
    assert_eq!(end.err(), Some(End::LOST));
    assert_eq!(waits, 4);
}

#[tokio::test]
async fn silence_after_something_was_written_is_noticed_sooner() {
    let (mut reader, writer) = silent().await;
    let began = Instant::now();
    assert!(writer.send(client_frame::Frame::Ack(pb::Ack::default())));
    assert_eq!(reader.next().await.map(drop), Err(End::LOST));
    let seconds = began.elapsed().as_secs();
    assert!((20..25).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_connection_that_cannot_be_written_to_ends() {
    let (mut reader, writer) = silent().await;
    // More than any system keeps for a socket; then not even a ping can be written.
    let frame = Bytes::from(vec![0; 60 * 1024]);
    let full = || sleep(Duration::from_millis(1));
    let mut refused = 0;
    while refused < 100 {
        if writer.send_encoded(frame.clone()) {
            refused = 0;
        } else {
            refused += 1;
            full().await;
        }
    }
    assert_eq!(reader.next().await.map(drop), Err(End::LOST));
}
