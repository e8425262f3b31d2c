//! One line in the log where each of thousands of wakes is refused.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long the same is not said again.
const SILENCE: Duration = Duration::from_secs(60);

/// Says what is wrong with the configuration, once in a while.
#[derive(Default)]
pub(super) struct Alarm(Mutex<Option<(Instant, String)>>);

impl Alarm {
    pub(super) fn raise(&self, why: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((at, before)) = &*said
            && before == why
            && now < *at + SILENCE
        {
            return;
        }
        *said = Some((now, why.to_owned()));
        tracing::error!(
            "sleeping devices are not woken, the push provider refuses: {why}; see docs/operations.md, Notification"
        );
    }
}
