//! The log of a cluster: a Kafka topic. A conversation is in the partition that its id names.

pub(crate) mod consumer;
mod producer;
mod topic;

use std::time::Duration;

use rdkafka::ClientConfig;
use sordino_protocol::ConversationId;

pub use self::{
    producer::KafkaLog,
    topic::{Topic, TopicError},
};

/// How the log is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// What may wait for the brokers, in bytes; beyond it senders are told to wait.
    pub queue_bytes: usize,
    /// How long a record may take to be acknowledged by all in-sync replicas. After it its sender learns that the outcome
    /// is unknown.
    pub send_deadline: Duration,
}

impl Options {
    /// The defaults.
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic: topic.into(),
            queue_bytes: 64 * 1024 * 1024,
            send_deadline: Duration::from_secs(10),
        }
    }

    /// What producers, consumers and administrators share.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "sordino-relay")
            .set("socket.timeout.ms", "3000")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "1000");
        config
    }
}

/// The partition of a conversation: the first four bytes of its id. Set explicitly, because producers of other languages
/// hash keys in other ways, and a conversation in two partitions has no order.
pub(crate) fn partition(conversation: ConversationId, partitions: u32) -> i32 {
    let [a, b, c, d, ..] = *conversation.as_bytes();
    let number = u32::from_be_bytes([a, b, c, d]) % partitions.max(1);
    i32::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_frozen() {
        let mut id = [0xff; 16];
        id[..4].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        assert_eq!(partition(ConversationId::from_bytes(id), 16), 8);
        assert_eq!(partition(ConversationId::from_bytes(id), 1), 0);
        assert_eq!(partition(ConversationId::from_bytes([0xff; 16]), 16), 15);
    }
}
