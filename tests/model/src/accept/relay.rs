//! A connection on the relay: what is in the log unanswered, and the hole rule, which is the relay's own.

use sordino_relay::chat::hole::Hole;

use super::Record;

/// What the log said, as far as the relay knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answered {
    /// It has the record.
    Stored,
    /// It has not, or nobody knows.
    Failed,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) record: Record,
    pub(super) appending: bool,
    pub(super) answered: Option<Answered>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    pub(super) lane: Vec<Slot>,
    hole: Hole,
    /// Counters and whether they are accepted, on their way to the device.
    pub(super) answers: Vec<(u8, bool)>,
}

impl Connection {
    /// Takes a message. What comes behind a hole is refused, unless the missing one is on its way again.
    pub(super) fn take(&mut self, record: Record, busy: bool, early: bool, holes: bool) {
        let behind = self
            .hole
            .before(record.counter.into())
            .is_some_and(|first| {
                !self
                    .lane
                    .iter()
                    .any(|slot| u64::from(slot.record.counter) == first)
            });
        let refused = busy || (holes && behind);
        let answered = match (refused, early) {
            (true, _) => Some(Answered::Failed),
            (false, true) => Some(Answered::Stored),
            (false, false) => None,
        };
        self.lane.push(Slot {
            record,
            appending: !refused,
            answered,
        });
    }

    /// Judges an answer. Its append may still be under way where the relay does not wait for it.
    pub(super) fn answer(&mut self, slot: usize, holes: bool) -> Option<(Record, bool)> {
        let Slot {
            record, answered, ..
        } = self.lane.get(slot)?.clone();
        let stored = answered? == Answered::Stored;
        let accepted = if holes {
            self.hole.answer(record.counter.into(), stored)
        } else {
            stored
        };
        self.lane.remove(slot);
        self.answers.push((record.counter, accepted));
        Some((record, accepted))
    }

    pub(super) fn hear(&mut self) -> Option<(u8, bool)> {
        (!self.answers.is_empty()).then(|| self.answers.remove(0))
    }

    /// Ends. What the log has not answered may yet arrive there.
    pub(super) fn cut(&mut self) -> Vec<Record> {
        let lane = std::mem::take(self).lane;
        let under_way = lane.into_iter().filter(|slot| slot.appending);
        under_way.map(|slot| slot.record).collect()
    }
}
