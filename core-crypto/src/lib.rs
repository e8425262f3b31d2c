//! The cryptography of Sordino, without I/O, clock or storage: callers bring randomness, time and stored bytes.

mod kdf;
mod mlkem;
mod padding;
mod secret;

pub mod keys;
pub mod lists;
pub mod message;
pub mod pqxdh;
pub mod prekeys;
pub mod receive;
pub mod rollback;
pub mod sending;
pub mod session;
pub mod sessions;

pub use secret::Secret;

#[cfg(test)]
mod wycheproof_tests;
