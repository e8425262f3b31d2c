//! The servers of a cluster, as the configuration names them: connecting, preparing, dialling.

mod moving;

use std::{path::PathBuf, sync::Arc};

pub use self::moving::{MoveError, Moved, move_in};
use super::{Messages as Kind, Stores, UserStore};
use crate::{
    broker::kafka::{self, Topic, TopicError},
    config::{Config, Problem, Role, ServerTls},
    delivery::cluster::{self, ClusterHandle},
    history::cassandra::{self, MigrateError, log_of, migrate as migrate_history, recorded_log},
    notify::{Notifier, Providers, Settings, cluster::Source},
    session::redis::{self, RedisSessions},
    user::{
        Users,
        postgres::{self, PostgresUsers},
    },
};

/// What a server of the cluster keeps the relay from.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A setting.
    #[error("{0}")]
    Config(Problem),
    /// PostgreSQL.
    #[error(transparent)]
    Users(#[from] postgres::ConnectError),
    /// Redis.
    #[error(transparent)]
    Sessions(#[from] redis::StartError),
    /// Kafka.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Cassandra.
    #[error(transparent)]
    Tables(#[from] MigrateError),
    /// Kafka and Cassandra together.
    #[error(transparent)]
    Messages(#[from] cluster::StartError),
}

impl ClusterError {
    /// The setting that says where what failed is to be found.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Config(problem) => problem.key,
            Self::Users(_) => "postgres.url",
            Self::Sessions(_) => "redis.url",
            Self::Topic(_) | Self::Messages(_) => "kafka.brokers",
            Self::Tables(_) => "cassandra.nodes",
        }
    }
}

impl From<Problem> for ClusterError {
    fn from(problem: Problem) -> Self {
        Self::Config(problem)
    }
}

/// Delivery and the registry of this node.
pub(super) struct Messages {
    delivery: ClusterHandle,
    sessions: Arc<RedisSessions>,
    source: Source,
}

impl Messages {
    pub(super) fn notifier(
        &self,
        settings: Settings,
        users: Arc<dyn Users>,
        providers: Providers,
    ) -> Result<Notifier, ClusterError> {
        let notifier = Notifier::cluster(settings, self.source.clone(), users, providers);
        Ok(notifier.map_err(cluster::StartError::Kafka)?)
    }

    pub(super) async fn leave(&mut self) {
        self.delivery.leave().await;
    }

    pub(super) async fn close(mut self) {
        self.delivery.leave().await;
        self.delivery.flush().await;
        self.sessions.shutdown().await;
    }
}

pub(super) async fn users(config: &Config) -> Result<PostgresUsers, ClusterError> {
    let options = postgres::Options {
        connections: config.postgres.connections,
        ..postgres::Options::default()
    };
    Ok(PostgresUsers::connect(&config.postgres_url()?, &options).await?)
}

pub(super) async fn open(config: &Config, users: UserStore) -> Result<Stores, ClusterError> {
    let roles = &config.server.roles;
    let mut sessions = registry(config, node(config))?;
    sessions.listens = roles.has(Role::Chat);
    let sessions = RedisSessions::start(sessions).await?;
    let delivery = &config.delivery;
    let mut options = cluster::Options::new(log(config)?, history(config)?);
    options.dev = config.kafka.dev;
    options.delivers = roles.has(Role::Delivery);
    options.work_bytes = delivery.queue_bytes;
    options.cached_states = delivery.cached_states;
    let running = cluster::start(options, sessions.clone()).await?;
    Ok(Stores {
        sessions: sessions.clone(),
        fleet: sessions.clone(),
        pipes: sessions.clone(),
        log: running.log,
        history: running.history,
        users,
        messages: Kind::Cluster(Messages {
            delivery: running.handle,
            sessions,
            source: running.source,
        }),
        hints: None,
    })
}

/// Makes or brings up to date whatever the configuration names. What is there stays. Returns what was done, a line each.
pub async fn migrate(config: &Config) -> Result<Vec<String>, ClusterError> {
    let mut done = Vec::new();
    if config.has_postgres() {
        PostgresUsers::migrate(&config.postgres_url()?).await?;
        done.push("PostgreSQL: the tables of users are up to date".to_owned());
    }
    if config.is_cluster() {
        let kafka = &config.kafka;
        let topic = Topic::new(log(config)?);
        let partitions = topic.create(kafka.partitions, kafka.replication).await?;
        topic.check(kafka.dev).await?;
        done.push(format!(
            "Kafka: the topic {} has {partitions} partitions",
            kafka.topic
        ));
        let replicas = config.cassandra.replication;
        let log = migrate_history(&history(config)?, replicas, &kafka.topic, partitions).await?;
        done.push(format!(
            "Cassandra: the tables in {} are up to date, {} is the log of epoch {}",
            config.cassandra.keyspace, kafka.topic, log.epoch
        ));
    }
    Ok(done)
}

/// Dials every server that the configuration names and whose section is `good`. What does not answer as it must, all of it.
pub async fn check(config: &Config, good: impl Fn(&str) -> bool) -> Vec<ClusterError> {
    let mut errors = Vec::new();
    if config.has_postgres() && good("postgres.") {
        match users(config).await {
            Ok(users) => users.close().await,
            Err(error) => errors.push(error),
        }
    }
    let mut partitions = None;
    if !config.kafka.brokers.is_empty() && good("kafka.") {
        match check_topic(config, &mut errors).await {
            Ok(found) => partitions = Some(found),
            Err(error) => errors.push(error),
        }
    }
    if !config.cassandra.nodes.is_empty() && good("cassandra.") {
        errors.extend(check_history(config, partitions).await.err());
    }
    if config.has_redis() && good("redis.") {
        errors.extend(check_sessions(config).await.err());
    }
    errors
}

/// How many partitions the topic has.
async fn check_topic(config: &Config, errors: &mut Vec<ClusterError>) -> Result<u32, ClusterError> {
    let topic = Topic::new(log(config)?);
    let partitions = topic.partitions().await?;
    let weak = topic.weaknesses(config.kafka.dev).await?;
    errors.extend(weak.into_iter().map(ClusterError::from));
    Ok(partitions)
}

/// `partitions`: of the topic, if that could be asked.
async fn check_history(config: &Config, partitions: Option<u32>) -> Result<(), ClusterError> {
    let (options, topic) = (history(config)?, &config.kafka.topic);
    match partitions {
        Some(partitions) => log_of(&options, topic, partitions).await?,
        None => recorded_log(&options, topic).await?,
    };
    Ok(())
}

async fn check_sessions(config: &Config) -> Result<(), ClusterError> {
    let mut options = registry(config, "check".to_owned())?;
    // A prefix of its own: it must not look like a node to the others.
    options.prefix = "check:".to_owned();
    let sessions = RedisSessions::start(options).await?;
    let healthy = sessions.healthy();
    let eviction = sessions.eviction().await;
    sessions.shutdown().await;
    let problem = |what, fix| Problem {
        key: "redis.url",
        what,
        fix,
    };
    healthy
        .map_err(|error| problem(error.to_string(), "check the address, and that Redis runs"))?;
    match eviction {
        // Not every server tells.
        None => Ok(()),
        Some(policy) if policy == "noeviction" => Ok(()),
        Some(policy) => Err(problem(
            format!("this Redis has maxmemory-policy {policy}: full, it forgets who is connected"),
            "set its maxmemory-policy to noeviction",
        )
        .into()),
    }
}

fn registry(config: &Config, node: String) -> Result<redis::Options, ClusterError> {
    Ok(redis::Options {
        ca_file: config.redis.ca_file.clone(),
        ..redis::Options::new(config.redis_url()?, node)
    })
}

fn log(config: &Config) -> Result<kafka::Options, ClusterError> {
    let kafka = &config.kafka;
    let login = config.kafka_login()?;
    Ok(kafka::Options {
        queue_bytes: config.delivery.queue_bytes,
        tls: tls(kafka.tls, &kafka.ca_file),
        login: login.map(|login| Arc::new((login, kafka.sasl_mechanism))),
        ..kafka::Options::new(&kafka.brokers, &kafka.topic)
    })
}

fn history(config: &Config) -> Result<cassandra::Options, ClusterError> {
    let cassandra = &config.cassandra;
    Ok(cassandra::Options {
        least_replicas: config.least_replicas(),
        tls: tls(cassandra.tls, &cassandra.ca_file),
        login: config.cassandra_login()?.map(Arc::new),
        ..cassandra::Options::new(cassandra.nodes.clone(), &cassandra.keyspace)
    })
}

fn tls(is_on: bool, ca_file: &Option<PathBuf>) -> Option<ServerTls> {
    is_on.then(|| ServerTls {
        ca_file: ca_file.clone(),
    })
}

/// The node's name, as configured or of the machine and the port.
fn node(config: &Config) -> String {
    if !config.server.node.is_empty() {
        return config.server.node.clone();
    }
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    let plain = machine
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    let plain: String = plain.take(48).collect();
    format!("{plain}-{}", config.server.listen.port())
}
