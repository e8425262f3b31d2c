//! Hints on a cluster: the group `notify` reads the log a second time, behind delivery.
//!
//! A record stays uncommitted until the devices that it concerns were looked after. A crash repeats wakes and loses none; a node
//! that cannot go on leaves the rest in the log.

mod consumer;
mod delivered;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::error::KafkaError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::{consumer::Consumer, delivered::Delivered};
use super::{Notifier, Providers, Settings, watch};
use crate::{broker::kafka, history::cassandra::Cassandra, user::Users};

/// The consumer group.
const GROUP: &str = "notify";

/// What notification reads on a cluster.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) log: kafka::Options,
    /// The consumer group of delivery.
    pub(crate) delivery: String,
    pub(crate) history: Arc<Cassandra>,
    /// Of the topic.
    pub(crate) epoch: u64,
}

/// The consumer.
pub(super) struct Running {
    stop: CancellationToken,
    /// Set before what waits is thrown away without a last commit.
    over: Arc<AtomicBool>,
    consumer: JoinHandle<()>,
}

impl Running {
    /// Commits what was looked after and leaves the group.
    pub(super) async fn leave(self) {
        self.stop.cancel();
        // It ends in whatever way.
        let _ = self.consumer.await;
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if let Some(consumer) = &self.consumer {
            consumer.over.store(true, Ordering::Relaxed);
            consumer.stop.cancel();
        }
    }
}

impl Notifier {
    /// As a member of the group.
    pub(crate) fn cluster(
        settings: Settings,
        source: Source,
        users: Arc<dyn Users>,
        providers: Providers,
    ) -> Result<Self, KafkaError> {
        let (hints, over) = (settings.hints(), Arc::default());
        let delivered = Arc::new(Delivered::new(&source)?);
        let consumer = Consumer::join(&source.log, GROUP, Arc::clone(&hints), Arc::clone(&over))?;
        let decided = Some(Arc::clone(&delivered) as Arc<dyn watch::Decided>);
        let watch = super::watch(settings, hints, users, source.history, providers, decided);
        let mut notifier = Self::looking(Arc::clone(&watch));
        let stop = notifier.stop.clone();
        let hints = Arc::clone(&watch.hints);
        notifier.tasks.spawn(async move {
            stop.run_until_cancelled(delivered.follow(&hints)).await;
        });
        let stop = CancellationToken::new();
        let consumer = tokio::spawn(consumer.run(stop.clone()));
        notifier.consumer = Some(Running {
            stop,
            over,
            consumer,
        });
        Ok(notifier)
    }
}
