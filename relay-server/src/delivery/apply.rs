//! What a record does to its conversation: a pure function, the same for whoever owns the partition.
//!
//! No clock, no I/O, no randomness. Everything that delivery promises about order and repetition is decided here.

use std::collections::BTreeMap;

use sordino_protocol::{DeviceId, UserId};

/// A place in the log. The epoch rises with every new topic, embedded with every start: offsets begin again with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// Which log.
    pub epoch: u64,
    /// Where in it.
    pub offset: u64,
}

/// A conversation, as far as sequencing knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The seq of the newest row; 0 before the first.
    pub last_seq: u64,
    /// Where the record of that row stands; `None` before the first.
    pub at: Option<Position>,
    /// The last counter that was sequenced, by sending device.
    pub counters: BTreeMap<Sender, u64>,
}

/// Whose counter it is. Devices choose their ids: only with its user does one name a single device.
pub type Sender = (UserId, DeviceId);

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Decided before: this place of the log was passed. It may have been sequenced, a duplicate, or a gap.
    Replayed,
    /// This counter has its row already.
    Duplicate,
    /// It has its place.
    Sequenced {
        /// The place.
        seq: u64,
    },
    /// An earlier counter is missing: not sequenced, the sender sends again in order.
    Gap,
}

/// Decides the record with `counter` of `sender`, read at `at`.
///
/// The position is compared first: a Gap that is read again after the hole was filled must not take another's place.
pub fn apply(state: &mut State, at: Position, sender: Sender, counter: u64) -> Outcome {
    if state
        .at
        .is_some_and(|last| last.epoch == at.epoch && at.offset <= last.offset)
    {
        return Outcome::Replayed;
    }
    let last = state.counters.get(&sender).copied().unwrap_or(0);
    if counter <= last {
        return Outcome::Duplicate;
    }
    if counter - last > 1 {
        return Outcome::Gap;
    }
    // Dense from 1, one step for each stored row: 2^64 rows do not happen.
    state.last_seq = state.last_seq.saturating_add(1);
    state.at = Some(at);
    state.counters.insert(sender, counter);
    Outcome::Sequenced {
        seq: state.last_seq,
    }
}

/// Bytes that are not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored state of a conversation is damaged or of another version")]
pub struct StateError;

const VERSION: u8 = 2;

/// A sender and its counter.
const COUNTER_BYTES: usize = UserId::LEN + DeviceId::LEN + 8;

impl State {
    /// The bytes that are stored: version, last_seq, epoch, offset, then user, device and counter each, ascending.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(26 + self.counters.len() * COUNTER_BYTES);
        out.push(VERSION);
        out.extend_from_slice(&self.last_seq.to_be_bytes());
        let at = self.at.unwrap_or_default();
        out.push(u8::from(self.at.is_some()));
        out.extend_from_slice(&at.epoch.to_be_bytes());
        out.extend_from_slice(&at.offset.to_be_bytes());
        for ((user, device), counter) in &self.counters {
            out.extend_from_slice(user.as_bytes());
            out.extend_from_slice(device.as_bytes());
            out.extend_from_slice(&counter.to_be_bytes());
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (&version, rest) = bytes.split_first().ok_or(StateError)?;
        if version != VERSION {
            return Err(StateError);
        }
        let (last_seq, rest) = number(rest)?;
        let (&placed, rest) = rest.split_first().ok_or(StateError)?;
        let (epoch, rest) = number(rest)?;
        let (offset, mut rest) = number(rest)?;
        let mut counters = BTreeMap::new();
        while !rest.is_empty() {
            let (user, tail) = rest.split_first_chunk().ok_or(StateError)?;
            let (device, tail) = tail.split_first_chunk().ok_or(StateError)?;
            let (counter, tail) = number(tail)?;
            let sender = (UserId::from_bytes(*user), DeviceId::from_bytes(*device));
            counters.insert(sender, counter);
            rest = tail;
        }
        if placed > 1 {
            return Err(StateError);
        }
        Ok(Self {
            last_seq,
            at: (placed == 1).then_some(Position { epoch, offset }),
            counters,
        })
    }
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), StateError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(StateError)?;
    Ok((u64::from_be_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two users, and two device ids that both may have.
    fn sender(n: u8) -> Sender {
        (
            UserId::from_bytes([n / 2; 16]),
            DeviceId::from_bytes([n % 2; 16]),
        )
    }

    /// A log of few devices and small counters, so that duplicates and gaps are common.
    fn log() -> impl Strategy<Value = Vec<(u8, u64)>> {
        prop::collection::vec((0u8..4, 1u64..12), 0..120)
    }

    fn run(state: &mut State, log: &[(u8, u64)], from: usize) -> Vec<Outcome> {
        (from..)
            .zip(&log[from..])
            .map(|(offset, (d, counter))| {
                let at = Position {
                    epoch: 1,
                    offset: offset as u64,
                };
                apply(state, at, sender(*d), *counter)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn contract_p4_seqs_are_dense_and_devices_keep_their_order(log in log()) {
            let mut state = State::default();
            let mut next = 1;
            let mut counters = [0; 4];
            for (outcome, (d, counter)) in run(&mut state, &log, 0).iter().zip(&log) {
                if let Outcome::Sequenced { seq } = outcome {
                    prop_assert_eq!(*seq, next);
                    next += 1;
                    counters[usize::from(*d)] += 1;
                    prop_assert_eq!(counters[usize::from(*d)], *counter);
                }
            }
            prop_assert_eq!(state.last_seq, next - 1);
        }

        #[test]
        fn contract_p3_no_counter_is_sequenced_twice_and_none_that_was_refused_is_called_duplicate(log in log()) {
            let mut rows = std::collections::HashSet::new();
            for (outcome, record) in run(&mut State::default(), &log, 0).iter().zip(&log) {
                match outcome {
                    Outcome::Sequenced { .. } => prop_assert!(rows.insert(*record)),
                    Outcome::Duplicate => prop_assert!(rows.contains(record)),
                    Outcome::Gap => prop_assert!(!rows.contains(record)),
                    Outcome::Replayed => prop_assert!(false, "no offset stands twice"),
                }
            }
        }

        #[test]
        fn a_replay_changes_nothing(log in log(), from in 0usize..120) {
            let mut state = State::default();
            run(&mut state, &log, 0);
            let before = state.clone();
            let from = from.min(log.len());
            for outcome in run(&mut state, &log, from) {
                let sequenced = matches!(outcome, Outcome::Sequenced { .. });
                prop_assert!(!sequenced);
            }
            prop_assert_eq!(state, before);
        }

        #[test]
        fn a_takeover_at_any_point_equals_one_run(log in log(), stop in 0usize..120, resume in 0usize..120) {
            let mut whole = State::default();
            let outcomes = run(&mut whole, &log, 0);
            let stop = stop.min(log.len());
            let resume = resume.min(stop);
            let mut first = State::default();
            run(&mut first, &log[..stop], 0);
            let mut second = State::decode(&first.encode()).unwrap();
            let again = run(&mut second, &log, resume);
            prop_assert_eq!(&again[stop - resume..], &outcomes[stop..]);
            prop_assert_eq!(second, whole);
        }

        #[test]
        fn states_survive_their_encoding(log in log(), cut in 1usize..90) {
            let mut state = State::default();
            run(&mut state, &log, 0);
            let bytes = state.encode();
            prop_assert_eq!(State::decode(&bytes), Ok(state));
            // Cut anywhere but between two devices.
            if !cut.is_multiple_of(COUNTER_BYTES) {
                prop_assert_eq!(State::decode(&bytes[..bytes.len().saturating_sub(cut)]), Err(StateError));
            }
        }
    }

    #[test]
    fn a_new_epoch_begins_again_at_offset_0() {
        let mut state = State::default();
        let at = |epoch, offset| Position { epoch, offset };
        assert_eq!(
            apply(&mut state, at(1, 9), sender(0), 1),
            Outcome::Sequenced { seq: 1 }
        );
        assert_eq!(
            apply(&mut state, at(2, 0), sender(0), 2),
            Outcome::Sequenced { seq: 2 }
        );
        assert_eq!(apply(&mut state, at(2, 0), sender(0), 3), Outcome::Replayed);
    }

    /// Computed by another program.
    #[test]
    fn the_bytes_of_a_state_are_frozen() {
        let sender = |n: u8| {
            let device = DeviceId::from_bytes([n + 0x10; 16]);
            (UserId::from_bytes([n; 16]), device)
        };
        let state = State {
            last_seq: 5,
            at: Some(Position {
                epoch: 3,
                offset: 9,
            }),
            counters: BTreeMap::from([(sender(2), 8), (sender(1), 7)]),
        };
        let expected = "0200000000000000050100000000000000030000000000000009\
             01010101010101010101010101010101111111111111111111111111111111110000000000000007\
             02020202020202020202020202020202121212121212121212121212121212120000000000000008";
        assert_eq!(hex::encode(state.encode()), expected);
        let none = hex::encode(State::default().encode());
        assert_eq!(none, format!("02{}", "00".repeat(25)));
    }

    #[test]
    fn a_state_of_another_version_is_refused() {
        let bytes = State::default().encode();
        for version in [0, VERSION - 1, VERSION + 1] {
            let other = [&[version], &bytes[1..]].concat();
            assert_eq!(State::decode(&other), Err(StateError), "{version}");
        }
    }
}
