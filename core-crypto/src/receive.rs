//! What follows after a wrap was decrypted, in the order that the protocol demands.
//!
//! A ratchet that decrypts proves which device made the wrap. It does not prove that the header beside it, which the relay
//! handed over, is that device's: leaving that check out is the classic fault of such systems.

use sordino_protocol::{
    Header,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the wrap belongs to another envelope")]
pub struct WrongEnvelope;

/// A wrap that belongs to its envelope.
pub struct Received {
    /// To be stored, whatever `content` is.
    pub session: Session,
    /// The content, or why the row is bad: then it is shown as such and gets no receipt.
    pub content: Result<Opened, Bad>,
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

/// Why a row is bad although its wrap is genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// The header's sender is not the device that made the wrap.
    #[error("the message was wrapped by another device than its header names")]
    Sender,
    /// It is for somebody else.
    #[error("the message is for somebody else")]
    Recipient,
    /// The content does not open.
    #[error(transparent)]
    Content(#[from] OpenError),
}

/// Takes a decrypted wrap, from [`Session::decrypt`] or [`crate::pqxdh::respond`], and opens the envelope that it came with.
pub fn open(
    decrypted: (Session, Zeroizing<Vec<u8>>),
    me: &Peer,
    header: &[u8],
    content: &[u8],
) -> Result<Received, WrongEnvelope> {
    let (session, payload) = decrypted;
    let (content_key, env_hash) = read_wrap_payload(&payload).ok_or(WrongEnvelope)?;
    let actual = hash::env_hash(header, &hash::sha256(content));
    if !bool::from(actual.ct_eq(&env_hash)) {
        return Err(WrongEnvelope);
    }
    let content = check_addresses(&session, me, header)
        .and_then(|()| Ok(open_content(header, content, &content_key)?))
        .map(|content| Opened {
            content,
            content_key,
            env_hash,
        });
    Ok(Received { session, content })
}

fn check_addresses(session: &Session, me: &Peer, header: &[u8]) -> Result<(), Bad> {
    let header = Header::parse(header).map_err(OpenError::from)?;
    let maker = (session.meta().user, session.meta().device);
    if (header.sender, header.sender_device) != maker {
        return Err(Bad::Sender);
    }
    // A message of another own device is for whoever it names.
    if header.recipient != me.user && header.sender != me.user {
        return Err(Bad::Recipient);
    }
    Ok(())
}
