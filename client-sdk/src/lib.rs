//! The Sordino client.
