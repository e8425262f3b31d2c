//! Sessions of several nodes, in Redis. What stands there is a hint: it may be lost as a whole and at any time, and each
//! node puts back what is its own.
//!
//! `Node` is what a node knows of itself; `keeper` is the task that keeps it known to the others, over a `link`
//! (two connections that live and die together); `fleet` asks what all nodes count together, `eviction` what Redis does when it is full; `pipes` are what devices link each other over; `registry` writes its connections and `publish` finds those of all
//! nodes. What is written stands in `keys`, what nodes say to each other in `wire`.

mod eviction;
mod fleet;
mod keeper;
mod keys;
mod link;
mod node;
mod options;
mod pipes;
mod publish;
mod registry;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redis::{
    Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisError, TlsCertificates,
};
use async_trait::async_trait;
use sordino_protocol::UserId;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use self::node::Node;
pub use self::options::{Options, StartError, Timings};
use super::{Connection, Event, SessionError, Sessions};

/// The registry of a node of a cluster.
///
/// A connection is always registered on its own node, whether Redis can be reached or not: its device is served, and
/// reads history. Its registration in Redis is made as soon as Redis is back, and a `Sync` after it stands for whatever
/// other nodes did not tell it before. So Redis may be lost, with all its data, without the end of a single socket.
///
/// Dropped without [`Self::shutdown`], a node is to the others as if its process had died.
pub struct RedisSessions {
    node: Arc<Node>,
    stop: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl RedisSessions {
    /// Connects, and keeps connected. Returns as soon as the node is known to the others, or after
    /// [`Timings::connect`] without Redis: it is known once Redis is there, and [`Self::healthy`] says so.
    ///
    /// # Errors
    /// The options cannot be used.
    pub async fn start(options: Options) -> Result<Arc<Self>, StartError> {
        if !options.is_node_name() {
            return Err(StartError::NodeName);
        }
        let client = client(&options)?;
        let connect = options.timings.connect;
        let node = Arc::new(Node::new(options));
        let stop = CancellationToken::new();
        let mut known = node.known();
        let keeper = tokio::spawn(keeper::run(Arc::clone(&node), client, stop.clone()));
        if timeout(connect, known.wait_for(|known| *known))
            .await
            .is_err()
        {
            tracing::warn!("sessions: Redis cannot be reached yet");
        }
        Ok(Arc::new(Self {
            node,
            stop,
            keeper: Mutex::new(Some(keeper)),
        }))
    }

    /// Whether the other nodes can reach this one, as far as it knows.
    ///
    /// # Errors
    /// They cannot: its connections are told of what this node itself publishes, and of the rest once Redis is back.
    pub fn healthy(&self) -> Result<(), SessionError> {
        if self.node.is_known() {
            Ok(())
        } else {
            Err(SessionError("this node is not known to Redis".into()))
        }
    }

    /// Takes the node and its connections out of Redis and leaves. Without Redis it takes a few seconds, and what stands
    /// there ends with its time to live.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let keeper = self.keeper().take();
        if let Some(keeper) = keeper {
            // It is not aborted while this waits, and does not panic.
            let _ = keeper.await;
        }
    }

    fn keeper(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisSessions {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper().take() {
            keeper.abort();
        }
    }
}

#[async_trait]
impl Sessions for RedisSessions {
    async fn register(&self, connection: Connection) -> Result<(), SessionError> {
        self.node.register(connection).await;
        Ok(())
    }

    async fn unregister(&self, user: UserId, id: u64) -> Result<(), SessionError> {
        self.node.unregister(user, id).await;
        Ok(())
    }

    async fn publish(&self, users: &[UserId], event: Event) -> Result<usize, SessionError> {
        self.node.publish(users, &event).await
    }
}

/// Events come as pushes, which RESP3 has and RESP2 has not.
fn client(options: &Options) -> Result<Client, StartError> {
    let address = |_| StartError::Address;
    let info = options
        .url
        .expose()
        .into_connection_info()
        .map_err(address)?;
    let settings = info.redis_settings().clone();
    let info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
    let Some(file) = &options.ca_file else {
        return Client::open(info).map_err(address);
    };
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Err(StartError::Plain);
    }
    let refused = |error: &dyn std::fmt::Display| {
        StartError::Authority(file.display().to_string(), error.to_string())
    };
    let pem = std::fs::read(file).map_err(|error| refused(&error))?;
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(pem),
    };
    Client::build_with_tls(info, certificates).map_err(|error| refused(&error.category()))
}

/// What is said of an error. Never its text: a server's answer may quote what it was sent.
fn unknown(error: &RedisError) -> SessionError {
    SessionError(format!("Redis: {}", error.category()))
}
