//! The cryptography of Sordino, without I/O, clock or storage: callers bring randomness, time and stored bytes.

mod committing;
mod hpke;
mod kdf;
mod mlkem;
mod padding;
mod secret;

pub mod backup;
pub mod keys;
pub mod link;
pub mod lists;
pub mod message;
pub mod pqxdh;
pub mod prekeys;
pub mod receive;
pub mod recovery;
pub mod rollback;
pub mod safety;
pub mod sending;
pub mod session;
pub mod sessions;
pub mod signal;
pub mod vault;

pub use secret::Secret;

#[cfg(test)]
mod wycheproof_tests;
