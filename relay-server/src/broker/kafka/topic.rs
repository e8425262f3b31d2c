//! The topic itself: how it is made, and what it must be set to.

use std::{collections::HashMap, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use tokio::time::{sleep, timeout};

use super::Options;

/// How long brokers may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Settings that the promises rest on, and their values.
const SETTINGS: [(&str, &str); 4] = [
    // The id and the time of a message are the log's.
    ("message.timestamp.type", "LogAppendTime"),
    // A replica that lags behind must not become the truth.
    ("unclean.leader.election.enable", "false"),
    ("cleanup.policy", "delete"),
    // Bytes must not push out what was not stored yet.
    ("retention.bytes", "-1"),
];
/// A week: how long Cassandra may be away.
const RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Why the topic does not serve.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// No broker answers, or one refuses.
    #[error("Kafka at {brokers}: {cause}; check kafka.brokers, and that the brokers run")]
    Kafka {
        /// Where they were looked for.
        brokers: String,
        /// What the client says.
        cause: KafkaError,
    },
    /// There is none.
    #[error("Kafka has no topic {0}: run `sordino-relay migrate`")]
    Missing(String),
    /// A setting breaks a promise.
    #[error(
        "the topic {topic} has {key}={value}, which may lose acknowledged messages: set it to {want} (or kafka.dev, on a machine of your own)"
    )]
    Weak {
        /// Its name.
        topic: String,
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// What it must be.
        want: String,
    },
}

/// Whether records stay for as long as they may be the only copy. -1: for ever.
fn outlasts_cassandra(retention_ms: &str) -> bool {
    retention_ms
        .parse::<i64>()
        .is_ok_and(|ms| ms == -1 || ms >= RETENTION_MS)
}

/// An administrator of one topic.
pub struct Topic {
    options: Options,
}

impl Topic {
    /// Nothing is connected yet.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Makes the topic if there is none; `replicas` is 3 in production. Returns its number of partitions.
    pub async fn create(&self, partitions: u32, replicas: u16) -> Result<u32, TopicError> {
        let retention = RETENTION_MS.to_string();
        // Two of three: one may be away, and what is acknowledged is still on more than one.
        let in_sync = replicas.div_ceil(2).to_string();
        let count = |n| i32::try_from(n).unwrap_or(i32::MAX);
        let topic = SETTINGS.iter().fold(
            NewTopic::new(
                &self.options.topic,
                count(partitions),
                TopicReplication::Fixed(replicas.into()),
            )
            .set("retention.ms", &retention)
            .set("min.insync.replicas", &in_sync),
            |topic, (key, value)| topic.set(key, value),
        );
        let options = AdminOptions::new()
            .operation_timeout(Some(PATIENCE))
            .request_timeout(Some(PATIENCE));
        let made = self.admin()?.create_topics([&topic], &options).await;
        for outcome in made.map_err(|error| self.kafka(error))? {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(self.kafka(KafkaError::AdminOp(code))),
            }
        }
        // Brokers hear of it one after another.
        let known = async {
            loop {
                match self.partitions().await {
                    Err(TopicError::Missing(_)) => sleep(Duration::from_millis(50)).await,
                    known => return known,
                }
            }
        };
        let missing = |_| Err(TopicError::Missing(self.options.topic.clone()));
        timeout(PATIENCE, known).await.unwrap_or_else(missing)
    }

    /// How many partitions it has.
    pub async fn partitions(&self) -> Result<u32, TopicError> {
        let consumer: BaseConsumer = self
            .options
            .client()
            .create()
            .map_err(|error| self.kafka(error))?;
        let name = self.options.topic.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = consumer.fetch_metadata(Some(&name), PATIENCE)?;
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            let partitions = topic.filter(|topic| topic.error().is_none());
            Ok(partitions.map_or(0, |topic| topic.partitions().len()))
        });
        let partitions = match asked.await {
            Ok(asked) => asked.map_err(|error| self.kafka(error))?,
            // The runtime is going away.
            Err(_) => 0,
        };
        match u32::try_from(partitions) {
            Ok(0) | Err(_) => Err(TopicError::Missing(self.options.topic.clone())),
            Ok(partitions) => Ok(partitions),
        }
    }

    /// Whether nothing was ever appended to any of its partitions.
    pub(crate) async fn is_unused(&self) -> Result<bool, TopicError> {
        let partitions = self.partitions().await?;
        let consumer: BaseConsumer = self
            .options
            .client()
            .create()
            .map_err(|error| self.kafka(error))?;
        let name = self.options.topic.clone();
        let asked = tokio::task::spawn_blocking(move || {
            for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
                // The end stays where it was when retention has passed.
                let (_, end) = consumer.fetch_watermarks(&name, partition, PATIENCE)?;
                if end > 0 {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        // Not joined only when the runtime is going away.
        let unused = asked.await.unwrap_or(Ok(false));
        unused.map_err(|error| self.kafka(error))
    }

    /// Refuses settings under which something acknowledged may be lost. `dev`: one broker, and less than a week, may be enough.
    pub async fn check(&self, dev: bool) -> Result<(), TopicError> {
        let first = self.weaknesses(dev).await?.into_iter().next();
        first.map_or(Ok(()), Err)
    }

    /// All such settings.
    pub async fn weaknesses(&self, dev: bool) -> Result<Vec<TopicError>, TopicError> {
        let name = &self.options.topic;
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let resource = [ResourceSpecifier::Topic(name)];
        let admin = self.admin()?;
        let described = admin.describe_configs(&resource, &options).await;
        let mut values = HashMap::new();
        for resource in described.map_err(|error| self.kafka(error))? {
            let entries = resource.map_err(|code| self.kafka(KafkaError::AdminOp(code)))?;
            for entry in entries.entries {
                values.insert(entry.name, entry.value.unwrap_or_default());
            }
        }
        let weak = |key: &str, value: &str, want: &str| TopicError::Weak {
            topic: name.clone(),
            key: key.to_owned(),
            value: value.to_owned(),
            want: want.to_owned(),
        };
        let value = |key: &str| values.get(key).map(String::as_str).unwrap_or_default();
        let mut found: Vec<_> = SETTINGS
            .into_iter()
            .filter(|(key, want)| value(key) != *want)
            .map(|(key, want)| weak(key, value(key), want))
            .collect();
        let in_sync = value("min.insync.replicas");
        if !dev && in_sync.parse().unwrap_or(0) < 2 {
            found.push(weak("min.insync.replicas", in_sync, "2"));
        }
        let retention = value("retention.ms");
        if !dev && !outlasts_cassandra(retention) {
            found.push(weak("retention.ms", retention, &RETENTION_MS.to_string()));
        }
        Ok(found)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, TopicError> {
        let admin = self.options.client().create();
        admin.map_err(|error| self.kafka(error))
    }

    fn kafka(&self, cause: KafkaError) -> TopicError {
        TopicError::Kafka {
            brokers: self.options.brokers.clone(),
            cause,
        }
    }
}
