//! One body per wire decoder; each says whether it accepted the bytes. The fuzz targets in `fuzz/` and the replay in
//! `tests/corpus.rs` call the same.

use bytes::Bytes;
use sordino_protocol::{
    Header, frame,
    list::{self, ListError},
    pb,
};

/// A frame of a device decodes, once encoded again, to itself.
pub fn client_frame(data: &[u8]) -> bool {
    let Ok(frame) = frame::decode_client(Bytes::copy_from_slice(data)) else {
        return false;
    };
    let again = frame::encode_client(frame.clone());
    assert_eq!(frame::decode_client(again), Ok(frame));
    true
}

/// A frame of a relay decodes, once encoded again, to itself.
pub fn relay_frame(data: &[u8]) -> bool {
    let Ok(frame) = frame::decode_relay(Bytes::copy_from_slice(data)) else {
        return false;
    };
    let again = frame::encode_relay(frame.clone());
    assert_eq!(frame::decode_relay(again), Ok(frame));
    true
}

/// What is accepted as a header encodes to the same bytes.
pub fn header(data: &[u8]) -> bool {
    let Ok(header) = Header::parse(data) else {
        return false;
    };
    assert_eq!(header.encode(), data);
    true
}

/// With every signature taken as good, a list never follows itself.
pub fn device_list(data: &[u8]) -> bool {
    let Ok(signed) = list::decode_signed(Bytes::copy_from_slice(data)) else {
        return false;
    };
    let Ok(list) = list::parse(&signed, |_, _, _| true) else {
        return false;
    };
    assert_eq!(
        list.check_successor(&list, |_, _, _| true),
        Err(ListError::Chain)
    );
    true
}

/// The content that a device decrypted.
pub fn content(data: &[u8]) -> bool {
    frame::decode::<pb::Content>(Bytes::copy_from_slice(data), &frame::CONTENT).is_ok()
}

/// The wraps of a message, in the form that is hashed and stored.
pub fn wraps(data: &[u8]) -> bool {
    frame::decode::<pb::Wraps>(Bytes::copy_from_slice(data), &frame::WRAPS).is_ok()
}
