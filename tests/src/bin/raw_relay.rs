//! The yardstick of `cargo xtask bench relay`: a WebSocket relay of the same stack that only forwards.
//!
//! It answers `Accepted` and hands the frame on to whoever the header names, as it came. Nothing is checked, stored,
//! sequenced or acknowledged; who is not connected gets nothing.

use std::{
    collections::HashMap,
    error::Error,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use bytes::Bytes;
use clap::Parser;
use futures_util::SinkExt;
use sordino_protocol::{
    Header, SUBPROTOCOL, UserId, frame,
    pb::{Accepted, client_frame, relay_frame},
};
use tokio::sync::mpsc;

/// Forwards WebSocket frames between users, and stores nothing.
#[derive(Parser)]
struct Args {
    /// Write the port to this file once it listens.
    #[arg(long)]
    port_file: PathBuf,
}

/// As in the relay: the defaults, 128 KiB each, cost memory and time.
const READ_BUFFER: usize = 1024;
const WRITE_BUFFER: usize = 0;

type Users = RwLock<HashMap<UserId, mpsc::UnboundedSender<Bytes>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let router = Router::new()
        .route("/v1/socket", get(socket))
        .with_state(Arc::new(Users::default()));
    std::fs::write(args.port_file, port.to_string())?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

/// The token is the user's id, in hex.
async fn socket(
    State(users): State<Arc<Users>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let user = (headers.get("authorization"))
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ")?.parse().ok());
    let Some(user) = user else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    // Before the answer: whoever is told that this user is connected may write at once, and nothing is kept here.
    let (sender, forwarded) = mpsc::unbounded_channel();
    let mut table = users.write().unwrap_or_else(PoisonError::into_inner);
    table.insert(user, sender);
    drop(table);
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |socket| run(users, user, socket, forwarded))
}

async fn run(
    users: Arc<Users>,
    user: UserId,
    mut socket: WebSocket,
    mut forwarded: mpsc::UnboundedReceiver<Bytes>,
) {
    loop {
        let answer = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => match forward(&users, bytes) {
                    Some(answer) => answer,
                    None => break,
                },
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => break,
            },
            Some(bytes) = forwarded.recv() => Message::Binary(bytes),
        };
        if write(&mut socket, answer, &mut forwarded).await.is_err() {
            break;
        }
    }
    let mut table = users.write().unwrap_or_else(PoisonError::into_inner);
    table.remove(&user);
}

/// One flush for everything that is there.
async fn write(
    socket: &mut WebSocket,
    first: Message,
    forwarded: &mut mpsc::UnboundedReceiver<Bytes>,
) -> Result<(), axum::Error> {
    socket.feed(first).await?;
    while let Ok(bytes) = forwarded.try_recv() {
        socket.feed(Message::Binary(bytes)).await?;
    }
    socket.flush().await
}

fn forward(users: &Users, bytes: Bytes) -> Option<Message> {
    let client_frame::Frame::Send(send) = frame::decode_client(bytes.clone()).ok()? else {
        return None;
    };
    let header = Header::parse(&send.header).ok()?;
    let users = users.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(recipient) = users.get(&header.recipient) {
        let _ = recipient.send(bytes);
    }
    drop(users);
    let accepted = relay_frame::Frame::Accepted(Accepted {
        conversation: header.conversation.to_pb(),
        client_message_id: header.client_message_id.to_pb(),
        counter: header.counter,
    });
    Some(Message::Binary(frame::encode_relay(accepted)))
}
