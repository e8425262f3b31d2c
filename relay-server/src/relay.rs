//! A relay in this process: its stores, its addresses, its end.

use std::{
    fs::{self, File, TryLockError},
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::middleware::from_fn_with_state;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use crate::config::Config;
use crate::{
    auth::{
        block_key::BlockKey,
        challenge::Challenges,
        password::{PasswordKey, Passwords},
        signing_key::TokenKey,
        token::Tokens,
    },
    backup::Backups,
    chat::{self, Chat},
    config::{self, Problem, Role},
    disabled::{self, Disabled},
    http::{Api, ClaimQuota, routes::router},
    notify::Notifier,
    ops::{
        accept::Server,
        admin::Admin,
        client::Proxies,
        drain,
        metrics::{self, MetricsError},
        rates::{self, Rates},
        request,
        tls::Tls,
    },
    stores::{self, Stores},
};

/// Challenges answered in a minute: more than this machine could check the signatures of. About 20 bytes each.
const ANSWERED_CHALLENGES: usize = 1 << 20;
/// Pairs of users whose claims are counted, about 64 bytes each.
const CLAIM_PAIRS: usize = 262_144;

/// How long `deploy/haproxy` takes to see that a node is not ready, in seconds: two checks a second apart, and a bit.
const NOTICED: u64 = 3;

/// How long the log may take to let go of the partitions of a node that ends. Longer, and its sockets would wait for that.
const LEAVE: Duration = Duration::from_secs(10);

/// Whoever has locked this file of the data directory has all of it.
pub(crate) const LOCK: &str = "lock";

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that cannot work.
    #[error("{}", list(.0))]
    Config(Vec<Problem>),
    /// Another process has the data directory.
    #[error("another relay uses {}: stop it, or name another directory with --data", .0.display())]
    Locked(PathBuf),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {0} ({1}): stop what does, or set another address (--listen, ops.listen)"
    )]
    Listen(SocketAddr, io::Error),
    /// A file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stores.
    #[error(transparent)]
    Stores(#[from] stores::OpenError),
    /// The recorder of metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// A relay that listens. Dropped without [`Self::shutdown`], it stops accepting and its stores close by themselves.
pub struct Relay {
    /// For clients, where the node has the role.
    server: Option<Server>,
    tls: Option<Arc<Tls>>,
    admin: Option<Admin>,
    api: Arc<Api>,
    chat: Arc<Chat>,
    ops: config::Ops,
    /// No other node takes its sockets when it ends.
    alone: bool,
    notifier: Option<Notifier>,
    disabled: AbortOnDropHandle<()>,
    /// Held until the end: dropped, it closes the log.
    stores: Stores,
    backups: Option<Backups>,
    /// Held until the end: the lock goes with the file.
    _lock: Option<File>,
}

/// Opens the stores and listens.
pub async fn start(config: Config) -> Result<Relay, StartError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(StartError::Config(problems));
    }
    let token_key = config
        .token_key()
        .map_err(|problem| StartError::Config(vec![problem]))?;
    let password_key = config
        .password_key()
        .map_err(|problem| StartError::Config(vec![problem]))?;
    let serves = config.server.roles.has(Role::Chat);
    let tls = match config.tls.files().filter(|_| serves) {
        Some(files) => Some(Tls::load(files).map_err(|problem| StartError::Config(vec![problem]))?),
        None => None,
    };
    let tls = tls.map(Arc::new);
    let providers = config
        .push_providers()
        .map_err(|problem| StartError::Config(vec![problem]))?;
    let registration = config
        .registration()
        .map_err(|problem| StartError::Config(vec![problem]))?;
    // Before the stores: what was recorded without a recorder is lost.
    let recorder = match config.ops.listen {
        Some(listen) => Some((listen, metrics::install()?)),
        None => None,
    };
    let data = &config.store.data;
    let lock = match config.keeps_data() {
        true => Some(lock(data)?),
        false => None,
    };
    let stores = Stores::open(&config).await?;
    let backups = stores.embedded().map(|store| Backups::start(data, store));
    let key = match token_key {
        Some(key) => key,
        None => TokenKey::load_or_create(&data.join("token.key"))?,
    };
    let password_key = match password_key {
        Some(key) => key,
        None => PasswordKey::load_or_create(&data.join("password.key"))?,
    };
    let notifier = match config.server.roles.has(Role::Notify) {
        true => stores.notifier(providers)?,
        false => None,
    };
    let api = Arc::new(Api {
        tokens: Tokens::new(&config.server.name, &key),
        passwords: Passwords::new(&config.server.name, &password_key),
        registration,
        reset_wait_ms: config.auth.reset_wait_ms(),
        emails: config.registration.email,
        disabled: Disabled::default(),
        block_key: BlockKey::new(&password_key),
        name: config.server.name.clone(),
        users: stores.users(),
        sessions: Arc::clone(&stores.sessions),
        log: Arc::clone(&stores.log),
        history: Arc::clone(&stores.history),
        challenges: match config.is_cluster() {
            true => Challenges::shared(ANSWERED_CHALLENGES, &key),
            false => Challenges::new(ANSWERED_CHALLENGES),
        },
        claims: ClaimQuota::new(config.rates.claims_per_hour, CLAIM_PAIRS),
        fleet: Arc::clone(&stores.fleet),
        pipes: Arc::clone(&stores.pipes),
        rates: Arc::new(Rates::new(&config.rates)),
        draining: CancellationToken::new(),
        now_ms,
    });
    let unlike = api.users.passwords_unlike(api.passwords.seed()).await;
    let unlike = unlike.map_err(stores::OpenError::Users)?;
    if unlike > 0 {
        tracing::warn!(
            passwords = unlike,
            "nobody can log in by these: they were made with another key than this one (auth.password_key, or password.key \
             in the data directory)"
        );
    }
    let disabled = api.disabled.look(&*api.users).await;
    disabled.map_err(stores::OpenError::Users)?;
    let settings = chat::Settings {
        sockets_per_address: config.limits.sockets_per_address,
        ..chat::Settings::default()
    };
    let chat = Chat::new(api.clone(), settings);
    let sockets = chat
        .routes()
        .layer(from_fn_with_state(api.rates.clone(), rates::handshakes));
    let within = Duration::from_secs(config.limits.request_seconds);
    let routes = router(api.clone())
        .merge(sockets)
        .layer(from_fn_with_state(within, request::bounded));
    let listen = config.server.listen;
    let alone = !config.is_cluster();
    let proxies = Proxies::new(config.server.trusted_proxies);
    let server = match serves {
        true => Some(
            TcpListener::bind(listen)
                .await
                .and_then(|listener| {
                    Server::start(listener, routes, tls.clone(), proxies, &config.limits)
                })
                .map_err(|error| StartError::Listen(listen, error))?,
        ),
        false => None,
    };
    let admin = match recorder {
        Some((listen, recorder)) => {
            let counter = server.as_ref().map(Server::counter);
            let store = stores.embedded();
            let admin = Admin::start(
                listen,
                &config.limits,
                api.clone(),
                recorder,
                counter,
                store,
            );
            Some(
                admin
                    .await
                    .map_err(|error| StartError::Listen(listen, error))?,
            )
        }
        None => None,
    };
    let disabled = AbortOnDropHandle::new(tokio::spawn(disabled::watch(api.clone())));
    Ok(Relay {
        disabled,
        server,
        tls,
        admin,
        api,
        chat,
        alone,
        ops: config.ops,
        notifier,
        stores,
        backups,
        _lock: lock,
    })
}

/// Makes the tables of users in the data directory, or brings them up to date, and does nothing else there. Returns the file.
pub async fn migrate(config: &Config) -> Result<PathBuf, StartError> {
    let data = &config.store.data;
    let _lock = lock(data)?;
    let migrated = stores::migrate_users(data).await;
    migrated.map_err(|error| stores::OpenError::Users(error).into())
}

/// Takes the data directory, and makes it where there is none.
pub(crate) fn lock(data: &Path) -> Result<File, StartError> {
    let named = |error: io::Error| {
        let what = format!(
            "store.data, {}: {error}; name a directory that the relay may make and write to",
            data.display()
        );
        io::Error::new(error.kind(), what)
    };
    // Of accounts and who writes to whom nobody else on the machine shall read.
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(data).map_err(named)?;
    let lock = File::create(data.join(LOCK)).map_err(named)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StartError::Locked(data.to_owned()),
        TryLockError::Error(error) => error.into(),
    })?;
    Ok(lock)
}

/// Whether a relay has this data directory now.
pub(crate) fn is_running(data: &Path) -> bool {
    let lock = File::open(data.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

impl Relay {
    /// Where it listens. On a node without the role `chat`, which listens for no client, the port is 0.
    pub fn addr(&self) -> SocketAddr {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        self.server.as_ref().map_or(nowhere, Server::addr)
    }

    /// Where it listens, as an address to open: `https://` where it ends TLS itself. `None` without the role `chat`.
    pub fn url(&self) -> Option<String> {
        let addr = self.server.as_ref()?.addr();
        let scheme = match self.tls {
            Some(_) => "https",
            None => "http",
        };
        Some(format!("{scheme}://{addr}"))
    }

    /// What ends TLS, if the relay does so itself: to read its certificate again.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Where the operator's listener is, if there is one.
    pub fn ops_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::addr)
    }

    /// Says that it is not ready any more, stops accepting, closes the sockets in batches, lets requests under way end,
    /// answers and stores what the log still holds, closes the stores and frees the data directory.
    pub async fn shutdown(mut self) {
        self.api.draining.cancel();
        // First: while its sockets still live, other nodes deliver already.
        if timeout(LEAVE, self.stores.leave()).await.is_err() {
            tracing::warn!(
                "Kafka does not let go of this node's partitions: others get them once it notices"
            );
        }
        if let Some(server) = &self.server {
            // For the load balancer to hear of it before it meets a closed door.
            let unset = if self.alone { 0 } else { NOTICED };
            let unready = self.ops.unready_seconds.unwrap_or(unset);
            sleep(Duration::from_secs(unready)).await;
            server.stop();
        }
        let within = Duration::from_secs(self.ops.drain_seconds);
        let sockets = self.chat.open();
        tracing::info!(sockets, ?within, "draining");
        let drained = async {
            let pace = drain::pace(sockets, within, self.alone);
            self.chat.drain(pace).await;
            if let Some(server) = &self.server {
                server.ended().await;
            }
        };
        if timeout(within, drained).await.is_err()
            && let Some(server) = &self.server
        {
            let left = server.counter().open();
            tracing::warn!(left, "connections did not end in time and are cut");
            server.kill();
        }
        if let Some(notifier) = self.notifier {
            notifier.stop().await;
        }
        self.disabled.abort();
        if let Some(backups) = self.backups.take() {
            backups.stop().await;
        }
        // After the sockets, so that what they sent is answered.
        self.stores.close().await;
        tracing::info!("stopped");
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_data_directory_that_is_made_is_its_users_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("of/relay");
        let _lock = lock(&data).expect("locked");
        let mode = data.metadata().expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let error = lock(&data.join(LOCK)).expect_err("a file").to_string();
        assert!(error.contains("of/relay"), "{error}");
    }
}
