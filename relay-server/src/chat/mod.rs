//! The live path: one WebSocket per device, messages in, rows out. `docs/protocol.md`, "Frames".
//!
//! A connection is one task (`socket`). A message goes through `accept` (may this device send it to these devices
//! now?) and `pipeline` (to the log, and its answer back in order, by the rule of `hole`). What is stored comes from
//! delivery into a `mailbox`, bounded by a `window`, and goes out through `push`.

mod accept;
mod ack;
mod close;
mod connections;
mod handle;
pub mod hole;
mod identity;
mod mailbox;
mod pipeline;
mod places;
mod push;
mod read;
mod signal;
mod socket;
mod targets;
mod token;
mod upgrade;
mod window;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use tokio::sync::Semaphore;

pub use self::close::Close;
use self::{ack::Writes, connections::Connections, places::Places};
use crate::{http::Api, ops::drain::Pace};

/// Connections that one device may have; one more closes the oldest.
pub const CONNECTIONS_PER_DEVICE: usize = 4;

/// Settings of the live path.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A device that sends nothing for this long is asked whether it is still there.
    pub ping_after: Duration,
    /// A device that sends nothing for this long, not even an answer to a ping, is gone.
    pub dead_after: Duration,
    /// A device that takes nothing for this long, while something waits for it, is closed.
    pub stuck_after: Duration,
    /// How often one device's acknowledgements of one conversation are written.
    pub ack_every: Duration,
    /// How long before the end of its token a device is told.
    pub token_warning: Duration,
    /// Connections of one address (IPv6: of one /64).
    pub sockets_per_address: usize,
    /// How long a device waits that comes when this node takes no more connections.
    pub drain_retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ping_after: Duration::from_secs(45),
            dead_after: Duration::from_secs(90),
            stuck_after: Duration::from_secs(30),
            ack_every: Duration::from_secs(1),
            token_warning: Duration::from_secs(60),
            sockets_per_address: 2_000,
            // What is accepted for it meanwhile should not wait for a second.
            drain_retry: Duration::from_millis(250),
        }
    }
}

/// Every connection of this process.
pub struct Chat {
    api: Arc<Api>,
    settings: Settings,
    connections: Connections,
    places: Places,
    acks: Writes,
    /// A place for each signal on its way.
    passing: Arc<Semaphore>,
}

impl Chat {
    /// Nobody connected.
    pub fn new(api: Arc<Api>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            api,
            settings,
            connections: Connections::default(),
            places: Places::default(),
            acks: Writes::default(),
            passing: signal::passing(),
        })
    }

    /// The route of the WebSocket.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/socket", get(upgrade::upgrade))
            .with_state(Arc::clone(self))
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    /// Takes no new connection, and sends those that are open elsewhere at this pace, so that they do not all connect at once.
    /// Returns when the last one is gone and what they acknowledged is written.
    pub async fn drain(&self, pace: Pace) {
        self.connections.drain(pace).await;
        self.acks.ended().await;
    }
}
