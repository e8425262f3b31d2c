//! Delivery: takes records off the log in its order, sequences them, persists them, and tells the devices.
//!
//! [`apply`] decides, without I/O. [`embedded`] carries it out on the embedded stores.

pub mod apply;
mod cache;
pub mod embedded;
mod group;
mod publish;
