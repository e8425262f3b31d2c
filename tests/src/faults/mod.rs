//! The parts of a cluster die, hang and come back while people talk over it.
//!
//! [`people`] are clients, processes of their own, each behind a [`front`] that spreads connections over the relay nodes and
//! can spoil them. [`matrix`] lists the faults, [`scene`] does them to a stack of real servers; [`run`] does one after another
//! and waits until traffic flows again. What was lost, doubled or reordered is judged at the end by the judge of the delivery
//! contract ([`crate::contract::check`]); [`report`] counts it by fault.

pub mod address;
pub mod front;
pub mod matrix;
pub mod people;
pub mod report;
pub mod run;
pub mod scene;

/// Why a run could not go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
