//! Messages of the right shape and size, with random bytes for ciphertext: the relay cannot tell.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rand::RngExt;
use sordino_protocol::{
    Class, ClientMessageId, Header, frame, hash,
    pb::{Send, Wrap, WrapPayload, client_frame::Frame},
};

use super::account::Account;

/// Length of C for a text of 500 bytes; a test compares it with the real thing.
pub const CONTENT: usize = 624;
/// Length of the ratchet message that wraps a content key, in an answered session; tested likewise.
pub const RATCHET_MESSAGE: usize = 151;

/// Random bytes to cut ciphertexts from. Large, so that a store which compresses gains nothing.
#[derive(Clone)]
pub struct Noise(Bytes);

impl Noise {
    /// One mebibyte.
    pub fn new() -> Self {
        let mut bytes = vec![0; 1024 * 1024];
        rand::rng().fill(bytes.as_mut_slice());
        Self(bytes.into())
    }

    fn cut(&self, len: usize) -> Bytes {
        let at = rand::random_range(0..self.0.len() - len);
        self.0.slice(at..at + len)
    }
}

impl Default for Noise {
    fn default() -> Self {
        Self::new()
    }
}

/// From one device to another.
pub struct Lane {
    from: Arc<Account>,
    to: Arc<Account>,
    noise: Noise,
}

impl Lane {
    /// From one to the other.
    pub fn new(from: Arc<Account>, to: Arc<Account>, noise: Noise) -> Self {
        Self { from, to, noise }
    }

    /// The sending account.
    pub fn from(&self) -> &Arc<Account> {
        &self.from
    }

    /// The conversation of both.
    pub fn conversation(&self) -> sordino_protocol::ConversationId {
        hash::conversation_id(self.from.user(), self.to.user())
    }

    /// Bytes of a message as the relay stores it: the record of its log; header, content and wraps of the row.
    pub fn sizes(&self) -> (usize, [usize; 3]) {
        let send = self.message(1);
        let wraps: usize = send.wraps.iter().map(Wrap::encoded_len).sum();
        let row = [send.header.len(), send.content.len(), wraps];
        (row.iter().sum(), row)
    }

    /// The frame of the message with this counter.
    pub fn frame(&self, counter: u64) -> Bytes {
        frame::encode_client(Frame::Send(self.message(counter)))
    }

    fn message(&self, counter: u64) -> Send {
        let (from, to) = (&self.from.list, &self.to.list);
        let header = Header {
            class: Class::Message,
            conversation: self.conversation(),
            counter,
            client_message_id: ClientMessageId::from_bytes(rand::random()),
            sender: from.user,
            sender_device: self.from.device,
            recipient: to.user,
            sender_list: from.version,
            recipient_list: to.version,
            list_digest: hash::list_digest((from.version, &from.hash), (to.version, &to.hash)),
            erase: Vec::new(),
            commit: rand::random(),
        };
        let payload = WrapPayload {
            session: self.noise.cut(8),
            handshake: None,
            message: self.noise.cut(RATCHET_MESSAGE),
        };
        Send {
            header: header.encode().into(),
            content: self.noise.cut(CONTENT),
            wraps: vec![Wrap {
                user: to.user.to_pb(),
                device: self.to.device.to_pb(),
                payload: payload.encode_to_vec().into(),
            }],
            withheld: Vec::new(),
        }
    }
}
