//! The door of a push provider.

use std::time::Duration;

use async_trait::async_trait;

/// What became of one wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has taken it.
    Sent,
    /// The provider says that this token is gone for good.
    Dead,
    /// Not now: not before this time, or, if it names none, after a while that grows.
    Later(Option<Duration>),
    /// It says no, and would say so again: configuration, not the token, is at fault. The text is for the operator and names
    /// no token.
    Refused(String),
}

/// One provider.
#[async_trait]
pub trait Push: Send + Sync + 'static {
    /// Sends one wake without content to the app behind `token`. Bounded in time.
    async fn wake(&self, token: &str) -> Outcome;
}
