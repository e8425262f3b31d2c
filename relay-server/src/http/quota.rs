//! How many prekeys one user may claim of another: one-time keys are few, and whoever takes them all weakens the rest.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sordino_protocol::UserId;

const WINDOW_MS: u64 = 60 * 60 * 1000;

/// Claims per requester and target, in windows of an hour.
pub struct ClaimQuota {
    windows: Mutex<HashMap<(UserId, UserId), Window>>,
    bundles: usize,
    capacity: usize,
}

struct Window {
    ends_ms: u64,
    taken: usize,
}

impl ClaimQuota {
    /// `bundles` in an hour, counted for at most `capacity` pairs at a time.
    pub fn new(bundles: usize, capacity: usize) -> Self {
        Self {
            windows: Mutex::default(),
            bundles,
            capacity,
        }
    }

    /// Whether `requester` may take this many of `target` now; counts them if so.
    pub fn take(&self, requester: UserId, target: UserId, bundles: usize, now_ms: u64) -> bool {
        // Nothing panics between two steps on the map.
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (requester, target);
        if windows.len() >= self.capacity && !windows.contains_key(&key) {
            windows.retain(|_, window| window.ends_ms > now_ms);
            // Pushing one out would give its requester a new quota.
            if windows.len() >= self.capacity {
                return false;
            }
        }
        let window = windows.entry(key).or_insert(Window {
            ends_ms: 0,
            taken: 0,
        });
        if window.ends_ms <= now_ms {
            window.ends_ms = now_ms.saturating_add(WINDOW_MS);
            window.taken = 0;
        }
        let taken = window.taken.saturating_add(bundles);
        if taken > self.bundles {
            return false;
        }
        window.taken = taken;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(seed: u8) -> UserId {
        UserId::from_bytes([seed; 16])
    }

    #[test]
    fn it_counts_per_pair_and_begins_again_after_an_hour() {
        let quota = ClaimQuota::new(3, 8);
        assert!(quota.take(user(1), user(2), 2, 0));
        assert!(!quota.take(user(1), user(2), 2, 1));
        assert!(quota.take(user(1), user(2), 1, 1));
        assert!(!quota.take(user(1), user(2), 1, WINDOW_MS - 1));
        assert!(quota.take(user(1), user(3), 3, 1));
        assert!(quota.take(user(2), user(1), 3, 1));
        assert!(quota.take(user(1), user(2), 3, WINDOW_MS));
    }

    #[test]
    fn a_flood_of_pairs_is_bounded_and_frees_nobody() {
        let quota = ClaimQuota::new(1, 2);
        assert!(quota.take(user(1), user(2), 1, 0));
        assert!(quota.take(user(1), user(3), 1, 0));
        assert!(!quota.take(user(1), user(4), 1, 0));
        assert!(!quota.take(user(1), user(2), 1, 0));
        assert!(quota.take(user(1), user(4), 1, WINDOW_MS));
    }
}
