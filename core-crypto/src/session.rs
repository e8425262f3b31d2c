//! A ratchet session between two devices: vodozemac's Double Ratchet under a root key from [`crate::pqxdh`].
//!
//! vodozemac changes a session even where decryption fails. So [`Session::decrypt`] consumes the session and gives it back
//! only with the plaintext: after a failure there is nothing left to be stored over the good copy.

use prost::Message as _;
use serde::{Deserialize, Serialize};
use sordino_protocol::{DeviceId, SessionId, UserId, hash::Hash, pb};
use vodozemac::olm::{self, Message, OlmMessage, SessionPickle};
use zeroize::Zeroizing;

/// First byte of a vodozemac message of version 2, whose MAC is not truncated.
const MESSAGE_VERSION: u8 = 4;
const SESSION_VERSION: u8 = 2;

/// What a session does not need its ratchet for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Names the session: the first bytes of `transcript`.
    pub sid: SessionId,
    /// TH, over everything that both sides put into the set-up.
    pub transcript: Hash,
    /// Orders the sessions of a pair of devices.
    pub born: u64,
    /// The other user.
    pub user: UserId,
    /// The other device.
    pub device: DeviceId,
}

/// A session as it is kept. Every change is to be stored before its result leaves.
pub struct Session {
    meta: Meta,
    /// Encoded; sent along until a reply has been decrypted.
    handshake: Option<Vec<u8>>,
    ratchet: olm::Session,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    meta: Meta,
    handshake: Option<Vec<u8>>,
    ratchet: SessionPickle,
}

/// Why a session cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The message is none, is another session's, was decrypted before, or jumps too far.
    #[error("the ratchet message does not decrypt")]
    Message,
    /// Made by a ratchet whose MAC is truncated.
    #[error("the ratchet message has another version")]
    MessageVersion,
    /// The other side's ratchet key is of small order.
    #[error("the ratchet cannot encrypt")]
    Encrypt,
    /// The stored bytes are no session, or one of another version.
    #[error("the stored session cannot be read")]
    Stored,
}

impl Session {
    pub(crate) fn new(meta: Meta, handshake: Option<Vec<u8>>, ratchet: olm::Session) -> Self {
        Self {
            meta,
            handshake,
            ratchet,
        }
    }

    /// Who it is with, and its name.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether no reply has been decrypted yet: every message carries the handshake.
    pub fn is_unanswered(&self) -> bool {
        self.handshake.is_some()
    }

    /// Encrypts for the other device. Store the session before the result leaves.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Result<pb::WrapPayload, SessionError> {
        let message = match self.ratchet.encrypt(plaintext) {
            Ok(OlmMessage::Normal(message)) => message.to_bytes(),
            // Its extra keys are vodozemac's own handshake, which ours replaces.
            Ok(OlmMessage::PreKey(message)) => message.message().to_bytes(),
            Err(_) => return Err(SessionError::Encrypt),
        };
        let handshake = self
            .handshake
            .as_deref()
            .map(pb::Handshake::decode)
            .transpose()
            .map_err(|_| SessionError::Stored)?;
        Ok(pb::WrapPayload {
            session: self.meta.sid.to_pb(),
            handshake,
            message: message.into(),
        })
    }

    /// Decrypts a message of the other device. On failure the stored session is still the right one.
    pub fn decrypt(mut self, message: &[u8]) -> Result<(Self, Zeroizing<Vec<u8>>), SessionError> {
        let message = parse_message(message)?;
        let plaintext = self
            .ratchet
            .decrypt(&OlmMessage::Normal(message))
            .map(Zeroizing::new)
            .map_err(|_| SessionError::Message)?;
        self.handshake = None;
        Ok((self, plaintext))
    }

    /// The form to be stored, in an encrypted store only: it holds the keys.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        // Large enough for five chains of forty skipped keys: growing would leave keys behind in freed memory.
        let mut out = Zeroizing::new(Vec::with_capacity(64 * 1024));
        let stored = Stored {
            meta: self.meta.clone(),
            handshake: self.handshake.clone(),
            ratchet: self.ratchet.pickle(),
        };
        serde_json::to_writer(&mut *out, &stored).map_err(|_| SessionError::Stored)?;
        Ok(out)
    }

    /// From its stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SessionError> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|_| SessionError::Stored)?;
        let ratchet = olm::Session::from_pickle(stored.ratchet);
        // A pickle without a version loads as version 1, whose MAC has 8 bytes.
        if ratchet.session_config().version() != SESSION_VERSION {
            return Err(SessionError::Stored);
        }
        Ok(Self::new(stored.meta, stored.handshake, ratchet))
    }
}

pub(crate) fn parse_message(bytes: &[u8]) -> Result<Message, SessionError> {
    if *bytes.first().ok_or(SessionError::Message)? != MESSAGE_VERSION {
        return Err(SessionError::MessageVersion);
    }
    let message = Message::from_bytes(bytes).map_err(|_| SessionError::Message)?;
    // vodozemac's MAC covers its own re-encoding: other bytes that parse to the same message would decrypt, too.
    if message.to_bytes() != bytes {
        return Err(SessionError::Message);
    }
    Ok(message)
}
