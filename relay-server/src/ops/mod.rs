//! What an operator relies on: bounded connections, rates, time limits, health, metrics, an orderly end.

pub mod accept;
pub mod admin;
pub mod certificate;
pub mod client;
pub mod drain;
pub mod files;
pub mod fleet;
mod half_open;
pub mod metrics;
mod process;
pub mod rates;
pub mod request;
pub(crate) mod said;
mod stream;
pub mod tls;
