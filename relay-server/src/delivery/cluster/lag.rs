//! How old what is not delivered may be.
//!
//! The log forgets after a week, whether a record was delivered or not. So that nothing that was accepted is forgotten, no
//! more is accepted while something has waited for long: whoever mends delivery has the rest of the week for what is there.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use tokio::time::sleep;

use super::Options;
use crate::{
    broker::kafka::{self, KafkaLog},
    ops::said,
    relay::now_ms,
};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Closes the log to senders while delivery's group is too far behind.
#[derive(Clone)]
pub(super) struct Lag {
    log: kafka::Options,
    group: String,
    partitions: u32,
    most: Duration,
    every: Duration,
}

impl Lag {
    pub(super) fn new(options: &Options, partitions: u32) -> Self {
        Self {
            log: options.log.clone(),
            group: options.group.clone(),
            partitions,
            most: options.most_lag,
            every: options.look_at_lag,
        }
    }

    pub(super) async fn follow(self, log: Arc<KafkaLog>) {
        loop {
            let lag = self.clone();
            match tokio::task::spawn_blocking(move || lag.is_old()).await {
                Ok(Ok(old)) => close(&log, old),
                // As it was: without a broker nothing is accepted anyway.
                Ok(Err(error)) => said::warn(&format!("Kafka: {error}")),
                // The runtime is going away.
                Err(_) => return,
            }
            sleep(self.every).await;
        }
    }

    /// Whether any partition has a record that waits for too long.
    fn is_old(&self) -> Result<bool, KafkaError> {
        // Of its own for each look: the threads of one that stays would be there for nothing most of the time.
        let mut client = self.log.client();
        client
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false");
        let client: BaseConsumer = client.create()?;
        // The ends first: a record that comes meanwhile is beyond them. Asked for last, it would seem to be one of the old ones
        // where none was recent a moment before.
        let ends = self
            .numbers()
            .map(|partition| client.fetch_watermarks(&self.log.topic, partition, PATIENCE));
        let ends = ends.collect::<Result<Vec<_>, _>>()?;
        let next = client.committed_offsets(self.all(Offset::Invalid)?, PATIENCE)?;
        let most = u64::try_from(self.most.as_millis()).unwrap_or(u64::MAX);
        let since = i64::try_from(now_ms().saturating_sub(most)).unwrap_or(0);
        let recent = client.offsets_for_times(self.all(Offset::Offset(since))?, PATIENCE)?;
        for (partition, (first, end)) in self.numbers().zip(ends) {
            // What nobody committed begins with the first record; where none is recent, all that is there is old.
            let next = self.offset(&next, partition)?.unwrap_or(first).max(first);
            if next < self.offset(&recent, partition)?.unwrap_or(end) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn numbers(&self) -> std::ops::Range<i32> {
        0..i32::try_from(self.partitions).unwrap_or(i32::MAX)
    }

    fn all(&self, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
        let mut all = TopicPartitionList::new();
        for partition in self.numbers() {
            all.add_partition_offset(&self.log.topic, partition, offset)?;
        }
        Ok(all)
    }

    /// `None`: no offset was found.
    fn offset(&self, of: &TopicPartitionList, partition: i32) -> Result<Option<i64>, KafkaError> {
        let Some(found) = of.find_partition(&self.log.topic, partition) else {
            return Ok(None);
        };
        found.error()?;
        Ok(match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }
}

fn close(log: &KafkaLog, old: bool) {
    metrics::gauge!("sordino_log_lag_old").set(f64::from(u8::from(old)));
    match (log.close(old), old) {
        (false, true) => tracing::error!(
            "delivery is too far behind: nothing is accepted until it has caught up; see that Cassandra and nodes with the role delivery run"
        ),
        (true, false) => tracing::info!("delivery has caught up: messages are accepted again"),
        _ => {}
    }
}
