//! The bytes of a record in a log that outlives the process.

use bytes::Bytes;
use prost::Message as _;
use sordino_protocol::{Header, hash, limits};

use super::Record;

/// What a record is in the log. Unknown fields of a later version are passed over.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "bytes", tag = "1")]
    header: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    content: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    wraps: Bytes,
}

/// The largest record: a frame as it was received, and the names of its fields.
pub(crate) const RECORD_BYTES: usize = limits::FRAME_BYTES + 64;

/// Bytes that chat never appended: somebody else writes to the topic, or a later version does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of the log cannot be read: something other than this relay writes to the topic")]
pub struct RecordError;

/// The bytes to append.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    Stored {
        header: record.header_bytes.clone(),
        content: record.content.clone(),
        wraps: record.wraps.clone(),
    }
    .encode_to_vec()
}

/// The header alone.
pub(crate) fn header(bytes: Bytes) -> Result<Header, RecordError> {
    if bytes.len() > RECORD_BYTES {
        return Err(RecordError);
    }
    let stored = Stored::decode(bytes).map_err(|_| RecordError)?;
    Header::parse(&stored.header).map_err(|_| RecordError)
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(bytes: Bytes) -> Result<Record, RecordError> {
    if bytes.len() > RECORD_BYTES {
        return Err(RecordError);
    }
    let Stored {
        header: header_bytes,
        content,
        wraps,
    } = Stored::decode(bytes).map_err(|_| RecordError)?;
    let header = Header::parse(&header_bytes).map_err(|_| RecordError)?;
    Ok(Record {
        content_hash: hash::sha256(&content),
        header,
        header_bytes,
        content,
        wraps,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sordino_protocol::{Class, ClientMessageId, ConversationId, DeviceId, UserId};

    use super::*;

    fn record() -> Record {
        let header = Header {
            class: Class::Message,
            conversation: ConversationId::from_bytes([1; 16]),
            counter: 7,
            client_message_id: ClientMessageId::from_bytes([2; 16]),
            sender: UserId::from_bytes([3; 16]),
            sender_device: DeviceId::from_bytes([4; 16]),
            recipient: UserId::from_bytes([5; 16]),
            sender_list: 1,
            recipient_list: 1,
            list_digest: [6; 16],
            erase: vec![],
            commit: [7; 32],
        };
        let content = Bytes::from_static(b"content");
        Record {
            header_bytes: header.encode().into(),
            header,
            content_hash: hash::sha256(&content),
            content,
            wraps: Bytes::from_static(b"wraps"),
        }
    }

    #[test]
    fn a_record_survives() {
        let record = record();
        let read = decode(encode(&record).into()).expect("read");
        let alone = header(encode(&record).into()).expect("read");
        assert_eq!(alone, record.header);
        assert_eq!(read.header, record.header);
        assert_eq!(read.header_bytes, record.header_bytes);
        assert_eq!(read.content, record.content);
        assert_eq!(read.content_hash, record.content_hash);
        assert_eq!(read.wraps, record.wraps);
    }

    #[test]
    fn the_bytes_of_a_record_are_frozen() {
        let record = record();
        let header = &record.header_bytes;
        // Fields 1, 2 and 3, each with its length; that of the header is below 128 and 16 384.
        let [low, high] = [header.len() % 128 + 128, header.len() / 128].map(|n| n as u8);
        let expected = [
            &[0x0a, low, high],
            header.as_ref(),
            b"\x12\x07content",
            b"\x1a\x05wraps",
        ];
        assert_eq!(encode(&record), expected.concat());
    }

    #[test]
    fn a_field_of_a_later_version_is_passed_over() {
        let mut bytes = encode(&record());
        bytes.extend_from_slice(&[0x7a, 2, 1, 1]);
        assert!(decode(bytes.into()).is_ok());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let bytes = encode(&record());
        for len in 0..record().header_bytes.len() {
            let cut = Bytes::copy_from_slice(bytes.get(..len).unwrap_or_default());
            assert!(decode(cut).is_err(), "{len}");
        }
        assert!(decode(vec![0; RECORD_BYTES + 1].into()).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(bytes.into());
        }
    }
}
