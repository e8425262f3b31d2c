//! Invites: secrets that an operator gives to people who may make an account. The relay keeps their hashes alone.

use sordino_protocol::hash::{self, Hash};
use zeroize::Zeroizing;

/// Crockford's base 32: no letter is taken for another.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Of five bits each: 160.
const LENGTH: usize = 32;
/// Letters that stand together.
const GROUP: usize = 4;

/// An invite that was just made.
pub struct InviteCode(Zeroizing<String>);

impl InviteCode {
    /// Another one.
    pub fn draw() -> Self {
        let drawn: Zeroizing<[u8; LENGTH]> = Zeroizing::new(rand::random());
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        // 256 is a multiple of 32: every letter is as likely as any other.
        let letters = drawn.iter().map(|byte| LETTERS.get(usize::from(byte % 32)));
        text.extend(letters.flatten().map(|letter| char::from(*letter)));
        Self(text)
    }

    /// Eight groups of four, to be handed on.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * LENGTH));
        for (at, letter) in self.0.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            text.push(letter);
        }
        text
    }

    /// What the relay keeps.
    pub fn hash(&self) -> Hash {
        hash::labelled("invite", &[self.0.as_bytes()])
    }
}

/// The hash of what somebody typed, if it could be an invite: case, spaces and hyphens do not matter, nor does O for 0, or I or L for 1.
pub fn invite_hash(typed: &str) -> Option<Hash> {
    if typed.len() > 4 * LENGTH {
        return None;
    }
    let mut text = Zeroizing::new(String::with_capacity(4 * LENGTH));
    for letter in typed.chars() {
        match letter.to_ascii_uppercase() {
            '-' | ' ' => {}
            'O' => text.push('0'),
            'I' | 'L' => text.push('1'),
            letter if letter.is_ascii() && LETTERS.contains(&(letter as u8)) => text.push(letter),
            _ => return None,
        }
    }
    (text.len() == LENGTH).then(|| hash::labelled("invite", &[text.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_on_is_read_however_it_is_typed() {
        let code = InviteCode::draw();
        let text = code.text();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4; 8]);
        let sloppy = text.to_lowercase().replace('-', " ").replace('1', "l");
        for typed in [&*text, &text.replace('-', ""), &sloppy.replace('0', "o")] {
            assert_eq!(invite_hash(typed), Some(code.hash()), "{typed}");
        }
        assert_ne!(InviteCode::draw().hash(), code.hash());
    }

    #[test]
    fn what_is_no_invite_has_no_hash() {
        let text = InviteCode::draw().text();
        for typed in [
            "",
            "U",
            &text[1..],
            &format!("{}0", *text),
            &text.replace('-', "_"),
        ] {
            assert_eq!(invite_hash(typed), None, "{typed}");
        }
        assert_eq!(invite_hash(&" ".repeat(1 << 20)), None);
        assert_eq!(invite_hash(&"é".repeat(32)), None);
    }

    #[test]
    fn the_hash_is_frozen() {
        let hash = invite_hash(&"0".repeat(32)).expect("an invite");
        assert_eq!(hash, hash::labelled("invite", &[&[b'0'; 32]]));
        let expected = "4c7329451cda8ba11b3ba79dde89d183d3f3d0b750947707fda7e0e195ce910d";
        assert_eq!(hex::encode(hash), expected);
    }
}
