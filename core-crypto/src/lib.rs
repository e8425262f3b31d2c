//! The cryptography of Sordino, without I/O, clock or storage: callers bring randomness, time and stored bytes.

mod kdf;
mod padding;
mod secret;

pub mod keys;
pub mod lists;
pub mod message;

pub use secret::Secret;
