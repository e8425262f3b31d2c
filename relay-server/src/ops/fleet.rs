//! What all nodes of a cluster count together: what is rare and dear, and what must happen once.
//!
//! Each node asks itself first, so that a flood never reaches further than the node that it hits.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use sordino_protocol::UserId;

use super::rates::{Wait, network};

/// Whose share it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Sign-ups of an address.
    AddressSignUps(IpAddr),
    /// Sign-ups of all addresses.
    SignUps,
    /// Passwords tried from an address.
    AddressPasswords(IpAddr),
    /// Passwords tried with a name, which stands here as an id.
    Passwords(UserId),
    /// Prekey bundles that the first user claims of the second.
    Claims(UserId, UserId),
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Tokens that come back in [`Self::within`].
    pub tokens: u32,
    /// In this time.
    pub within: Duration,
    /// Tokens of a full bucket.
    pub burst: u32,
}

impl Bucket {
    /// Its name among all buckets. An IPv6 address goes by its first 64 bits.
    pub fn name(&self) -> String {
        match self {
            Self::AddressSignUps(address) => format!("sign-ups:{:x}", network(*address)),
            Self::SignUps => "sign-ups".to_owned(),
            Self::AddressPasswords(address) => format!("passwords:{:x}", network(*address)),
            Self::Passwords(name) => format!("passwords-of:{name}"),
            Self::Claims(claimer, target) => format!("claims:{claimer}:{target}"),
        }
    }
}

/// The door to what the fleet counts. It answers at once or not at all: `None` stands for a fleet that cannot be asked, and
/// then what the node itself has counted decides. It is never an error for the user.
#[async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// Takes so many tokens of a bucket, or none of them.
    async fn take(&self, bucket: Bucket, share: Share, tokens: u32) -> Option<Result<(), Wait>>;

    /// Whether this name was not used before, within `time`. It is used from now on.
    async fn once(&self, name: &[u8], time: Duration) -> Option<bool>;
}

/// A relay without others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Fleet for Alone {
    async fn take(&self, _: Bucket, _: Share, _: u32) -> Option<Result<(), Wait>> {
        None
    }

    async fn once(&self, _: &[u8], _: Duration) -> Option<bool> {
        None
    }
}
