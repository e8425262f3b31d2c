//! The safety number of two people. If both are shown the same, both have the other's identity key, and nobody stands between
//! them.
//!
//! The construction is Signal's numeric fingerprint (version 1, 5 200 rounds of SHA-512) over UIK and user id. The rounds make
//! it expensive to look for a key whose number resembles another's; a change of devices does not change it.

use std::fmt;

use sha2::{Digest, Sha512};
use sordino_protocol::UserId;

/// Rounds after the first.
const ROUNDS: usize = 5_199;
const VERSION: [u8; 2] = [0, 1];
/// Groups of digits of one person.
const GROUPS: usize = 6;
/// Bytes of one group, a number modulo 100 000.
const GROUP_BYTES: usize = 5;
/// How the text of a QR code begins. Capitals, so that the code is of the small alphanumeric kind.
const QR: &str = "SORDINO:SN1:";

/// Whose identity is compared.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// Their id.
    pub user: UserId,
    /// UIK.
    pub identity_key: &'a [u8; 32],
}

/// 60 digits, the same for both people. Shown ([`Display`](fmt::Display)) as twelve groups of five.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyNumber(String);

/// What a scanned text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// The other person sees the same number.
    Same,
    /// They see another: the code is somebody else's, or there is somebody in between.
    Different,
    /// It is no safety number.
    NotOne,
}

impl SafetyNumber {
    /// Of two people, in either order. Takes some milliseconds.
    pub fn of(one: Person<'_>, other: Person<'_>) -> Self {
        let mut halves = [half(one), half(other)];
        halves.sort_unstable();
        Self(halves.concat())
    }

    /// The 60 digits without spaces.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// What a QR code of it holds.
    pub fn qr_text(&self) -> String {
        format!("{QR}{}", self.0)
    }

    /// Compares what was scanned with this number.
    pub fn compare(&self, scanned: &str) -> Scanned {
        match scanned.strip_prefix(QR) {
            Some(digits) if digits == self.0 => Scanned::Same,
            Some(digits) if is_number(digits) => Scanned::Different,
            _ => Scanned::NotOne,
        }
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, digit) in self.0.chars().enumerate() {
            if n > 0 && n.is_multiple_of(GROUP_BYTES) {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

fn is_number(digits: &str) -> bool {
    digits.len() == 2 * GROUPS * GROUP_BYTES && digits.bytes().all(|b| b.is_ascii_digit())
}

/// 30 digits.
fn half(person: Person<'_>) -> String {
    let first = Sha512::new()
        .chain_update(VERSION)
        .chain_update(person.identity_key)
        .chain_update(person.user.as_bytes());
    let mut hash = first.finalize();
    for _ in 0..ROUNDS {
        hash = Sha512::new()
            .chain_update(hash)
            .chain_update(person.identity_key)
            .finalize();
    }
    let groups = hash.chunks_exact(GROUP_BYTES).take(GROUPS);
    groups
        .map(|group| {
            let number = group
                .iter()
                .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secret, keys::IdentityKey};

    const ONE: Person<'static> = Person {
        user: UserId::from_bytes([1; 16]),
        identity_key: &[2; 32],
    };
    const OTHER: Person<'static> = Person {
        user: UserId::from_bytes([3; 16]),
        identity_key: &[4; 32],
    };

    #[test]
    fn both_see_the_same_and_nobody_else_does() {
        let number = SafetyNumber::of(ONE, OTHER);
        assert_eq!(number, SafetyNumber::of(OTHER, ONE));
        assert!(is_number(number.digits()));
        let another = [
            (ONE.user, OTHER.identity_key),
            (OTHER.user, ONE.identity_key),
        ];
        for (user, identity_key) in another {
            let changed = SafetyNumber::of(Person { user, identity_key }, OTHER);
            assert_ne!(changed, number);
            assert_eq!(number.compare(&changed.qr_text()), Scanned::Different);
        }
        assert_eq!(number.compare(&number.qr_text()), Scanned::Same);
    }

    /// As another implementation has it (`tests/vectors/generate.py`).
    #[test]
    fn it_is_the_number_of_the_vector() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/people.json")).unwrap();
        let keys = [1, 2].map(|n| IdentityKey::from_secret(&Secret::from_bytes([n; 32])).public());
        let [one, other] = [5, 6].map(|n| UserId::from_bytes([n; 16]));
        let person = |user, key| Person {
            user,
            identity_key: key,
        };
        let number = SafetyNumber::of(person(one, &keys[0]), person(other, &keys[1]));
        assert_eq!(number.digits(), vector["safety_number"]);
    }

    #[test]
    fn it_is_shown_in_groups_of_five() {
        let number = SafetyNumber::of(ONE, OTHER).to_string();
        let groups: Vec<_> = number.split(' ').collect();
        assert_eq!(groups.len(), 12);
        assert!(groups.iter().all(|group| group.len() == 5));
    }

    #[test]
    fn what_is_no_number_is_not_compared() {
        let number = SafetyNumber::of(ONE, OTHER);
        let short = &number.qr_text()[..QR.len() + 59];
        for text in [
            "",
            number.digits(),
            short,
            "https://example.org",
            "SORDINO:SN2:",
        ] {
            assert_eq!(number.compare(text), Scanned::NotOne, "{text}");
        }
    }
}
