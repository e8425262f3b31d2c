//! Appending to the topic.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{FutureExt, future::BoxFuture};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::{Options, partition};
use crate::broker::{AppendError, Log, Record, codec, refused};

/// The log's door on Kafka.
pub struct KafkaLog {
    options: Options,
    partitions: u32,
    producer: RwLock<Arc<FutureProducer>>,
    closed: AtomicBool,
}

impl KafkaLog {
    /// A producer for a topic of so many partitions. Connects by itself, and again whenever it must.
    pub fn new(options: Options, partitions: u32) -> Result<Self, KafkaError> {
        let producer = RwLock::new(Arc::new(producer(&options)?));
        Ok(Self {
            options,
            partitions,
            producer,
            closed: AtomicBool::new(false),
        })
    }

    /// Answers busy to everything, or takes in again. What it was before.
    pub(crate) fn close(&self, closed: bool) -> bool {
        self.closed.swap(closed, Ordering::Relaxed)
    }

    /// Waits until everything that was taken in is answered for. What is dropped before has to be sent again.
    pub(crate) async fn flush(&self) {
        let (producer, deadline) = (self.current(), self.options.send_deadline);
        let flushed = tokio::task::spawn_blocking(move || producer.flush(deadline));
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!("not all that was taken in is in the log: {error}");
        }
    }

    fn current(&self) -> Arc<FutureProducer> {
        let producer = self.producer.read();
        Arc::clone(&producer.unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, record: &Record) -> Result<DeliveryFuture, AppendError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Busy);
        }
        let producer = self.current();
        let conversation = record.header.conversation;
        let payload = codec::encode(record);
        let sent = producer.send_result(
            FutureRecord::to(&self.options.topic)
                .partition(partition(conversation, self.partitions))
                .key(conversation.as_bytes())
                .payload(&payload),
        );
        sent.map_err(|(error, _)| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => AppendError::Busy,
            _ => {
                tracing::error!("a message was not appended: {error}");
                self.replace(&producer);
                AppendError::Unknown
            }
        })
    }

    /// A producer that met a fatal error takes nothing any more. What it had in flight is unknown, and whatever comes
    /// after it in the same conversation is refused by the connection until it is sent again: so the new one cannot put
    /// records out of order.
    fn replace(&self, failed: &Arc<FutureProducer>) {
        if failed.client().fatal_error().is_none() {
            return;
        }
        let mut current = self
            .producer
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Only one of those who found it failed makes the new one.
        if Arc::ptr_eq(&current, failed) {
            match producer(&self.options) {
                Ok(fresh) => *current = Arc::new(fresh),
                Err(error) => tracing::error!("no producer can be made: {error}"),
            }
        }
    }
}

impl Log for KafkaLog {
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), AppendError>> {
        // Not in the future: the order of the calls is the order of the log, whoever polls first.
        let pushed = self.push(&record);
        drop(record);
        async move {
            let outcome = match pushed {
                Ok(delivery) => match delivery.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err((error, _))) => {
                        tracing::warn!("the outcome of an append is unknown: {error}");
                        Err(AppendError::Unknown)
                    }
                    // The producer was dropped.
                    Err(_) => Err(AppendError::Unknown),
                },
                Err(error) => Err(error),
            };
            outcome.inspect_err(|error| refused(*error))
        }
        .boxed()
    }
}

fn producer(options: &Options) -> Result<FutureProducer, KafkaError> {
    let queue_kib = (options.queue_bytes / 1024).max(1).to_string();
    let deadline = options.send_deadline.as_millis().to_string();
    options
        .client()
        // All in-sync replicas have a record before it is acknowledged, and a retry never doubles or overtakes.
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "5")
        .set("linger.ms", "1")
        .set("message.timeout.ms", deadline)
        .set("queue.buffering.max.kbytes", queue_kib)
        .set("queue.buffering.max.messages", "1000000")
        .set("message.max.bytes", (2 * codec::RECORD_BYTES).to_string())
        // What is in it is encrypted.
        .set("compression.type", "none")
        .create()
}
