//! Hd, the header of a message: fixed layout, readable by the relay, authenticated by the content key.

use crate::{ClientMessageId, ConversationId, DeviceId, UserId, limits};

/// What kind of message the relay is carrying. It decides notification and retention, never meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// A message for a person.
    Message = 1,
    /// Between devices: no notification, not counted as unread, kept 30 days.
    Control = 2,
    /// Asks for content of the sender's own earlier rows to be erased.
    Erase = 3,
}

/// Bytes that are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too short, too long, or a count that does not fit the length.
    #[error("the header's length is wrong")]
    Length,
    /// Made by a later protocol.
    #[error("the header's version or suite is unknown: a newer client made it")]
    Version,
    /// Class 1 to 3 are known.
    #[error("the header's class is unknown")]
    Class,
    /// The counter is dense from 1.
    #[error("the header's counter is 0: the first message of a device has 1")]
    Counter,
    /// Only class erase names seqs; it names 1 to 16, none of them 0.
    #[error("the header names seqs that its class may not")]
    EraseSeqs,
}

/// The header of a message. Equal headers encode to equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What kind of message it is.
    pub class: Class,
    /// [`crate::hash::conversation_id`] of sender and recipient.
    pub conversation: ConversationId,
    /// Dense from 1 per (conversation, sending device).
    pub counter: u64,
    /// The sender's name for the message.
    pub client_message_id: ClientMessageId,
    /// Who sends.
    pub sender: UserId,
    /// The device that sends.
    pub sender_device: DeviceId,
    /// Who it is for; the sender itself in the conversation with oneself.
    pub recipient: UserId,
    /// The version of the sender's device list that the sender knew.
    pub sender_list: u32,
    /// The version of the recipient's device list that the sender knew.
    pub recipient_list: u32,
    /// [`crate::hash::list_digest`] over both.
    pub list_digest: [u8; 16],
    /// Class erase: the rows to erase.
    pub erase: Vec<u64>,
    /// Commits to the content key.
    pub commit: [u8; 32],
}

impl Header {
    /// The protocol version in the first byte.
    pub const VERSION: u8 = 1;
    /// The one cipher suite: X25519, ML-KEM-768, Double Ratchet, AES-256-GCM, SHA-256, Ed25519.
    pub const SUITE: u8 = 1;
    /// Length without erased seqs.
    pub const MIN_LEN: usize = 148;
    /// Length with as many as are allowed.
    pub const MAX_LEN: usize = Self::MIN_LEN + limits::ERASE_SEQS * 8;

    /// The bytes that are hashed, authenticated and sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_without_commit();
        out.extend_from_slice(&self.commit);
        out
    }

    /// The bytes from which `commit` is derived.
    pub fn encode_without_commit(&self) -> Vec<u8> {
        // A longer list cannot be sent: `parse` refuses it on the other side.
        let count = u8::try_from(self.erase.len()).unwrap_or(u8::MAX);
        let mut out = Vec::with_capacity(Self::MIN_LEN + self.erase.len() * 8);
        out.extend_from_slice(&[Self::VERSION, Self::SUITE, self.class as u8, count]);
        out.extend_from_slice(self.conversation.as_bytes());
        out.extend_from_slice(&self.counter.to_be_bytes());
        out.extend_from_slice(self.client_message_id.as_bytes());
        out.extend_from_slice(self.sender.as_bytes());
        out.extend_from_slice(self.sender_device.as_bytes());
        out.extend_from_slice(self.recipient.as_bytes());
        out.extend_from_slice(&self.sender_list.to_be_bytes());
        out.extend_from_slice(&self.recipient_list.to_be_bytes());
        out.extend_from_slice(&self.list_digest);
        for seq in &self.erase {
            out.extend_from_slice(&seq.to_be_bytes());
        }
        out
    }

    /// Reads a header. The bytes must be one exactly: what is accepted encodes to the same bytes again.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut input = Reader(bytes);
        let [version, suite, class, count] = input.take()?;
        if version != Self::VERSION || suite != Self::SUITE {
            return Err(HeaderError::Version);
        }
        let class = match class {
            1 => Class::Message,
            2 => Class::Control,
            3 => Class::Erase,
            _ => return Err(HeaderError::Class),
        };
        let count = usize::from(count);
        if bytes.len() != Self::MIN_LEN + count * 8 {
            return Err(HeaderError::Length);
        }
        if (class == Class::Erase) != (count > 0) || count > limits::ERASE_SEQS {
            return Err(HeaderError::EraseSeqs);
        }
        let header = Self {
            class,
            conversation: ConversationId::from_bytes(input.take()?),
            counter: u64::from_be_bytes(input.take()?),
            client_message_id: ClientMessageId::from_bytes(input.take()?),
            sender: UserId::from_bytes(input.take()?),
            sender_device: DeviceId::from_bytes(input.take()?),
            recipient: UserId::from_bytes(input.take()?),
            sender_list: u32::from_be_bytes(input.take()?),
            recipient_list: u32::from_be_bytes(input.take()?),
            list_digest: input.take()?,
            erase: (0..count)
                .map(|_| input.take().map(u64::from_be_bytes))
                .collect::<Result<_, _>>()?,
            commit: input.take()?,
        };
        if header.counter == 0 {
            return Err(HeaderError::Counter);
        }
        if header.erase.contains(&0) {
            return Err(HeaderError::EraseSeqs);
        }
        Ok(header)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(HeaderError::Length)?;
        self.0 = rest;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_header() -> impl Strategy<Value = Header> {
        let ids = (
            any::<[u8; 16]>(),
            any::<[u8; 16]>(),
            any::<[u8; 16]>(),
            any::<[u8; 16]>(),
            any::<[u8; 16]>(),
        );
        let rest = (
            1..u64::MAX,
            any::<u32>(),
            any::<u32>(),
            any::<[u8; 16]>(),
            any::<[u8; 32]>(),
        );
        let class = prop_oneof![
            Just((Class::Message, vec![])),
            Just((Class::Control, vec![])),
            prop::collection::vec(1..u64::MAX, 1..=limits::ERASE_SEQS)
                .prop_map(|seqs| (Class::Erase, seqs)),
        ];
        (ids, rest, class).prop_map(|(ids, rest, (class, erase))| Header {
            class,
            conversation: ConversationId::from_bytes(ids.0),
            counter: rest.0,
            client_message_id: ClientMessageId::from_bytes(ids.1),
            sender: UserId::from_bytes(ids.2),
            sender_device: DeviceId::from_bytes(ids.3),
            recipient: UserId::from_bytes(ids.4),
            sender_list: rest.1,
            recipient_list: rest.2,
            list_digest: rest.3,
            erase,
            commit: rest.4,
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_to_the_same(header in any_header()) {
            prop_assert_eq!(Header::parse(&header.encode()), Ok(header));
        }

        #[test]
        fn what_parses_encodes_to_the_same(bytes in prop::collection::vec(any::<u8>(), 0..300), n in 0u8..20) {
            let mut bytes = bytes;
            for (at, value) in [1, 1, 1 + n % 3, n].into_iter().enumerate() {
                if let Some(b) = bytes.get_mut(at) { *b = value; }
            }
            bytes.resize(Header::MIN_LEN + usize::from(n) * 8, 7);
            if let Ok(header) = Header::parse(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }

        #[test]
        fn no_length_but_the_right_one(header in any_header(), extra in prop::collection::vec(any::<u8>(), 1..9), cut in 1usize..148) {
            let bytes = header.encode();
            let mut long = bytes.clone();
            long.extend(extra);
            prop_assert_eq!(Header::parse(&long), Err(HeaderError::Length));
            prop_assert_eq!(Header::parse(&bytes[..bytes.len() - cut]), Err(HeaderError::Length));
        }
    }

    #[test]
    fn refuses_what_no_client_of_this_version_makes() {
        let good = Header {
            class: Class::Erase,
            conversation: ConversationId::from_bytes([1; 16]),
            counter: 1,
            client_message_id: ClientMessageId::from_bytes([2; 16]),
            sender: UserId::from_bytes([3; 16]),
            sender_device: DeviceId::from_bytes([4; 16]),
            recipient: UserId::from_bytes([5; 16]),
            sender_list: 1,
            recipient_list: 1,
            list_digest: [6; 16],
            erase: vec![9],
            commit: [7; 32],
        };
        assert_eq!(
            Header::parse(
                &Header {
                    counter: 0,
                    ..good.clone()
                }
                .encode()
            ),
            Err(HeaderError::Counter)
        );
        assert_eq!(
            Header::parse(
                &Header {
                    erase: vec![0],
                    ..good.clone()
                }
                .encode()
            ),
            Err(HeaderError::EraseSeqs)
        );
        assert_eq!(
            Header::parse(
                &Header {
                    erase: vec![],
                    ..good.clone()
                }
                .encode()
            ),
            Err(HeaderError::EraseSeqs)
        );
        assert_eq!(
            Header::parse(
                &Header {
                    erase: vec![1; 17],
                    ..good.clone()
                }
                .encode()
            ),
            Err(HeaderError::EraseSeqs)
        );
        assert_eq!(
            Header::parse(
                &Header {
                    class: Class::Message,
                    ..good.clone()
                }
                .encode()
            ),
            Err(HeaderError::EraseSeqs)
        );
        for (at, error) in [
            (0, HeaderError::Version),
            (1, HeaderError::Version),
            (2, HeaderError::Class),
        ] {
            let mut bytes = good.encode();
            bytes[at] = 9;
            assert_eq!(Header::parse(&bytes), Err(error));
        }
    }
}
