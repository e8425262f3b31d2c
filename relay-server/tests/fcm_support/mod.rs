//! A server on the loopback address that speaks FCM's HTTP v1 and Google's OAuth, and says what a test wants of each token.
#![allow(dead_code, reason = "each test file uses a part")]

mod wire;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeySize,
    signature::{KeyPair, RsaKeyPair},
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

pub const PROJECT: &str = "sordino-test";
const EMAIL: &str = "relay@sordino-test.iam.gserviceaccount.com";
const KEY_ID: &str = "0123456789abcdef";

/// What is said to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    Sent,
    Unregistered,
    InvalidToken,
    Mismatch,
    /// With Retry-After in seconds.
    Quota(Option<u64>),
    Unavailable(Option<u64>),
    Internal,
    Unauthenticated,
    Garbage,
    /// The answer breaks off.
    Reset,
    /// An answer that takes so long.
    Slow(Duration),
    /// No answer at all.
    Hang,
    /// An answer that waits for [`Fcm::release`].
    Held(Box<Say>),
}

/// A request that came with an access token and a good message.
#[derive(Debug, Clone)]
pub struct Seen {
    pub token: String,
    /// The body as it came.
    pub body: String,
    pub said: Say,
    pub at: Instant,
}

pub struct Fcm {
    addr: SocketAddr,
    private_key: String,
    shared: Arc<Shared>,
    served: JoinHandle<()>,
}

struct Shared {
    public_key: Vec<u8>,
    token_uri: String,
    inner: Mutex<Inner>,
    changed: Notify,
    released: Semaphore,
}

#[derive(Default)]
struct Inner {
    scripts: HashMap<String, VecDeque<Say>>,
    seen: Vec<Seen>,
    /// Requests that FCM would call malformed.
    malformed: Vec<String>,
    granted: HashSet<String>,
    grants: usize,
    refused_grants: usize,
    expires_in: u64,
}

impl Fcm {
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    async fn start_at(addr: SocketAddr) -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let public_key = key.public_key().as_ref().to_vec();
        let der = key.as_der().expect("its form");
        let private_key = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(der.as_ref())
        );
        let listener = TcpListener::bind(addr).await.expect("bound");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            public_key,
            token_uri: format!("http://{addr}/token"),
            inner: Mutex::new(Inner {
                expires_in: 3599,
                ..Inner::default()
            }),
            changed: Notify::new(),
            released: Semaphore::new(0),
        });
        let routes = Router::new()
            .route("/token", post(grant))
            .route("/v1/projects/{call}", post(not_there))
            .route(&format!("/v1/projects/{PROJECT}/messages:send"), post(send))
            .fallback(not_there)
            .with_state(shared.clone());
        let served = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("served");
        });
        Self {
            addr,
            private_key,
            shared,
            served,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The key file that the console would give.
    pub fn account(&self) -> Value {
        json!({
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": KEY_ID,
            "private_key": self.private_key,
            "client_email": EMAIL,
            "client_id": "1",
            "auth_uri": "http://127.0.0.1/auth",
            "token_uri": self.shared.token_uri,
        })
    }

    pub fn write_account(&self, file: &Path) {
        std::fs::write(file, self.account().to_string()).expect("written");
    }

    /// What is said to the next requests with this token; after them, that it was sent.
    pub fn script(&self, token: &str, says: impl IntoIterator<Item = Say>) {
        let mut inner = self.inner();
        inner
            .scripts
            .insert(token.to_owned(), says.into_iter().collect());
    }

    /// Lets one answer go that was held.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// Access tokens last so long, in seconds.
    pub fn expires_in(&self, seconds: u64) {
        self.inner().expires_in = seconds;
    }

    /// No access token that was given is good any more.
    pub fn revoke(&self) {
        self.inner().granted.clear();
    }

    /// How many access tokens were given, and how often none was.
    pub fn grants(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.grants, inner.refused_grants)
    }

    /// All that came, in order.
    pub fn seen(&self) -> Vec<Seen> {
        let inner = self.inner();
        assert!(inner.malformed.is_empty(), "{:?}", inner.malformed);
        inner.seen.clone()
    }

    /// What was said of this token, in order.
    pub fn said(&self, token: &str) -> Vec<Say> {
        let seen = self.seen().into_iter();
        seen.filter(|seen| seen.token == token)
            .map(|seen| seen.said)
            .collect()
    }

    /// Waits until that many requests came with this token.
    pub async fn wait_for(&self, token: &str, requests: usize) {
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let changed = self.shared.changed.notified();
                if self.said(token).len() >= requests {
                    return;
                }
                changed.await;
            }
        });
        if waited.await.is_err() {
            panic!("{token}: {:?}, not {requests}", self.said(token));
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.shared.inner.lock().expect("whole")
    }
}

impl Drop for Fcm {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn not_there() -> Response {
    (
        StatusCode::NOT_FOUND,
        "<!DOCTYPE html><title>Error 404</title>",
    )
        .into_response()
}

/// `POST /token`: RFC 7523.
async fn grant(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let checked = wire::assertion(&headers, &body, &shared.public_key, &shared.token_uri);
    let mut inner = shared.inner.lock().expect("whole");
    match checked {
        Ok(()) => {
            inner.grants += 1;
            let token = format!("ya29.{:032x}", rand::random::<u128>());
            inner.granted.insert(token.clone());
            let expires_in = inner.expires_in;
            let granted =
                json!({ "access_token": token, "expires_in": expires_in, "token_type": "Bearer" });
            axum::Json(granted).into_response()
        }
        Err(why) => {
            inner.refused_grants += 1;
            let refused = json!({ "error": "invalid_grant", "error_description": why });
            (StatusCode::BAD_REQUEST, axum::Json(refused)).into_response()
        }
    }
}

/// `POST /v1/projects/{project}/messages:send`
async fn send(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .unwrap_or_default();
    if !shared.inner.lock().expect("whole").granted.contains(bearer) {
        return wire::error(401, "UNAUTHENTICATED", None, None);
    }
    let message = match wire::message(&headers, &body) {
        Ok(message) => message,
        Err(why) => {
            let mut inner = shared.inner.lock().expect("whole");
            inner.malformed.push(why.clone());
            return wire::malformed(&why);
        }
    };
    let said = {
        let mut inner = shared.inner.lock().expect("whole");
        let script = inner.scripts.get_mut(&message.token);
        let said = script.and_then(VecDeque::pop_front).unwrap_or(Say::Sent);
        inner.seen.push(Seen {
            token: message.token,
            body: String::from_utf8(body.to_vec()).expect("text"),
            said: said.clone(),
            at: Instant::now(),
        });
        said
    };
    shared.changed.notify_waiters();
    let said = match said {
        Say::Held(said) => {
            let released = shared.released.acquire().await;
            released.expect("open").forget();
            *said
        }
        said => said,
    };
    answer(said).await
}

async fn answer(said: Say) -> Response {
    match said {
        Say::Sent => wire::sent(),
        Say::Unregistered => wire::error(404, "NOT_FOUND", Some("UNREGISTERED"), None),
        Say::InvalidToken => wire::error(400, "INVALID_ARGUMENT", Some("INVALID_ARGUMENT"), None),
        Say::Mismatch => wire::error(403, "PERMISSION_DENIED", Some("SENDER_ID_MISMATCH"), None),
        Say::Quota(after) => wire::error(429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"), after),
        Say::Unavailable(after) => wire::error(503, "UNAVAILABLE", Some("UNAVAILABLE"), after),
        Say::Internal => wire::error(500, "INTERNAL", Some("INTERNAL"), None),
        Say::Unauthenticated => wire::error(401, "UNAUTHENTICATED", None, None),
        Say::Garbage => (StatusCode::OK, "\u{0}<html>welcome to this hotel").into_response(),
        Say::Reset => {
            let broken = Err::<Bytes, _>(std::io::Error::other("broken off"));
            Body::from_stream(futures_util::stream::iter([broken])).into_response()
        }
        Say::Slow(wait) => {
            tokio::time::sleep(wait).await;
            wire::sent()
        }
        Say::Hang | Say::Held(_) => std::future::pending().await,
    }
}
