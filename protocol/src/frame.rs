//! Frames: bounded decoding, and the shapes of everything that is decoded elsewhere.

use bytes::Bytes;
use prost::Message;

use crate::{
    limits,
    pb::{self, client_frame, relay_frame},
    scan::{self, ScanError, Shape, field, message, messages, repeated},
};

/// Bytes that are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`limits::FRAME_BYTES`].
    #[error("a frame is at most {} bytes", limits::FRAME_BYTES)]
    TooLarge,
    /// Out of bounds, see [`ScanError`].
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A field has the wrong type, or text is not UTF-8.
    #[error("these bytes are not a frame of {}", crate::SUBPROTOCOL)]
    Decode,
    /// None of the frames of this version.
    #[error("the frame is empty or of a later protocol")]
    Unknown,
}

/// Decodes a frame that a device sent.
pub fn decode_client(bytes: Bytes) -> Result<client_frame::Frame, FrameError> {
    decode::<pb::ClientFrame>(bytes, &CLIENT_FRAME)?
        .frame
        .ok_or(FrameError::Unknown)
}

/// Decodes a frame that a relay sent.
pub fn decode_relay(bytes: Bytes) -> Result<relay_frame::Frame, FrameError> {
    decode::<pb::RelayFrame>(bytes, &RELAY_FRAME)?
        .frame
        .ok_or(FrameError::Unknown)
}

/// Decodes any message whose bounds `shape` states.
pub fn decode<M: Message + Default>(bytes: Bytes, shape: &'static Shape) -> Result<M, FrameError> {
    if bytes.len() > limits::FRAME_BYTES {
        return Err(FrameError::TooLarge);
    }
    scan::check(&bytes, shape)?;
    M::decode(bytes).map_err(|_| FrameError::Decode)
}

/// Encodes a frame for the relay.
pub fn encode_client(frame: client_frame::Frame) -> Bytes {
    pb::ClientFrame { frame: Some(frame) }
        .encode_to_vec()
        .into()
}

/// Encodes a frame for a device.
pub fn encode_relay(frame: relay_frame::Frame) -> Bytes {
    pb::RelayFrame { frame: Some(frame) }.encode_to_vec().into()
}

const ID: usize = 16;
const HASH: usize = 32;
const SIGNATURE: usize = 64;
const CODE: usize = 64;
const DETAIL: usize = 1024;
const TOKEN: usize = 4096;
const HEADER: usize = crate::Header::MAX_LEN;
const ANY: usize = limits::FRAME_BYTES;

/// [`pb::Signed`].
pub static SIGNED: Shape = Shape(&[field(1, limits::SIGNED_BODY_BYTES), field(2, SIGNATURE)]);
/// [`pb::Wrap`].
pub static WRAP: Shape = Shape(&[field(1, ID), field(2, ID), field(3, limits::WRAP_BYTES)]);
/// [`pb::Wraps`].
pub static WRAPS: Shape = Shape(&[messages(1, limits::WRAPS, ANY, &WRAP)]);
/// [`pb::WrapPayload`].
pub static WRAP_PAYLOAD: Shape = Shape(&[
    field(1, 8),
    message(2, limits::WRAP_BYTES, &HANDSHAKE),
    field(3, 512),
]);
static HANDSHAKE: Shape = Shape(&[
    field(1, 0),
    field(2, HASH),
    field(3, 0),
    field(4, 0),
    field(5, 0),
    field(6, 0),
    field(7, 1088),
]);
/// [`pb::Row`].
pub static ROW: Shape = Shape(&[
    field(1, 0),
    field(2, 0),
    field(3, HEADER),
    field(4, HASH),
    field(5, limits::CONTENT_BYTES),
    field(6, limits::WRAP_BYTES),
]);
/// [`pb::DeviceListBody`].
pub static DEVICE_LIST: Shape = Shape(&[
    field(1, ID),
    field(2, 0),
    field(3, HASH),
    field(4, 0),
    message(5, limits::SIGNED_BODY_BYTES, &SIGNED),
    messages(6, limits::DEVICES, 512, &LISTED_DEVICE),
    field(7, 0),
    field(8, 0),
    field(9, HASH),
    field(10, HASH),
]);
/// [`pb::ListedDevice`].
pub static LISTED_DEVICE: Shape = Shape(&[
    field(1, ID),
    field(2, HASH),
    field(3, HASH),
    field(4, 0),
    field(5, SIGNATURE),
    field(6, SIGNATURE),
    field(7, ID),
]);
/// [`pb::LskCertificateBody`].
pub static LSK_CERTIFICATE: Shape =
    Shape(&[field(1, ID), field(2, HASH), field(3, 0), field(4, HASH)]);
/// [`pb::PrekeyBody`].
pub static PREKEY: Shape = Shape(&[
    field(1, ID),
    field(2, ID),
    field(3, 0),
    field(4, 0),
    field(5, 0),
    field(6, 1184),
    field(7, 0),
    field(8, HASH),
]);
/// [`pb::Vault`].
pub static VAULT: Shape = Shape(&[
    field(1, 0),
    field(2, 0),
    field(3, limits::VAULT_BYTES),
    messages(4, limits::VAULT_OPENERS, 2 * 1024, &WRAPPED_VAULT_KEY),
]);
static WRAPPED_VAULT_KEY: Shape = Shape(&[field(1, 0), field(2, 1120), field(3, 48)]);
/// [`pb::Content`].
pub static CONTENT: Shape = Shape(&[
    field(1, 0),
    field(2, ID),
    field(3, ID),
    message(4, 64, &AFTER),
    field(5, 0),
    field(6, limits::DISPLAY_NAME_BYTES),
    message(10, limits::TEXT_BYTES + 128, &TEXT),
    field(11, ANY),
    message(12, 1024, &DEAD_SESSIONS),
    message(13, 64, &SESSION_REPLY),
    message(14, 2048, &RETRY),
    message(15, limits::CONTENT_BYTES, &REWRAP),
    message(16, limits::CONTENT_BYTES, &LIST_CHAIN),
    field(17, 16),
    message(18, 2048, &SHARED_KEYS),
    message(19, 128, &DEVICE_HELLO),
    message(20, limits::CONTENT_BYTES, &HISTORY_KEYS),
    message(21, limits::CONTENT_BYTES, &TRUST),
    message(22, limits::TEXT_BYTES + 128, &EDIT),
    message(23, 256, &REACTION),
    field(24, 16),
    message(25, 256, &ERASURE),
    message(26, 256, &SETTINGS),
]);
static AFTER: Shape = Shape(&[field(1, 0), field(2, HASH)]);
static TEXT: Shape = Shape(&[field(1, limits::TEXT_BYTES), message(2, 64, &MESSAGE_REF)]);
static MESSAGE_REF: Shape = Shape(&[field(1, ID), field(2, ID), field(3, ID)]);
static EDIT: Shape = Shape(&[message(1, 64, &MESSAGE_REF), field(2, limits::TEXT_BYTES)]);
static REACTION: Shape = Shape(&[
    message(1, 64, &MESSAGE_REF),
    field(2, limits::REACTION_BYTES),
]);
// Packed.
static ERASURE: Shape = Shape(&[field(1, 10 * limits::ERASE_SEQS)]);
static DEAD_SESSIONS: Shape = Shape(&[repeated(1, 16, 8)]);
static SESSION_REPLY: Shape = Shape(&[field(1, 8)]);
static RETRY: Shape = Shape(&[repeated(1, 64, ID), field(2, ID)]);
static REWRAP: Shape = Shape(&[messages(1, 64, 128, &REWRAPPED_KEY), field(2, ID)]);
static REWRAPPED_KEY: Shape = Shape(&[field(1, 0), field(2, HASH), field(3, 32)]);
/// [`pb::LinkGrant`].
pub static LINK_GRANT: Shape = Shape(&[
    message(1, limits::SIGNED_BODY_BYTES + 128, &SIGNED),
    message(2, 2048, &SHARED_KEYS),
]);
static SHARED_KEYS: Shape = Shape(&[
    field(1, 32),
    field(2, 0),
    field(3, 1216),
    field(4, 32),
    field(5, 0),
    field(6, HASH),
]);
static DEVICE_HELLO: Shape = Shape(&[
    field(1, limits::DEVICE_NAME_BYTES),
    field(2, 0),
    field(3, 0),
    field(4, 0),
    field(5, 0),
]);
static TRUST: Shape = Shape(&[messages(1, limits::TRUST_DECISIONS, 768, &TRUST_DECISION)]);
static TRUST_DECISION: Shape = Shape(&[
    field(1, ID),
    field(2, 32),
    field(3, 0),
    field(4, 32),
    field(5, 0),
    field(8, 0),
    field(9, 0),
    messages(10, limits::DEVICES, 64, &ACCEPTED_DEVICE),
    field(11, 0),
    field(12, HASH),
    field(13, HASH),
    field(14, 0),
]);
static ACCEPTED_DEVICE: Shape = Shape(&[field(1, ID), field(2, 32)]);
static SETTINGS: Shape = Shape(&[
    field(1, 0),
    field(2, 0),
    field(3, 0),
    field(4, 0),
    field(5, 0),
    field(6, 0),
    field(7, limits::DISPLAY_NAME_BYTES),
    field(8, 0),
]);
static HISTORY_KEYS: Shape = Shape(&[
    messages(
        1,
        limits::HISTORY_KEYS,
        limits::CONTENT_BYTES,
        &CONVERSATION_KEYS,
    ),
    field(2, 0),
    field(3, 0),
]);
static CONVERSATION_KEYS: Shape = Shape(&[
    field(1, ID),
    messages(2, limits::HISTORY_KEYS, 128, &REWRAPPED_KEY),
]);
static LIST_CHAIN: Shape = Shape(&[repeated(
    1,
    limits::LIST_CHAIN,
    limits::SIGNED_BODY_BYTES + 128,
)]);

static CLIENT_FRAME: Shape = Shape(&[
    message(1, ANY, &SEND),
    message(2, 64, &ACK),
    message(3, 64, &PULL),
    message(4, 64, &LIST_CONVERSATIONS),
    message(5, TOKEN, &REFRESH_TOKEN),
    message(6, 1024, &SIGNAL),
]);
static SEND: Shape = Shape(&[
    field(1, HEADER),
    field(2, limits::CONTENT_BYTES),
    messages(3, limits::WRAPS, limits::WRAP_BYTES + 64, &WRAP),
    repeated(4, 2 * limits::DEVICES, ID),
]);
static ACK: Shape = Shape(&[field(1, ID), field(2, 0)]);
static PULL: Shape = Shape(&[field(1, 0), field(2, ID), field(3, 0), field(4, 0)]);
static LIST_CONVERSATIONS: Shape = Shape(&[field(1, 0), field(2, ID)]);
static REFRESH_TOKEN: Shape = Shape(&[field(1, TOKEN)]);
static SIGNAL: Shape = Shape(&[
    field(1, ID),
    messages(2, limits::DEVICES, 128, &SEALED_SIGNAL),
]);
static SEALED_SIGNAL: Shape = Shape(&[field(1, ID), field(2, limits::SIGNAL_BYTES)]);

static RELAY_FRAME: Shape = Shape(&[
    message(1, 64, &WELCOME),
    field(2, 64),
    message(3, 128, &ACCEPTED),
    message(4, ANY, &REFUSED),
    message(5, ANY, &DELIVER),
    message(6, ANY, &PULLED),
    message(7, ANY, &CONVERSATIONS),
    message(8, 64, &ACK),
    message(9, 64, &ACK),
    message(10, 64, &TWO_SCALARS),
    message(11, 64, &TWO_SCALARS),
    message(12, 2 * DETAIL, &PROBLEM),
    field(13, 64),
    message(14, 128, &SIGNALLED),
    message(15, 64, &RESET_PENDING),
]);
static RESET_PENDING: Shape = Shape(&[field(1, 0)]);
static WELCOME: Shape = Shape(&[
    field(1, 0),
    field(2, 0),
    field(3, 0),
    field(4, 0),
    field(5, 0),
]);
static SIGNALLED: Shape = Shape(&[field(1, ID), field(2, ID), field(3, limits::SIGNAL_BYTES)]);
static TWO_SCALARS: Shape = Shape(&[field(1, 0), field(2, 0)]);
static ACCEPTED: Shape = Shape(&[field(1, ID), field(2, ID), field(3, 0)]);
static REFUSED: Shape = Shape(&[
    field(1, ID),
    field(2, ID),
    field(3, 0),
    field(4, CODE),
    field(5, DETAIL),
    field(6, 0),
    message(7, limits::SIGNED_BODY_BYTES + 128, &SIGNED),
    message(8, limits::SIGNED_BODY_BYTES + 128, &SIGNED),
]);
static DELIVER: Shape = Shape(&[message(1, ANY, &ROW)]);
static PULLED: Shape = Shape(&[
    field(1, 0),
    field(2, ID),
    messages(3, limits::PULL_ROWS, ANY, &ROW),
    field(4, 0),
    field(5, 0),
]);
static MARK: Shape = Shape(&[
    field(1, ID),
    field(2, ID),
    field(3, 0),
    field(4, 0),
    field(5, 0),
]);
static CONVERSATIONS: Shape = Shape(&[
    field(1, 0),
    messages(2, limits::CONVERSATIONS_PAGE, 128, &MARK),
    field(3, 0),
]);
static PROBLEM: Shape = Shape(&[field(1, 0), field(2, CODE), field(3, DETAIL), field(4, 0)]);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_shape_can_be_counted() {
        fn walk(shape: &Shape) {
            assert!(shape.0.len() <= crate::scan::MOST_FIELDS);
            shape.0.iter().filter_map(|f| f.shape).for_each(walk);
        }
        for shape in [
            &CLIENT_FRAME,
            &RELAY_FRAME,
            &DEVICE_LIST,
            &CONTENT,
            &WRAPS,
            &WRAP_PAYLOAD,
            &PREKEY,
            &LSK_CERTIFICATE,
        ] {
            walk(shape);
        }
    }

    #[test]
    fn a_later_version_may_add_fields() {
        let mut bytes = pb::Ack {
            conversation: Bytes::from_static(&[1; 16]),
            seq: 7,
        }
        .encode_to_vec();
        prost::encoding::string::encode(99, &"later".to_owned(), &mut bytes);
        let mut frame = Vec::new();
        prost::encoding::bytes::encode(2, &bytes, &mut frame);
        prost::encoding::uint64::encode(77, &1, &mut frame);
        let Ok(client_frame::Frame::Ack(ack)) = decode_client(frame.into()) else {
            panic!("not an ack")
        };
        assert_eq!(ack.seq, 7);
    }

    #[test]
    fn counts_lengths_and_groups_are_refused_before_decoding() {
        let wrap = pb::Wrap::default();
        let many = pb::Send {
            wraps: vec![wrap; limits::WRAPS + 1],
            ..Default::default()
        };
        assert_eq!(
            decode_client(encode_client(client_frame::Frame::Send(many))),
            Err(FrameError::Scan(ScanError::TooMany(3)))
        );
        let long = pb::Send {
            content: vec![0; limits::CONTENT_BYTES + 1].into(),
            ..Default::default()
        };
        assert_eq!(
            decode_client(encode_client(client_frame::Frame::Send(long))),
            Err(FrameError::Scan(ScanError::TooLong(2)))
        );
        assert_eq!(
            decode_client(vec![0x0b; 64].into()),
            Err(FrameError::Scan(ScanError::Malformed))
        );
        assert_eq!(
            decode_client(vec![0; limits::FRAME_BYTES + 1].into()),
            Err(FrameError::TooLarge)
        );
        assert_eq!(decode_client(Bytes::new()), Err(FrameError::Unknown));
    }

    #[test]
    fn the_largest_legal_envelope_fits_a_frame() {
        let send = pb::Send {
            header: vec![1; HEADER].into(),
            content: vec![1; limits::CONTENT_BYTES].into(),
            wraps: vec![
                pb::Wrap {
                    user: vec![1; 16].into(),
                    device: vec![1; 16].into(),
                    payload: vec![1; limits::WRAP_BYTES].into()
                };
                limits::WRAPS
            ],
            withheld: vec![vec![1; 16].into(); 2 * limits::DEVICES],
        };
        let bytes = encode_client(client_frame::Frame::Send(send));
        assert!(bytes.len() <= limits::FRAME_BYTES, "{}", bytes.len());
        assert!(decode_client(bytes).is_ok());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let bytes = Bytes::from(bytes);
            let _ = decode_client(bytes.clone());
            let _ = decode_relay(bytes.clone());
            let _ = decode::<pb::DeviceListBody>(bytes.clone(), &DEVICE_LIST);
            let _ = decode::<pb::Content>(bytes, &CONTENT);
        }

        #[test]
        fn truncation_never_decodes_to_more(cut in 0usize..200) {
            let full = encode_client(client_frame::Frame::Send(pb::Send {
                header: vec![1; 148].into(), content: vec![2; 40].into(), ..Default::default()
            }));
            let cut = cut.min(full.len() - 1);
            prop_assert!(decode_client(full.slice(..cut)).is_err());
        }
    }
}
