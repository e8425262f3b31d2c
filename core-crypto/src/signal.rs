//! Signals between two devices: what is worth nothing a moment later (somebody is typing), sealed under a key that comes with
//! their session and beside its ratchet. One that is lost leaves nothing behind, and one that comes moves nothing.
//!
//! The price: the key is that of the session for as long as it is kept. Who has it reads the session's signals of before and
//! after, and can make some; no answer heals that, only the next session.

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use rand::CryptoRng;
use sordino_protocol::{DeviceId, SessionId, UserId, limits};
use zeroize::Zeroizing;

use crate::{Secret, kdf::hkdf, session::Session};

/// What a signal says, to whoever uses this crate.
pub const BODY: usize = 8;
/// How far the clocks of two devices, and the way between them, may be apart.
pub const WINDOW_MS: u64 = 2 * 60 * 1000;

const SID: usize = SessionId::LEN;
const NONCE: usize = 12;
const NUMBER: usize = 8;
const PLAIN: usize = NUMBER + BODY;
const TAG: usize = 16;

const _: () = assert!(SID + NONCE + PLAIN + TAG == limits::SIGNAL_BYTES);

/// What was said, by a device that has the session's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Its sender's clock, in milliseconds since the Unix epoch, and higher than in every signal of the sender before.
    pub number: u64,
    /// What it says.
    pub body: [u8; BODY],
}

impl Signal {
    /// Whether it may count: it is later than the last one of this session that did, and of about now. What is older may be
    /// one that was shown before.
    pub fn is_new(&self, last: Option<u64>, now_ms: u64) -> bool {
        last.is_none_or(|last| self.number > last) && self.number.abs_diff(now_ms) <= WINDOW_MS
    }
}

/// Seals and opens the signals of a session.
pub struct SignalKeys {
    sid: SessionId,
    own: Secret<32>,
    theirs: Secret<32>,
}

impl SignalKeys {
    /// Of a session; `me` is this device.
    pub fn of(session: &Session, me: (UserId, DeviceId)) -> Self {
        let peer = &session.meta().peer;
        let theirs = (peer.user, peer.device);
        Self::new(session.signal_key(), session.meta().sid, me, theirs)
    }

    fn new(
        signal_key: &Secret<32>,
        sid: SessionId,
        me: (UserId, DeviceId),
        peer: (UserId, DeviceId),
    ) -> Self {
        Self {
            sid,
            own: key(signal_key, me),
            theirs: key(signal_key, peer),
        }
    }

    /// Seals a signal.
    pub fn seal(&self, rng: &mut impl CryptoRng, signal: &Signal) -> [u8; limits::SIGNAL_BYTES] {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        self.seal_with(nonce, signal)
    }

    fn seal_with(&self, nonce: [u8; NONCE], signal: &Signal) -> [u8; limits::SIGNAL_BYTES] {
        let mut plain = Zeroizing::new([0; PLAIN]);
        let parts = signal.number.to_be_bytes().into_iter().chain(signal.body);
        plain
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = from);
        let payload = Payload {
            msg: plain.as_slice(),
            aad: self.sid.as_bytes(),
        };
        let sealed = cipher(&self.own).encrypt(&nonce.into(), payload);
        // It fails for what is too long by far.
        let sealed = sealed.unwrap_or_default();
        let mut out = [0; limits::SIGNAL_BYTES];
        let parts = self.sid.as_bytes().iter().chain(&nonce).chain(&sealed);
        out.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        out
    }

    /// Opens a signal of the other device. `None`: it is not one of this session, was changed, or comes from this device.
    pub fn open(&self, sealed: &[u8]) -> Option<Signal> {
        let (sid, rest) = sealed.split_first_chunk::<SID>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        if sid != self.sid.as_bytes() {
            return None;
        }
        let payload = Payload {
            msg: rest,
            aad: sid,
        };
        let plain = cipher(&self.theirs).decrypt(&(*nonce).into(), payload);
        let plain = Zeroizing::new(plain.ok()?);
        let (number, body) = plain.split_first_chunk::<NUMBER>()?;
        Some(Signal {
            number: u64::from_be_bytes(*number),
            body: body.try_into().ok()?,
        })
    }
}

/// The session that a signal names; nothing vouches for it yet.
pub fn session_of(sealed: &[u8]) -> Option<SessionId> {
    let (sid, _) = sealed.split_first_chunk::<SID>()?;
    (sealed.len() == limits::SIGNAL_BYTES).then(|| SessionId::from_bytes(*sid))
}

/// `HKDF(no salt, SIG, lbl("signal") ‖ sending user ‖ sending device, 32)`: one for each direction, so that no signal comes
/// back as the other's.
fn key(signal_key: &Secret<32>, (user, device): (UserId, DeviceId)) -> Secret<32> {
    let info: [&[u8]; 3] = [b"sordino/1/signal", user.as_bytes(), device.as_bytes()];
    hkdf(&[], signal_key.expose(), &info)
}

fn cipher(key: &Secret<32>) -> Aes256Gcm {
    Aes256Gcm::new(key.expose().into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn party(n: u8) -> (UserId, DeviceId) {
        (
            UserId::from_bytes([n; 16]),
            DeviceId::from_bytes([n + 1; 16]),
        )
    }

    fn pair() -> (SignalKeys, SignalKeys) {
        let (key, sid) = (Secret::from_bytes([7; 32]), SessionId::from_bytes([5; 8]));
        let (a, b) = (party(0xA0), party(0xB0));
        (
            SignalKeys::new(&key, sid, a, b),
            SignalKeys::new(&key, sid, b, a),
        )
    }

    fn signal(number: u64) -> Signal {
        Signal {
            number,
            body: [1, 0, 0, 0, 0, 0, 0, 2],
        }
    }

    /// As another implementation has it (`tests/vectors/generate.py`).
    #[test]
    fn a_signal_is_the_frozen_one() {
        let vector: HashMap<String, String> =
            serde_json::from_str(include_str!("../tests/vectors/signal.json")).unwrap();
        let (alice, bob) = pair();
        let nonce = *b"twelve bytes";
        assert_eq!(hex::encode(alice.own.expose()), vector["key"]);
        let sealed = alice.seal_with(nonce, &signal(NOW));
        assert_eq!(hex::encode(sealed), vector["sealed"]);
        assert_eq!(bob.open(&sealed), Some(signal(NOW)));
    }

    #[test]
    fn whatever_it_says_it_looks_alike() {
        let (alice, bob) = pair();
        let mut rng = rand::rng();
        let (on, off) = (
            signal(NOW),
            Signal {
                number: 0,
                body: [0; BODY],
            },
        );
        let sealed = [alice.seal(&mut rng, &on), alice.seal(&mut rng, &off)];
        assert_ne!(sealed[0][SID..], sealed[1][SID..]);
        assert_ne!(alice.seal(&mut rng, &on), sealed[0], "a nonce of its own");
        assert_eq!(
            sealed.map(|sealed| bob.open(&sealed)),
            [Some(on), Some(off)]
        );
        assert_eq!(session_of(&sealed[0]), Some(SessionId::from_bytes([5; 8])));
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_refused() {
        let (alice, bob) = pair();
        let sealed = alice.seal(&mut rand::rng(), &signal(NOW));
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(bob.open(&changed), None, "bit {bit}");
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        for other in (0..sealed.len())
            .map(|len| &sealed[..len])
            .chain([longer.as_slice()])
        {
            assert_eq!(bob.open(other), None);
            assert_eq!(session_of(other), None);
        }
    }

    #[test]
    fn it_does_not_come_back_and_is_not_another_sessions() {
        let (alice, bob) = pair();
        let sealed = alice.seal(&mut rand::rng(), &signal(NOW));
        assert_eq!(alice.open(&sealed), None, "to its sender");
        let key = Secret::from_bytes([7; 32]);
        let other = SignalKeys::new(
            &key,
            SessionId::from_bytes([6; 8]),
            party(0xB0),
            party(0xA0),
        );
        assert_eq!(other.open(&sealed), None);
        // The name swapped, too: it is under the seal.
        let mut renamed = sealed;
        renamed[..SID].copy_from_slice(&[6; SID]);
        assert_eq!(other.open(&renamed), None);
        let third = SignalKeys::new(
            &key,
            SessionId::from_bytes([5; 8]),
            party(0xB0),
            party(0xC0),
        );
        assert_eq!(third.open(&sealed), None, "as another device's");
        assert!(bob.open(&sealed).is_some());
    }

    #[test]
    fn what_was_shown_before_or_is_of_another_time_does_not_count() {
        assert!(signal(NOW).is_new(None, NOW));
        assert!(signal(NOW).is_new(Some(NOW - 1), NOW));
        assert!(!signal(NOW).is_new(Some(NOW), NOW), "again");
        assert!(!signal(NOW).is_new(Some(NOW + 1), NOW), "overtaken");
        for (number, counts) in [
            (NOW - WINDOW_MS, true),
            (NOW - WINDOW_MS - 1, false),
            (NOW + WINDOW_MS, true),
            (NOW + WINDOW_MS + 1, false),
            (0, false),
            (u64::MAX, false),
        ] {
            assert_eq!(signal(number).is_new(None, NOW), counts, "{number}");
        }
    }
}
