//! Pipes: what two devices of a user, one of them not on the account yet, tell each other while one links the other. The relay
//! sees neither keys nor texts. Everything here may be lost at any time: then the two begin anew.

#[cfg(test)]
pub(crate) mod conformance;
pub mod memory;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sordino_protocol::{ChannelId, UserId};

/// A pipe is there for so long, from its first message.
pub const LIFETIME: Duration = Duration::from_secs(300);

/// Who of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The device on the account.
    Old,
    /// The device that is to be.
    New,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose devices they are. Each user has one pipe: another takes its place.
    pub user: UserId,
    /// The pipe, drawn by the new device.
    pub channel: ChannelId,
    /// Whose message it is.
    pub side: Side,
    /// From 0.
    pub number: u8,
}

impl Place {
    /// The old device's first message makes the pipe.
    pub(crate) fn is_first(&self) -> bool {
        self.side == Side::Old && self.number == 0
    }
}

/// Why a pipe does not take or give a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PipeError {
    /// The user has no such pipe: it was not begun, its time is over, or another took its place.
    #[error("there is no such link, or its time is over")]
    Gone,
    /// Another message stands there.
    #[error("another message stands there")]
    Taken,
    /// Not now.
    #[error("pipes are not to be had now")]
    Unavailable,
}

/// The door to the pipes.
#[async_trait]
pub trait Pipes: Send + Sync + 'static {
    /// Puts a message in its place. The same message again is fine.
    async fn put(&self, place: &Place, message: Bytes) -> Result<(), PipeError>;

    /// The message of a place, once it is there.
    async fn get(&self, place: &Place) -> Result<Option<Bytes>, PipeError>;
}
