//! Under which name the store keeps that one person has blocked another: it tells nobody without the key who they are.

use sordino_protocol::UserId;

use super::{key_file, password::PasswordKey};
use crate::user::BlockTag;

/// What the key is derived for.
const BLOCKS: &[u8] = b"sordino relay blocks v1";

/// Names pairs of people. Follows from the key for passwords, which outlives every restart and is the same on all nodes.
pub struct BlockKey(key_file::Key);

impl BlockKey {
    /// Of the relay with this key for passwords.
    pub fn new(key: &PasswordKey) -> Self {
        Self(key_file::derive(key.bytes(), BLOCKS))
    }

    /// Names what `blocker` has decided about `other`.
    pub fn tag(&self, blocker: UserId, other: UserId) -> BlockTag {
        let pair = [blocker.as_bytes().as_slice(), other.as_bytes()].concat();
        let whole = key_file::derive(&self.0, &pair);
        let mut tag = BlockTag::default();
        tag.iter_mut()
            .zip(whole.iter())
            .for_each(|(to, from)| *to = *from);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_pair_and_of_one_relay() {
        let key = |digit: &str| {
            let key = PasswordKey::from_hex(&digit.repeat(64)).expect("a key");
            BlockKey::new(&key)
        };
        let (one, other) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let tag = key("a").tag(one, other);
        assert_eq!(tag, key("a").tag(one, other));
        assert_ne!(tag, key("b").tag(one, other));
        assert_ne!(tag, key("a").tag(other, one));
        // Names that are stored stay good. Computed by another program.
        assert_eq!(hex::encode(tag), "f90b399a764f9fd0");
    }
}
