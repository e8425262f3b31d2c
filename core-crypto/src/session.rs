//! A ratchet session between two devices: vodozemac's Double Ratchet under a root key from [`crate::pqxdh`].
//!
//! vodozemac changes a session even where decryption fails. So [`Session::decrypt`] consumes the session and gives it back
//! only with the plaintext: after a failure there is nothing left to be stored over the good copy.

use prost::Message as _;
use serde::{Deserialize, Serialize};
use sordino_protocol::{SessionId, hash::Hash, pb};
use vodozemac::olm::{self, Message, OlmMessage, SessionPickle};
use zeroize::Zeroizing;

use crate::{Secret, prekeys::Peer};

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
    /// The other device, as its list had it at the set-up.
    pub peer: Peer,
    /// The own signed prekey that was used, where the peer began. As long as its secret is kept the handshake could be
    /// answered again, so the session's name has to be remembered.
    pub answered_spk: Option<u32>,
}

/// Receiving chains that vodozemac keeps.
const CHAINS: usize = 5;

/// A place in a chain of the ratchet. The order is that in which the messages of one chain were encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The ratchet key, which names the chain.
    pub chain: [u8; 32],
    /// From 0.
    pub index: u64,
}

/// A session as it is kept. Every change is to be stored before its result leaves.
pub struct Session {
    meta: Meta,
    /// Encoded; goes with every message until a reply has been decrypted.
    handshake: Option<Vec<u8>>,
    /// SIG, the same on both sides: see [`crate::signal`].
    signal_key: Secret<32>,
    /// What the next message of each receiving chain is.
    next: Vec<Position>,
    ratchet: olm::Session,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    meta: Meta,
    handshake: Option<Vec<u8>>,
    #[serde(with = "stored_secret")]
    signal_key: Secret<32>,
    next: Vec<Position>,
    ratchet: SessionPickle,
}

mod stored_secret {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zeroize::Zeroize;

    use crate::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret<32>, s: S) -> Result<S::Ok, S::Error> {
        secret.expose().serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Secret<32>, D::Error> {
        let mut bytes = <[u8; 32]>::deserialize(d)?;
        let secret = Secret::from_bytes(bytes);
        bytes.zeroize();
        Ok(secret)
    }
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
    pub(crate) fn new(
        meta: Meta,
        handshake: Option<Vec<u8>>,
        signal_key: Secret<32>,
        ratchet: olm::Session,
    ) -> Self {
        Self {
            meta,
            handshake,
            signal_key,
            next: Vec::new(),
            ratchet,
        }
    }

    /// Who it is with, and its name.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(crate) fn signal_key(&self) -> &Secret<32> {
        &self.signal_key
    }

    /// Whether no message of its chain was left out before the one at `at`.
    pub fn is_next(&self, at: &Position) -> bool {
        let known = self.next.iter().find(|next| next.chain == at.chain);
        at.index == known.map_or(0, |next| next.index)
    }

    fn note(&mut self, at: Position) {
        let after = at.index.saturating_add(1);
        match self.next.iter_mut().find(|next| next.chain == at.chain) {
            Some(next) => next.index = next.index.max(after),
            None => {
                let excess = (self.next.len() + 1).saturating_sub(CHAINS);
                self.next.drain(..excess);
                let chain = at.chain;
                self.next.push(Position {
                    chain,
                    index: after,
                });
            }
        }
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
        let at = position(&message);
        let plaintext = self
            .ratchet
            .decrypt(&OlmMessage::Normal(message))
            .map(Zeroizing::new)
            .map_err(|_| SessionError::Message)?;
        self.handshake = None;
        self.note(at);
        Ok((self, plaintext))
    }

    /// The form to be stored, in an encrypted store only: it holds the keys.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        // Large enough for five chains of forty skipped keys: growing would leave keys behind in freed memory.
        let mut out = Zeroizing::new(Vec::with_capacity(64 * 1024));
        let stored = Stored {
            meta: self.meta.clone(),
            handshake: self.handshake.clone(),
            signal_key: Secret::from_bytes(*self.signal_key.expose()),
            next: self.next.clone(),
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
        Ok(Self {
            meta: stored.meta,
            handshake: stored.handshake,
            signal_key: stored.signal_key,
            next: stored.next,
            ratchet,
        })
    }
}

pub(crate) fn position(message: &Message) -> Position {
    Position {
        chain: message.ratchet_key().to_bytes(),
        index: message.chain_index(),
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
