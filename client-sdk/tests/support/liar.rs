//! A man in the middle between one client and a relay: it passes on what the test makes of it, and may cut the client off
//! for good after any step, as a crash does.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{
        FromRequestParts, Request, State,
        ws::{self, WebSocket, WebSocketUpgrade},
    },
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use sordino_protocol::{
    SUBPROTOCOL,
    frame::{decode_client, decode_relay, encode_client, encode_relay},
    pb::{client_frame, relay_frame},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, client::IntoClientRequest},
};

use super::{losing::Lost, within};

/// What the relay is said to have answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).expect("an answer")
    }

    /// The same with another body.
    pub fn with(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("JSON").into();
        Self { body, ..self }
    }

    /// The same with a change in its body.
    pub fn but<T: Serialize + DeserializeOwned>(self, change: impl FnOnce(&mut T)) -> Self {
        let mut body = self.json();
        change(&mut body);
        self.with(&body)
    }

    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A frame, and who hears it.
pub enum Frame {
    Relay(client_frame::Frame),
    Client(relay_frame::Frame),
}

type OfRelay = Box<dyn FnMut(relay_frame::Frame) -> Vec<relay_frame::Frame> + Send>;
type OfClient = Box<dyn FnMut(client_frame::Frame) -> Vec<Frame> + Send>;
type Counts = Box<dyn Fn(&str) -> bool + Send>;
type Answers = Box<dyn FnMut(&str, Answer) -> Answer + Send>;
type Asks = Box<dyn FnMut(&str, &[u8]) -> bool + Send>;

struct Shared {
    relay: String,
    http: reqwest::Client,
    of_relay: Mutex<OfRelay>,
    of_client: Mutex<OfClient>,
    asks: Mutex<Asks>,
    answers: Mutex<Answers>,
    /// Steps until the client is cut off; 0: it is not to be.
    left: AtomicUsize,
    what: Mutex<Lost>,
    counts: Mutex<Counts>,
    cut: watch::Sender<Cut>,
    /// Counts how often the connections were ended.
    hang_ups: watch::Sender<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    No,
    /// What was said last goes through, and nothing comes back.
    Nearly,
    Off,
}

/// The man in the middle. Until told otherwise it is honest.
pub struct Liar {
    pub url: String,
    shared: Arc<Shared>,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}

impl Liar {
    pub async fn before(relay: &str) -> Self {
        let shared = Arc::new(Shared {
            relay: relay.to_owned(),
            http: reqwest::Client::new(),
            of_relay: Mutex::new(Box::new(|frame| vec![frame])),
            of_client: Mutex::new(Box::new(|frame| vec![Frame::Relay(frame)])),
            asks: Mutex::new(Box::new(|_, _| true)),
            answers: Mutex::new(Box::new(|_, answer| answer)),
            left: AtomicUsize::new(0),
            what: Mutex::new(Lost::Request),
            counts: Mutex::new(Box::new(|_| true)),
            cut: watch::Sender::new(Cut::No),
            hang_ups: watch::Sender::new(0),
        });
        let app = Router::new().fallback(pass).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared }
    }

    /// What becomes of frames of the relay.
    pub fn says(
        &self,
        lie: impl FnMut(relay_frame::Frame) -> Vec<relay_frame::Frame> + Send + 'static,
    ) {
        *lock(&self.shared.of_relay) = Box::new(lie);
    }

    /// What becomes of frames of the client.
    pub fn hears(&self, lie: impl FnMut(client_frame::Frame) -> Vec<Frame> + Send + 'static) {
        *lock(&self.shared.of_client) = Box::new(lie);
    }

    /// Whether a request like `PUT /v1/users/…/list`, with this body, comes to the relay. If not, the answer is 502, of which
    /// [`Self::answers`] may make another.
    pub fn asks(&self, lie: impl FnMut(&str, &[u8]) -> bool + Send + 'static) {
        *lock(&self.shared.asks) = Box::new(lie);
    }

    /// What becomes of answers over HTTP to requests like `GET /v1/users/…/lists?from=1`.
    pub fn answers(&self, lie: impl FnMut(&str, Answer) -> Answer + Send + 'static) {
        *lock(&self.shared.answers) = Box::new(lie);
    }

    /// From now on it is honest.
    pub fn repents(&self) {
        self.says(|frame| vec![frame]);
        self.hears(|frame| vec![Frame::Relay(frame)]);
        self.asks(|_, _| true);
        self.answers(|_, answer| answer);
    }

    /// Ends the open connections.
    pub fn hang_up(&self) {
        self.shared.hang_ups.send_modify(|times| *times += 1);
    }

    /// At the `step`th request or frame of the client, from 1, it is cut off: before the relay has that, or before the answer.
    pub fn cuts_at(&self, step: usize, what: Lost) {
        *lock(&self.shared.what) = what;
        self.shared.left.store(step, Ordering::SeqCst);
    }

    /// Only what is said like this is a step.
    pub fn counts(&self, which: impl Fn(&str) -> bool + Send + 'static) {
        *lock(&self.shared.counts) = Box::new(which);
    }

    /// Until the client is cut off.
    pub async fn cut(&self) {
        let mut cut = self.shared.cut.subscribe();
        let off = cut.wait_for(|cut| *cut == Cut::Off);
        within(off).await.expect("there");
    }
}

impl Shared {
    /// The client says something; whether the relay is to hear it.
    fn step(&self, said: &str) -> bool {
        if (lock(&self.counts))(said) {
            let left = self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
            if left == Ok(1) {
                let last = *lock(&self.what) == Lost::Answer;
                let cut = if last { Cut::Nearly } else { Cut::Off };
                self.cut.send_replace(cut);
                return last;
            }
        }
        self.goes_on()
    }

    /// Whether the client is not cut off.
    fn goes_on(&self) -> bool {
        let goes_on = *self.cut.borrow() == Cut::No;
        if !goes_on {
            self.cut.send_replace(Cut::Off);
        }
        goes_on
    }
}

/// No answer, ever.
async fn silence() -> Response {
    std::future::pending().await
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/v1/socket" {
        return socket(shared, parts).await;
    }
    let asked = format!("{} {}", parts.method, parts.uri);
    if !shared.step(&asked) {
        return silence().await;
    }
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let comes = (lock(&shared.asks))(&asked, &body);
    let answer = match comes {
        true => answer_of(&shared, parts, body).await,
        false => None,
    };
    let answer = answer.unwrap_or(Answer {
        status: StatusCode::BAD_GATEWAY.as_u16(),
        body: Bytes::new(),
    });
    if !shared.goes_on() {
        return silence().await;
    }
    let Answer { status, body } = (lock(&shared.answers))(&asked, answer);
    let status = StatusCode::from_u16(status).expect("a status");
    (status, body).into_response()
}

async fn answer_of(shared: &Shared, parts: Parts, body: Bytes) -> Option<Answer> {
    let url = format!("{}{}", shared.relay, parts.uri);
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let sent = shared.http.request(parts.method, url).headers(headers);
    let answer = sent.body(body).send().await.ok()?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.ok()?;
    Some(Answer { status, body })
}

type OfRelaySocket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn socket(shared: Arc<Shared>, mut parts: Parts) -> Response {
    if !shared.goes_on() {
        return silence().await;
    }
    let url = format!("{}/v1/socket", shared.relay.replace("http://", "ws://"));
    let mut request = url.into_client_request().expect("a request");
    for name in [header::AUTHORIZATION, header::SEC_WEBSOCKET_PROTOCOL] {
        let value = parts.headers.get(&name).expect("a header").clone();
        request.headers_mut().insert(name, value);
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.expect("a WebSocket");
    match connect_async(request).await {
        Ok((relay, _)) => upgrade
            .protocols([SUBPROTOCOL])
            .on_upgrade(move |client| between(shared, client, relay)),
        Err(tungstenite::Error::Http(answer)) => {
            let status = answer.status();
            let body = answer.into_body().unwrap_or_default();
            (status, body).into_response()
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn between(shared: Arc<Shared>, mut client: WebSocket, mut relay: OfRelaySocket) {
    let mut hang_ups = shared.hang_ups.subscribe();
    loop {
        tokio::select! {
            said = client.recv() => match said {
                Some(Ok(ws::Message::Binary(bytes))) => {
                    if !shared.step("a frame") {
                        return;
                    }
                    let frame = decode_client(bytes).expect("a frame of the client");
                    let frames = (lock(&shared.of_client))(frame);
                    for frame in frames {
                        let sent = match frame {
                            Frame::Relay(frame) => relay
                                .send(tungstenite::Message::Binary(encode_client(frame)))
                                .await
                                .is_ok(),
                            Frame::Client(frame) => said_to(&mut client, frame).await,
                        };
                        if !sent {
                            return;
                        }
                    }
                    if !shared.goes_on() {
                        return;
                    }
                }
                Some(Ok(ws::Message::Ping(_) | ws::Message::Pong(_) | ws::Message::Text(_))) => {}
                Some(Ok(ws::Message::Close(_)) | Err(_)) | None => return,
            },
            said = relay.next() => match said {
                Some(Ok(tungstenite::Message::Binary(bytes))) => {
                    if !shared.goes_on() {
                        return;
                    }
                    let Ok(frame) = decode_relay(bytes) else { return };
                    let frames = (lock(&shared.of_relay))(frame);
                    for frame in frames {
                        if !said_to(&mut client, frame).await {
                            return;
                        }
                    }
                }
                Some(Ok(tungstenite::Message::Close(close))) => {
                    let close = close.map(|close| ws::CloseFrame {
                        code: close.code.into(),
                        reason: close.reason.as_str().into(),
                    });
                    let _ = client.send(ws::Message::Close(close)).await;
                    return;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            _ = hang_ups.changed() => return,
        }
    }
}

async fn said_to(client: &mut WebSocket, frame: relay_frame::Frame) -> bool {
    let bytes = encode_relay(frame);
    client.send(ws::Message::Binary(bytes)).await.is_ok()
}
