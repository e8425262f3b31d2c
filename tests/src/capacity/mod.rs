//! What a whole cluster on one machine carries: `cargo xtask bench stack`.
//!
//! Every service, the relay nodes, HAProxy and the clients share the machine's cores, so its figures are a floor. Beside them
//! stands what Kafka and Cassandra do alone on the same cores in the same run.

pub mod ceiling;
pub mod cell;
pub mod herd;
pub mod report;
pub mod rest;

use crate::load;

/// Why a measurement cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster.
    #[error(transparent)]
    Stack(#[from] sordino_stack::Error),
    /// The clients.
    #[error(transparent)]
    Load(#[from] load::Error),
    /// A tool, a file, a store.
    #[error("{0}")]
    Failed(String),
}

/// Short for the errors of this module.
pub type Result<T> = std::result::Result<T, Error>;

fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Error {
    move |error| Error::Failed(format!("{what}: {error}"))
}

fn no_front() -> Error {
    Error::Failed("the cluster has no HAProxy".to_owned())
}
