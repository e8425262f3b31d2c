//! Which of the sessions of two devices sends: a rule over what both of them know, so that both arrive at the same one in
//! whatever order handshakes come.

use sordino_protocol::{SessionId, hash::Hash};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Sessions of a pair that are kept to receive only.
pub const RECEIVE_ONLY: usize = 8;
/// How long a session is kept after it ceased to send.
pub const RETIRE_AFTER_MS: u64 = 31 * DAY_MS;
/// Messages sent without one received, after which a new session is due: far below the 2 000 that a chain can jump.
pub const RENEW_AFTER_MESSAGES: u32 = 500;
/// Time without one received, after which a new session is due.
pub const RENEW_AFTER_MS: u64 = 14 * DAY_MS;

/// What the rule needs of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub sid: SessionId,
    /// See [`next_born`].
    pub born: u64,
    /// TH.
    pub transcript: Hash,
    /// When it ceased to send, if it did.
    pub receive_only_since_ms: Option<u64>,
}

/// `born` of a new session: the own clock, but after every session of the pair, retired ones included.
pub fn next_born(now_ms: u64, highest: Option<u64>) -> u64 {
    highest.map_or(now_ms, |born| now_ms.max(born.saturating_add(1)))
}

/// The session that sends: of the live ones the youngest; of equally young ones that of the smaller transcript.
pub fn sending(sessions: &[Candidate]) -> Option<SessionId> {
    sessions
        .iter()
        .filter(|session| session.receive_only_since_ms.is_none())
        .max_by(|a, b| {
            let smaller_first = b.transcript.cmp(&a.transcript);
            a.born.cmp(&b.born).then(smaller_first)
        })
        .map(|session| session.sid)
}

/// Whether the sending session is to be replaced: the peer may be unable to use it.
pub fn is_renewal_due(sent_since_received: u32, last_received_ms: u64, now_ms: u64) -> bool {
    sent_since_received >= RENEW_AFTER_MESSAGES
        || now_ms.saturating_sub(last_received_ms) >= RENEW_AFTER_MS
}

/// Receive-only sessions to be retired: those past their time, and the longest silent ones above [`RECEIVE_ONLY`].
pub fn to_retire(sessions: &[Candidate], now_ms: u64) -> Vec<SessionId> {
    let mut receiving: Vec<(u64, SessionId)> = sessions
        .iter()
        .filter_map(|session| Some((session.receive_only_since_ms?, session.sid)))
        .collect();
    receiving.sort_unstable();
    let excess = receiving.len().saturating_sub(RECEIVE_ONLY);
    receiving
        .into_iter()
        .enumerate()
        .filter(|(at, (since, _))| *at < excess || now_ms.saturating_sub(*since) >= RETIRE_AFTER_MS)
        .map(|(_, (_, sid))| sid)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session(n: u8, born: u64, since: Option<u64>) -> Candidate {
        Candidate {
            sid: SessionId::from_bytes([n; 8]),
            born,
            transcript: [n; 32],
            receive_only_since_ms: since,
        }
    }

    fn sid(n: u8) -> SessionId {
        SessionId::from_bytes([n; 8])
    }

    #[test]
    fn the_youngest_live_session_sends() {
        let (old, young) = (session(1, 10, None), session(2, 11, None));
        assert_eq!(sending(&[old, young]), Some(sid(2)));
        assert_eq!(sending(&[old, session(2, 11, Some(0))]), Some(sid(1)));
        assert_eq!(sending(&[session(2, 11, Some(0))]), None);
        assert_eq!(sending(&[]), None);
    }

    #[test]
    fn of_two_begun_at_once_the_smaller_transcript_sends() {
        let (a, b) = (session(1, 10, None), session(2, 10, None));
        assert_eq!(sending(&[a, b]), Some(sid(1)));
        assert_eq!(sending(&[b, a]), Some(sid(1)));
    }

    #[test]
    fn a_new_session_is_younger_than_all_whatever_the_clock_says() {
        assert_eq!(next_born(100, None), 100);
        assert_eq!(next_born(100, Some(50)), 100);
        assert_eq!(next_born(100, Some(100)), 101);
        assert_eq!(next_born(100, Some(5000)), 5001);
        assert_eq!(next_born(100, Some(u64::MAX)), u64::MAX);
    }

    #[test]
    fn renewal_is_due_by_count_or_by_time() {
        assert!(!is_renewal_due(499, 1000, 1000 + RENEW_AFTER_MS - 1));
        assert!(is_renewal_due(500, 1000, 1000));
        assert!(is_renewal_due(0, 1000, 1000 + RENEW_AFTER_MS));
        // A clock that was set back makes nothing due.
        assert!(!is_renewal_due(0, 1000, 0));
    }

    #[test]
    fn receive_only_sessions_retire_by_time_and_by_number() {
        let live = session(1, 1, None);
        let aged = session(2, 1, Some(0));
        assert_eq!(to_retire(&[live, aged], RETIRE_AFTER_MS - 1), []);
        assert_eq!(to_retire(&[live, aged], RETIRE_AFTER_MS), [sid(2)]);
        let nine: Vec<_> = (0..9u8)
            .map(|n| session(n, 1, Some(100 - u64::from(n))))
            .collect();
        assert_eq!(to_retire(&nine, 200), [sid(8)]);
        assert_eq!(to_retire(&nine[..8], 200), []);
    }

    proptest! {
        #[test]
        fn both_sides_choose_the_same_in_any_order(
            borns in prop::collection::vec(0u64..4, 1..9),
            shuffle in any::<prop::sample::Index>(),
        ) {
            let one: Vec<_> = (0u8..).zip(borns).map(|(n, born)| session(n, born, None)).collect();
            let mut other = one.clone();
            other.rotate_left(shuffle.index(one.len()));
            other.reverse();
            prop_assert_eq!(sending(&one), sending(&other));
        }
    }
}
