//! What follows after a wrap was decrypted, in the order that the protocol demands.
//!
//! A ratchet that decrypts proves which device made the wrap. It does not prove that the header beside it, which the relay
//! handed over, is that device's: leaving that check out is the classic fault of such systems.

use sordino_protocol::{
    Header, HeaderError,
    hash::{self, Hash},
    pb,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    Secret,
    message::{OpenError, open_content, read_wrap_payload},
    prekeys::Peer,
    session::Session,
};

/// The wrap is not for this envelope. The session is gone: its stored form stays as it is, so that a swapped ciphertext
/// cannot burn the genuine key.
pub(super) struct WrongEnvelope;

/// A wrap that belongs to its envelope.
pub(super) struct Received {
    /// To be stored, whatever `content` is.
    pub(super) session: Session,
    pub(super) content: Result<Opened, Bad>,
}

/// A message that passed every check of its envelope.
pub struct Opened {
    /// What was written.
    pub content: pb::Content,
    /// CK, for the key backup and for search.
    pub content_key: Secret<32>,
    /// Names the envelope.
    pub env_hash: Hash,
}

/// Why a row is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// It has no readable header.
    #[error(transparent)]
    Header(HeaderError),
    /// Its counter is above [`super::HIGHEST_NUMBER`].
    #[error("the message's counter is higher than any device counts")]
    Counter,
    /// It was shown in a conversation that its header does not name.
    #[error("the message belongs to another conversation")]
    Elsewhere,
    /// A row of this device with this counter was there before.
    #[error("the message's counter was used before")]
    Replay,
    /// The version of the sender's list that it names does not exist.
    #[error("the message names a device list that does not exist")]
    NoSuchList,
    /// The sender's list does not hold the sending device.
    #[error("the sending device is not on its user's list")]
    Unlisted,
    /// The sending device was removed too long ago.
    #[error("the sending device was removed from its user's list")]
    Removed,
    /// The header's sender is not the device that made the wrap.
    #[error("the message was wrapped by another device than its header names")]
    Sender,
    /// It is for somebody else.
    #[error("the message is for somebody else")]
    Recipient,
    /// The content does not open.
    #[error(transparent)]
    Content(#[from] OpenError),
    /// What it says to come after cannot come before it.
    #[error("the message names a row that cannot come before it")]
    After,
}

/// Opens the envelope that a decrypted wrap came with.
pub(super) fn open(
    (session, payload): (Session, Zeroizing<Vec<u8>>),
    me: &Peer,
    header: &Header,
    header_bytes: &[u8],
    content: &[u8],
) -> Result<Received, WrongEnvelope> {
    let (content_key, env_hash) = read_wrap_payload(&payload).ok_or(WrongEnvelope)?;
    let actual = hash::env_hash(header_bytes, &hash::sha256(content));
    if !bool::from(actual.ct_eq(&env_hash)) {
        return Err(WrongEnvelope);
    }
    let content = check_addresses(&session, me, header)
        .and_then(|()| Ok(open_content(header_bytes, content, &content_key)?))
        .map(|content| Opened {
            content,
            content_key,
            env_hash,
        });
    Ok(Received { session, content })
}

fn check_addresses(session: &Session, me: &Peer, header: &Header) -> Result<(), Bad> {
    let peer = &session.meta().peer;
    if (header.sender, header.sender_device) != (peer.user, peer.device) {
        return Err(Bad::Sender);
    }
    // A message of another own device is for whoever it names.
    if header.recipient != me.user && header.sender != me.user {
        return Err(Bad::Recipient);
    }
    Ok(())
}
