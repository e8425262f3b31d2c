//! Values of the store. Fixed layouts: what cannot be read is damage, and is said so.

use bytes::Bytes;
use sordino_protocol::{MessageId, UserId};

use super::StoreError;
use crate::history::StoredRow;

/// message_id u64, content_hash 32, header length u16, header, 1 and C or 0.
pub(super) fn encode_row(row: &StoredRow) -> Result<Vec<u8>, StoreError> {
    let header_len = u16::try_from(row.header.len()).map_err(|_| damaged("a header's length"))?;
    let content = row.content.as_deref().unwrap_or_default();
    let mut out = Vec::with_capacity(43 + row.header.len() + content.len());
    out.extend_from_slice(&row.message_id.0.to_be_bytes());
    out.extend_from_slice(&row.content_hash);
    out.extend_from_slice(&header_len.to_be_bytes());
    out.extend_from_slice(&row.header);
    out.push(u8::from(row.content.is_some()));
    out.extend_from_slice(content);
    Ok(out)
}

/// Reads [`encode_row`]; the wraps stand elsewhere.
pub(super) fn decode_row(
    seq: u64,
    value: &[u8],
    wraps: Option<&[u8]>,
) -> Result<StoredRow, StoreError> {
    let row = || -> Option<StoredRow> {
        let (id, rest) = value.split_first_chunk()?;
        let (content_hash, rest) = rest.split_first_chunk()?;
        let (header_len, rest) = rest.split_first_chunk()?;
        let (header, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*header_len)))?;
        let (&present, content) = rest.split_first()?;
        if present > 1 || (present == 0 && !content.is_empty()) {
            return None;
        }
        Some(StoredRow {
            seq,
            message_id: MessageId(u64::from_be_bytes(*id)),
            header: Bytes::copy_from_slice(header),
            content_hash: *content_hash,
            content: (present == 1).then(|| Bytes::copy_from_slice(content)),
            wraps: wraps.map(Bytes::copy_from_slice),
        })
    };
    row().ok_or_else(|| damaged("a row"))
}

/// A user's register of a conversation: peer, last_seq.
pub(super) fn encode_register(peer: UserId, last_seq: u64) -> Vec<u8> {
    let mut out = peer.as_bytes().to_vec();
    out.extend_from_slice(&last_seq.to_be_bytes());
    out
}

pub(super) fn decode_register(value: &[u8]) -> Result<(UserId, u64), StoreError> {
    let register = || -> Option<(UserId, u64)> {
        let (peer, rest) = value.split_first_chunk()?;
        Some((UserId::from_bytes(*peer), decode_number(rest).ok()?))
    };
    register().ok_or_else(|| damaged("a conversation's register"))
}

pub(super) fn decode_number(value: &[u8]) -> Result<u64, StoreError> {
    value
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| damaged("a number"))
}

pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_and_every_truncation_of_their_fixed_part_is_damage() {
        for content in [None, Some(Bytes::new()), Some(Bytes::from_static(b"abc"))] {
            let row = StoredRow {
                seq: 9,
                message_id: MessageId(77),
                header: Bytes::from_static(b"header"),
                content_hash: [5; 32],
                content,
                wraps: Some(Bytes::from_static(b"w")),
            };
            let bytes = encode_row(&row).unwrap();
            assert_eq!(decode_row(9, &bytes, Some(b"w")).unwrap(), row);
            for len in 0..8 + 32 + 2 + 6 {
                assert!(matches!(
                    decode_row(9, &bytes[..len], None),
                    Err(StoreError::Damaged(_))
                ));
            }
        }
        let user = UserId::from_bytes([3; 16]);
        assert_eq!(
            decode_register(&encode_register(user, 4)).unwrap(),
            (user, 4)
        );
        assert!(decode_register(&[0; 23]).is_err());
        assert!(decode_number(&[0; 9]).is_err());
    }

    /// Computed by another program.
    #[test]
    fn the_bytes_of_rows_and_registers_are_frozen() {
        let mut row = StoredRow {
            seq: 9,
            message_id: MessageId(77),
            header: Bytes::from_static(b"header"),
            content_hash: [5; 32],
            content: Some(Bytes::from_static(b"abc")),
            wraps: None,
        };
        let fixed = format!("000000000000004d{}0006686561646572", "05".repeat(32));
        let encoded = |row: &StoredRow| hex::encode(encode_row(row).unwrap());
        assert_eq!(encoded(&row), format!("{fixed}01616263"));
        row.content = None;
        assert_eq!(encoded(&row), format!("{fixed}00"));
        let register = encode_register(UserId::from_bytes([3; 16]), 4);
        assert_eq!(
            hex::encode(register),
            format!("{}0000000000000004", "03".repeat(16))
        );
    }
}
