//! OPAQUE ([RFC 9807](https://www.rfc-editor.org/rfc/rfc9807)): a person proves that they know a password, and the relay learns
//! nothing that it could try passwords on but by running the protocol's own record through Argon2id, one guess at a time.
//!
//! Suite: ristretto255-SHA512, 3DH, HKDF- and HMAC-SHA-512, Argon2id with 64 MiB, 3 passes and one lane. `opaque-ke` builds on an
//! earlier generation of the cryptographic crates than everything else here: none of its types leave this crate.

mod client;
mod derived;
pub mod noted;
mod server;
mod suite;
#[cfg(test)]
mod tests;

pub use client::{LoggedIn, Login, LoginError, Registered, Registration};
use hkdf::Hkdf;
pub use server::{Attempt, Server};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a device adds to the last message of a login, so that nobody who reads that message can put another device in its place:
/// HKDF(no salt, session key, lbl("password device") ‖ device 16 ‖ DSK 32, 32).
#[must_use]
pub fn confirmation(session_key: &Key, device: &[u8; 16], signing_key: &[u8; 32]) -> [u8; 32] {
    let info = [b"sordino/1/password device".as_slice(), device, signing_key].concat();
    let mut out = [0; 32];
    let expanded = Hkdf::<Sha256>::new(None, session_key.as_slice()).expand(&info, &mut out);
    debug_assert!(expanded.is_ok(), "32 bytes are few");
    out
}

/// Whether `given` is that, in constant time.
#[must_use]
pub fn is_confirmed(
    session_key: &Key,
    device: &[u8; 16],
    signing_key: &[u8; 32],
    given: &[u8],
) -> bool {
    noted::step("is_confirmed");
    confirmation(session_key, device, signing_key)
        .ct_eq(given)
        .into()
}

/// 64 secret bytes: the export key, which only the password yields, or the session key that both sides share after a login.
pub type Key = Zeroizing<[u8; 64]>;

/// Whom a password is for. Bound to everything, so that no answer of one relay serves at another.
#[derive(Debug, Clone, Copy)]
pub struct Realm<'a> {
    /// The relay's name.
    pub relay: &'a str,
    /// The user's name. It never changes.
    pub username: &'a str,
}

/// Bytes that are no message of the protocol, or not the one that belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no message of OPAQUE")]
pub struct Malformed;
