//! Notification: waking devices that sleep, so that they fetch what waits for them.

pub mod fcm;
mod provider;

pub use self::provider::{Outcome, Push};
