//! What stands in Redis, and under which names.
//!
//! | Key | What |
//! |---|---|
//! | `session:user:<user_id>` | hash: `<device_id>/<ws_conn_id>` → [`Entry`] in JSON; one field per connection |
//! | `rate:<bucket>` | when this bucket of all nodes is full again, in Unix milliseconds, until then |
//! | `once:<name>` | a name that was used, as long as it must not be used again |
//! | `link:<user_id>` | hash: the pipe over which a device of the user links another; `channel`, and `<side>/<number>` → message |
//! | `node:<id>:<boot>` | the node's boot id, while the node lives; also the name of its channel |

use serde::{Deserialize, Serialize};
use sordino_protocol::UserId;

use super::options::{NODE_BYTES, Options};
use crate::session::Connection;

/// Bytes of a boot id in hexadecimal.
const BOOT_BYTES: usize = 16;

/// Names of this node and of what belongs to it.
pub(super) struct Keys {
    prefix: String,
    /// Drawn at every start: what an earlier process of this node left is not taken for this one's.
    pub(super) boot: String,
    /// `<id>:<boot>`.
    pub(super) server_id: String,
    /// Key and channel of this node.
    pub(super) own_node: String,
}

/// One connection, as the other nodes see it. Fields that are unknown are skipped: a later version may add some.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Entry {
    /// The node that holds it, with its boot id.
    pub(super) server_id: String,
    #[serde(default)]
    pub(super) ws_conn_id: String,
    #[serde(default)]
    pub(super) status: String,
    /// Unix milliseconds.
    #[serde(default)]
    pub(super) last_seen: u64,
}

impl Keys {
    pub(super) fn new(options: &Options) -> Self {
        let boot = format!("{:016x}", rand::random::<u64>());
        let server_id = format!("{}:{boot}", options.node);
        let own_node = format!("{}node:{server_id}", options.prefix);
        Self {
            prefix: options.prefix.clone(),
            boot,
            server_id,
            own_node,
        }
    }

    pub(super) fn user(&self, user: UserId) -> String {
        format!("{}session:user:{user}", self.prefix)
    }

    pub(super) fn rate(&self, bucket: &str) -> String {
        format!("{}rate:{bucket}", self.prefix)
    }

    pub(super) fn once(&self, name: &str) -> String {
        format!("{}once:{name}", self.prefix)
    }

    pub(super) fn link(&self, user: UserId) -> String {
        format!("{}link:{user}", self.prefix)
    }

    /// Key and channel of a node.
    pub(super) fn node(&self, server_id: &str) -> String {
        format!("{}node:{server_id}", self.prefix)
    }

    /// With the boot id, so that no connection of any node or any time has the same.
    pub(super) fn field(&self, connection: &Connection) -> String {
        format!("{}/{}", connection.device, self.ws_conn_id(connection))
    }

    pub(super) fn entry(&self, connection: &Connection, now_ms: u64) -> String {
        let entry = Entry {
            server_id: self.server_id.clone(),
            ws_conn_id: self.ws_conn_id(connection),
            status: "online".to_owned(),
            last_seen: now_ms,
        };
        // Texts and a number: it does not fail.
        serde_json::to_string(&entry).unwrap_or_default()
    }

    fn ws_conn_id(&self, connection: &Connection) -> String {
        format!("{}-{}", self.boot, connection.id)
    }
}

impl Entry {
    /// `None`: not an entry.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let entry: Self = serde_json::from_slice(value).ok()?;
        let longest = NODE_BYTES + 1 + BOOT_BYTES;
        (1..=longest)
            .contains(&entry.server_id.len())
            .then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::conformance::{Sink, user};

    fn keys() -> Keys {
        let url = serde_json::from_str("\"redis://localhost\"").unwrap();
        let mut options = Options::new(url, "n".repeat(NODE_BYTES));
        options.prefix = "p:".into();
        Keys::new(&options)
    }

    #[test]
    fn an_entry_is_read_back() {
        let (keys, (_, connection)) = (keys(), Sink::connection(7, user(1)));
        let entry = Entry::read(keys.entry(&connection, 5).as_bytes()).unwrap();
        assert_eq!(
            (entry.server_id, entry.last_seen),
            (keys.server_id.clone(), 5)
        );
        assert_eq!(entry.ws_conn_id, format!("{}-7", keys.boot));
        assert_eq!(keys.own_node, keys.node(&keys.server_id));
        assert!(keys.own_node.starts_with("p:node:n"));
        assert_ne!(keys.boot, self::keys().boot, "drawn at every start");
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        let read = Entry::read(br#"{"server_id":"a:b","colour":"red"}"#).unwrap();
        assert_eq!((read.server_id.as_str(), read.last_seen), ("a:b", 0));
    }

    #[test]
    fn what_is_no_entry_is_none() {
        let long = format!(
            r#"{{"server_id":"{}"}}"#,
            "x".repeat(NODE_BYTES + BOOT_BYTES + 2)
        );
        let bad: [&[u8]; 5] = [
            b"",
            b"{}",
            br#"{"server_id":""}"#,
            b"\xff\xfe",
            long.as_bytes(),
        ];
        for value in bad {
            assert_eq!(Entry::read(value), None);
        }
    }
}
