//! Signals: who types, who is there. Sealed for each device of a person, never stored, and believed only of people with whom
//! there is a conversation.

use std::collections::HashMap;

use sordino_crypto::{
    prekeys::Peer,
    signal::{BODY, Signal, SignalKeys, WINDOW_MS, session_of},
};
use sordino_protocol::{DeviceId, SessionId, UserId, hash, limits, list::DeviceList, pb};

use super::contacts::trust;
use super::notes::Notes;
use super::sessions::live_session;
use super::view::is_listed;
use super::{Machine, registered};
use crate::error::Error;
use crate::store::{Durability, StoredAccount, StoredSession, Tx};

/// Sessions whose keys for signals are kept at hand, and of how many it is known what they last said.
const SESSIONS: usize = 512;
/// Longer ago than this nobody says that they were there.
const LONGEST_MINUTES: u32 = 31 * 24 * 60;

/// Who may see that the user is there, and when they last were. Whom one does not let see, one does not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PresencePolicy {
    /// Nobody.
    Nobody,
    /// People whose safety number the user has compared.
    Verified,
    /// People to whom the user has ever written.
    #[default]
    Everyone,
}

/// What the user wants told of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalPolicy {
    /// That they type.
    pub typing: bool,
    /// That they are there.
    pub presence: PresencePolicy,
}

impl Default for SignalPolicy {
    fn default() -> Self {
        Self {
            typing: true,
            presence: PresencePolicy::default(),
        }
    }
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Somebody begins to type, or does not type any more.
    Typing(bool),
    /// Whether somebody is there.
    There {
        /// The same is asked of the reader.
        asks: bool,
        /// For how many minutes they have not been; `None`: they are.
        away: Option<u32>,
    },
}

/// A signal that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Whose.
    pub user: UserId,
    /// Which of their devices.
    pub device: DeviceId,
    /// Their clock.
    pub number: u64,
    /// What they say.
    pub said: Said,
}

impl Said {
    fn encode(self) -> [u8; BODY] {
        let (kind, value) = match self {
            Self::Typing(false) => (1, 0),
            Self::Typing(true) => (1, 1),
            Self::There { asks, away } => {
                let minutes = away.map(|minutes| minutes.min(LONGEST_MINUTES) + 1);
                (2 + u8::from(asks), minutes.unwrap_or(0))
            }
        };
        let [a, b, c, d] = value.to_be_bytes();
        [kind, 0, 0, 0, a, b, c, d]
    }

    /// `None`: it is of a later version, or of nobody's.
    fn decode(body: [u8; BODY]) -> Option<Self> {
        let [kind, 0, 0, 0, a, b, c, d] = body else {
            return None;
        };
        match (kind, u32::from_be_bytes([a, b, c, d])) {
            (1, on @ (0 | 1)) => Some(Self::Typing(on == 1)),
            (2 | 3, minutes) if minutes <= LONGEST_MINUTES + 1 => Some(Self::There {
                asks: kind == 3,
                away: minutes.checked_sub(1),
            }),
            _ => None,
        }
    }
}

/// What is remembered while the machine runs.
#[derive(Default)]
pub(super) struct SignalNotes {
    last_number: u64,
    keys: HashMap<(UserId, DeviceId, SessionId), (Peer, SignalKeys)>,
    /// The last signal of each session that counted.
    heard: HashMap<(UserId, DeviceId, SessionId), u64>,
}

impl SignalNotes {
    /// A clock that stands still or goes back must not make the other side take a signal for an old one.
    fn next_number(&mut self, now_ms: u64) -> u64 {
        self.last_number = now_ms.max(self.last_number.saturating_add(1));
        self.last_number
    }

    fn keys(
        &mut self,
        tx: &Tx<'_>,
        me: &StoredAccount,
        at: (UserId, DeviceId, SessionId),
    ) -> Result<Option<&(Peer, SignalKeys)>, Error> {
        if !self.keys.contains_key(&at) {
            let Some(StoredSession::Held(session)) = tx.session(at.0, at.1, at.2)? else {
                return Ok(None);
            };
            if self.keys.len() >= SESSIONS {
                self.keys.clear();
            }
            let keys = SignalKeys::of(&session, (me.user, me.device));
            self.keys.insert(at, (session.meta().peer, keys));
        }
        Ok(self.keys.get(&at))
    }

    /// Whether a signal is newer than what its session said before.
    fn counts(&mut self, at: (UserId, DeviceId, SessionId), signal: &Signal, now_ms: u64) -> bool {
        let is_new = signal.is_new(self.heard.get(&at).copied(), now_ms);
        if is_new {
            if self.heard.len() >= SESSIONS {
                // What they said is too old by now to count once more, whoever repeats it.
                self.heard
                    .retain(|_, last| last.saturating_add(WINDOW_MS) >= now_ms);
            }
            if self.heard.len() >= SESSIONS && !self.heard.contains_key(&at) {
                return false;
            }
            self.heard.insert(at, signal.number);
        }
        is_new
    }
}

impl Machine {
    /// Seals a signal for the devices of a person. `None`: they do not get it, or have no device that could open it.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn signal(
        &mut self,
        peer: UserId,
        said: Said,
        now_ms: u64,
    ) -> Result<Option<pb::Signal>, Error> {
        let me = registered(self.account.as_ref())?;
        let (notes, signals, defaults) = (&self.notes, &mut self.signal_notes, self.defaults);
        self.store.read(|tx| {
            let policy = defaults.signals(tx)?;
            let Some(list) = partner(tx, notes, me, peer, policy, said)? else {
                return Ok(None);
            };
            let withheld = trust(tx, peer)?.withheld;
            let signal = Signal {
                number: signals.next_number(now_ms),
                body: said.encode(),
            };
            let mut sealed = Vec::new();
            for listed in list.devices.iter().take(limits::DEVICES) {
                let device = listed.device;
                if withheld.contains(&device) {
                    continue;
                }
                let Some(sid) = live_session(tx, peer, device)? else {
                    continue;
                };
                let Some((known, keys)) = signals.keys(tx, me, (peer, device, sid))? else {
                    continue;
                };
                if is_listed(tx, notes, known)? {
                    sealed.push(pb::SealedSignal {
                        device: device.to_pb(),
                        payload: keys.seal(&mut rand::rng(), &signal).to_vec().into(),
                    });
                }
            }
            let recipient = peer.to_pb();
            Ok((!sealed.is_empty()).then_some(pb::Signal { recipient, sealed }))
        })
    }

    /// Opens a signal. `None`: it does not count.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn hear(&mut self, signal: &pb::Signalled, now_ms: u64) -> Result<Option<Heard>, Error> {
        let me = registered(self.account.as_ref())?;
        let (notes, signals, defaults) = (&self.notes, &mut self.signal_notes, self.defaults);
        let (Ok(user), Ok(device), Some(sid)) = (
            UserId::from_slice(&signal.sender),
            DeviceId::from_slice(&signal.sender_device),
            session_of(&signal.payload),
        ) else {
            return Ok(None);
        };
        self.store.read(|tx| {
            // Before a session is read: of strangers there is none to be opened.
            if !is_partner(tx, me, user)? {
                return Ok(None);
            }
            let at = (user, device, sid);
            let Some((known, keys)) = signals.keys(tx, me, at)? else {
                return Ok(None);
            };
            let known = *known;
            let Some(opened) = keys.open(&signal.payload) else {
                return Ok(None);
            };
            let Some(said) = Said::decode(opened.body) else {
                return Ok(None);
            };
            if !is_listed(tx, notes, &known)?
                || partner(tx, notes, me, user, defaults.signals(tx)?, said)?.is_none()
                || trust(tx, user)?.withheld.contains(&device)
                || !signals.counts(at, &opened, now_ms)
            {
                return Ok(None);
            }
            Ok(Some(Heard {
                user,
                device,
                number: opened.number,
                said,
            }))
        })
    }

    /// With whom there was a conversation last.
    ///
    /// # Errors
    /// Those of the store.
    pub fn partners(&self, limit: usize) -> Result<Vec<UserId>, Error> {
        let held = self.store.read(|tx| tx.conversations())?;
        Ok(held.into_iter().take(limit).map(|held| held.peer).collect())
    }

    /// When a person was last there, as far as they have told.
    ///
    /// # Errors
    /// Those of the store.
    pub fn last_seen(&self, user: UserId) -> Result<Option<u64>, Error> {
        self.store.read(|tx| tx.last_seen(user))
    }

    /// A person was there then; not kept if that is less than a minute later than what is known.
    ///
    /// # Errors
    /// Those of the store.
    pub fn saw(&mut self, user: UserId, at_ms: u64) -> Result<(), Error> {
        self.store
            .transaction(Durability::Relaxed, |tx| tx.raise_last_seen(user, at_ms))
    }
}

/// Whether there is a conversation with a person in which the user has ever written.
fn is_partner(tx: &Tx<'_>, me: &StoredAccount, peer: UserId) -> Result<bool, Error> {
    if peer == me.user {
        return Ok(false);
    }
    tx.is_answered(hash::conversation_id(me.user, peer))
}

/// The devices of a person whom this may be told, and of whom it is believed.
fn partner(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    peer: UserId,
    policy: SignalPolicy,
    said: Said,
) -> Result<Option<std::sync::Arc<DeviceList>>, Error> {
    if !is_partner(tx, me, peer)? {
        return Ok(None);
    }
    let trust = trust(tx, peer)?;
    let wanted = match said {
        Said::Typing(_) => policy.typing,
        Said::There { .. } => match policy.presence {
            PresencePolicy::Nobody => false,
            PresencePolicy::Verified => trust.verified,
            PresencePolicy::Everyone => true,
        },
    };
    if !wanted || trust.blocked || trust.identity_changed {
        return Ok(None);
    }
    notes.newest_list(tx, peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_back_and_nothing_else() {
        let there = |asks, away| Said::There { asks, away };
        let all = [
            Said::Typing(true),
            Said::Typing(false),
            there(false, None),
            there(true, None),
            there(false, Some(0)),
            there(true, Some(LONGEST_MINUTES)),
        ];
        for said in all {
            assert_eq!(Said::decode(said.encode()), Some(said));
        }
        let longest = there(false, Some(u32::MAX)).encode();
        assert_eq!(
            Said::decode(longest),
            Some(there(false, Some(LONGEST_MINUTES)))
        );
        for body in [
            [0; BODY],
            [4, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0, 2],
            [1, 1, 0, 0, 0, 0, 0, 1],
            [2, 0, 0, 0, 255, 255, 255, 255],
        ] {
            assert_eq!(Said::decode(body), None, "{body:?}");
        }
    }

    #[test]
    fn numbers_ascend_whatever_the_clock_does() {
        let mut notes = SignalNotes::default();
        let numbers = [10, 10, 5, 20].map(|now| notes.next_number(now));
        assert_eq!(numbers, [10, 11, 12, 20]);
    }

    #[test]
    fn what_was_heard_is_not_forgotten_while_it_could_be_repeated() {
        let mut notes = SignalNotes::default();
        let at = |n: u16| {
            let mut sid = [0; 8];
            sid[..2].copy_from_slice(&n.to_be_bytes());
            let user = UserId::from_bytes([1; 16]);
            (
                user,
                DeviceId::from_bytes([2; 16]),
                SessionId::from_bytes(sid),
            )
        };
        let signal = |number| Signal {
            number,
            body: [0; BODY],
        };
        let now = WINDOW_MS * 10;
        for n in 0..SESSIONS as u16 {
            assert!(notes.counts(at(n), &signal(now), now));
        }
        assert!(!notes.counts(at(600), &signal(now), now), "no room");
        assert!(!notes.counts(at(1), &signal(now), now), "again");
        assert!(notes.counts(at(1), &signal(now + 1), now));
        let later = now + WINDOW_MS + 2;
        assert!(notes.counts(at(600), &signal(later), later));
        assert_eq!(notes.heard.len(), 1);
    }
}
