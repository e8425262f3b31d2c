//! OPAQUE ([RFC 9807](https://www.rfc-editor.org/rfc/rfc9807)): a person proves that they know a password, and the relay learns
//! nothing that it could try passwords on but by running the protocol's own record through Argon2id, one guess at a time.
//!
//! Suite: ristretto255-SHA512, 3DH, HKDF- and HMAC-SHA-512, Argon2id with 64 MiB, 3 passes and one lane. `opaque-ke` builds on an
//! earlier generation of the cryptographic crates than everything else here: none of its types leave this crate.

mod client;
mod derived;
mod server;
mod suite;
#[cfg(test)]
mod tests;

pub use client::{LoggedIn, Login, LoginError, Registered, Registration};
pub use server::{Attempt, Server};
use zeroize::Zeroizing;

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
