//! Who is calling: a device proves itself by its signing key, once per token and once per write.
//!
//! Nothing here asks whether the device is still on its owner's newest list: every caller does, for each request.

pub mod block_key;
pub mod challenge;
pub mod invite;
pub mod issuer;
mod key_file;
pub mod password;
pub mod proof;
pub mod signing_key;
pub mod token;
