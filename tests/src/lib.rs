//! What crosses Sordino's crates: the load generator here, end-to-end tests beside it.

pub mod load;
