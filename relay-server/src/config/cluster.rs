//! The servers of a cluster. With none of them everything is embedded.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Config, Problem, Secret};

/// Copies of each record and of each row, in production: two of them make a quorum, and one may be lost with its disk.
const LEAST_REPLICAS: u16 = 3;

/// Users in PostgreSQL instead of SQLite.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://user:password@host/database`
    pub url: Option<Secret>,
    /// A file with the same.
    pub url_file: Option<PathBuf>,
    /// Connections of this node.
    pub connections: u32,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            connections: 16,
        }
    }
}

/// Sessions in Redis instead of in memory.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://:password@host:6379/0`
    pub url: Option<Secret>,
    /// A file with the same.
    pub url_file: Option<PathBuf>,
    /// Who vouches for Redis, where the URL begins with `rediss://`: a PEM file. Unset: whom the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// The log in Kafka instead of in memory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to begin with, `host:port`, separated by commas. Empty: none.
    pub brokers: String,
    /// The topic of all messages.
    pub topic: String,
    /// Its partitions, when `migrate` makes it.
    pub partitions: u32,
    /// Its replicas, when `migrate` makes it.
    pub replication: u16,
    /// Settings that may lose acknowledged messages are accepted.
    pub dev: bool,
    /// The brokers speak TLS.
    pub tls: bool,
    /// Who vouches for them: a PEM file. Unset: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The relay's name there; then it needs a password.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file with the same.
    pub password_file: Option<PathBuf>,
    /// How the password is proved.
    pub sasl_mechanism: SaslMechanism,
}

/// How a client of Kafka proves its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SaslMechanism {
    /// RFC 5802 with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// It is sent as it is (RFC 4616): with TLS alone.
    #[serde(rename = "PLAIN")]
    Plain,
}

impl SaslMechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: "messages".to_owned(),
            partitions: 16,
            replication: 3,
            dev: false,
            tls: false,
            ca_file: None,
            username: None,
            password: None,
            password_file: None,
            sasl_mechanism: SaslMechanism::default(),
        }
    }
}

/// History in Cassandra instead of in the data directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cassandra {
    /// Nodes to begin with. Empty: none.
    pub nodes: Vec<SocketAddr>,
    /// The keyspace.
    pub keyspace: String,
    /// Its replicas, when `migrate` makes it.
    pub replication: u16,
    /// The nodes speak TLS.
    pub tls: bool,
    /// Who vouches for them: a PEM file. Unset: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The relay's name there; then it needs a password.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file with the same.
    pub password_file: Option<PathBuf>,
}

impl Default for Cassandra {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            keyspace: "sordino".to_owned(),
            replication: 3,
            tls: false,
            ca_file: None,
            username: None,
            password: None,
            password_file: None,
        }
    }
}

impl Config {
    /// Whether users are in PostgreSQL.
    pub fn has_postgres(&self) -> bool {
        self.postgres.url.is_some() || self.postgres.url_file.is_some()
    }

    /// Whether messages are in Kafka and Cassandra, and sessions in Redis: then this is one node of several.
    pub fn is_cluster(&self) -> bool {
        self.has_redis() || !self.kafka.brokers.is_empty() || !self.cassandra.nodes.is_empty()
    }

    /// Whether anything is kept in the data directory.
    pub fn keeps_data(&self) -> bool {
        !self.is_cluster()
    }

    /// Whether sessions are in Redis.
    pub(crate) fn has_redis(&self) -> bool {
        self.redis.url.is_some() || self.redis.url_file.is_some()
    }

    /// What is wrong with these sections alone.
    pub(super) fn cluster_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut need = |good: bool, key, what: &str, fix| {
            if !good {
                problems.push(Problem {
                    key,
                    what: what.to_owned(),
                    fix,
                });
            }
        };
        let (postgres, redis) = (&self.postgres, &self.redis);
        let (kafka, cassandra) = (&self.kafka, &self.cassandra);
        for (key, value, file) in [
            ("postgres.url", &postgres.url, &postgres.url_file),
            ("redis.url", &redis.url, &redis.url_file),
            ("kafka.password", &kafka.password, &kafka.password_file),
            (
                "cassandra.password",
                &cassandra.password,
                &cassandra.password_file,
            ),
        ] {
            let both = value.is_some() && file.is_some();
            need(!both, key, "its file is set as well", "keep one of the two");
        }
        for (key, username, password) in [
            (
                "kafka.username",
                &kafka.username,
                kafka.password.is_some() || kafka.password_file.is_some(),
            ),
            (
                "cassandra.username",
                &cassandra.username,
                cassandra.password.is_some() || cassandra.password_file.is_some(),
            ),
        ] {
            need(
                username.is_some() == password,
                key,
                "one of user name and password is set",
                "set both, or none",
            );
        }
        for (key, tls, ca_file) in [
            ("kafka.ca_file", kafka.tls, &kafka.ca_file),
            ("cassandra.ca_file", cassandra.tls, &cassandra.ca_file),
        ] {
            need(
                tls || ca_file.is_none(),
                key,
                "it is set, and TLS is not",
                "set `tls = true` beside it",
            );
        }
        need(
            kafka.tls || kafka.username.is_none() || kafka.sasl_mechanism != SaslMechanism::Plain,
            "kafka.sasl_mechanism",
            "PLAIN sends the password, and TLS is not set",
            "set kafka.tls, or use SCRAM-SHA-512",
        );
        need(
            cfg!(feature = "cluster") || !(self.is_cluster() || self.has_postgres()),
            "postgres, redis, kafka, cassandra",
            "this program was built without them",
            "use a released program, or build with `--features cluster`",
        );
        if !self.is_cluster() {
            return problems;
        }
        const ALL: &str = "messages of several nodes need all of postgres.url, redis.url, kafka.brokers and cassandra.nodes: set it, or none of the others";
        for (key, set) in [
            ("postgres.url", self.has_postgres()),
            ("redis.url", self.has_redis()),
            ("kafka.brokers", !self.kafka.brokers.is_empty()),
            ("cassandra.nodes", !self.cassandra.nodes.is_empty()),
        ] {
            need(set, key, "it is not set", ALL);
        }
        need(
            self.auth.token_key.is_some() || self.auth.token_key_file.is_some(),
            "auth.token_key_file",
            "it is not set, and what one node signs the others must accept",
            "give all nodes the same key, for instance of `openssl rand -hex 32`",
        );
        need(
            self.auth.password_key.is_some() || self.auth.password_key_file.is_some(),
            "auth.password_key_file",
            "it is not set, and a password that one node took the others must check",
            "give all nodes the same key: that of the embedded relay whose users move (`DIR/password.key`, in hexadecimal digits), else of `openssl rand -hex 32`; never another later",
        );
        need(
            (1..=1024).contains(&self.kafka.partitions),
            "kafka.partitions",
            "it is out of range",
            "use 1 to 1024",
        );
        let least = self.least_replicas();
        for (key, value) in [
            ("kafka.replication", self.kafka.replication),
            ("cassandra.replication", self.cassandra.replication),
        ] {
            need(
                (least..=1024).contains(&value),
                key,
                "it is out of range",
                "use 3 to 1024 (or set kafka.dev, on a machine of your own, and use 1)",
            );
        }
        problems
    }

    /// What is meant for a machine of one's own.
    pub(super) fn dev_warning(&self) -> Option<Problem> {
        (self.is_cluster() && self.kafka.dev).then(|| Problem {
            key: "kafka.dev",
            what: "Kafka and Cassandra may keep a single copy, and lose acknowledged messages with a disk".to_owned(),
            fix: "take it out where people rely on it, and have three of each",
        })
    }

    /// How many replicas a keyspace must have.
    pub(crate) fn least_replicas(&self) -> u16 {
        if self.kafka.dev { 1 } else { LEAST_REPLICAS }
    }

    /// The URL of PostgreSQL, from wherever it is to be had.
    #[cfg(feature = "cluster")]
    pub(crate) fn postgres_url(&self) -> Result<Secret, Problem> {
        secret(
            "postgres.url_file",
            &self.postgres.url,
            &self.postgres.url_file,
        )
    }

    /// The URL of Redis, from wherever it is to be had.
    #[cfg(feature = "cluster")]
    pub(crate) fn redis_url(&self) -> Result<Secret, Problem> {
        secret("redis.url_file", &self.redis.url, &self.redis.url_file)
    }

    /// Who the relay is to Kafka.
    #[cfg(feature = "cluster")]
    pub(crate) fn kafka_login(&self) -> Result<Option<Login>, Problem> {
        let kafka = &self.kafka;
        let password = || secret("kafka.password_file", &kafka.password, &kafka.password_file);
        login(&kafka.username, password)
    }

    /// Who the relay is to Cassandra.
    #[cfg(feature = "cluster")]
    pub(crate) fn cassandra_login(&self) -> Result<Option<Login>, Problem> {
        let cassandra = &self.cassandra;
        let file = &cassandra.password_file;
        let password = || secret("cassandra.password_file", &cassandra.password, file);
        login(&cassandra.username, password)
    }
}

/// TLS to a server.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Who vouches for it: a PEM file; none: whom the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// Who the relay is to a server.
#[derive(Debug)]
pub struct Login {
    /// Its name there.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

#[cfg(feature = "cluster")]
fn login(
    username: &Option<String>,
    password: impl FnOnce() -> Result<Secret, Problem>,
) -> Result<Option<Login>, Problem> {
    let Some(username) = username.clone() else {
        return Ok(None);
    };
    let password = password()?;
    Ok(Some(Login { username, password }))
}

#[cfg(feature = "cluster")]
fn secret(
    key: &'static str,
    value: &Option<Secret>,
    file: &Option<PathBuf>,
) -> Result<Secret, Problem> {
    if let Some(value) = value {
        return Ok(Secret::from(value.expose().to_owned()));
    }
    let file = file.clone().unwrap_or_default();
    let text = std::fs::read_to_string(&file).map_err(|error| Problem {
        key,
        what: format!("{}: {error}", file.display()),
        fix: "name a file that holds it and that the relay may read",
    })?;
    let text = zeroize::Zeroizing::new(text);
    Ok(Secret::from(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<&'static str> {
        let config: Config = toml::from_str(text).expect("read");
        config.cluster_problems().iter().map(|p| p.key).collect()
    }

    #[test]
    fn nothing_is_needed_of_an_embedded_relay() {
        assert_eq!(keys(""), [""; 0]);
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_node_of_several_needs_all_of_them_and_a_shared_key() {
        assert_eq!(
            keys("kafka.brokers = 'a:1'"),
            [
                "postgres.url",
                "redis.url",
                "cassandra.nodes",
                "auth.token_key_file",
                "auth.password_key_file"
            ]
        );
        let all = "kafka.brokers = 'a:1'\nredis.url = 'redis://a'\npostgres.url = 'postgres://a'\n\
                   cassandra.nodes = ['127.0.0.1:1']\nauth.token_key_file = 'k'\nauth.password_key_file = 'p'\n";
        assert_eq!(keys(all), [""; 0]);
        assert_eq!(
            keys(&format!("{all}kafka.partitions = 0")),
            ["kafka.partitions"]
        );
        let few = format!("{all}kafka.replication = 1\ncassandra.replication = 2\n");
        assert_eq!(keys(&few), ["kafka.replication", "cassandra.replication"]);
        assert_eq!(keys(&format!("{few}kafka.dev = true")), [""; 0]);
        assert_eq!(keys(&format!("{all}redis.url_file = 'f'")), ["redis.url"]);
        assert_eq!(keys("postgres.url_file = 'f'"), [""; 0]);
        for (more, key) in [
            ("kafka.username = 'u'", "kafka.username"),
            ("cassandra.password_file = 'f'", "cassandra.username"),
            ("kafka.ca_file = 'f'", "kafka.ca_file"),
            ("cassandra.ca_file = 'f'", "cassandra.ca_file"),
            (
                "kafka.username = 'u'\nkafka.password = 'p'\nkafka.sasl_mechanism = 'PLAIN'",
                "kafka.sasl_mechanism",
            ),
        ] {
            assert_eq!(keys(&format!("{all}{more}\n")), [key], "{more}");
        }
    }

    #[test]
    fn a_single_copy_is_warned_of() {
        let warning = |text: &str| {
            let config: Config = toml::from_str(text).expect("read");
            config.dev_warning().map(|problem| problem.key)
        };
        assert_eq!(warning("kafka.dev = true"), None);
        assert_eq!(warning("kafka.brokers = 'a:1'"), None);
        let dev = "kafka.brokers = 'a:1'\nkafka.dev = true";
        assert_eq!(warning(dev), Some("kafka.dev"));
    }

    #[cfg(not(feature = "cluster"))]
    #[test]
    fn a_program_without_them_says_so() {
        assert_eq!(
            keys("postgres.url_file = 'f'"),
            ["postgres, redis, kafka, cassandra"]
        );
    }
}
