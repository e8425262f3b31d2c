//! End-to-end encrypted one-to-one messaging: the Sordino client.

pub mod sync;
