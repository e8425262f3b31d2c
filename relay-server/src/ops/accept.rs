//! The accept loop: a bounded number of connections, each bounded in time and memory.
//!
//! A WebSocket leaves its HTTP connection behind: the task and the buffers here end with the upgrade, and only the counted
//! stream goes on.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{sleep, timeout},
};
use tokio_util::{either::Either, sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    client::Proxies,
    half_open::HalfOpen,
    stream::{Counted, Stream},
    tls::{self, Tls},
};
use crate::config::Limits;

/// How long the loop rests when the system gives it no connection: it is out of descriptors, and trying at once only burns.
const REST: Duration = Duration::from_millis(100);
/// Fields of a request head.
const HEADERS: usize = 64;

/// A listener with its connections. Dropped, it stops accepting and its HTTP connections end after their request.
pub struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    routes: Router,
    http: http1::Builder,
    tls: Option<Arc<Tls>>,
    proxies: Proxies,
    half_open: HalfOpen,
    places: Arc<Semaphore>,
    open: TaskTracker,
    next_id: AtomicU64,
    /// For a TLS handshake, and again for a request head.
    header: Duration,
    request: Duration,
    connection: Duration,
    /// No more connections; those that stand end after the request under way.
    stop: CancellationToken,
    /// The end, whatever is under way.
    kill: CancellationToken,
}

impl Server {
    /// Serves `routes`: in TLS to everyone, without to whom `proxies` admits.
    pub fn start(
        listener: TcpListener,
        routes: Router,
        tls: Option<Arc<Tls>>,
        proxies: Proxies,
        limits: &Limits,
    ) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let header = Duration::from_secs(limits.header_seconds);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(header)
            .max_buf_size(limits.header_bytes)
            .max_headers(HEADERS);
        let shared = Arc::new(Shared {
            routes,
            http,
            tls,
            proxies,
            half_open: HalfOpen::new(limits.half_open),
            places: Arc::new(Semaphore::new(limits.connections)),
            open: TaskTracker::new(),
            next_id: AtomicU64::new(0),
            header,
            request: Duration::from_secs(limits.request_seconds),
            connection: Duration::from_secs(limits.connection_seconds),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
        });
        if let Some(tls) = &shared.tls {
            tokio::spawn(tls::watch(Arc::clone(tls), shared.stop.clone()));
        }
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What counts its connections.
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.shared))
    }

    /// Accepts no more; idle HTTP connections end, others after the request under way. Upgraded ones go on.
    pub fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.open.close();
    }

    /// Returns when the last connection is gone, upgraded ones included. Call [`Self::stop`] first.
    pub async fn ended(&self) {
        self.shared.open.wait().await;
    }

    /// Ends what is still HTTP.
    pub fn kill(&self) {
        self.shared.kill.cancel();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Counts the connections of a server.
#[derive(Clone)]
pub struct Counter(Arc<Shared>);

impl Counter {
    /// Open connections, WebSockets included.
    pub fn open(&self) -> usize {
        // The loop holds a place of its own, not a token.
        self.0.open.len()
    }

    /// Those that have not sent a request yet.
    pub fn half_open(&self) -> usize {
        self.0.half_open.len()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let stopped = shared.stop.clone().cancelled_owned();
    let mut stopped = pin!(stopped);
    loop {
        let next = async {
            // First a place, then a connection: who finds none waits in the kernel's queue, at the kernel's cost.
            let place = Arc::clone(&shared.places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let accepted = tokio::select! {
            () = &mut stopped => return,
            accepted = next => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, peer))) => admit(stream, peer, place, &shared),
            // Nobody closes the semaphore.
            (Err(_), _) => return,
            (_, Err(error)) if of_one_connection(&error) => {}
            (_, Err(error)) => {
                tracing::error!(%error, "no connection can be accepted");
                sleep(REST).await;
            }
        }
    }
}

/// Whether only the connection that would have been accepted failed.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

fn admit(stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, shared: &Arc<Shared>) {
    if shared.tls.is_none() && !shared.proxies.admit(peer.ip()) {
        ::metrics::counter!("sordino_connections_refused_total", "why" => "not_a_proxy")
            .increment(1);
        return;
    }
    // Without it a frame waits for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    ::metrics::counter!("sordino_connections_total").increment(1);
    let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
    let evicted = shared.half_open.enter(id);
    let (open, shared) = (shared.open.token(), Arc::clone(shared));
    tokio::spawn(async move {
        let mut evicted = evicted;
        if let Some(stream) = secure(stream, &mut evicted, &shared).await {
            let stream = Counted {
                stream,
                _place: place,
                _open: open,
            };
            serve(stream, peer, id, evicted, &shared).await;
        }
        shared.half_open.leave(id);
    });
}

/// Shakes hands, where there is TLS. Until that is done a connection is half open, and may have to go.
async fn secure(
    stream: TcpStream,
    evicted: &mut oneshot::Receiver<()>,
    shared: &Shared,
) -> Option<Stream> {
    let Some(tls) = &shared.tls else {
        return Some(Either::Left(stream));
    };
    let secured = tokio::select! {
        biased;
        secured = timeout(shared.header, tls.accept(stream)) => secured,
        _ = evicted => return None,
        () = shared.stop.cancelled() => return None,
    };
    match secured {
        Ok(Ok(stream)) => Some(Either::Right(Box::new(stream))),
        // Who speaks no TLS, or none that is spoken here, has been told so as TLS does.
        Ok(Err(_)) | Err(_) => {
            ::metrics::counter!("sordino_connections_refused_total", "why" => "tls").increment(1);
            None
        }
    }
}

/// Serves the requests of one connection, until it ends or becomes something else.
async fn serve(
    stream: Counted,
    peer: SocketAddr,
    id: u64,
    evicted: oneshot::Receiver<()>,
    shared: &Shared,
) {
    let spoke = AtomicBool::new(false);
    let service = service_fn(|mut request: Request<Incoming>| {
        if !spoke.swap(true, Ordering::Relaxed) {
            shared.half_open.leave(id);
        }
        let client = shared.proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(client);
        shared.routes.clone().oneshot(request.map(Body::new))
    });
    let connection = shared
        .http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    // A request may have arrived while nobody had time to read it. Then the connection is not half open, and stays.
    let evicted = async { evicted.await.is_ok() && !spoke.load(Ordering::Relaxed) };
    let ended = tokio::select! {
        // In this order: what has arrived is read first.
        biased;
        // What a connection dies of is its peer's affair.
        _ = connection.as_mut() => true,
        true = evicted => true,
        () = shared.stop.cancelled() => false,
        () = sleep(shared.connection) => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = timeout(shared.request, connection) => {}
            () = shared.kill.cancelled() => {}
        }
    }
}
