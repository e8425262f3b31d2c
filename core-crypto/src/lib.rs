//! The cryptography of Sordino, without I/O, clock or storage: callers bring randomness, time and stored bytes.

mod secret;

pub mod keys;
pub mod lists;

pub use secret::Secret;
