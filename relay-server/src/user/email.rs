//! E-mail addresses: where the operator may reach a person. The relay writes to none of them, and nobody has shown that it is theirs.

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};
use unicode_normalization::UnicodeNormalization;

/// Longest address, in bytes (RFC 5321), and the shortest that has something on both sides.
const BYTES: std::ops::RangeInclusive<usize> = 3..=254;

/// What looks like an address.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads one: its letters are composed, and its domain in small letters. `None` for what is none.
    pub fn parse(typed: &str) -> Option<Self> {
        // Before work is done for it.
        if !BYTES.contains(&typed.len()) {
            return None;
        }
        let (local, domain) = typed.split_once('@')?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return None;
        }
        let address: String = format!("{local}@{}", domain.to_lowercase()).nfc().collect();
        // Of what was composed: it may have become longer.
        let good = BYTES.contains(&address.len()) && !address.chars().any(is_odd);
        good.then_some(Self(address))
    }

    /// As it was given.
    pub fn address(&self) -> &str {
        &self.0
    }

    /// What it is compared by: of two addresses that differ in the case of letters one is taken.
    pub fn folded(&self) -> String {
        self.0.to_lowercase().nfc().collect()
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email")
    }
}

/// What nobody has in an address, or would see in one: two that look alike could both be taken, or an operator's terminal be written to.
fn is_odd(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        // Marks of annotations, and a blank among the Braille patterns.
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{2800}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Option<(String, String)> {
        let email = Email::parse(typed)?;
        Some((email.address().to_owned(), email.folded()))
    }

    #[test]
    fn what_looks_like_an_address_is_read_in_one_form() {
        for (typed, address, folded) in [
            ("a@b", "a@b", "a@b"),
            (
                "Ann.Lee@Example.ORG",
                "Ann.Lee@example.org",
                "ann.lee@example.org",
            ),
            (
                "Zoe\u{308}@bu\u{308}ro.example",
                "Zo\u{eb}@b\u{fc}ro.example",
                "zo\u{eb}@b\u{fc}ro.example",
            ),
            (
                "o'neil+chat@[192.0.2.1]",
                "o'neil+chat@[192.0.2.1]",
                "o'neil+chat@[192.0.2.1]",
            ),
        ] {
            assert_eq!(read(typed), Some((address.to_owned(), folded.to_owned())));
            // What was read once is read as the same.
            assert_eq!(read(address), Some((address.to_owned(), folded.to_owned())));
        }
        let longest = format!("{}@example.org", "a".repeat(254 - 12));
        assert!(read(&longest).is_some());
        // Composing makes some letters longer.
        let grows = format!("{}@example.org", "\u{958}".repeat(80));
        assert!(grows.len() <= 254 && Email::parse(&grows).is_none());
        for wrong in [
            "",
            "@",
            "a@",
            "@b",
            "ab@",
            "ab",
            "a@b@c",
            "a b@c",
            "a@b\n",
            " a@b",
            "a@b\u{0}",
            "a\u{200b}@b",
            "a\u{202e}@b",
            "a@\u{feff}b",
            "\u{1b}[2J@b",
            "a\u{34f}@b",
            "a\u{115f}@b",
            "a\u{3164}@b",
            "a\u{ffa0}@b",
            "a\u{2800}@b",
            "a\u{fe0f}@b",
            "a@b\u{e0061}",
            "a@b\u{e0100}",
            "a\u{180e}@b",
            "a\u{ad}@b",
            &format!("a{longest}"),
            &"@".repeat(1 << 20),
        ] {
            assert_eq!(read(wrong), None, "{}", wrong.len());
        }
    }
}
