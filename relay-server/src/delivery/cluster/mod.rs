//! Delivery over several nodes: each partition of the topic has one owner, who applies its records, persists them and tells
//! the devices.
//!
//! Ownership is a hint, not a lock. A node that does not know yet that another took over (a *zombie*) decides the same from
//! the same records, and writes the same bytes.

mod consumer;
mod conversation;
mod lag;
mod load;
pub(crate) mod offsets;
mod partition;
mod persist;
mod tell;

use std::{sync::Arc, time::Duration};

use rdkafka::error::KafkaError;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{consumer::Consumer, lag::Lag};
use crate::{
    broker::{
        Log,
        kafka::{self, KafkaLog, Topic, TopicError},
    },
    history::{
        History,
        cassandra::{self, Cassandra, ConnectError, MigrateError, log_of},
    },
    notify::cluster::Source,
    session::Sessions,
};

/// Settings of the data path.
#[derive(Debug, Clone)]
pub struct Options {
    /// The log.
    pub log: kafka::Options,
    /// One broker may be enough.
    pub dev: bool,
    /// Whether this node delivers; else it accepts and reads alone, and others deliver.
    pub delivers: bool,
    /// History.
    pub history: cassandra::Options,
    /// Records in work, in bytes; beyond it the consumer pauses.
    pub work_bytes: usize,
    /// Batches that Cassandra has at a time.
    pub batches: usize,
    /// Conversations of a partition whose state is kept in memory.
    pub cached_states: usize,
    /// The consumer group; nodes that share it share the work.
    pub group: String,
    /// Nothing more is accepted while a record waits for longer than this to be delivered.
    pub most_lag: Duration,
    /// How often is looked whether one does.
    pub look_at_lag: Duration,
}

impl Options {
    /// The defaults.
    pub fn new(log: kafka::Options, history: cassandra::Options) -> Self {
        Self {
            log,
            dev: false,
            delivers: true,
            history,
            work_bytes: 64 * 1024 * 1024,
            batches: 256,
            cached_states: 20_000,
            group: "delivery".to_owned(),
            most_lag: Duration::from_secs(24 * 60 * 60),
            look_at_lag: Duration::from_secs(60),
        }
    }
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A client of Kafka cannot be made.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// Cassandra cannot be reached.
    #[error(transparent)]
    History(#[from] ConnectError),
    /// Its tables are not those of this relay.
    #[error(transparent)]
    Tables(#[from] MigrateError),
}

/// The running data path.
pub struct Running {
    /// The log's door.
    pub log: Arc<dyn Log>,
    /// History's door.
    pub history: Arc<dyn History>,
    /// What notification reads.
    pub(crate) source: Source,
    /// Ends it.
    pub handle: ClusterHandle,
}

/// Ends delivery. Dropped, it stops consuming; another node takes over when the group notices.
pub struct ClusterHandle {
    stop: CancellationToken,
    log: Arc<KafkaLog>,
    consumer: Option<JoinHandle<()>>,
}

/// What every part of delivery works with.
struct Shared {
    history: Arc<Cassandra>,
    sessions: Arc<dyn Sessions>,
    /// So that a backlog does not bury Cassandra.
    batches: Semaphore,
    /// Rises with every new topic.
    epoch: u64,
}

/// Connects to everything, and joins the group if this node delivers.
pub async fn start(options: Options, sessions: Arc<dyn Sessions>) -> Result<Running, StartError> {
    let topic = Topic::new(options.log.clone());
    let partitions = topic.partitions().await?;
    topic.check(options.dev).await?;
    let log_of = log_of(&options.history, &options.log.topic, partitions).await?;
    let history = Arc::new(Cassandra::connect(&options.history).await?);
    let log = Arc::new(KafkaLog::new(options.log.clone(), log_of.partitions)?);
    let shared = Arc::new(Shared {
        history: Arc::clone(&history),
        sessions,
        batches: Semaphore::new(options.batches),
        epoch: log_of.epoch,
    });
    let stop = CancellationToken::new();
    let lag = Lag::new(&options, log_of.partitions).follow(Arc::clone(&log));
    let stop_lag = stop.clone();
    tokio::spawn(async move { stop_lag.run_until_cancelled(lag).await });
    let consumer = match options.delivers {
        true => Some(Consumer::join(&options, shared)?),
        false => None,
    };
    let consumer = consumer.map(|consumer| tokio::spawn(consumer.run(stop.clone())));
    let handle = ClusterHandle {
        stop,
        log: Arc::clone(&log),
        consumer,
    };
    let source = Source {
        log: options.log.clone(),
        delivery: options.group.clone(),
        history: Arc::clone(&history),
        epoch: log_of.epoch,
    };
    Ok(Running {
        log,
        history,
        source,
        handle,
    })
}

impl ClusterHandle {
    /// Takes no more records, finishes those in work, commits, leaves the group: the others take over at once.
    pub async fn leave(&mut self) {
        self.stop.cancel();
        if let Some(consumer) = self.consumer.take() {
            // It ends in whatever way.
            let _ = consumer.await;
        }
    }

    /// Waits until the log has answered for all that was appended, as long as an append may take.
    pub async fn flush(&self) {
        self.log.flush().await;
    }
}

impl Drop for ClusterHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
