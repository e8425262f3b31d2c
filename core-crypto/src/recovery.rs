//! The recovery key: 160 random bits that open the vault, written down by a person.

use rand::CryptoRng;
use sordino_protocol::hash::labelled;
use zeroize::Zeroizing;

use crate::Secret;

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BITS: u32 = 5;
/// The random bytes.
const BYTES: usize = 20;
/// Characters of the key and of its checksum of 20 bits.
const CHARS: usize = 36;
const GROUP: usize = 4;

/// A recovery key.
pub struct RecoveryKey(Secret<BYTES>);

/// Why a text is no recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyError {
    /// A character that no key has.
    #[error("{0:?} is in no recovery key: it has digits and letters, and no U")]
    Character(char),
    /// Too short or too long.
    #[error("a recovery key has nine groups of four characters, this has {0} characters")]
    Length(usize),
    /// One character, or more, is wrong.
    #[error(
        "the recovery key was not typed as it was written down: at least one character is wrong"
    )]
    Checksum,
}

impl RecoveryKey {
    /// A fresh one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// From what a person typed: case, spaces and hyphens do not matter, and O is 0, I and L are 1.
    ///
    /// # Errors
    /// It is none. Of a million wrong ones the checksum lets one pass.
    pub fn parse(text: &str) -> Result<Self, RecoveryKeyError> {
        let mut values = Zeroizing::new(Vec::with_capacity(CHARS));
        for char in text
            .chars()
            .filter(|char| !char.is_whitespace() && *char != '-')
        {
            values.push(value(char).ok_or(RecoveryKeyError::Character(char))?);
        }
        if values.len() != CHARS {
            return Err(RecoveryKeyError::Length(values.len()));
        }
        let (key, checksum) = values.split_at(BYTES * 8 / BITS as usize);
        let key = Self(Secret::fill(|bytes| {
            for (eight, five) in key.chunks_exact(8).zip(bytes.chunks_exact_mut(5)) {
                let bits = eight
                    .iter()
                    .fold(0_u64, |bits, value| bits << BITS | u64::from(*value));
                let [_, _, _, bytes @ ..] = bits.to_be_bytes();
                five.copy_from_slice(&bytes);
            }
        }));
        match *checksum == key.checksum() {
            true => Ok(key),
            false => Err(RecoveryKeyError::Checksum),
        }
    }

    /// Nine groups of four characters, to be written down.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CHARS + CHARS / GROUP));
        let mut push = |value: u8| {
            if !text.is_empty() && (text.len() + 1).is_multiple_of(GROUP + 1) {
                text.push('-');
            }
            let char = ALPHABET.get(usize::from(value)).copied();
            text.push(char.unwrap_or_default().into());
        };
        for five in self.0.expose().chunks_exact(5) {
            let bits = five
                .iter()
                .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8)
                .rev()
                .for_each(|at| push((bits >> (BITS * at)) as u8 & 31));
        }
        self.checksum().into_iter().for_each(push);
        text
    }

    /// From stored bytes.
    pub fn from_secret(secret: Secret<BYTES>) -> Self {
        Self(secret)
    }

    /// Its bytes, to be stored until the person has written the key down.
    pub fn to_secret(&self) -> Secret<BYTES> {
        Secret::copy_of(self.0.expose())
    }

    /// The secret that it is.
    pub(crate) fn secret(&self) -> &[u8; BYTES] {
        self.0.expose()
    }

    /// The first 20 bits of H(lbl("rk") ‖ key).
    fn checksum(&self) -> [u8; 4] {
        let [a, b, c, ..] = labelled("rk", &[self.0.expose()]);
        let bits = u32::from_be_bytes([0, a, b, c]) >> 4;
        [15, 10, 5, 0].map(|shift| (bits >> shift) as u8 & 31)
    }
}

fn value(char: char) -> Option<u8> {
    let char = match char.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        char => char,
    };
    let at = ALPHABET
        .iter()
        .position(|known| char::from(*known) == char)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(bytes: [u8; BYTES]) -> RecoveryKey {
        RecoveryKey(Secret::from_bytes(bytes))
    }

    proptest! {
        #[test]
        fn what_is_written_down_comes_back(bytes: [u8; BYTES]) {
            let text = key(bytes).text();
            prop_assert_eq!(text.len(), 44);
            prop_assert!(text.split('-').all(|group| group.len() == 4));
            let lower = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            for typed in [text.to_string(), lower, text.replace('1', "I")] {
                let parsed = RecoveryKey::parse(&typed).unwrap();
                prop_assert_eq!(parsed.secret(), &bytes);
            }
        }
    }

    /// As another implementation has them (`tests/vectors/generate.py`).
    #[test]
    fn texts_are_those_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/people.json")).unwrap();
        let vectors = vectors["recovery_keys"].as_object().unwrap();
        assert_eq!(vectors.len(), 3);
        for (secret, text) in vectors {
            let secret = hex::decode(secret).unwrap().try_into().unwrap();
            assert_eq!(key(secret).text().as_str(), text);
        }
    }

    #[test]
    fn every_wrong_character_is_found() {
        let text = key([7; BYTES]).text();
        for (at, right) in text.bytes().enumerate().filter(|(_, right)| *right != b'-') {
            for wrong in ALPHABET.iter().filter(|wrong| **wrong != right) {
                let mut typed = text.to_string().into_bytes();
                typed[at] = *wrong;
                let typed = String::from_utf8(typed).unwrap();
                let error = RecoveryKey::parse(&typed).err();
                assert_eq!(error, Some(RecoveryKeyError::Checksum), "{typed}");
            }
        }
    }

    #[test]
    fn what_is_none_says_why() {
        let text = key([7; BYTES]).text();
        let error = |typed: &str| RecoveryKey::parse(typed).err();
        assert_eq!(error(""), Some(RecoveryKeyError::Length(0)));
        assert_eq!(error(&text[1..]), Some(RecoveryKeyError::Length(35)));
        assert_eq!(
            error(&format!("{}0", *text)),
            Some(RecoveryKeyError::Length(37))
        );
        assert_eq!(
            error(&text.replacen('-', "u", 1)),
            Some(RecoveryKeyError::Character('u'))
        );
        assert_eq!(
            error(&text.replacen('-', "é", 1)),
            Some(RecoveryKeyError::Character('é'))
        );
    }
}
