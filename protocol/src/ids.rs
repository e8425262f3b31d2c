//! Identifiers. Each is a type of its own, so that a device never stands where a user should.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes or text that are not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {expected} bytes ({} hex digits)", expected * 2)]
pub struct IdError {
    /// Which identifier it should have been.
    pub kind: &'static str,
    /// Its length in bytes.
    pub expected: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// From its bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// From a slice of exactly [`Self::LEN`] bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError { kind: $kind, expected: $len })
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Its bytes, as a protobuf field carries them.
            pub fn to_pb(self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| IdError { kind: $kind, expected: $len })?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

byte_id!(
    /// A user, for ever: 16 random bytes drawn by the client at sign-up, never used again after erasure.
    UserId, 16, "a user id"
);
byte_id!(
    /// A device of a user: 16 random bytes drawn on the device.
    DeviceId, 16, "a device id"
);
byte_id!(
    /// A conversation of two users: [`crate::hash::conversation_id`] of the unordered pair.
    ConversationId, 16, "a conversation id"
);
byte_id!(
    /// A message, as its sender names it: 16 random bytes, the same in every retry.
    ClientMessageId, 16, "a client message id"
);
byte_id!(
    /// A pipe over which one device links another: 16 random bytes drawn by the new one.
    ChannelId, 16, "a channel"
);
byte_id!(
    /// A ratchet session of two devices: the first 8 bytes of its handshake's transcript hash.
    SessionId, 8, "a session id"
);

/// A message, as the relay names it: a Snowflake (41-bit milliseconds since 2025-01-01, 10-bit worker, 12-bit sequence).
/// An id and a time, never a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub u64);

impl MessageId {
    /// 2025-01-01T00:00:00Z in milliseconds since the Unix epoch.
    pub const EPOCH_MS: u64 = 1_735_689_600_000;

    /// When the log took the message in, milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> u64 {
        (self.0 >> 22) + Self::EPOCH_MS
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
