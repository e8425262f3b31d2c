//! Takes records off the topic, as fast as they can be persisted, and commits what is done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    ClientContext, Message, TopicPartitionList,
    consumer::{
        BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer,
    },
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Options, Shared,
    conversation::{self, Backoff},
    load::Load,
    partition::{Partition, Placed},
    persist::Stopped,
};
use crate::broker::{
    codec,
    kafka::consumer::{commit, pause, said},
};

/// How often is committed what is done. After a crash as much is read again.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How long records in work may take when the node leaves. What is not done then the next owner does.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// How long the broker may take to say where a partition ends.
const PATIENCE: Duration = Duration::from_secs(3);

/// A member of the group.
pub(super) struct Consumer {
    client: Arc<StreamConsumer<Owned>>,
    topic: String,
    work: Arc<Work>,
}

/// What is in work on this node.
pub(super) struct Work {
    pub(super) shared: Arc<Shared>,
    owned: Owned,
    client: OnceLock<Weak<StreamConsumer<Owned>>>,
    topic: String,
    load: Arc<Load>,
}

/// The partitions that this node owns now. The client calls it back when they change.
#[derive(Clone)]
struct Owned {
    partitions: Arc<Mutex<HashMap<i32, Arc<Partition>>>>,
    cached_states: usize,
}

impl Consumer {
    /// Joins the group. Partitions come when it is consumed.
    pub(super) fn join(options: &Options, shared: Arc<Shared>) -> Result<Self, KafkaError> {
        let owned = Owned {
            partitions: Arc::default(),
            cached_states: options.cached_states,
        };
        let client: StreamConsumer<Owned> = options
            .log
            .client()
            .set("group.id", &options.group)
            .set("group.protocol", "consumer")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A lost offset costs time: everything is read again, and found decided.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "20")
            .set("queued.max.messages.kbytes", "1024")
            .create_with_context(owned.clone())?;
        let client = Arc::new(client);
        client.subscribe(&[&options.log.topic])?;
        let work = Arc::new(Work {
            shared,
            owned,
            client: Arc::downgrade(&client).into(),
            topic: options.log.topic.clone(),
            load: Load::new(options.work_bytes),
        });
        Ok(Self {
            client,
            topic: options.log.topic.clone(),
            work,
        })
    }

    /// Consumes until told to stop; then finishes what is in work and leaves.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut commit = interval(COMMIT_EVERY);
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut paused = false;
        loop {
            // Polled also while paused: who does not poll is taken for dead.
            tokio::select! {
                () = stop.cancelled() => break,
                received = self.client.recv() => match received {
                    Ok(message) => self.take(&message),
                    Err(error) => said(&error),
                },
                () = self.work.load.lighter() => {}
                _ = commit.tick() => self.commit(CommitMode::Async),
            }
            let heavy = self.work.load.is_heavy(paused);
            // Also again and again while it is heavy: partitions that come meanwhile come unpaused.
            if heavy || paused {
                paused = heavy;
                pause(&*self.client, heavy);
            }
        }
        self.leave().await;
    }

    fn take(&self, message: &BorrowedMessage<'_>) {
        let Some(partition) = self.work.owned.get(message.partition()) else {
            return;
        };
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        let payload = Bytes::copy_from_slice(message.payload().unwrap_or_default());
        let bytes = payload.len();
        let record = match codec::decode(payload) {
            Ok(record) => record,
            Err(error) => {
                metrics::counter!("sordino_delivery_unreadable_total").increment(1);
                tracing::error!(
                    partition = message.partition(),
                    offset,
                    "passed over: {error}"
                );
                return partition.skip(offset);
            }
        };
        let unix_ms = message.timestamp().to_millis().unwrap_or(0);
        let conversation = record.header.conversation;
        let held = self.work.load.hold(bytes + size_of::<Placed>());
        let first = partition.take(Placed {
            record,
            offset,
            unix_ms: u64::try_from(unix_ms).unwrap_or(0),
            held,
        });
        if first {
            tokio::spawn(conversation::run(
                Arc::clone(&self.work),
                partition,
                conversation,
            ));
        }
    }

    fn commit(&self, mode: CommitMode) {
        let all: Vec<_> = self.work.owned.lock().values().cloned().collect();
        commit(&*self.client, &self.topic, next(&all), mode);
    }

    async fn leave(self) {
        pause(&*self.client, true);
        let finished = async {
            while self.work.owned.lock().values().any(|p| !p.is_idle()) {
                self.work.load.lighter().await;
            }
        };
        // Little comes from paused partitions, and it is left to the next owner; polling keeps the membership.
        let polled = async {
            loop {
                let _ = self.client.recv().await;
            }
        };
        tokio::select! {
            _ = timeout(LEAVE_WITHIN, finished) => {}
            () = polled => {}
        }
        self.commit(CommitMode::Sync);
        // Closes and leaves the group, which waits for the broker.
        let _ = tokio::task::spawn_blocking(move || drop(self.client)).await;
    }
}

impl Work {
    /// Stops the partition where a conversation says that it was sequenced up to a record that the log does not have: then
    /// this is another log than the one that it came from, and every new message would be taken for an old one.
    pub(super) async fn must_be_in_the_log(
        &self,
        partition: &Partition,
        offset: u64,
    ) -> Result<(), Stopped> {
        let mut backoff = Backoff::new();
        // Only an answer tells of another log: a broker that does not answer may be about to die, or its successor not ready.
        while !partition.ends_behind(offset) {
            let _asking = partition.asking.lock().await;
            if partition.ends_behind(offset) {
                break;
            }
            let Some(client) = self.client.get().and_then(Weak::upgrade) else {
                return Err(Stopped);
            };
            let (topic, number) = (self.topic.clone(), partition.number);
            let asked = tokio::task::spawn_blocking(move || {
                client.fetch_watermarks(&topic, number, PATIENCE)
            });
            match asked.await {
                Ok(Ok((_, end))) => {
                    partition.found_end(u64::try_from(end).unwrap_or(0));
                    break;
                }
                Ok(Err(error)) => said(&error),
                Err(_) => return Err(Stopped),
            }
            backoff.wait(partition).await?;
        }
        if partition.ends_behind(offset) {
            return Ok(());
        }
        partition.stop();
        metrics::counter!("sordino_delivery_stopped_total").increment(1);
        tracing::error!(
            partition = partition.number,
            offset,
            "delivery of this partition stops: its conversations are ahead of the topic, which was emptied or replaced. \
             Record the new topic under a new name: see docs/operations.md"
        );
        Err(Stopped)
    }
}

impl Owned {
    fn get(&self, number: i32) -> Option<Arc<Partition>> {
        self.lock().get(&number).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<Partition>>> {
        // Nothing panics while it is held.
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Owned {}

impl ConsumerContext for Owned {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let elements = match rebalance {
            Rebalance::Assign(list) | Rebalance::Revoke(list) => list.elements(),
            Rebalance::Error(error) => return said(error),
        };
        let mut lost = Vec::new();
        let mut owned = self.lock();
        for element in &elements {
            lost.extend(owned.remove(&element.partition()));
            if let Rebalance::Assign(_) = rebalance {
                let partition = Partition::new(element.partition(), self.cached_states);
                owned.insert(element.partition(), Arc::new(partition));
            }
        }
        metrics::gauge!("sordino_delivery_partitions").set(owned.len() as f64);
        drop(owned);
        if let (Some(topic), false) = (elements.first(), lost.is_empty()) {
            // The next owner begins there. A zombie's commit is refused, which costs the next owner time and nothing else.
            commit(consumer, topic.topic(), next(&lost), CommitMode::Sync);
        }
        for partition in lost {
            partition.lost.cancel();
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            said(&error);
        }
    }
}

/// Where the next owner of each begins.
fn next(partitions: &[Arc<Partition>]) -> impl Iterator<Item = (i32, u64)> {
    let next = |partition: &Arc<Partition>| Some((partition.number, partition.commit_up_to()?));
    partitions.iter().filter_map(next)
}
