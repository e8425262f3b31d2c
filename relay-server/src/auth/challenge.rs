//! Nonces to sign, each good for one device, once, within a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sordino_protocol::{DeviceId, UserId};

/// How long a challenge may be answered.
pub const LIFETIME_MS: u64 = 60_000;

/// The challenges that are open.
pub struct Challenges {
    open: Mutex<HashMap<[u8; 32], Challenge>>,
    capacity: usize,
}

struct Challenge {
    user: UserId,
    device: DeviceId,
    expires_ms: u64,
}

impl Challenges {
    /// At most `capacity` are open at a time.
    pub fn new(capacity: usize) -> Self {
        Self {
            open: Mutex::default(),
            capacity,
        }
    }

    /// A new nonce; `None` when too many are open. Open ones are never pushed out: whoever floods the relay would push
    /// out everybody else's.
    pub fn issue(&self, user: UserId, device: DeviceId, now_ms: u64) -> Option<[u8; 32]> {
        let mut open = self.open();
        if open.len() >= self.capacity {
            open.retain(|_, challenge| challenge.expires_ms > now_ms);
        }
        if open.len() >= self.capacity {
            return None;
        }
        let nonce = rand::random();
        let challenge = Challenge {
            user,
            device,
            expires_ms: now_ms.saturating_add(LIFETIME_MS),
        };
        open.insert(nonce, challenge);
        Some(nonce)
    }

    /// Takes the nonce out. Whether it was open for this device: if not, it is gone all the same.
    pub fn redeem(&self, nonce: &[u8; 32], user: UserId, device: DeviceId, now_ms: u64) -> bool {
        self.open().remove(nonce).is_some_and(|challenge| {
            challenge.user == user && challenge.device == device && challenge.expires_ms > now_ms
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<[u8; 32], Challenge>> {
        // Nothing panics between two steps on the map.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId::from_bytes([1; 16]);
    const DEVICE: DeviceId = DeviceId::from_bytes([2; 16]);

    #[test]
    fn a_nonce_is_good_once() {
        let challenges = Challenges::new(4);
        let nonce = challenges.issue(USER, DEVICE, 0).expect("room");
        assert!(challenges.redeem(&nonce, USER, DEVICE, LIFETIME_MS - 1));
        assert!(!challenges.redeem(&nonce, USER, DEVICE, LIFETIME_MS - 1));
    }

    #[test]
    fn a_nonce_is_good_for_a_minute() {
        let challenges = Challenges::new(4);
        let nonce = challenges.issue(USER, DEVICE, 0).expect("room");
        assert!(!challenges.redeem(&nonce, USER, DEVICE, LIFETIME_MS));
    }

    #[test]
    fn a_nonce_is_good_for_its_device_only() {
        let challenges = Challenges::new(4);
        let nonce = challenges.issue(USER, DEVICE, 0).expect("room");
        assert!(!challenges.redeem(&nonce, USER, DeviceId::from_bytes([3; 16]), 1));
        let nonce = challenges.issue(USER, DEVICE, 0).expect("room");
        assert!(!challenges.redeem(&nonce, UserId::from_bytes([3; 16]), DEVICE, 1));
    }

    #[test]
    fn a_flood_pushes_nobody_out_and_passes_with_time() {
        let challenges = Challenges::new(2);
        let first = challenges.issue(USER, DEVICE, 0).expect("room");
        assert!(challenges.issue(USER, DEVICE, 0).is_some());
        assert_eq!(challenges.issue(USER, DEVICE, 1), None);
        assert!(challenges.redeem(&first, USER, DEVICE, 1));
        assert!(challenges.issue(USER, DEVICE, LIFETIME_MS).is_some());
        assert!(challenges.issue(USER, DEVICE, LIFETIME_MS).is_some());
        assert_eq!(challenges.issue(USER, DEVICE, LIFETIME_MS), None);
    }
}
