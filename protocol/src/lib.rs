//! What crosses the wire between a Sordino client and its relay.
//!
//! Frames, HTTP bodies, ids, error codes and close codes, and the fixed encodings that both sides hash and sign.
//! No cryptography beyond SHA-256 and no I/O: whoever verifies a signature brings the verifier along.
//! The meaning of every byte is in `docs/protocol.md`.
//!
//! Everything that arrives from a network goes through [`frame`], [`Header::parse`] or [`list::parse`] first: they bound
//! sizes, counts and depth before they allocate.

pub mod batch;
pub mod close;
pub mod error;
pub mod frame;
pub mod hash;
mod header;
pub mod http;
mod ids;
pub mod limits;
pub mod list;
pub mod scan;
pub mod signed;

pub use error::{Blame, Code, Retry};
pub use header::{Class, Header, HeaderError};
pub use ids::{
    ChannelId, ClientMessageId, ConversationId, DeviceId, IdError, MessageId, SessionId, UserId,
};

/// The protobuf messages of `proto/`, as prost generates them.
#[allow(missing_docs, clippy::all, reason = "generated; documented in proto/")]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/sordino.v1.rs"));
}

/// The WebSocket subprotocol that this crate speaks.
pub const SUBPROTOCOL: &str = "sordino.v1";
