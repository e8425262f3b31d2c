//! Nonces to sign, each good for one device, once, within a minute.
//!
//! A nonce carries what the relay must know of it, under a MAC: a flood of questions costs no memory and pushes nobody
//! out. Only a nonce whose answer was right is remembered, until it would have expired.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sordino_protocol::{DeviceId, UserId};
use zeroize::Zeroizing;

use super::{key_file, signing_key::TokenKey};

/// How long a challenge may be answered.
pub const LIFETIME_MS: u64 = 60_000;

/// When it ends u64 ‖ random 8: what the MAC covers, with user and device.
const STATED: usize = 16;

type Tag = [u8; 16];

/// What the key of all nodes is derived for.
const SHARED_KEY: &[u8] = b"sordino relay challenges v1";

/// Why a nonce is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// Not made here for this device, used, or too old.
    #[error("the challenge is unknown, used or too old")]
    Expired,
    /// More answers came within a minute than can be remembered.
    #[error("too many challenges were answered")]
    Full,
}

/// Makes challenges and takes each answer once.
pub struct Challenges {
    key: Zeroizing<[u8; 64]>,
    answered: Mutex<Answered>,
    capacity: usize,
}

/// Two generations: what is in the old one was answered at least a lifetime before that one is dropped.
#[derive(Default)]
struct Answered {
    young: HashSet<Tag>,
    old: HashSet<Tag>,
    since_ms: u64,
}

impl Challenges {
    /// Of this process alone: challenges do not outlive it, and so need not be remembered longer. At most `capacity` are
    /// answered within a lifetime.
    pub fn new(capacity: usize) -> Self {
        Self::keyed(capacity, Zeroizing::new(rand::random()))
    }

    /// Of all nodes that sign tokens with this key: what one asks another may take the answer of. Each remembers only what
    /// it took itself, and asks the fleet besides; see `docs/decisions/0021`.
    pub fn shared(capacity: usize, token_key: &TokenKey) -> Self {
        let derived = key_file::derive(token_key.expose(), SHARED_KEY);
        let mut key = Zeroizing::new([0; 64]);
        key.iter_mut()
            .zip(*derived)
            .for_each(|(to, from)| *to = from);
        Self::keyed(capacity, key)
    }

    fn keyed(capacity: usize, key: Zeroizing<[u8; 64]>) -> Self {
        Self {
            key,
            answered: Mutex::default(),
            capacity,
        }
    }

    /// A new nonce.
    pub fn issue(&self, user: UserId, device: DeviceId, now_ms: u64) -> [u8; 32] {
        let mut stated = [0; STATED];
        let expires_ms = now_ms.saturating_add(LIFETIME_MS);
        let (ends, random) = stated.split_at_mut(8);
        ends.copy_from_slice(&expires_ms.to_be_bytes());
        random.copy_from_slice(&rand::random::<[u8; 8]>());
        let tag = self.mac(&stated, user, device).finalize().into_bytes();
        let mut nonce = [0; 32];
        for (to, from) in nonce.iter_mut().zip(stated.iter().chain(&tag)) {
            *to = *from;
        }
        nonce
    }

    /// Whether the nonce was made for this device and has not expired. It may have been answered.
    pub fn stands(&self, nonce: &[u8; 32], user: UserId, device: DeviceId, now_ms: u64) -> bool {
        self.read(nonce, user, device, now_ms).is_some()
    }

    /// Takes the answer to a nonce, once. To be called when the answer is known to be right: what is remembered here
    /// must not be had for nothing.
    pub fn redeem(
        &self,
        nonce: &[u8; 32],
        user: UserId,
        device: DeviceId,
        now_ms: u64,
    ) -> Result<(), ChallengeError> {
        let tag = self
            .read(nonce, user, device, now_ms)
            .ok_or(ChallengeError::Expired)?;
        // Nothing panics between two steps on the sets.
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.forget(now_ms);
        if answered.young.contains(&tag) || answered.old.contains(&tag) {
            return Err(ChallengeError::Expired);
        }
        if answered.young.len() >= self.capacity {
            return Err(ChallengeError::Full);
        }
        answered.young.insert(tag);
        Ok(())
    }

    fn read(&self, nonce: &[u8; 32], user: UserId, device: DeviceId, now_ms: u64) -> Option<Tag> {
        let (stated, tag) = nonce.split_first_chunk::<STATED>()?;
        let tag: Tag = tag.try_into().ok()?;
        let (expires_ms, _) = stated.split_first_chunk()?;
        let left = u64::from_be_bytes(*expires_ms).checked_sub(now_ms)?;
        // One that ends later than it may was made before the clock went back.
        if left == 0 || left > LIFETIME_MS {
            return None;
        }
        let mac = self.mac(stated, user, device);
        mac.verify_truncated_left(&tag).ok()?;
        Some(tag)
    }

    fn mac(&self, stated: &[u8; STATED], user: UserId, device: DeviceId) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new((&*self.key).into());
        mac.update(stated);
        mac.update(user.as_bytes());
        mac.update(device.as_bytes());
        mac
    }
}

impl Answered {
    fn forget(&mut self, now_ms: u64) {
        // A clock that went back begins a generation anew, and drops none.
        self.since_ms = self.since_ms.min(now_ms);
        if now_ms - self.since_ms >= LIFETIME_MS {
            self.old = std::mem::take(&mut self.young);
            self.since_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId::from_bytes([1; 16]);
    const DEVICE: DeviceId = DeviceId::from_bytes([2; 16]);
    const EXPIRED: Result<(), ChallengeError> = Err(ChallengeError::Expired);

    #[test]
    fn a_nonce_is_good_once() {
        let challenges = Challenges::new(4);
        let nonce = challenges.issue(USER, DEVICE, 0);
        assert_eq!(challenges.redeem(&nonce, USER, DEVICE, 1), Ok(()));
        for now_ms in [1, 2, LIFETIME_MS - 1] {
            assert_eq!(challenges.redeem(&nonce, USER, DEVICE, now_ms), EXPIRED);
        }
    }

    #[test]
    fn nodes_of_one_key_take_each_others_challenges() {
        let key = |digit: &str| TokenKey::from_hex(&digit.repeat(64)).expect("a key");
        let node = |digit| Challenges::shared(4, &key(digit));
        let (one, other) = (node("a"), node("a"));
        let nonce = one.issue(USER, DEVICE, 0);
        assert_eq!(other.redeem(&nonce, USER, DEVICE, 1), Ok(()));
        assert_eq!(other.redeem(&nonce, USER, DEVICE, 1), EXPIRED);
        for stranger in [node("b"), Challenges::new(4)] {
            assert_eq!(stranger.redeem(&nonce, USER, DEVICE, 1), EXPIRED);
        }
    }

    #[test]
    fn the_shared_key_is_frozen() {
        let key = TokenKey::from_hex(&"0f".repeat(32)).expect("a key");
        let shared = Challenges::shared(4, &key);
        let expected = "88ac5243c77e7805e8df1a8a6d2a4e25788b3edb97a9e6cb484c092a0d8d8bca";
        assert_eq!(hex::encode(&shared.key[..32]), expected);
        assert_eq!(shared.key[32..], [0; 32]);
    }

    #[test]
    fn what_was_answered_late_is_remembered_until_it_expires() {
        for begun in (0..3 * LIFETIME_MS).step_by(7_919) {
            let challenges = Challenges::new(4);
            // Begins a generation at another time than the nonce under test.
            let other = challenges.issue(USER, DEVICE, begun);
            assert_eq!(challenges.redeem(&other, USER, DEVICE, begun), Ok(()));
            let nonce = challenges.issue(USER, DEVICE, 2 * LIFETIME_MS + 1);
            let answered = 2 * LIFETIME_MS + 2;
            assert_eq!(challenges.redeem(&nonce, USER, DEVICE, answered), Ok(()));
            for now_ms in (answered..4 * LIFETIME_MS).step_by(997) {
                assert_eq!(challenges.redeem(&nonce, USER, DEVICE, now_ms), EXPIRED);
            }
        }
    }

    #[test]
    fn a_nonce_is_good_for_a_minute() {
        let challenges = Challenges::new(4);
        let nonce = challenges.issue(USER, DEVICE, 1_000);
        assert_eq!(
            challenges.redeem(&nonce, USER, DEVICE, 1_000 + LIFETIME_MS),
            EXPIRED
        );
        assert_eq!(challenges.redeem(&nonce, USER, DEVICE, 999), EXPIRED);
        assert!(challenges.stands(&nonce, USER, DEVICE, 999 + LIFETIME_MS));
    }

    #[test]
    fn a_nonce_is_of_this_relay_for_its_device_as_it_is() {
        let challenges = Challenges::new(4);
        let nonce = challenges.issue(USER, DEVICE, 0);
        let other = [3; 16];
        for (user, device) in [
            (USER, DeviceId::from_bytes(other)),
            (UserId::from_bytes(other), DEVICE),
        ] {
            assert_eq!(challenges.redeem(&nonce, user, device, 1), EXPIRED);
        }
        assert!(!Challenges::new(4).stands(&nonce, USER, DEVICE, 1));
        for bit in 0..256 {
            let mut forged = nonce;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!challenges.stands(&forged, USER, DEVICE, 1), "bit {bit}");
        }
        assert!(challenges.stands(&nonce, USER, DEVICE, 1));
    }

    #[test]
    fn a_flood_of_questions_locks_nobody_out() {
        let challenges = Challenges::new(1);
        let first = challenges.issue(USER, DEVICE, 0);
        for _ in 0..10_000 {
            challenges.issue(USER, DEVICE, 0);
        }
        assert_eq!(challenges.redeem(&first, USER, DEVICE, 1), Ok(()));
    }

    #[test]
    fn a_flood_of_answers_is_bounded_and_passes_with_time() {
        let challenges = Challenges::new(2);
        let answer = |now_ms| {
            let nonce = challenges.issue(USER, DEVICE, now_ms);
            challenges.redeem(&nonce, USER, DEVICE, now_ms)
        };
        assert_eq!([answer(1), answer(1)], [Ok(()), Ok(())]);
        assert_eq!(answer(1), Err(ChallengeError::Full));
        assert_eq!(answer(1 + LIFETIME_MS), Ok(()));
        let held = challenges.answered.lock().expect("whole");
        assert!(held.young.len() <= 2 && held.old.len() <= 2);
    }
}
