//! Who is connected where. Everything here may be lost at any time: the truth is in history.

#[cfg(test)]
mod conformance;
pub mod memory;
#[cfg(feature = "cluster")]
pub mod redis;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sordino_protocol::{ConversationId, DeviceId, UserId};

use crate::history::StoredRow;

/// What is told to the devices of a user.
#[derive(Debug, Clone)]
pub enum Event {
    /// A row was stored.
    Row {
        /// Its conversation.
        conversation: ConversationId,
        /// The row; each connection takes out its own wrap.
        row: Arc<StoredRow>,
    },
    /// The conversation has reached `last_seq`.
    Nudge {
        /// The conversation.
        conversation: ConversationId,
        /// Its last seq.
        last_seq: u64,
    },
    /// The peer has acknowledged everything up to `seq`.
    Delivered {
        /// The conversation.
        conversation: ConversationId,
        /// Up to here.
        seq: u64,
    },
    /// What another user's device says to devices that are there. Worth nothing later.
    Signal(Arc<Signal>),
    /// The user's device list has a new version: connections of devices that are no longer listed close.
    ListChanged,
    /// Something may have been missed. Stands for every other event but signals: the connection looks whether its device is still
    /// listed, and the device looks for itself.
    Sync,
}

/// A sealed word of a device to those of another user.
#[derive(Debug)]
pub struct Signal {
    /// Whose.
    pub sender: UserId,
    /// Which device's.
    pub sender_device: DeviceId,
    /// For each device that it is for.
    pub sealed: Vec<(DeviceId, Bytes)>,
}

impl Signal {
    /// What is for this device.
    pub fn sealed_for(&self, reader: DeviceId) -> Option<&Bytes> {
        let mut sealed = self.sealed.iter();
        Some(&sealed.find(|(device, _)| *device == reader)?.1)
    }

    /// About what it takes in memory.
    pub fn size(&self) -> usize {
        let sealed = self.sealed.iter();
        let part =
            |(_, payload): &(DeviceId, Bytes)| size_of::<(DeviceId, Bytes)>() + payload.len();
        size_of::<Self>() + sealed.map(part).sum::<usize>()
    }
}

/// Where a connection takes events. It never blocks: a connection whose window is full keeps one flag and sends `Sync`
/// when the window opens.
pub trait Deliver: Send + Sync + 'static {
    /// Hands an event to the connection. `false`: the connection is gone.
    fn deliver(&self, event: &Event) -> bool;
}

/// One connection of a device. The same device may have several for a moment, after a reconnect.
#[derive(Clone)]
pub struct Connection {
    /// Unique for the life of this process.
    pub id: u64,
    /// Whose it is.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// Where its events go.
    pub sink: Arc<dyn Deliver>,
}

/// Redis or a node cannot be reached: whether the event arrived is unknown, say it again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("sessions: {0}")]
pub struct SessionError(pub String);

/// The door of the registry. A connection registers *before* it first reads history, and delivery looks up *after* it has
/// written: whichever comes second sees the other, so that no online device misses a row.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Registers a connection. When it returns, every event published from then on reaches the connection, or a
    /// [`Event::Sync`] follows that stands for those that did not.
    async fn register(&self, connection: Connection) -> Result<(), SessionError>;
    /// Forgets a connection.
    async fn unregister(&self, user: UserId, id: u64) -> Result<(), SessionError>;
    /// Tells every connection of these users. Returns how many connections took it, as far as that is known.
    ///
    /// # Errors
    /// Some may not have been told: say it again. Devices drop repeats.
    async fn publish(&self, users: &[UserId], event: Event) -> Result<usize, SessionError>;
}
