//! How many prekeys one user may claim of another: one-time keys are few, and whoever takes them all weakens the rest.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sordino_protocol::UserId;

const WINDOW_MS: u64 = 60 * 60 * 1000;

type Pair = (UserId, UserId);

/// Claims per requester and target, in windows of an hour.
///
/// A flood of pairs pushes the least used out, and gives their requesters a new quota. To refuse instead would let a few
/// accounts keep everyone from beginning a conversation; and whoever has accounts for such a flood can take a user's
/// one-time keys within the quotas of all of them.
pub struct ClaimQuota {
    windows: Mutex<Windows>,
    bundles: usize,
    /// Pairs of a generation.
    generation: usize,
}

/// Two generations: what was not used while the young one filled up is forgotten.
#[derive(Default)]
struct Windows {
    young: HashMap<Pair, Window>,
    old: HashMap<Pair, Window>,
}

#[derive(Default)]
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
            generation: (capacity / 2).max(1),
        }
    }

    /// Whether `requester` may take this many of `target` now; counts them if so.
    pub fn take(&self, requester: UserId, target: UserId, bundles: usize, now_ms: u64) -> bool {
        // Nothing panics between two steps on the maps.
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.of((requester, target), self.generation);
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

impl Windows {
    fn of(&mut self, pair: Pair, generation: usize) -> &mut Window {
        let known = self.old.remove(&pair);
        if self.young.len() >= generation && !self.young.contains_key(&pair) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young
            .entry(pair)
            .or_insert_with(|| known.unwrap_or_default())
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
    fn a_flood_of_pairs_is_bounded_and_locks_nobody_out() {
        let quota = ClaimQuota::new(1, 8);
        for target in 10..=250 {
            assert!(quota.take(user(1), user(target), 1, 0));
            let windows = quota.windows.lock().expect("whole");
            assert!(windows.young.len() + windows.old.len() <= 8);
        }
        assert!(quota.take(user(2), user(3), 1, 0));
        assert!(!quota.take(user(2), user(3), 1, 0));
    }

    #[test]
    fn a_pair_that_goes_on_claiming_is_not_forgotten_in_a_flood() {
        let quota = ClaimQuota::new(1, 8);
        assert!(quota.take(user(2), user(3), 1, 0));
        for target in 10..=250 {
            assert!(quota.take(user(1), user(target), 1, 0));
            assert!(!quota.take(user(2), user(3), 1, 0));
        }
    }
}
