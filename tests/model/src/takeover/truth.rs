//! The log, and what one run of `apply` over it says.

use sordino_relay::delivery::apply::{Outcome, Position, State};

use crate::rules::{Left, apply_without, device};

/// A conversation of one sender, small enough to be copied a million times: the relay's state is made of it and back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Sequence {
    pub(super) last_seq: u8,
    pub(super) at: Option<Place>,
    counter: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) epoch: u8,
    pub(super) offset: u8,
}

/// What became of a record.
pub(super) struct Decided {
    pub(super) sequenced: bool,
    pub(super) says_something: bool,
}

/// A record with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Its number, which is its append time as well.
    pub(super) record: u8,
    pub(super) at: Place,
    counter: u8,
}

/// What is in the log of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Counters 1, 2, 3.
    Plain,
    /// Counters 2, 1, 2: a gap that must not take another's place, then its repetition.
    Gap,
    /// Counters 1, 1, 2: something that was sent twice.
    Repeated,
    /// Counter 1 in one log, 2 in the next.
    Epochs,
    /// Counters 1, 2; the second erases the first.
    Erasure,
}

impl Log {
    fn counters(self) -> &'static [(u8, u8, u8)] {
        match self {
            Self::Plain => &[(1, 0, 1), (1, 1, 2), (1, 2, 3)],
            Self::Gap => &[(1, 0, 2), (1, 1, 1), (1, 2, 2)],
            Self::Repeated => &[(1, 0, 1), (1, 1, 1), (1, 2, 2)],
            Self::Epochs => &[(1, 0, 1), (2, 0, 2)],
            Self::Erasure => &[(1, 0, 1), (1, 1, 2)],
        }
    }

    pub(super) fn len(self) -> usize {
        self.counters().len()
    }

    pub(super) fn entry(self, at: usize) -> Option<Entry> {
        let (epoch, offset, counter) = *self.counters().get(at)?;
        Some(Entry {
            record: u8::try_from(at).ok()?,
            at: Place { epoch, offset },
            counter,
        })
    }

    /// The first entry of the log that holds this one.
    pub(super) fn epoch_begins(self, at: usize) -> usize {
        let epoch = self.entry(at).map(|entry| entry.at.epoch);
        let first = (0..at).find(|before| self.entry(*before).map(|entry| entry.at.epoch) == epoch);
        first.unwrap_or(at)
    }

    /// How many entries of the same log there are from here on.
    pub(super) fn rest(self, at: usize) -> usize {
        let begins = self.epoch_begins(at);
        let rest = (at..self.len()).take_while(|next| self.epoch_begins(*next) == begins);
        rest.count()
    }

    /// The records that have rows, in their order.
    fn rows(self) -> Vec<u8> {
        let mut sequence = Sequence::default();
        let entries = (0..self.len()).filter_map(|at| self.entry(at));
        let sequenced = entries.filter(|entry| sequence.apply(None, entry).sequenced);
        sequenced.map(|entry| entry.record).collect()
    }

    /// The record that is the row with this seq.
    pub(super) fn row(self, seq: u8) -> Option<u8> {
        let at = usize::from(seq).checked_sub(1)?;
        self.rows().get(at).copied()
    }

    /// The seq that a record has.
    pub(super) fn seq(self, record: u8) -> Option<u8> {
        let at = self.rows().iter().position(|row| *row == record)?;
        u8::try_from(at + 1).ok()
    }

    /// Rows of the entries before this one.
    pub(super) fn rows_before(self, at: usize) -> u8 {
        let rows = self.rows().into_iter();
        u8::try_from(rows.filter(|record| usize::from(*record) < at).count()).unwrap_or(u8::MAX)
    }

    /// The seq that this record erases.
    pub(super) fn erases(self, record: u8) -> Option<u8> {
        (self == Self::Erasure && record == 1).then_some(1)
    }

    /// The seq that an entry before this one erases.
    pub(super) fn erased_before(self, at: usize) -> Option<u8> {
        (self == Self::Erasure && at > 1).then_some(1)
    }
}

impl Sequence {
    /// The relay's `apply`.
    pub(super) fn apply(&mut self, left: Option<Left>, entry: &Entry) -> Decided {
        let position = |place: Place| Position {
            epoch: place.epoch.into(),
            offset: place.offset.into(),
        };
        let mut state = State {
            last_seq: self.last_seq.into(),
            at: self.at.map(position),
            counters: [(device(1), self.counter.into())].into(),
        };
        let at = position(entry.at);
        let outcome = apply_without(left, &mut state, at, device(1), entry.counter.into());
        let sequenced = matches!(outcome, Outcome::Sequenced { .. });
        if sequenced {
            self.last_seq += 1;
            self.at = Some(entry.at);
            self.counter = entry.counter;
        }
        debug_assert_eq!(state.last_seq, u64::from(self.last_seq));
        Decided {
            sequenced,
            says_something: outcome != Outcome::Gap,
        }
    }
}
