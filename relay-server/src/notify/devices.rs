//! What is known of the devices that were woken lately. All of it may be lost: then one is woken once more.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sordino_protocol::{ConversationId, DeviceId, UserId};
use tokio::time::Instant;

/// A device of a user.
pub(super) type Device = (UserId, DeviceId);

/// What became of a device's last wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The provider took it.
    Woken {
        at: Instant,
        conversation: ConversationId,
        /// What it was woken for; once it acknowledges this, it has woken up.
        seq: u64,
    },
    /// On its way to the provider.
    UnderWay { at: Instant, tries: Tries },
    /// The provider would not take it before `until`.
    Later { until: Instant, tries: Tries },
    /// The provider refused it: nothing more is sent before `until`.
    Refused { until: Instant },
}

/// How often was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) first: Instant,
    pub(super) failed: u32,
}

impl Tries {
    /// Of which none has failed yet.
    pub(super) fn first(now: Instant) -> Self {
        Self {
            first: now,
            failed: 0,
        }
    }
}

/// Devices woken lately.
pub(super) struct Devices {
    window: Duration,
    capacity: usize,
    known: Mutex<HashMap<Device, Known>>,
}

/// A wake under way that is older has ended without a word.
const LOST: Duration = Duration::from_secs(120);

impl Devices {
    pub(super) fn new(window: Duration, capacity: usize) -> Self {
        Self {
            window,
            capacity,
            known: Mutex::default(),
        }
    }

    /// What still counts.
    pub(super) fn of(&self, device: Device, now: Instant) -> Option<Known> {
        let known = self.known().get(&device).copied();
        known.filter(|known| self.counts(known, now))
    }

    fn counts(&self, known: &Known, now: Instant) -> bool {
        match known {
            Known::Woken { at, .. } => now < *at + self.window,
            Known::UnderWay { at, .. } => now < *at + LOST,
            // For the number of tries.
            Known::Later { until, .. } => now < *until + LOST,
            Known::Refused { until } => now < *until,
        }
    }

    /// Begins a wake, if what is known of the device is still `seen`: of two that look at the same time one goes on.
    pub(super) fn begin(&self, device: Device, seen: Option<Known>, now: Instant) -> Option<Tries> {
        let mut known = self.known();
        let found = known.get(&device).copied();
        if found.filter(|found| self.counts(found, now)) != seen {
            return None;
        }
        let tries = match seen {
            Some(Known::Later { tries, .. }) => tries,
            _ => Tries::first(now),
        };
        if known.len() >= self.capacity {
            known.retain(|_, known| self.counts(known, now));
            if known.len() >= self.capacity {
                // Costs wakes that are not needed, and no memory.
                known.clear();
            }
        }
        known.insert(device, Known::UnderWay { at: now, tries });
        Some(tries)
    }

    /// A wake has ended; `None`: nothing is to be remembered of it.
    pub(super) fn end(&self, device: Device, now: Option<Known>) {
        let mut known = self.known();
        match now {
            Some(now) => known.insert(device, now),
            None => known.remove(&device),
        };
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Device, Known>> {
        // Nothing between two changes panics.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u8) -> Device {
        (UserId::from_bytes([n; 16]), DeviceId::from_bytes([n; 16]))
    }

    fn woken(at: Instant) -> Known {
        Known::Woken {
            at,
            conversation: ConversationId::from_bytes([1; 16]),
            seq: 7,
        }
    }

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn one_of_two_goes_on_and_what_is_old_does_not_count() {
        let (devices, now) = (Devices::new(WINDOW, 4), Instant::now());
        let begin = |seen, now| devices.begin(device(1), seen, now).is_some();
        assert_eq!(devices.of(device(1), now), None);
        assert!(begin(None, now));
        assert!(!begin(None, now));
        let known = woken(now);
        devices.end(device(1), Some(known));
        assert_eq!(devices.of(device(1), now), Some(known));
        assert!(!begin(None, now));
        let now = now + WINDOW;
        assert_eq!(devices.of(device(1), now), None);
        assert!(begin(None, now));
        // Whoever began it is gone.
        assert!(!begin(None, now + LOST / 2));
        assert!(begin(None, now + LOST));
    }

    #[test]
    fn tries_are_counted_until_one_succeeds() {
        let (devices, now) = (Devices::new(WINDOW, 4), Instant::now());
        let begin = |seen, now| devices.begin(device(1), seen, now);
        let tries = begin(None, now).expect("begun");
        let until = now + Duration::from_secs(9);
        let later = Known::Later {
            until,
            tries: Tries { failed: 1, ..tries },
        };
        devices.end(device(1), Some(later));
        let again = begin(Some(later), until).expect("begun");
        assert_eq!((again.failed, again.first), (1, now));
        devices.end(device(1), None);
        assert_eq!(begin(None, until).map(|tries| tries.failed), Some(0));
    }

    #[test]
    fn a_flood_of_devices_takes_no_more_memory() {
        let (devices, now) = (Devices::new(WINDOW, 4), Instant::now());
        for n in 0..100 {
            assert!(devices.begin(device(n), None, now).is_some());
            devices.end(device(n), Some(woken(now)));
            assert!(devices.known().len() <= 4);
        }
    }
}
