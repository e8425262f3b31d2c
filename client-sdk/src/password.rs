//! A password: what a person types, in one form for all keyboards.

use std::fmt;

use sordino_protocol::Code;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::error::Error;

/// Below it every password is quickly tried by who has the relay's key (NIST SP 800-63B).
const LEAST: usize = 8;
/// Nobody types more, and Argon2id is run on all of it.
const MOST_BYTES: usize = 1024;

/// What opens the vault on a new device, beside the recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VaultPolicy {
    /// Nothing: a new phone logs in by password, and then needs the recovery key or an old device.
    #[default]
    RecoveryKey,
    /// The password, too. *Who runs the relay can try to guess it offline*, and with it read everything that is in the vault and
    /// the backup: only strong passwords are taken.
    PasswordToo,
}

/// A password, for [`Client::register`](crate::Client::register) and [`Client::login`](crate::Client::login). It never leaves the
/// device. Wiped when dropped, and not printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// What the person typed. In the form of RFC 8265 (`OpaqueString`): keyboards write the same letter in different ways.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        // Enough for any form of it: a buffer that grows leaves what it held behind.
        let mut text = Zeroizing::new(String::with_capacity(typed.len().saturating_mul(4)));
        let space = |c: char| match c {
            '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}' => ' ',
            other => other,
        };
        text.extend(typed.chars().map(space).nfc());
        Self(text)
    }

    /// As OPAQUE takes it.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether it may open a vault that is written now, as at the sign-up.
    pub(crate) fn may_open(&self, policy: VaultPolicy, username: &str) -> bool {
        policy == VaultPolicy::PasswordToo && self.check(policy, username).is_ok()
    }

    /// Refuses what is easily guessed.
    pub(crate) fn check(&self, policy: VaultPolicy, username: &str) -> Result<(), Error> {
        let weak = |why: &str| Err(Error::new(Code::WeakPassword, why));
        if self.0.chars().count() < LEAST {
            return weak("it has fewer than 8 characters");
        }
        if self.0.len() > MOST_BYTES {
            return weak("it has more than 1024 bytes");
        }
        if self.0.eq_ignore_ascii_case(username) {
            return weak("it is the user name");
        }
        if policy == VaultPolicy::PasswordToo {
            let found = zxcvbn::zxcvbn(&self.0, &[username]);
            if found.score() < zxcvbn::Score::Four {
                return weak("it opens the vault, and could be guessed");
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyboard_writes_the_same() {
        let composed = Password::new("caf\u{e9} au lait");
        let decomposed = Password::new("cafe\u{301}\u{a0}au lait");
        assert_eq!(composed.bytes(), decomposed.bytes());
        assert_ne!(composed.bytes(), Password::new("cafe au lait").bytes());
        assert_eq!(format!("{composed:?}"), "Password");
    }

    #[test]
    fn what_is_easily_guessed_is_refused() {
        let code = |text: &str, policy| {
            let checked = Password::new(text).check(policy, "alexandra");
            checked.err().map(|error| error.code())
        };
        let weak = Some(Code::WeakPassword);
        for text in ["", "1234567", "Alexandra", &"x".repeat(1025)] {
            assert_eq!(code(text, VaultPolicy::RecoveryKey), weak, "{text}");
        }
        assert_eq!(code("password", VaultPolicy::RecoveryKey), None);
        assert_eq!(code("password", VaultPolicy::PasswordToo), weak);
        assert_eq!(code("alexandra1", VaultPolicy::PasswordToo), weak);
        let strong = "gravel-otter-lantern-nine";
        assert_eq!(code(strong, VaultPolicy::PasswordToo), None);
    }
}
