//! The load generator counts what arrives, and notices what does not arrive as it should.
#![allow(missing_docs, clippy::expect_used, reason = "tests")]
#![allow(
    clippy::result_large_err,
    reason = "the shape of a WebSocket library's callback"
)]

mod load_support;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use load_support::person;
use sordino_protocol::{
    Header, SUBPROTOCOL, frame,
    pb::{Accepted, client_frame, relay_frame},
};
use sordino_tests::load::{
    Error,
    account::Account,
    envelope::Noise,
    machine,
    pair::{Load, Pair},
    phase::{self, Phase},
    server::Server,
    target::Target,
    wire::Dialect,
};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{Request, Response},
};

const SPAN: Duration = Duration::from_millis(300);

/// Four users; the bare relay's token is the user's id.
fn accounts() -> Vec<(Arc<Account>, String)> {
    (1..=4)
        .map(|n| {
            let person = person(n);
            let token = person.list.user.to_string();
            let account = Account::new(person.list, person.device, person.keys);
            (Arc::new(account), token)
        })
        .collect()
}

async fn connect(addr: SocketAddr) -> Result<Vec<Pair>, Error> {
    phase::connect(
        Dialect::Raw,
        &Target::plain(addr),
        &accounts(),
        &Noise::new(),
        || {},
    )
    .await
}

async fn raw(dir: &Path) -> Server {
    let program = Path::new(env!("CARGO_BIN_EXE_sordino-raw-relay"));
    Server::start(program, &[], dir, "raw")
        .await
        .expect("a bare relay")
}

async fn run(pairs: Vec<Pair>, load: Load) -> Result<(Vec<Pair>, Phase), Error> {
    phase::run(pairs, load, Duration::ZERO, SPAN, std::process::id()).await
}

/// Again until something was counted: the machine may be busy.
async fn counted(mut pairs: Vec<Pair>, load: Load) -> (Vec<Pair>, Phase) {
    loop {
        let (back, phase) = run(pairs, load).await.expect("loaded");
        if phase.stats.messages > 0 {
            return (back, phase);
        }
        pairs = back;
    }
}

#[tokio::test]
async fn every_kind_of_load_runs_over_the_bare_relay() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = raw(dir.path()).await;
    let pairs = connect(server.addr).await.expect("connected");
    let (pairs, phase) = counted(pairs, Load::Closed(4)).await;
    assert!(!phase.stats.micros.is_empty() && phase.stats.micros.is_sorted());
    let every = Duration::from_millis(20);
    let (pairs, phase) = counted(pairs, Load::Paced(every)).await;
    // Four devices, fifteen intervals: not more, however fast the server is.
    assert!(phase.stats.messages <= 64, "{}", phase.stats.messages);
    let (pairs, _) = run(pairs, Load::Quiet).await.expect("quiet");
    let (pairs, phase) = run(pairs, Load::Exactly(7)).await.expect("exactly");
    assert_eq!(phase.stats.micros.len(), 4 * 7);
    drop(pairs);
    server.stop().await.expect("ended");
}

/// Accepts everything; what it forwards, to the sender's peer on the next connection, goes through `fault`.
async fn faulty(fault: fn(u64) -> usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (mut a, mut b) = (accept(&listener).await, accept(&listener).await);
            tokio::spawn(async move {
                loop {
                    let (from, to, message) = tokio::select! {
                        message = a.next() => (&mut a, &mut b, message),
                        message = b.next() => (&mut b, &mut a, message),
                    };
                    let Some(Ok(Message::Binary(bytes))) = message else {
                        return;
                    };
                    let Ok(client_frame::Frame::Send(send)) = frame::decode_client(bytes.clone())
                    else {
                        return;
                    };
                    let header = Header::parse(&send.header).expect("a header");
                    let accepted = frame::encode_relay(relay_frame::Frame::Accepted(Accepted {
                        counter: header.counter,
                        ..Default::default()
                    }));
                    let _ = from.send(Message::Binary(accepted)).await;
                    for _ in 0..fault(header.counter) {
                        let _ = to.send(Message::Binary(bytes.clone())).await;
                    }
                }
            });
        }
    });
    addr
}

async fn accept(
    listener: &TcpListener,
) -> tokio_tungstenite::WebSocketStream<tokio::net::TcpStream> {
    let (stream, _) = listener.accept().await.expect("accepted");
    let name = |_: &Request, mut response: Response| {
        let headers = response.headers_mut();
        headers.insert(
            "sec-websocket-protocol",
            SUBPROTOCOL.parse().expect("a header"),
        );
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(stream, name)
        .await
        .expect("a handshake")
}

async fn verdict(fault: fn(u64) -> usize) -> Result<(), Error> {
    let addr = faulty(fault).await;
    let two: Vec<_> = accounts().into_iter().take(2).collect();
    let pairs = phase::connect(
        Dialect::Raw,
        &Target::plain(addr),
        &two,
        &Noise::new(),
        || {},
    )
    .await?;
    run(pairs, Load::Closed(4)).await.map(|_| ())
}

#[tokio::test]
async fn a_server_that_forwards_everything_once_passes() {
    verdict(|_| 1).await.expect("nothing wrong");
}

#[tokio::test]
async fn a_message_that_arrives_twice_is_noticed() {
    let error = verdict(|counter| if counter == 9 { 2 } else { 1 }).await;
    let error = error.expect_err("noticed").to_string();
    assert_eq!(error, "message 9 was delivered after 9");
}

#[tokio::test]
async fn a_message_that_does_not_arrive_is_noticed() {
    let error = verdict(|counter| usize::from(counter != 9)).await;
    let error = error.expect_err("noticed").to_string();
    assert_eq!(error, "message 10 was delivered after 8");
}

#[test]
fn the_machine_is_read() {
    let pid = std::process::id();
    assert!(machine::resident_kib(pid).expect("resident") > 100);
    let before = machine::cpu_seconds(pid).expect("time");
    while machine::cpu_seconds(pid).expect("time") <= before {
        std::hint::spin_loop();
    }
    let dir = tempfile::tempdir().expect("a directory");
    let machine = machine::Machine::new(dir.path()).expect("a machine");
    assert!(machine.cores > 0 && machine.fsync_ms >= 0.0);
}
