//! A relay in this process: its stores, its address, its end.

use std::{
    fs::{self, File, TryLockError},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

use crate::{
    auth::{challenge::Challenges, signing_key::TokenKey, token::Tokens},
    chat::{self, Chat},
    delivery::embedded::{self, DeliveryHandle, Options},
    http::{Api, ClaimQuota, routes::router},
    session::memory::MemorySessions,
    user::{UserError, sqlite::SqliteUsers},
};

/// Challenges open at a time, about 100 bytes each.
const OPEN_CHALLENGES: usize = 65_536;
/// Ten devices that each set up a session with ten, three times over.
const CLAIMS_PER_HOUR: usize = 300;
/// Pairs of users whose claims are counted, about 64 bytes each.
const CLAIM_PAIRS: usize = 262_144;
/// How long requests under way may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// What a relay needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything that it keeps; created where there is none.
    pub data: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its name, as clients know it: part of every login. Changing it ends all tokens.
    pub name: String,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It speaks plain text.
    #[error("{0} is not a loopback address: plain text would cross the network")]
    NotLoopback(SocketAddr),
    /// Another process has the data directory.
    #[error("another relay uses {}", .0.display())]
    Locked(PathBuf),
    /// A file or the address.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store of users.
    #[error(transparent)]
    Users(#[from] UserError),
    /// The store of messages.
    #[error(transparent)]
    Messages(#[from] embedded::StartError),
}

/// A relay that listens.
pub struct Relay {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
    chat: Arc<Chat>,
    /// Held until the end: dropped, it closes the log.
    delivery: DeliveryHandle,
    users: SqliteUsers,
    /// Held until the end: the lock goes with the file.
    _lock: File,
}

/// Opens the stores and listens.
pub async fn start(config: Config) -> Result<Relay, StartError> {
    if !config.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(config.listen));
    }
    fs::create_dir_all(&config.data)?;
    let lock = File::create(config.data.join("lock"))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StartError::Locked(config.data.clone()),
        TryLockError::Error(error) => error.into(),
    })?;
    let users = SqliteUsers::open(&config.data.join("users.sqlite")).await?;
    let sessions = Arc::new(MemorySessions::new());
    let messages = Options::new(config.data.join("messages"));
    let delivery = embedded::start(messages, sessions.clone()).await?;
    let key = TokenKey::load_or_create(&config.data.join("token.key"))?;
    let api = Arc::new(Api {
        tokens: Tokens::new(&config.name, &key),
        name: config.name,
        users: Arc::new(users.clone()),
        sessions,
        log: delivery.log,
        history: delivery.history,
        challenges: Challenges::new(OPEN_CHALLENGES),
        claims: ClaimQuota::new(CLAIMS_PER_HOUR, CLAIM_PAIRS),
        now_ms,
    });
    let chat = Chat::new(api.clone(), chat::Settings::default());
    let listener = TcpListener::bind(config.listen).await?;
    let addr = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = axum::serve(listener, router(api).merge(chat.routes())).with_graceful_shutdown(
        async move {
            // A dropped sender is a dropped relay: it stops as well.
            let _ = stopped.await;
        },
    );
    Ok(Relay {
        addr,
        stop,
        served: tokio::spawn(serve.into_future()),
        chat,
        delivery: delivery.handle,
        users,
        _lock: lock,
    })
}

impl Relay {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, closes the sockets, lets requests under way end, answers and stores what the log still holds,
    /// closes the stores and frees the data directory.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(());
        // The server does not see connections that became sockets.
        if timeout(DRAIN, self.chat.drain()).await.is_err() {
            tracing::warn!("some devices did not let go of their connections");
        }
        if timeout(DRAIN, &mut self.served).await.is_err() {
            self.served.abort();
        }
        if let Err(error) = self.delivery.shutdown().await {
            tracing::error!(%error, "the store of messages was not closed cleanly");
        }
        self.users.close().await;
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
