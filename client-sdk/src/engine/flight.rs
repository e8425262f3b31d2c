//! What is on its way to the relay in one conversation: a window, answered in order, restarted after a refusal, and where a message was
//! accepted and its row does not come.

use std::{collections::VecDeque, time::Duration};

use sordino_protocol::{Code, error::Blame, limits};

use crate::{Retry, sync::backoff};

/// Bytes of one socket that may await their answers.
pub(super) const SOCKET_BYTES: usize = 512 * 1024;

/// The messages of one conversation that await their answers.
#[derive(Default)]
pub(super) struct Flight {
    sent: VecDeque<Sent>,
    /// Every counter up to here has been sent since the last restart.
    upto: u64,
    /// Grows with every restart: answers to what was sent before say nothing new.
    round: u32,
    paused_until_ms: Option<u64>,
    /// Restarts since a message was accepted.
    setbacks: u32,
    /// What the relay last refused a message with, if that was its own trouble and none was accepted since.
    trouble: Option<Code>,
    /// The last one that was accepted.
    accepted_upto: u64,
    unplaced: Option<Unplaced>,
}

/// An accepted message whose row has not come yet, as far as was looked.
struct Unplaced {
    counter: u64,
    /// Since it was accepted, or everything from it on was sent again.
    since_ms: u64,
    /// How often it was.
    again: u32,
}

struct Sent {
    counter: u64,
    bytes: usize,
    round: u32,
    at_ms: u64,
}

/// Restarts in a row that need no wait: of a relay that keeps its rules, one follows from each refusal.
const FREE_SETBACKS: u32 = 3;
const SETBACK: Duration = Duration::from_millis(250);
const SETBACK_CAP: Duration = Duration::from_secs(60);

/// An accepted message is on the relay's disk, and its row comes at once; where servers behind it are away, when they are back. For so
/// long it may be missing at first, then for twice as long each time.
const PLACE_MS: u64 = 15_000;
const PLACE_DOUBLED: u32 = 8;

/// Whether it says that the relay cannot do what it is asked for, and not that it must not be asked for that.
pub(super) fn is_trouble(code: Code) -> bool {
    matches!(code.blame(), Blame::Us | Blame::Network) && code.retry() != Retry::Never
}

/// An answer, matched with what it answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To the newest sending of this counter.
    Current,
    /// To one that was overtaken by a restart.
    Old,
    /// To nothing: the relay answers out of order.
    Unexpected,
}

impl Flight {
    /// How many more may be sent, and after which counter; `None` while paused or full.
    pub(super) fn window(&self) -> Option<(u64, usize)> {
        if self.is_paused() {
            return None;
        }
        let room = limits::IN_FLIGHT.saturating_sub(self.sent.len());
        (room > 0).then_some((self.upto, room))
    }

    /// It was sent. Counters are sent in order.
    pub(super) fn sent(&mut self, counter: u64, bytes: usize, now_ms: u64) {
        self.upto = counter;
        self.sent.push_back(Sent {
            counter,
            bytes,
            round: self.round,
            at_ms: now_ms,
        });
    }

    /// An answer came: the bytes it frees, and whether it says something new.
    pub(super) fn answered(&mut self, counter: u64) -> (usize, Answer) {
        match self.sent.pop_front() {
            Some(sent) if sent.counter == counter => {
                let answer = if sent.round == self.round {
                    Answer::Current
                } else {
                    Answer::Old
                };
                (sent.bytes, answer)
            }
            _ => (0, Answer::Unexpected),
        }
    }

    /// The relay has taken a message.
    pub(super) fn accepted(&mut self, counter: u64, now_ms: u64) {
        self.setbacks = 0;
        self.trouble = None;
        self.accepted_upto = counter.max(self.accepted_upto);
        self.unplaced.get_or_insert(Unplaced {
            counter,
            since_ms: now_ms,
            again: 0,
        });
    }

    /// When is to be looked whether rows of accepted messages have come; now, where the clock was set back.
    pub(super) fn look_at_ms(&self, now_ms: u64) -> Option<u64> {
        let unplaced = self.unplaced.as_ref()?;
        let wait = PLACE_MS << unplaced.again.min(PLACE_DOUBLED);
        let at = unplaced.since_ms.saturating_add(wait);
        Some(if unplaced.since_ms > now_ms {
            now_ms
        } else {
            at
        })
    }

    /// Rows are still on their way here: what is missing among them is known later.
    pub(super) fn look_later(&mut self, now_ms: u64) {
        if let Some(unplaced) = &mut self.unplaced {
            unplaced.since_ms = now_ms;
            unplaced.again = 0;
        }
    }

    /// Whether a row was missing when that was looked at.
    pub(super) fn misses_row(&self) -> bool {
        self.unplaced
            .as_ref()
            .is_some_and(|unplaced| unplaced.again > 0)
    }

    /// `first` is the first counter whose row is missing. From where on everything is to be sent again, if that is due.
    pub(super) fn looked(&mut self, first: Option<u64>, now_ms: u64) -> Option<u64> {
        let is_due = self.look_at_ms(now_ms).is_some_and(|at| at <= now_ms);
        let before = self.unplaced.take()?;
        let first = first.filter(|first| *first <= self.accepted_upto)?;
        let is_same = first <= before.counter;
        let (since_ms, again) = match (is_same, is_due) {
            (true, true) => (now_ms, before.again + 1),
            (true, false) => (before.since_ms, before.again),
            (false, _) => (now_ms, 0),
        };
        self.unplaced = Some(Unplaced {
            counter: first,
            since_ms,
            again,
        });
        (is_same && is_due).then_some(first)
    }

    /// It refused one, with this code.
    pub(super) fn refused(&mut self, code: Option<Code>) {
        self.trouble = code.filter(|code| is_trouble(*code));
    }

    /// Nothing waits to be sent.
    pub(super) fn nothing_waits(&mut self) {
        if self.sent.is_empty() {
            self.trouble = None;
        }
    }

    /// Why the relay does not take what is sent, or pass it on, where that is its own trouble. While rows `is_behind`, none is missing.
    pub(super) fn trouble(&self, is_behind: bool) -> Option<Code> {
        let misses = self.misses_row() && !is_behind;
        self.trouble.or_else(|| misses.then_some(Code::Timeout))
    }

    /// Whether sending again did not help.
    pub(super) fn is_refused_repeatedly(&self) -> bool {
        self.setbacks >= FREE_SETBACKS
    }

    /// Since when the oldest message awaits its answer.
    pub(super) fn waits_since_ms(&self) -> Option<u64> {
        self.sent.front().map(|sent| sent.at_ms)
    }

    /// Everything from `counter` on is sent again after a wait. A relay that refuses again and again is asked ever more
    /// slowly, whatever it says; `random` is uniform over `u64`.
    pub(super) fn restart(&mut self, counter: u64, wait: Duration, random: u64, now_ms: u64) {
        let extra = self.setbacks.checked_sub(FREE_SETBACKS);
        let extra = extra.map(|attempt| backoff(SETBACK, SETBACK_CAP, attempt, random));
        let wait = wait.saturating_add(extra.unwrap_or_default());
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        // The greatest value stands for a hold.
        let until = now_ms.saturating_add(wait_ms).min(u64::MAX - 1);
        self.begin_again(counter, (wait_ms > 0).then_some(until));
    }

    fn begin_again(&mut self, counter: u64, pause_until_ms: Option<u64>) {
        self.upto = counter.saturating_sub(1);
        self.round = self.round.wrapping_add(1);
        self.setbacks = self.setbacks.saturating_add(1);
        self.paused_until_ms = pause_until_ms;
    }

    /// Nothing more is sent until [`Self::release`]; then from `counter` on.
    pub(super) fn hold(&mut self, counter: u64) {
        self.begin_again(counter, Some(u64::MAX));
    }

    /// Ends [`Self::hold`].
    pub(super) fn release(&mut self) {
        if self.paused_until_ms == Some(u64::MAX) {
            self.paused_until_ms = None;
        }
    }

    /// Ends a pause that is over. Whether there was one.
    pub(super) fn wake(&mut self, now_ms: u64) -> bool {
        let over = self.paused_until_ms.is_some_and(|until| until <= now_ms);
        if over {
            self.paused_until_ms = None;
        }
        over
    }

    /// Whether nothing is sent now.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused_until_ms.is_some()
    }

    /// When the pause ends, if it ends by itself.
    pub(super) fn wakes_at_ms(&self) -> Option<u64> {
        self.paused_until_ms.filter(|until| *until != u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(counters: std::ops::RangeInclusive<u64>) -> Flight {
        let mut flight = Flight::default();
        counters.for_each(|counter| flight.sent(counter, 10, counter));
        flight
    }

    #[test]
    fn the_window_is_bounded_and_opens_with_answers() {
        let mut flight = filled(1..=64);
        assert_eq!(flight.window(), None);
        assert_eq!(flight.answered(1), (10, Answer::Current));
        assert_eq!(flight.window(), Some((64, 1)));
    }

    #[test]
    fn one_refusal_restarts_once_however_many_follow_it() {
        let mut flight = filled(1..=4);
        assert_eq!(flight.answered(1).1, Answer::Current);
        assert_eq!(flight.answered(2).1, Answer::Current);
        flight.restart(2, Duration::ZERO, 0, 0);
        assert_eq!(flight.window(), Some((1, 62)));
        flight.sent(2, 10, 9);
        // The refusals of 3 and 4, which were in flight when 2 was refused.
        assert_eq!(flight.answered(3).1, Answer::Old);
        assert_eq!(flight.answered(4).1, Answer::Old);
        assert_eq!(flight.answered(2).1, Answer::Current);
        assert_eq!(flight.window(), Some((2, 64)));
    }

    #[test]
    fn a_pause_holds_until_it_is_over() {
        let mut flight = filled(1..=2);
        flight.restart(1, Duration::from_millis(400), 0, 100);
        assert_eq!(flight.window(), None);
        assert_eq!(flight.wakes_at_ms(), Some(500));
        assert!(!flight.wake(499));
        assert!(flight.wake(500));
        assert_eq!(flight.window(), Some((0, 62)));
        flight.hold(1);
        assert!(!flight.wake(u64::MAX - 1));
        assert_eq!(flight.wakes_at_ms(), None);
        flight.release();
        assert_eq!(flight.window(), Some((0, 62)));
    }

    #[test]
    fn endless_refusals_are_met_ever_more_slowly() {
        let mut flight = Flight::default();
        let mut waits = Vec::new();
        for _ in 0..20 {
            flight.restart(1, Duration::ZERO, u64::MAX / 3, 1_000);
            waits.push(flight.wakes_at_ms());
        }
        assert_eq!(waits[..3], [None; 3]);
        let longest = waits.iter().flatten().max();
        assert!(longest.is_some_and(|at| (5_000..=61_000).contains(at)));
        flight.accepted(1, 0);
        flight.restart(1, Duration::ZERO, u64::MAX / 3, 1_000);
        assert_eq!(flight.wakes_at_ms(), None);
    }

    #[test]
    fn the_oldest_message_tells_how_long_the_relay_is_silent() {
        let mut flight = filled(3..=4);
        assert_eq!(flight.waits_since_ms(), Some(3));
        flight.answered(3);
        assert_eq!(flight.waits_since_ms(), Some(4));
        flight.answered(4);
        assert_eq!(flight.waits_since_ms(), None);
    }

    #[test]
    fn what_was_accepted_and_does_not_come_is_sent_again_ever_more_seldom() {
        let mut flight = filled(1..=3);
        assert_eq!(flight.look_at_ms(0), None);
        for counter in 1..=2 {
            flight.answered(counter);
            flight.accepted(counter, 1_000);
        }
        assert_eq!(flight.look_at_ms(1_000), Some(16_000));
        // Before it is due nothing follows, whatever has come.
        assert_eq!(flight.looked(Some(1), 15_999), None);
        assert_eq!(flight.look_at_ms(15_999), Some(16_000));
        assert_eq!(flight.trouble(false), None);
        assert_eq!(flight.looked(Some(1), 16_000), Some(1));
        assert_eq!(flight.trouble(false), Some(Code::Timeout));
        assert_eq!(flight.look_at_ms(16_000), Some(16_000 + 30_000));
        // Accepted once more: that says nothing new.
        flight.accepted(1, 40_000);
        assert_eq!(flight.look_at_ms(40_000), Some(46_000));
        assert_eq!(flight.looked(Some(1), 46_000), Some(1));
        assert_eq!(flight.look_at_ms(46_000), Some(46_000 + 60_000));
        // The first one's row has come: the second has its own time.
        assert_eq!(flight.looked(Some(2), 100_000), None);
        assert_eq!(flight.trouble(false), None);
        assert_eq!(flight.look_at_ms(100_000), Some(115_000));
        // What was never accepted has no row.
        assert_eq!(flight.looked(Some(3), 130_000), None);
        assert_eq!(flight.look_at_ms(130_000), None);
        assert_eq!(flight.looked(None, 140_000), None);
    }

    #[test]
    fn while_rows_are_on_their_way_none_is_missing() {
        let mut flight = filled(1..=1);
        flight.accepted(1, 0);
        assert_eq!(flight.looked(Some(1), 15_000), Some(1));
        assert_eq!(flight.trouble(false), Some(Code::Timeout));
        assert_eq!(flight.trouble(true), None);
        flight.look_later(20_000);
        assert_eq!(flight.trouble(false), None);
        assert_eq!(flight.look_at_ms(20_000), Some(35_000));
        flight.refused(Some(Code::Busy));
        assert_eq!(flight.trouble(true), Some(Code::Busy));
    }

    #[test]
    fn a_clock_that_is_set_back_puts_nothing_off() {
        let mut flight = filled(1..=1);
        flight.accepted(1, 1_000_000);
        assert_eq!(flight.look_at_ms(5_000), Some(5_000));
        assert_eq!(flight.looked(Some(1), 5_000), Some(1));
        assert_eq!(flight.look_at_ms(5_000), Some(35_000));
    }

    #[test]
    fn it_is_asked_for_at_least_about_once_an_hour() {
        let mut flight = filled(1..=1);
        flight.accepted(1, 0);
        let mut at = 0;
        for _ in 0..40 {
            let next = flight.look_at_ms(at).unwrap();
            assert!((1..=64 * 60_000).contains(&(next - at)), "{}", next - at);
            at = next;
            assert_eq!(flight.looked(Some(1), at), Some(1));
        }
    }

    #[test]
    fn an_answer_out_of_order_is_noticed() {
        let mut flight = filled(1..=2);
        assert_eq!(flight.answered(2), (0, Answer::Unexpected));
        assert_eq!(Flight::default().answered(1), (0, Answer::Unexpected));
    }
}
