//! A relay that says what the test tells it to. It verifies nothing: it stands for a relay that is broken or hostile.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Json, Router,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use sordino_protocol::{
    Header, SUBPROTOCOL, UserId,
    frame::{DEVICE_LIST, decode, decode_client, encode_relay},
    hash,
    http::{Challenge, ErrorBody, PrekeyCount, Register, Token, User},
    pb::{self, client_frame, relay_frame},
};
use tokio::{net::TcpListener, sync::mpsc};

use super::within;

/// The relay.
pub struct Script {
    pub url: String,
    sockets: mpsc::Receiver<WebSocket>,
}

struct Shared {
    sockets: mpsc::Sender<WebSocket>,
    logins: AtomicU32,
}

impl Script {
    pub async fn start() -> Self {
        let (sockets, opened) = mpsc::channel(8);
        let shared = Arc::new(Shared {
            sockets,
            logins: AtomicU32::new(0),
        });
        let prekeys = "/v1/users/{user}/devices/{device}/prekeys";
        let routes = Router::new()
            .route("/v1/users", post(register))
            .route("/v1/auth/challenge", post(challenge))
            .route("/v1/auth/token", post(token))
            .route(prekeys, get(count).put(count))
            .route("/v1/users/{user}", get(nobody))
            .route("/v1/socket", get(socket))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            url,
            sockets: opened,
        }
    }

    /// The next connection.
    pub async fn accept(&mut self) -> Play {
        Play(within(self.sockets.recv()).await.expect("a socket"))
    }

    /// Whether a connection waits.
    pub fn has_connection(&mut self) -> bool {
        !self.sockets.is_empty()
    }
}

/// A connection, played by the test.
pub struct Play(WebSocket);

impl Play {
    pub async fn say(&mut self, frame: relay_frame::Frame) {
        self.say_bytes(encode_relay(frame)).await;
    }

    pub async fn say_bytes(&mut self, bytes: impl Into<bytes::Bytes>) {
        self.0
            .send(Message::Binary(bytes.into()))
            .await
            .expect("sent");
    }

    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        let _ = self.0.send(Message::Close(Some(frame))).await;
        within(async { while let Some(Ok(_)) = self.0.recv().await {} }).await;
    }

    /// What the client says until it ends the connection.
    pub async fn until_closed(mut self) -> Vec<client_frame::Frame> {
        within(async {
            let mut heard = Vec::new();
            while let Some(Ok(message)) = self.0.recv().await {
                match message {
                    Message::Binary(bytes) => heard.push(decode_client(bytes).expect("a frame")),
                    Message::Close(_) => break,
                    _ => {}
                }
            }
            heard
        })
        .await
    }

    /// The next frame of the client.
    pub async fn hear(&mut self) -> client_frame::Frame {
        within(async {
            loop {
                match self.0.recv().await.expect("open").expect("a message") {
                    Message::Binary(bytes) => return decode_client(bytes).expect("a frame"),
                    Message::Close(_) => panic!("the client closed"),
                    _ => {}
                }
            }
        })
        .await
    }

    /// The next message, with its counter.
    pub async fn hear_send(&mut self) -> (u64, pb::Send) {
        match self.hear().await {
            client_frame::Frame::Send(send) => {
                let header = Header::parse(&send.header).expect("a header");
                (header.counter, send)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Lets the client begin; the conversation of `marks` are all there are.
    pub async fn begin(&mut self, marks: Vec<pb::ConversationMark>) {
        self.say(relay_frame::Frame::Welcome(pb::Welcome::default()))
            .await;
        self.say(relay_frame::Frame::Sync(pb::Sync {})).await;
        let client_frame::Frame::ListConversations(ask) = self.hear().await else {
            panic!("not the list")
        };
        let page = pb::Conversations {
            request: ask.request,
            marks,
            more: false,
        };
        self.say(relay_frame::Frame::Conversations(page)).await;
    }

    /// Everything that the client says until it has taken in what was said to it: it is asked for a new token, which
    /// it sends last.
    pub async fn hear_the_rest(&mut self) -> Vec<client_frame::Frame> {
        let soon = pb::TokenExpiring { expires_ms: 1 };
        self.say(relay_frame::Frame::TokenExpiring(soon)).await;
        let mut heard = Vec::new();
        loop {
            match self.hear().await {
                client_frame::Frame::RefreshToken(_) => return heard,
                frame => heard.push(frame),
            }
        }
    }
}

/// The mark of a conversation of `me` with itself.
pub fn mark(me: UserId, last_seq: u64) -> pb::ConversationMark {
    pb::ConversationMark {
        conversation: hash::conversation_id(me, me).to_pb(),
        peer: me.to_pb(),
        last_seq,
        ..Default::default()
    }
}

/// The row of an own message, as its device gets it.
pub fn own_row(seq: u64, send: &pb::Send) -> pb::Row {
    pb::Row {
        seq,
        message_id: seq,
        header: send.header.clone(),
        content_hash: hash::sha256(&send.content).to_vec().into(),
        content: None,
        wrap: None,
    }
}

/// Accepts a message.
pub fn accepted(send: &pb::Send) -> relay_frame::Frame {
    let header = Header::parse(&send.header).expect("a header");
    relay_frame::Frame::Accepted(pb::Accepted {
        conversation: header.conversation.to_pb(),
        client_message_id: header.client_message_id.to_pb(),
        counter: header.counter,
    })
}

/// Refuses a message.
pub fn refused(send: &pb::Send, code: &str, retry_after_ms: u32) -> relay_frame::Frame {
    let header = Header::parse(&send.header).expect("a header");
    relay_frame::Frame::Refused(pb::Refused {
        conversation: header.conversation.to_pb(),
        client_message_id: header.client_message_id.to_pb(),
        counter: header.counter,
        code: code.to_owned(),
        retry_after_ms,
        ..Default::default()
    })
}

async fn register(Json(account): Json<Register>) -> (StatusCode, Json<User>) {
    let list: pb::DeviceListBody =
        decode(account.list.body.0, &DEVICE_LIST).expect("a device list");
    let user = User {
        user: UserId::from_slice(&list.user).expect("a user"),
        username: account.username,
    };
    (StatusCode::CREATED, Json(user))
}

async fn challenge() -> Json<Challenge> {
    Json(Challenge {
        nonce: vec![1; 32].into(),
        relay: "localhost".to_owned(),
    })
}

async fn token(State(shared): State<Arc<Shared>>) -> Json<Token> {
    let login = shared.logins.fetch_add(1, Ordering::Relaxed) + 1;
    Json(Token {
        access_token: format!("token-{login}"),
        expires_in: 600,
    })
}

async fn count() -> Json<PrekeyCount> {
    Json(PrekeyCount {
        one_time: 50,
        pq_one_time: 20,
        signed_id: 0,
        pq_last_resort_id: 0,
    })
}

async fn nobody() -> impl IntoResponse {
    let body = ErrorBody {
        code: "user_not_found".to_owned(),
        detail: String::new(),
        retry_after_ms: None,
    };
    (StatusCode::NOT_FOUND, Json(body))
}

async fn socket(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade
        .protocols([SUBPROTOCOL])
        .on_upgrade(|socket| async move {
            let _ = shared.sockets.send(socket).await;
        })
}
