//! A proxy before a relay that loses one request or one answer, as a network does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

/// What becomes of the request that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It does not reach the relay.
    Request,
    /// The relay has done what it asks for, and nobody hears of it.
    Answer,
}

struct Shared {
    relay: String,
    client: reqwest::Client,
    /// Requests until the one that is lost, which is 1.
    left: AtomicUsize,
    what: Lost,
    /// From the first request on that has this method or path, so many answers are lost.
    from: Option<(String, AtomicUsize)>,
    begun: AtomicBool,
}

/// A proxy before `relay` that loses the `nth` request, from 1. Returns its address, and whether there was such a request.
pub async fn losing(relay: &str, nth: usize, what: Lost) -> (String, impl Fn() -> bool + use<>) {
    let shared = Arc::new(Shared {
        relay: relay.to_owned(),
        client: reqwest::Client::new(),
        left: AtomicUsize::new(nth),
        what,
        from: None,
        begun: AtomicBool::new(false),
    });
    let has_lost = {
        let shared = shared.clone();
        move || shared.left.load(Ordering::SeqCst) == 0
    };
    (serve(shared).await, has_lost)
}

/// A proxy before `relay` that loses `count` answers, the first of them to a request with this method or path.
pub async fn losing_from(relay: &str, first: &str, count: usize) -> String {
    let shared = Arc::new(Shared {
        relay: relay.to_owned(),
        client: reqwest::Client::new(),
        left: AtomicUsize::new(0),
        what: Lost::Answer,
        from: Some((first.to_owned(), AtomicUsize::new(count))),
        begun: AtomicBool::new(false),
    });
    serve(shared).await
}

async fn serve(shared: Arc<Shared>) -> String {
    let app = Router::new().fallback(pass).with_state(shared);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let left = shared
        .left
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
    let mut lost = left == Ok(1);
    if let Some((first, count)) = &shared.from {
        let is_first = request.method().as_str() == first || request.uri().path() == first;
        if is_first || shared.begun.load(Ordering::SeqCst) {
            shared.begun.store(true, Ordering::SeqCst);
            let counted = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                count.checked_sub(1)
            });
            lost = counted.is_ok();
        }
    }
    let nothing = StatusCode::BAD_GATEWAY.into_response();
    if lost && shared.what == Lost::Request {
        return nothing;
    }
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 1 << 20).await.expect("a body");
    let mut headers = parts.headers;
    headers.remove("host");
    let url = format!("{}{}", shared.relay, parts.uri);
    let asked = shared.client.request(parts.method, url);
    let answer = asked
        .headers(headers)
        .body(body)
        .send()
        .await
        .expect("answered");
    let (status, body) = (answer.status(), answer.bytes().await.expect("a body"));
    match lost {
        true => nothing,
        false => (status, body).into_response(),
    }
}
