//! What nodes say to each other. Two versions run side by side during an upgrade: fields that a node does not know are
//! skipped, and an event that it does not know becomes a `Sync`, which stands for every event (but a signal, which is for nobody then).

use std::sync::Arc;

use bytes::Bytes;
use prost::{Message as _, Oneof};
use sordino_protocol::{
    ConversationId, DeviceId, MessageId, UserId, limits,
    scan::{self, Shape},
};

use crate::{
    history::StoredRow,
    session::{self, Event},
};

/// Users that one message may be for.
pub(super) const USERS: usize = 256;
/// Longest message: a row with everything that it may carry, and the users.
const MESSAGE_BYTES: usize = 4 * limits::FRAME_BYTES;

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    /// The users whose connections are told.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    users: Vec<Bytes>,
    #[prost(oneof = "What", tags = "2, 3, 4, 5, 6, 7, 8")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(message, tag = "2")]
    Row(Row),
    #[prost(message, tag = "3")]
    Nudge(Place),
    #[prost(message, tag = "4")]
    Delivered(Place),
    #[prost(message, tag = "5")]
    ListChanged(Nothing),
    #[prost(message, tag = "6")]
    Sync(Nothing),
    /// A node's word to itself that its channel works.
    #[prost(message, tag = "7")]
    Beat(Nothing),
    #[prost(message, tag = "8")]
    Signal(Signal),
}

/// Names its users itself: a node that does not know it must not take it for a `Sync` to them.
#[derive(Clone, PartialEq, prost::Message)]
struct Signal {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    users: Vec<Bytes>,
    #[prost(bytes = "bytes", tag = "2")]
    sender: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    sender_device: Bytes,
    #[prost(message, repeated, tag = "4")]
    sealed: Vec<Sealed>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sealed {
    #[prost(bytes = "bytes", tag = "1")]
    device: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Row {
    #[prost(bytes = "bytes", tag = "1")]
    conversation: Bytes,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(uint64, tag = "3")]
    message_id: u64,
    #[prost(bytes = "bytes", tag = "4")]
    header: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    content_hash: Bytes,
    #[prost(bytes = "bytes", optional, tag = "6")]
    content: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    wraps: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Place {
    #[prost(bytes = "bytes", tag = "1")]
    conversation: Bytes,
    #[prost(uint64, tag = "2")]
    seq: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

const ROW: Shape = Shape(&[
    scan::field(1, ConversationId::LEN),
    scan::field(2, 0),
    scan::field(3, 0),
    scan::field(4, limits::FRAME_BYTES),
    scan::field(5, 32),
    scan::field(6, limits::FRAME_BYTES),
    scan::field(7, limits::FRAME_BYTES),
]);
const PLACE: Shape = Shape(&[scan::field(1, ConversationId::LEN), scan::field(2, 0)]);
const SIGNAL: Shape = Shape(&[
    scan::repeated(1, USERS, UserId::LEN),
    scan::field(2, UserId::LEN),
    scan::field(3, DeviceId::LEN),
    scan::messages(4, limits::DEVICES, 128, &SEALED),
]);
const SEALED: Shape = Shape(&[
    scan::field(1, DeviceId::LEN),
    scan::field(2, limits::SIGNAL_BYTES),
]);
const ENVELOPE: Shape = Shape(&[
    scan::repeated(1, USERS, UserId::LEN),
    scan::message(2, MESSAGE_BYTES, &ROW),
    scan::message(3, 64, &PLACE),
    scan::message(4, 64, &PLACE),
    scan::field(5, 0),
    scan::field(6, 0),
    scan::field(7, 0),
    scan::message(8, MESSAGE_BYTES, &SIGNAL),
]);

/// What a message says.
#[derive(Debug)]
pub(super) enum Said {
    /// Tell the connections of these users.
    Tell(Vec<UserId>, Event),
    /// The channel works.
    Beat,
}

/// Bytes that are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A message for at most [`USERS`] users.
pub(super) fn encode(users: &[UserId], event: &Event) -> Vec<u8> {
    let place = |conversation: &ConversationId, seq: u64| Place {
        conversation: conversation.to_pb(),
        seq,
    };
    let what = match event {
        Event::Row { conversation, row } => What::Row(Row {
            conversation: conversation.to_pb(),
            seq: row.seq,
            message_id: row.message_id.0,
            header: row.header.clone(),
            content_hash: Bytes::copy_from_slice(&row.content_hash),
            content: row.content.clone(),
            wraps: row.wraps.clone(),
        }),
        Event::Nudge {
            conversation,
            last_seq,
        } => What::Nudge(place(conversation, *last_seq)),
        Event::Delivered { conversation, seq } => What::Delivered(place(conversation, *seq)),
        Event::Signal(signal) => What::Signal(Signal {
            users: users.iter().map(|user| user.to_pb()).collect(),
            sender: signal.sender.to_pb(),
            sender_device: signal.sender_device.to_pb(),
            sealed: signal.sealed.iter().map(sealed).collect(),
        }),
        Event::ListChanged => What::ListChanged(Nothing {}),
        Event::Sync => What::Sync(Nothing {}),
    };
    let users = match event {
        Event::Signal(_) => Vec::new(),
        _ => users.iter().map(|user| user.to_pb()).collect(),
    };
    let envelope = Envelope {
        users,
        what: Some(what),
    };
    envelope.encode_to_vec()
}

fn sealed((device, payload): &(DeviceId, Bytes)) -> Sealed {
    Sealed {
        device: device.to_pb(),
        payload: payload.clone(),
    }
}

/// What a node says to itself.
pub(super) fn beat() -> Vec<u8> {
    let envelope = Envelope {
        users: Vec::new(),
        what: Some(What::Beat(Nothing {})),
    };
    envelope.encode_to_vec()
}

/// Reads a message. A row's parts are slices of it: nothing is copied.
pub(super) fn decode(message: Bytes) -> Result<Said, Malformed> {
    if message.len() > MESSAGE_BYTES {
        return Err(Malformed);
    }
    scan::check(&message, &ENVELOPE).map_err(|_| Malformed)?;
    let envelope = Envelope::decode(message).map_err(|_| Malformed)?;
    let event = match envelope.what {
        Some(What::Beat(_)) => return Ok(Said::Beat),
        Some(What::Signal(signal)) => {
            return Ok(Said::Tell(ids(&signal.users)?, self::signal(signal)?));
        }
        Some(What::Row(row)) => self::row(row)?,
        Some(What::Nudge(place)) => Event::Nudge {
            conversation: id(&place.conversation)?,
            last_seq: place.seq,
        },
        Some(What::Delivered(place)) => Event::Delivered {
            conversation: id(&place.conversation)?,
            seq: place.seq,
        },
        Some(What::ListChanged(_)) => Event::ListChanged,
        Some(What::Sync(_)) | None => Event::Sync,
    };
    Ok(Said::Tell(ids(&envelope.users)?, event))
}

fn ids(users: &[Bytes]) -> Result<Vec<UserId>, Malformed> {
    let users = users.iter().map(|user| UserId::from_slice(user));
    users.collect::<Result<_, _>>().map_err(|_| Malformed)
}

fn signal(signal: Signal) -> Result<Event, Malformed> {
    let sealed = |part: Sealed| {
        let device = DeviceId::from_slice(&part.device).map_err(|_| Malformed)?;
        Ok((device, part.payload))
    };
    Ok(Event::Signal(Arc::new(session::Signal {
        sender: UserId::from_slice(&signal.sender).map_err(|_| Malformed)?,
        sender_device: DeviceId::from_slice(&signal.sender_device).map_err(|_| Malformed)?,
        sealed: signal
            .sealed
            .into_iter()
            .map(sealed)
            .collect::<Result<_, _>>()?,
    })))
}

fn row(row: Row) -> Result<Event, Malformed> {
    Ok(Event::Row {
        conversation: id(&row.conversation)?,
        row: Arc::new(StoredRow {
            seq: row.seq,
            message_id: MessageId(row.message_id),
            header: row.header,
            content_hash: row.content_hash[..].try_into().map_err(|_| Malformed)?,
            content: row.content,
            wraps: row.wraps,
        }),
    })
}

fn id(bytes: &[u8]) -> Result<ConversationId, Malformed> {
    ConversationId::from_slice(bytes).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::conformance::{conversation, row, signal, user};

    fn events() -> Vec<Event> {
        let (conversation, mut empty) = (conversation(), StoredRow::clone(&row(1)));
        (empty.content, empty.wraps) = (None, None);
        vec![
            Event::Row {
                conversation,
                row: row(u64::MAX),
            },
            Event::Row {
                conversation,
                row: Arc::new(empty),
            },
            Event::Nudge {
                conversation,
                last_seq: 7,
            },
            Event::Delivered {
                conversation,
                seq: 0,
            },
            Event::Signal(signal()),
            Event::ListChanged,
            Event::Sync,
        ]
    }

    fn envelope(what: Option<What>) -> Envelope {
        Envelope {
            users: vec![user(1).to_pb()],
            what,
        }
    }

    fn is_malformed(bytes: impl Into<Bytes>) -> bool {
        matches!(decode(bytes.into()), Err(Malformed))
    }

    #[test]
    fn every_event_is_read_back() {
        for event in events() {
            let Ok(Said::Tell(users, read)) = decode(encode(&[user(1), user(2)], &event).into())
            else {
                panic!("{event:?} was not read")
            };
            assert_eq!(users, [user(1), user(2)]);
            assert_eq!(format!("{read:?}"), format!("{event:?}"));
        }
        assert!(matches!(decode(beat().into()), Ok(Said::Beat)));
    }

    #[test]
    fn a_cut_message_is_never_taken_for_the_whole() {
        for event in events() {
            let bytes = encode(&[user(1)], &event);
            for len in 0..bytes.len() {
                match decode(Bytes::copy_from_slice(&bytes[..len])) {
                    // Cut before the event began, it is one for nobody or one that is not known.
                    Ok(Said::Tell(_, Event::Sync)) => assert!(len == 0 || len == 18, "{len}"),
                    Ok(said) => panic!("{said:?} from {len} bytes"),
                    Err(Malformed) => {}
                }
            }
        }
    }

    #[test]
    fn what_a_later_version_says_becomes_a_sync() {
        let mut bytes = envelope(None).encode_to_vec();
        bytes.extend([0x9a, 0x06, 2, 8, 1]);
        let Ok(Said::Tell(users, Event::Sync)) = decode(bytes.into()) else {
            panic!("not a sync")
        };
        assert_eq!(users, [user(1)]);
    }

    /// What a node of an earlier version makes of it.
    #[test]
    fn a_signal_that_is_not_known_is_for_nobody() {
        let bytes = encode(&[user(1)], &Event::Signal(signal()));
        assert_eq!(bytes[0] >> 3, 8, "nothing before it");
        let mut later = bytes;
        later[0] = 15 << 3 | 2;
        assert!(
            matches!(decode(later.into()), Ok(Said::Tell(users, Event::Sync)) if users.is_empty())
        );
    }

    #[test]
    fn a_signal_is_bounded() {
        let with = |sealed: Vec<(DeviceId, Bytes)>| {
            let event = Event::Signal(Arc::new(session::Signal {
                sender: user(1),
                sender_device: DeviceId::from_bytes([1; 16]),
                sealed,
            }));
            encode(&[user(1)], &event)
        };
        let part = |len| (DeviceId::from_bytes([1; 16]), Bytes::from(vec![1; len]));
        assert!(!is_malformed(with(vec![part(limits::SIGNAL_BYTES); 10])));
        assert!(is_malformed(with(vec![part(limits::SIGNAL_BYTES); 11])));
        assert!(is_malformed(with(vec![part(limits::SIGNAL_BYTES + 1)])));
    }

    #[test]
    fn fields_of_a_later_version_are_skipped() {
        let mut bytes = encode(&[user(1)], &Event::ListChanged);
        bytes.extend([0x9a, 0x06, 2, 8, 1]);
        assert!(matches!(
            decode(bytes.into()),
            Ok(Said::Tell(_, Event::ListChanged))
        ));
    }

    #[test]
    fn what_is_too_long_or_too_much_is_refused() {
        let many = encode(&[user(1); USERS + 1], &Event::Sync);
        assert!(is_malformed(many));
        assert!(decode(encode(&[user(1); USERS], &Event::Sync).into()).is_ok());
        assert!(is_malformed(vec![0x9a; MESSAGE_BYTES + 1]));
        let long = Bytes::from(vec![1; limits::FRAME_BYTES + 1]);
        for field in 0..3 {
            let mut row = StoredRow::clone(&row(1));
            match field {
                0 => row.header = long.clone(),
                1 => row.content = Some(long.clone()),
                _ => row.wraps = Some(long.clone()),
            }
            let event = Event::Row {
                conversation: conversation(),
                row: Arc::new(row),
            };
            assert!(is_malformed(encode(&[user(1)], &event)));
        }
    }

    #[test]
    fn ids_and_hashes_have_their_lengths() {
        let place = |len| Place {
            conversation: vec![1; len].into(),
            seq: 1,
        };
        for len in [0, 15, 17] {
            assert!(is_malformed(
                envelope(Some(What::Nudge(place(len)))).encode_to_vec()
            ));
            assert!(is_malformed(
                envelope(Some(What::Delivered(place(len)))).encode_to_vec()
            ));
        }
        for len in [0, 31, 33] {
            let row = Row {
                conversation: vec![1; 16].into(),
                content_hash: vec![1; len].into(),
                ..Row::default()
            };
            assert!(is_malformed(envelope(Some(What::Row(row))).encode_to_vec()));
        }
        let mut short = envelope(Some(What::Sync(Nothing {})));
        short.users.push(vec![1; 15].into());
        assert!(is_malformed(short.encode_to_vec()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode(bytes.into());
        }
    }
}
