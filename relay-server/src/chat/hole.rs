//! The hole rule: nothing is `Accepted` across a counter that was not.

/// What one connection remembers of one conversation: the counters from the first that was refused to the last.
///
/// A later counter may have been stored all the same: it was on its way when the earlier one failed. It is refused too,
/// so that the sender sends both again, in order; the log knows the one that it has. Answers are judged in the order of
/// sending, so that what was sent before the repetition does not pass behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Hole(Option<Refused>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Refused {
    first: u64,
    last: u64,
}

impl Hole {
    /// Judges the next answer: whether it may be `Accepted`.
    pub fn answer(&mut self, counter: u64, stored: bool) -> bool {
        let hole = self.0;
        let accepted = stored && hole.is_none_or(|hole| counter <= hole.first);
        self.0 = match (hole, accepted) {
            (None, true) => None,
            (None, false) => Some(Refused {
                first: counter,
                last: counter,
            }),
            (Some(hole), true) if counter == hole.last => None,
            (Some(hole), true) if counter == hole.first => Some(Refused {
                first: hole.first + 1,
                ..hole
            }),
            (Some(hole), true) => Some(hole),
            (Some(hole), false) => Some(Refused {
                first: hole.first.min(counter),
                last: hole.last.max(counter),
            }),
        };
        accepted
    }

    /// The counter that must be sent again first, if `counter` comes after it.
    pub fn before(self, counter: u64) -> Option<u64> {
        self.0
            .map(|hole| hole.first)
            .filter(|first| *first < counter)
    }

    /// Whether nothing is missing.
    pub fn closed(self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_on_its_way_is_refused_and_passes_when_sent_again_in_order() {
        let mut hole = Hole::default();
        assert!(hole.answer(1, true));
        assert!(!hole.answer(2, false));
        assert!(!hole.answer(3, true), "stored, but behind the hole");
        assert!(!hole.answer(4, true));
        assert_eq!(hole.before(4), Some(2));
        assert_eq!(hole.before(2), None);
        assert!(hole.answer(2, true));
        assert!(!hole.answer(4, true), "3 was refused too");
        assert!(hole.answer(3, true));
        assert!(!hole.closed());
        assert!(hole.answer(4, true));
        assert!(hole.closed());
    }

    #[test]
    fn an_earlier_counter_passes_and_may_fail_as_well() {
        let mut hole = Hole::default();
        assert!(!hole.answer(5, false));
        assert!(hole.answer(3, true));
        assert!(!hole.answer(2, false));
        for counter in [2, 3, 4, 5] {
            assert!(hole.answer(counter, true), "{counter}");
        }
        assert!(hole.closed());
    }

    #[test]
    fn the_last_counter_there_is_does_not_overflow() {
        let mut hole = Hole::default();
        assert!(!hole.answer(u64::MAX, false));
        assert!(hole.answer(u64::MAX, true));
        assert!(hole.closed());
    }

    proptest! {
        /// No counter is accepted while an earlier one stands refused.
        #[test]
        fn nothing_is_accepted_across_a_hole(answers in prop::collection::vec((1u64..12, any::<bool>()), 0..200)) {
            let mut hole = Hole::default();
            let mut refused = BTreeSet::new();
            for (counter, stored) in answers {
                let accepted = hole.answer(counter, stored);
                prop_assert!(!accepted || stored);
                if accepted {
                    refused.remove(&counter);
                    prop_assert!(refused.first().is_none_or(|first| *first > counter));
                } else {
                    refused.insert(counter);
                }
                prop_assert!(!hole.closed() || refused.is_empty());
            }
        }

        /// Sending again in order from the first refused counter always gets through.
        #[test]
        fn a_sender_that_repeats_in_order_gets_through(answers in prop::collection::vec((1u64..12, any::<bool>()), 0..60)) {
            let mut hole = Hole::default();
            for (counter, stored) in answers {
                hole.answer(counter, stored);
            }
            for counter in hole.0.map_or(1, |refused| refused.first)..=12 {
                prop_assert!(hole.answer(counter, true));
            }
            prop_assert!(hole.closed());
        }
    }
}
