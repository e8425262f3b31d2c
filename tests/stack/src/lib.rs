//! The servers of a Sordino cluster on one Linux machine, without containers: PostgreSQL, Redis, Kafka, Cassandra, HAProxy and
//! relay nodes, each a process of its own with a data directory, a log, a pid file, a health check and a port.
//!
//! ```no_run
//! # fn main() -> Result<(), sordino_stack::Error> {
//! use sordino_stack::{Plan, Silent};
//! let plan = Plan::new("target/stack/test".as_ref())?.base_port(17_400);
//! let addresses = sordino_stack::up(&plan, &mut Silent)?;
//! println!("{}", addresses.postgres);
//! sordino_stack::down(&plan.dir, &mut Silent)?;
//! # Ok(()) }
//! ```
//!
//! Everything lies below [`Plan::dir`]: `stack.json` (the plan), `data/`, `etc/` (configuration), `logs/`, `run/` (pid files). The
//! processes outlive the program that started them. Everything listens on loopback addresses only and is meant for development
//! and tests.

mod address;
mod classpath;
mod down;
mod error;
mod fault;
mod measure;
mod packages;
mod pid;
mod place;
mod plan;
mod probe;
mod process;
mod progress;
mod service;
mod status;
mod up;

pub use address::Addresses;
pub use down::{down, wipe};
pub use error::Error;
pub use fault::Stack;
pub use measure::Usage;
pub use packages::{Program, ensure};
pub use plan::{Balance, Detour, Plan, Relays};
pub use progress::{Event, Progress, Silent};
pub use service::relay::{CASSANDRA_LOGIN, KEYSPACE};
pub use status::{Health, Row, log, status};
pub use up::up;
