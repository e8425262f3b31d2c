//! What the registry of a cluster is told when it starts.

use std::{path::PathBuf, time::Duration};

use crate::config::Secret;

/// How to reach Redis, and who this node is.
pub struct Options {
    /// `redis://[user:password@]host:port[/db]`, or `rediss://` by TLS. Holds a password: never logged.
    pub url: Secret,
    /// Who vouches for Redis if the URL begins with `rediss://`: a PEM file. None: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The node's name, the same after a restart: letters, digits, `.`, `_`, `-`; at most 64.
    pub node: String,
    /// Stands before every key and channel; all nodes of a cluster have the same.
    pub prefix: String,
    /// Whether devices connect to this node. One that none does is told nothing: it only publishes, and the others do not
    /// see it.
    pub listens: bool,
    /// How long things take.
    pub timings: Timings,
}

/// Longest name of a node.
pub(super) const NODE_BYTES: usize = 64;

impl Options {
    /// With the usual prefix (none) and timings.
    pub fn new(url: Secret, node: impl Into<String>) -> Self {
        Self {
            url,
            ca_file: None,
            node: node.into(),
            prefix: String::new(),
            listens: true,
            timings: Timings::default(),
        }
    }

    pub(super) fn is_node_name(&self) -> bool {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=NODE_BYTES).contains(&self.node.len()) && self.node.bytes().all(letter)
    }
}

/// How long things take. The defaults are those of the design; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Between two beats of a node.
    pub beat: Duration,
    /// A node that has not heard its own beat for this long connects anew.
    pub silence: Duration,
    /// A node whose beats have stopped for this long is dead to the others.
    pub node_ttl: Duration,
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest wait for an answer.
    pub answer: Duration,
    /// Longest wait for what all nodes count together: a request waits for it.
    pub question: Duration,
    /// Longest wait between two attempts to connect.
    pub retry: Duration,
    /// What nobody renews for this long is forgotten.
    pub session_ttl: Duration,
    /// Between two renewals of a node's connections.
    pub renew: Duration,
    /// Connections that are registered again, and told to look for themselves, together.
    pub batch: usize,
    /// Between two such batches.
    pub pause: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(1),
            silence: Duration::from_secs(4),
            node_ttl: Duration::from_secs(10),
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(2),
            question: Duration::from_millis(50),
            retry: Duration::from_secs(2),
            session_ttl: Duration::from_secs(3600),
            renew: Duration::from_secs(900),
            batch: 100,
            pause: Duration::from_millis(50),
        }
    }
}

/// Why the registry cannot start. That Redis is away is no reason: it may come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The address cannot be read, or asks for what this build lacks. It is not shown: it may hold a password.
    #[error(
        "the address of Redis is not one: redis://[user:password@]host:port[/db], or rediss:// by TLS"
    )]
    Address,
    /// There would be no TLS, whatever the certificates.
    #[error(
        "redis.ca_file is set, and redis.url does not ask for TLS: it has to begin with rediss://"
    )]
    Plain,
    /// The certificates cannot be read.
    #[error("redis.ca_file, {0}: {1}")]
    Authority(String, String),
    /// The node's name is empty, too long, or has other letters than it may.
    #[error("a node's name has 1 to 64 letters, digits, '.', '_' or '-'")]
    NodeName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_is_a_part_of_a_key() {
        let is_name = |node: &str| {
            let url = serde_json::from_str("\"redis://localhost\"").unwrap();
            Options::new(url, node).is_node_name()
        };
        for name in ["a", "relay-1.example_org", &"x".repeat(NODE_BYTES)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a:b", "a b", "ä", &"x".repeat(NODE_BYTES + 1)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
