//! The log of a cluster: a Kafka topic. A conversation is in the partition that its id names.

pub(crate) mod consumer;
mod producer;
mod topic;

use std::{sync::Arc, time::Duration};

use rdkafka::ClientConfig;
use sordino_protocol::ConversationId;

pub use self::{
    producer::KafkaLog,
    topic::{Topic, TopicError},
};
use crate::config::{Login, SaslMechanism, ServerTls};

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
    /// The brokers speak TLS.
    pub tls: Option<ServerTls>,
    /// Who the relay is to them.
    pub login: Option<Arc<(Login, SaslMechanism)>>,
}

impl Options {
    /// The defaults.
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic: topic.into(),
            queue_bytes: 64 * 1024 * 1024,
            send_deadline: Duration::from_secs(10),
            tls: None,
            login: None,
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
        let (tls, login) = (self.tls.as_ref(), self.login.as_deref());
        let protocol = match (tls.is_some(), login.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(ServerTls { ca_file }) = tls {
            let ca_file = ca_file.as_ref().map(|file| file.display().to_string());
            // The library brings an OpenSSL of its own, which does not know where this system keeps whom it trusts.
            config.set("ssl.ca.location", ca_file.as_deref().unwrap_or("probe"));
        }
        if let Some((login, mechanism)) = login {
            config
                .set("sasl.mechanism", mechanism.name())
                .set("sasl.username", &login.username)
                .set("sasl.password", login.password.expose());
        }
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
