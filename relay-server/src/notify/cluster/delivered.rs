//! How far delivery is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use tokio::time::sleep;

use super::Source;
use crate::{
    history::{HistoryError, cassandra::Cassandra},
    notify::{
        hints::{At, Hints, Whom},
        watch::Decided,
    },
};

/// How often the broker is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What delivery has committed, and, where that is behind, what the conversation itself says.
pub(super) struct Delivered {
    /// Of delivery's group, without being a member: it only asks.
    client: Arc<BaseConsumer>,
    topic: String,
    history: Arc<Cassandra>,
    epoch: u64,
    /// Partitions that were asked for, and where delivery would go on.
    committed: Mutex<HashMap<i32, u64>>,
}

impl Delivered {
    pub(super) fn new(source: &Source) -> Result<Self, KafkaError> {
        let mut client = source.log.client();
        client
            .set("group.id", &source.delivery)
            .set("enable.auto.commit", "false");
        Ok(Self {
            client: Arc::new(client.create()?),
            topic: source.log.topic.clone(),
            history: Arc::clone(&source.history),
            epoch: source.epoch,
            committed: Mutex::default(),
        })
    }

    /// Asks as long as somebody may want to know.
    pub(super) async fn follow(&self, hints: &Hints) {
        loop {
            sleep(EVERY).await;
            if hints.is_empty() {
                continue;
            }
            let mut asked = TopicPartitionList::new();
            for partition in self.committed().keys() {
                asked.add_partition(&self.topic, *partition);
            }
            if asked.count() == 0 {
                continue;
            }
            let client = Arc::clone(&self.client);
            let answer =
                tokio::task::spawn_blocking(move || client.committed_offsets(asked, PATIENCE));
            match answer.await {
                Ok(Ok(answer)) => self.heard(&answer),
                Ok(Err(error)) => tracing::warn!("Kafka: {error}"),
                // The runtime is going away.
                Err(_) => return,
            }
        }
    }

    fn heard(&self, answer: &TopicPartitionList) {
        let mut committed = self.committed();
        for element in answer.elements() {
            if let Offset::Offset(offset) = element.offset() {
                let offset = u64::try_from(offset).unwrap_or(0);
                committed.insert(element.partition(), offset);
            }
        }
    }

    fn committed(&self) -> std::sync::MutexGuard<'_, HashMap<i32, u64>> {
        // Nothing panics while it is held.
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Decided for Delivered {
    async fn decided(&self, (conversation, _): Whom, at: At) -> Result<bool, HistoryError> {
        // Delivery commits only what is stored, registers included, or what there is nothing to store of.
        if at.offset < *self.committed().entry(at.partition).or_insert(0) {
            return Ok(true);
        }
        // Its commit may be held back by another conversation, for as long as Redis is away.
        let newest = self.history.newest(conversation, 1).await?;
        let reached = newest.and_then(|newest| newest.state.at);
        Ok(reached
            .is_some_and(|reached| reached.epoch == self.epoch && reached.offset >= at.offset))
    }
}
