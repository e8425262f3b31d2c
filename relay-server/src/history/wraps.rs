//! What one device reads of all that a row carries.

use bytes::Bytes;
use sordino_protocol::{
    DeviceId, Header, UserId,
    frame::{self, WRAPS},
    pb,
};

use super::StoredRow;

impl StoredRow {
    /// The payload of the wrap addressed to this device. A slice of the row: nothing is copied.
    pub fn wrap_for(&self, user: UserId, device: DeviceId) -> Option<Bytes> {
        frame::decode::<pb::Wraps>(self.wraps.clone()?, &WRAPS)
            .ok()?
            .wraps
            .into_iter()
            .find(|w| w.user == user.as_bytes()[..] && w.device == device.as_bytes()[..])
            .map(|w| w.payload)
    }

    /// Whether it is for any device of this user: not what they wrote themselves on their only one, and not what somebody wrote whom
    /// they had blocked.
    pub fn is_for(&self, user: UserId) -> bool {
        let Some(wraps) = self.wraps.clone() else {
            return false;
        };
        let wraps = frame::decode::<pb::Wraps>(wraps, &WRAPS);
        wraps.is_ok_and(|wraps| wraps.wraps.iter().any(|w| w.user == user.as_bytes()[..]))
    }

    /// Content and wrap, as this device reads them. The device that wrote the row gets neither: it has both.
    pub fn read_by(&self, user: UserId, device: DeviceId) -> (Option<Bytes>, Option<Bytes>) {
        let own = Header::parse(&self.header)
            .is_ok_and(|header| header.sender == user && header.sender_device == device);
        if own {
            return (None, None);
        }
        (self.content.clone(), self.wrap_for(user, device))
    }

    /// Bytes of its header, content and wraps, for limits.
    pub fn size(&self) -> usize {
        let len = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        self.header.len() + len(&self.content) + len(&self.wraps)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use sordino_protocol::{MessageId, limits};

    use super::*;

    fn row(wraps: Option<Bytes>) -> StoredRow {
        StoredRow {
            seq: 1,
            message_id: MessageId(1),
            header: Bytes::new(),
            content_hash: [0; 32],
            content: None,
            wraps,
        }
    }

    fn wrap(user: u8, device: u8, len: usize) -> pb::Wrap {
        pb::Wrap {
            user: vec![user; 16].into(),
            device: vec![device; 16].into(),
            payload: vec![device; len].into(),
        }
    }

    #[test]
    fn finds_the_devices_own_and_no_other() {
        let wraps = pb::Wraps {
            wraps: vec![wrap(1, 1, 5), wrap(1, 2, limits::WRAP_BYTES), wrap(2, 3, 5)],
        };
        let row = row(Some(wraps.encode_to_vec().into()));
        let find = |u, d| row.wrap_for(UserId::from_bytes([u; 16]), DeviceId::from_bytes([d; 16]));
        assert_eq!(find(1, 2).unwrap(), vec![2; limits::WRAP_BYTES]);
        assert_eq!(find(2, 3).unwrap(), vec![3; 5]);
        assert_eq!(find(2, 1), None);
        assert_eq!(find(1, 3), None);
    }

    #[test]
    fn damaged_or_oversized_wraps_are_none() {
        let (user, device) = (UserId::from_bytes([1; 16]), DeviceId::from_bytes([1; 16]));
        let many = pb::Wraps {
            wraps: vec![wrap(1, 1, 1); limits::WRAPS + 1],
        };
        let long = pb::Wraps {
            wraps: vec![wrap(1, 1, limits::WRAP_BYTES + 1)],
        };
        for bytes in [many.encode_to_vec(), long.encode_to_vec(), vec![10, 200, 1]] {
            assert_eq!(row(Some(bytes.into())).wrap_for(user, device), None);
        }
        assert_eq!(row(None).wrap_for(user, device), None);
    }
}
