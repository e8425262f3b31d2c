//! One line in the log where thousands of messages, or of wakes, meet the same trouble.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long the same is not said again.
const SILENCE: Duration = Duration::from_secs(60);
/// Different troubles of a minute.
const MOST: usize = 32;

/// What was said by this process.
#[cfg(feature = "cluster")]
static SAID: std::sync::LazyLock<Said> = std::sync::LazyLock::new(Said::default);

/// Says it as a warning, unless it was said in the last minute.
#[cfg(feature = "cluster")]
pub(crate) fn warn(what: &str) {
    if SAID.first(what) {
        tracing::warn!("{what} (said once a minute)");
    }
}

/// What was said lately.
#[derive(Default)]
pub(crate) struct Said(Mutex<HashMap<String, Instant>>);

impl Said {
    /// Whether to say it: it was not said in the last minute.
    pub(crate) fn first(&self, what: &str) -> bool {
        // Nothing panics while it is held.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        said.retain(|_, at| now < *at + SILENCE);
        if said.contains_key(what) || said.len() >= MOST {
            return false;
        }
        said.insert(what.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_and_a_flood_is_bounded() {
        let said = Said::default();
        assert!(said.first("one"));
        assert!(!said.first("one"));
        assert!(said.first("two"));
        let more = (0..1000).filter(|n| said.first(&n.to_string()));
        assert_eq!(more.count(), MOST - 2);
    }
}
