use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists,
    prekeys::Owner,
};
use sordino_protocol::{
    Code, DeviceId, Retry, UserId,
    frame::{decode_client, encode_relay},
    http::{PutList, PutPrekeys, Register},
    pb::{self, client_frame, relay_frame},
};
use sordino_testing::TestRelay;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
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

use super::{
    RelayUrl, Signer,
    auth::AccessToken,
    http::{Access, Http},
    socket::{self, End},
    tls,
};
use crate::error::Error;

struct Person {
    user: UserId,
    device: DeviceId,
    keys: DeviceKeys,
    list: pb::Signed,
}

impl Person {
    fn new() -> Arc<Self> {
        let mut rng = rand::rng();
        let user = UserId::from_bytes(rand::random());
        let device = DeviceId::from_bytes(rand::random());
        let keys = DeviceKeys::generate(&mut rng);
        let uik = IdentityKey::generate(&mut rng);
        let lsk = ListSigningKey::generate(&mut rng);
        let list = lists::first_list(user, device, &uik, &lsk, &keys, 1);
        Arc::new(Self {
            user,
            device,
            keys,
            list,
        })
    }
}

impl Signer for Person {
    fn device(&self) -> Result<(UserId, DeviceId), Error> {
        Ok((self.user, self.device))
    }

    fn sign_auth(&self, relay: &str, nonce: &[u8; 32]) -> Result<[u8; 64], Error> {
        Ok(self.keys.sign_auth(relay, nonce))
    }

    fn sign_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        nonce: &[u8; 32],
    ) -> Result<[u8; 64], Error> {
        Ok(self.keys.sign_request(method, path, body, nonce))
    }
}

fn http(url: &str, person: &Arc<Person>) -> Http {
    let relay = RelayUrl::parse(url, None).expect("address");
    Http::new(relay, &tls().expect("TLS"), person.clone()).expect("client")
}

async fn registered(relay: &TestRelay, name: &str) -> (Http, Arc<Person>) {
    let person = Person::new();
    let http = http(&relay.url(), &person);
    let account = Register {
        username: name.to_owned(),
        list: person.list.clone().into(),
    };
    let user = http.register(&account).await.expect("registered");
    assert_eq!((user.user, user.username.as_str()), (person.user, name));
    (http, person)
}

#[tokio::test]
async fn accounts_lists_and_prekeys_of_a_real_relay() {
    let relay = TestRelay::start().await.expect("relay");
    let (alice, person) = registered(&relay, "alice").await;
    let (bob, _) = registered(&relay, "bob").await;
    let found = bob.user_by_name("alice").await.expect("answer");
    assert_eq!(found.map(|user| user.user), Some(person.user));
    let found = bob.user_by_id(person.user).await.expect("answer");
    assert_eq!(found.map(|user| user.username).as_deref(), Some("alice"));
    assert!(bob.user_by_name("carol").await.expect("answer").is_none());
    let code = bob.user_by_name("../x").await.map_err(|error| error.code());
    assert_eq!(code.err(), Some(Code::BadRequest));

    let newest = bob.lists(person.user, None).await.expect("lists");
    assert_eq!(newest, vec![person.list.clone()]);
    assert_eq!(
        bob.lists(person.user, Some(1)).await.expect("lists"),
        newest
    );
    assert!(
        bob.lists(person.user, Some(2))
            .await
            .expect("lists")
            .is_empty()
    );

    let list = lists::parse(&person.list).expect("list");
    let owner = Owner {
        list: &list,
        device: person.device,
        keys: &person.keys,
    };
    let (mut rng, now) = (rand::rng(), 1_800_000_000_000);
    let keys = PutPrekeys {
        signed: Some(owner.signed_prekey(&mut rng, 1, now).public.into()),
        pq_last_resort: Some(owner.pq_last_resort(&mut rng, 1, now).public.into()),
        one_time: vec![owner.one_time(&mut rng, 1, now).public.into()],
        ..Default::default()
    };
    let count = alice
        .put_prekeys(person.user, person.device, &keys)
        .await
        .expect("stored");
    assert_eq!((count.one_time, count.pq_one_time), (1, 0));
    let again = alice.prekey_count(person.user, person.device).await;
    assert_eq!(again.expect("count"), count);
    let forbidden = bob.put_prekeys(person.user, person.device, &keys).await;
    assert_eq!(
        forbidden.err().map(|error| error.code()),
        Some(Code::Forbidden)
    );
    let claimed = bob.claim(person.user, vec![person.device]).await;
    let claimed = claimed.expect("claimed");
    assert_eq!(claimed.bundles.len(), 1);
    assert!(claimed.bundles[0].one_time.is_some());
}

#[tokio::test]
async fn a_write_carries_a_proof_that_the_relay_checks() {
    let relay = TestRelay::start().await.expect("relay");
    let (alice, person) = registered(&relay, "alice").await;
    // The same list again: the proof is good, the list is not newer.
    let list = person.list.clone().into();
    let path = format!("/v1/users/{}/list", person.user);
    let body = PutList { list };
    let refused: Result<(), Error> = alice
        .call(Access::Proof, Method::PUT, &path, &[], Some(&body))
        .await;
    assert_eq!(
        refused.err().map(|error| error.code()),
        Some(Code::ListConflict)
    );
}

#[tokio::test]
async fn a_relay_that_names_itself_otherwise_gets_no_signature() {
    let relay = TestRelay::named("other.example").await.expect("relay");
    let (alice, _) = registered(&relay, "alice").await;
    let error = alice.user_by_name("alice").await.expect_err("refused");
    assert_eq!(error.code(), Code::RelayMisbehaved);
    assert_eq!(error.retry(), Retry::Never);
    assert!(matches!(End::from_error(&error), End::Stop(_)));
}

#[tokio::test]
async fn a_taken_name_and_a_relay_that_is_away_are_told_apart() {
    let mut relay = TestRelay::start().await.expect("relay");
    registered(&relay, "alice").await;
    let person = Person::new();
    let account = Register {
        username: "alice".to_owned(),
        list: person.list.clone().into(),
    };
    let http = http(&relay.url(), &person);
    let code = async || http.register(&account).await.map_err(|error| error.code());
    assert_eq!(code().await.err(), Some(Code::NameTaken));
    relay.stop().await;
    assert_eq!(code().await.err(), Some(Code::Unreachable));
}

/// Answers one request with these bytes.
async fn answers(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut request).await;
    });
    url
}

#[tokio::test]
async fn answers_are_bounded_and_errors_typed() {
    let person = Person::new();
    let account = Register {
        username: "alice".to_owned(),
        list: person.list.clone().into(),
    };
    let register = async |answer: Vec<u8>| {
        let url = answers(answer).await;
        http(&url, &person)
            .register(&account)
            .await
            .expect_err("an error")
    };
    let with = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let busy = register(with(
        "503 x",
        r#"{"code":"busy","detail":"later","retry_after_ms":1234}"#,
    ))
    .await;
    assert_eq!(busy.code(), Code::Busy);
    assert_eq!(busy.retry(), Retry::After(Duration::from_millis(1234)));
    let gateway = register(with("502 x", "<html>")).await;
    assert_eq!(gateway.code(), Code::Unreachable);
    let rubbish = register(with("200 OK", "{}")).await;
    assert_eq!(rubbish.code(), Code::RelayMisbehaved);
    let elsewhere = register(with("307 x", "")).await;
    assert_eq!(elsewhere.code(), Code::RelayMisbehaved);
    let mut large = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n".to_vec();
    large.resize(large.len() + 3_000_000, b' ');
    assert_eq!(register(large).await.code(), Code::RelayMisbehaved);
    assert_eq!(register(Vec::new()).await.code(), Code::Unreachable);
}

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
    socket::connect(relay, &tls().expect("TLS"), &token).await
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
            backoff: true
        })
    );
}

#[tokio::test]
async fn close_codes_say_what_to_do() {
    let now = End::Again {
        floor: Duration::ZERO,
        backoff: false,
    };
    for (code, want) in [
        (4000, now.clone()),
        (4002, End::Login),
        (4003, End::LOST),
        (4004, now),
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
            },
        ),
        (502, "", End::LOST),
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
