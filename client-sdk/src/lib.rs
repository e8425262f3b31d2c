//! End-to-end encrypted one-to-one messaging: the Sordino client.

mod error;
#[doc(hidden)]
pub mod machine;
pub mod store;
pub mod sync;

pub use error::Error;
pub use sordino_protocol::{Blame, Code, Retry};
