//! Delivery: takes records off the log in its order, sequences them, persists them, and tells the devices.
//!
//! [`apply`] decides, without I/O. [`embedded`] carries it out on the embedded stores, `cluster` on Kafka and Cassandra.

pub mod apply;
mod cache;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod embedded;
mod group;
mod publish;
