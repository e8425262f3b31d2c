//! Takes hints off the topic and commits those that were looked after.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{
        codec,
        kafka::{
            self,
            consumer::{commit, pause, said},
        },
    },
    delivery::cluster::offsets::Offsets,
    notify::hints::{At, Hints, Hold, Place, wakes},
    relay::now_ms,
};

/// How often is committed. After a crash as much is looked after again.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// A member of the group.
pub(super) struct Consumer {
    client: StreamConsumer<Owned>,
    owned: Owned,
    topic: String,
    hints: Arc<Hints>,
    over: Arc<AtomicBool>,
}

/// The partitions that this node reads now.
#[derive(Clone, Default)]
struct Owned(Arc<Mutex<HashMap<i32, Partition>>>);

type Partition = Arc<Reading>;

/// A partition, from its assignment to its loss.
#[derive(Default)]
struct Reading {
    offsets: Mutex<Offsets>,
    lost: AtomicBool,
}

/// A record's part in the commit, until it is dropped.
struct InWork {
    _place: Place,
    partition: Partition,
    offset: u64,
    over: Arc<AtomicBool>,
}

impl Drop for InWork {
    fn drop(&mut self) {
        // What is thrown away at the end was not looked after.
        if !self.over.load(Ordering::Relaxed) {
            lock(&self.partition.offsets).done(self.offset);
        }
    }
}

impl Hold for InWork {
    fn is_stale(&self) -> bool {
        self.partition.lost.load(Ordering::Relaxed)
    }
}

impl Consumer {
    /// Joins the group. Partitions come when it is run. Once it is `over`, nothing more counts as looked after.
    pub(super) fn join(
        log: &kafka::Options,
        group: &str,
        hints: Arc<Hints>,
        over: Arc<AtomicBool>,
    ) -> Result<Self, KafkaError> {
        let owned = Owned::default();
        let client: StreamConsumer<Owned> = log
            .client()
            .set("group.id", group)
            .set("group.protocol", "consumer")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A lost offset costs time and a wake too many.
            .set("auto.offset.reset", "earliest")
            .set("fetch.queue.backoff.ms", "100")
            .set("queued.max.messages.kbytes", "1024")
            .create_with_context(owned.clone())?;
        client.subscribe(&[&log.topic])?;
        Ok(Self {
            client,
            owned,
            topic: log.topic.clone(),
            hints,
            over,
        })
    }

    /// Reads until told to stop; then commits and leaves.
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
                () = self.hints.light(), if paused => {
                    pause(&self.client, false);
                    paused = false;
                }
                _ = commit.tick() => self.commit(CommitMode::Async),
            }
            // The rest waits in the log. Paused again and again: partitions that come meanwhile come unpaused.
            if self.hints.is_full() {
                pause(&self.client, true);
                paused = true;
            }
        }
        self.commit(CommitMode::Sync);
        // Closes and leaves the group, which waits for the broker.
        let _ = tokio::task::spawn_blocking(move || drop(self.client)).await;
    }

    fn take(&self, message: &BorrowedMessage<'_>) {
        let Some(partition) = self.owned.lock().get(&message.partition()).cloned() else {
            return;
        };
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        lock(&partition.offsets).take(offset);
        let held = InWork {
            _place: self.hints.place(),
            partition,
            offset,
            over: Arc::clone(&self.over),
        };
        let payload = Bytes::copy_from_slice(message.payload().unwrap_or_default());
        // What cannot be read is delivery's to report.
        let Some(whom) = codec::header(payload).ok().as_ref().and_then(wakes) else {
            return;
        };
        let at = At {
            partition: message.partition(),
            offset,
        };
        let appended = message.timestamp().to_millis().unwrap_or(0);
        let age = now_ms().saturating_sub(u64::try_from(appended).unwrap_or(0));
        let left = self
            .hints
            .delay()
            .saturating_sub(Duration::from_millis(age));
        self.hints
            .offer(whom, Instant::now() + left, Some(at), Box::new(held));
    }

    fn commit(&self, mode: CommitMode) {
        let all = self.owned.lock().clone();
        commit(&self.client, &self.topic, next(&all), mode);
    }
}

impl Owned {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Partition>> {
        lock(&self.0)
    }
}

impl ClientContext for Owned {}

impl ConsumerContext for Owned {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let elements = match rebalance {
            Rebalance::Assign(list) | Rebalance::Revoke(list) => list.elements(),
            Rebalance::Error(error) => return said(error),
        };
        let mut lost = HashMap::new();
        let mut owned = self.lock();
        for element in &elements {
            let number = element.partition();
            lost.extend(owned.remove(&number).map(|partition| (number, partition)));
            if let Rebalance::Assign(_) = rebalance {
                owned.insert(number, Partition::default());
            }
        }
        drop(owned);
        for partition in lost.values() {
            partition.lost.store(true, Ordering::Relaxed);
        }
        if let Some(element) = elements.first() {
            // The next owner begins there.
            commit(consumer, element.topic(), next(&lost), CommitMode::Sync);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            said(&error);
        }
    }
}

/// Where the next owner of each begins.
fn next(partitions: &HashMap<i32, Partition>) -> impl Iterator<Item = (i32, u64)> {
    let next = |(number, partition): (&i32, &Partition)| {
        Some((*number, lock(&partition.offsets).commit_up_to()?))
    };
    partitions.iter().filter_map(next)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
