//! What an operator can set: one small struct per concern, each with defaults. Keys: `docs/configuration.md`.

mod check;
mod cluster;
mod load;
mod place;
mod push;
mod registration;
mod roles;
mod secret;
mod secret_files;
mod template;
mod tls;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub(crate) use self::push::may_carry_secrets;
pub use self::{
    check::Problem,
    cluster::{Cassandra, Kafka, Login, Postgres, Redis, SaslMechanism, ServerTls},
    load::{ENV_PREFIX, LoadError, Sources},
    push::Push,
    registration::{Emails, Policy, Registration},
    roles::{Role, Roles},
    secret::Secret,
    template::template,
    tls::Tls,
};

/// Everything that an operator can set.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens, and who may stand in front of it.
    pub server: Server,
    /// The certificate, if it ends TLS itself.
    pub tls: Tls,
    /// Who signs access tokens.
    pub auth: Auth,
    /// Who may make an account.
    pub registration: Registration,
    /// Where it keeps what it keeps.
    pub store: Store,
    /// How much waits and is committed together.
    pub delivery: Delivery,
    /// Connections and requests.
    pub limits: Limits,
    /// How often.
    pub rates: Rates,
    /// What it says.
    pub log: Log,
    /// Health, metrics, drain.
    pub ops: Ops,
    /// Users in PostgreSQL.
    pub postgres: Postgres,
    /// Sessions in Redis.
    pub redis: Redis,
    /// The log in Kafka.
    pub kafka: Kafka,
    /// History in Cassandra.
    pub cassandra: Cassandra,
    /// Waking devices that sleep.
    pub push: Push,
}

impl Config {
    /// The defaults, with everything in `data`, on a free port of the loopback address.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let mut config = Self::default();
        config.store.data = data.into();
        config.server.listen.set_port(0);
        config
    }
}

/// Where the relay listens, and who may stand in front of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The name by which clients know the relay: part of every login.
    pub name: String,
    /// The node's name among several, the same after a restart. Empty: of the machine's name and the port.
    pub node: String,
    /// What this node does. One that does less than everything needs others, and so the servers of a cluster.
    pub roles: Roles,
    /// Networks of the proxies in front: they alone may connect in plain text from elsewhere, and are believed when they
    /// say for whom.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7373)),
            name: "localhost".to_owned(),
            node: String::new(),
            roles: Roles::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// Who signs access tokens, and what passwords are checked with. With neither key for tokens, `token.key` in the data directory is read, or made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The seed of the Ed25519 key, 64 hexadecimal digits.
    pub token_key: Option<Secret>,
    /// A file with the same digits.
    pub token_key_file: Option<PathBuf>,
    /// The key that OPAQUE's secrets follow from, 64 hexadecimal digits.
    pub password_key: Option<Secret>,
    /// A file with the same digits. With neither, `password.key` in the data directory is
    /// read, or made.
    pub password_key_file: Option<PathBuf>,
    /// How many days who has lost recovery key and devices waits for another identity key, while devices may refuse.
    pub reset_wait_days: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            token_key: None,
            token_key_file: None,
            password_key: None,
            password_key_file: None,
            reset_wait_days: 7,
        }
    }
}

impl Auth {
    pub(crate) fn reset_wait_ms(&self) -> u64 {
        u64::from(self.reset_wait_days) * 24 * 60 * 60 * 1000
    }
}

/// Where the relay keeps what it keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The directory; created where there is none.
    pub data: PathBuf,
    /// New messages are refused when the disk has less than this left.
    pub reserve_bytes: u64,
    /// Memory for parts of history that were read.
    pub cache_bytes: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            data: PathBuf::from("sordino-data"),
            reserve_bytes: 256 * 1024 * 1024,
            cache_bytes: 32 * 1024 * 1024,
        }
    }
}

/// How much waits and is committed together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Messages that may wait to be stored, in bytes; beyond it senders are told to wait.
    pub queue_bytes: usize,
    /// The same, in messages.
    pub queue_records: usize,
    /// What one commit may hold, in bytes.
    pub group_bytes: usize,
    /// The same, in messages.
    pub group_records: usize,
    /// Conversations whose state is kept in memory.
    pub cached_states: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            queue_bytes: 64 * 1024 * 1024,
            queue_records: 65_536,
            group_bytes: 2 * 1024 * 1024,
            group_records: 128,
            cached_states: 20_000,
        }
    }
}

/// Connections and requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections open at a time, WebSockets included; beyond it new ones wait in the kernel's queue.
    pub connections: usize,
    /// WebSockets of one address (IPv6: of one /64).
    pub sockets_per_address: usize,
    /// Connections that have not sent a whole request head yet; beyond it the oldest of them is closed.
    pub half_open: usize,
    /// How long a request head may take, and how long a connection may be idle between two requests.
    pub header_seconds: u64,
    /// The largest request head.
    pub header_bytes: usize,
    /// How long a request may take, its body included.
    pub request_seconds: u64,
    /// How long a connection serves requests before it is closed; WebSockets are not concerned.
    pub connection_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            sockets_per_address: 2_000,
            half_open: 512,
            header_seconds: 10,
            header_bytes: 16 * 1024,
            request_seconds: 30,
            connection_seconds: 600,
        }
    }
}

/// How often. A burst is what may come at once after a pause.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests without a token from one address (IPv6: from one /64).
    pub address_per_second: NonZeroU32,
    /// Its burst.
    pub address_burst: NonZeroU32,
    /// Sign-ups from one address (IPv6: from one /64), those that are refused included.
    pub address_sign_ups_per_hour: NonZeroU32,
    /// Its burst.
    pub address_sign_ups_burst: NonZeroU32,
    /// Passwords that are tried, or asked for, from one address (IPv6: from one /64).
    pub address_passwords_per_hour: NonZeroU32,
    /// Its burst.
    pub address_passwords_burst: NonZeroU32,
    /// Passwords that are tried, or asked for, with one user name, right ones included.
    pub passwords_per_hour: NonZeroU32,
    /// Its burst.
    pub passwords_burst: NonZeroU32,
    /// Sign-ups of all. Each costs the disk a sync, and those who are registered wait behind it.
    pub sign_ups_per_second: NonZeroU32,
    /// Its burst.
    pub sign_ups_burst: NonZeroU32,
    /// Requests of one user.
    pub user_per_second: NonZeroU32,
    /// Its burst.
    pub user_burst: NonZeroU32,
    /// Names that one user may look up: nobody is to try them all.
    pub user_lookups_per_hour: NonZeroU32,
    /// Its burst.
    pub user_lookups_burst: NonZeroU32,
    /// Writes that a user's devices sign: lists and prekeys. Each is kept, or costs the disk a sync.
    pub user_writes_per_hour: NonZeroU32,
    /// Its burst.
    pub user_writes_burst: NonZeroU32,
    /// Batches of the key backup that one device may store.
    pub device_batches_per_hour: NonZeroU32,
    /// Its burst.
    pub device_batches_burst: NonZeroU32,
    /// WebSocket frames of one user. What comes faster is not refused but read later.
    pub user_frames_per_second: NonZeroU32,
    /// Its burst.
    pub user_frames_burst: NonZeroU32,
    /// WebSocket handshakes from one address (IPv6: from one /64).
    pub address_handshakes_per_second: NonZeroU32,
    /// Its burst.
    pub address_handshakes_burst: NonZeroU32,
    /// WebSocket handshakes of all.
    pub handshakes_per_second: NonZeroU32,
    /// Its burst.
    pub handshakes_burst: NonZeroU32,
    /// Prekey bundles that one user may claim of another in an hour.
    pub claims_per_hour: usize,
}

/// A constant of the defaults; zero cannot be written here.
const fn per(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            address_per_second: per(20),
            address_burst: per(200),
            address_sign_ups_per_hour: per(120),
            address_sign_ups_burst: per(40),
            address_passwords_per_hour: per(120),
            address_passwords_burst: per(40),
            passwords_per_hour: per(12),
            passwords_burst: per(12),
            sign_ups_per_second: per(20),
            sign_ups_burst: per(200),
            user_per_second: per(50),
            user_burst: per(500),
            user_lookups_per_hour: per(240),
            user_lookups_burst: per(60),
            user_writes_per_hour: per(240),
            user_writes_burst: per(60),
            device_batches_per_hour: per(240),
            device_batches_burst: per(120),
            user_frames_per_second: per(500),
            user_frames_burst: per(5_000),
            address_handshakes_per_second: per(10),
            address_handshakes_burst: per(100),
            handshakes_per_second: per(500),
            handshakes_burst: per(1_000),
            // Ten devices that each set up a session with ten, three times over.
            claims_per_hour: 300,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the relay says, on standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines, in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            // The libraries below report their upkeep, which tells an operator nothing.
            filter: "warn,sordino_relay=info,scylla::cluster=off,rdkafka::client=off".to_owned(),
        }
    }
}

/// Health, metrics, drain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ops {
    /// Where `/metrics`, `/healthz` and `/readyz` are served for the operator alone; without it there are no metrics.
    pub listen: Option<SocketAddr>,
    /// How long connections are still accepted after `/readyz` has begun to say that the relay ends. Unset: as long as our
    /// HAProxy takes to notice, on a node of a cluster; else not at all.
    pub unready_seconds: Option<u64>,
    /// How long sockets and requests may take to end.
    pub drain_seconds: u64,
}

impl Default for Ops {
    fn default() -> Self {
        Self {
            listen: None,
            unready_seconds: None,
            drain_seconds: 30,
        }
    }
}
