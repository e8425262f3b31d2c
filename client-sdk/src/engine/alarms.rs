//! What a session does at a time: pauses that end, errands to be tried again, answers that do not come.

use std::time::Duration;

use tokio::time::Instant;

use super::{flight::Flight, now_ms, session::Session};
use crate::net::socket::End;

/// A relay that leaves what it owes an answer to without one for so long has lost it: it is asked on a new connection.
const ANSWER_MS: u64 = 120_000;
/// A message that the relay leaves without an answer for so long shows that it has trouble: its servers may be away, and it
/// waits for them.
const SLOW_MS: u64 = 5_000;

impl Session<'_> {
    /// When something is due next.
    pub(super) fn alarm(&self) -> Option<Instant> {
        let now = now_ms();
        let flights = self.flights.values().filter_map(Flight::wakes_at_ms);
        let looks = self.flights.values();
        let looks = looks.filter_map(|flight| flight.look_at_ms(now));
        let in_ms = flights
            .chain(self.pulls.wakes_at_ms())
            .chain(self.overdue_at_ms())
            .chain(looks)
            .chain(self.slow_at_ms().filter(|at| *at > now))
            .min();
        let pauses = in_ms.map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(now)));
        let moment = self.core.moment().ms;
        let life = self.core.life().wakes_at_ms();
        let life = life.map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(moment)));
        let later = self.later.values().copied();
        later
            .chain(pauses)
            .chain(life)
            .chain(self.listing.retry_at)
            .min()
    }

    /// When the oldest message will have waited, or began to wait, for longer than it should.
    fn slow_at_ms(&self) -> Option<u64> {
        let flights = self.flights.values().filter_map(Flight::waits_since_ms);
        flights.min().map(|since| since.saturating_add(SLOW_MS))
    }

    /// Whether the relay is slow to answer a message.
    pub(super) fn is_slow(&self) -> bool {
        self.slow_at_ms().is_some_and(|at| at <= now_ms())
    }

    /// When the relay will have owed an answer for too long.
    fn overdue_at_ms(&self) -> Option<u64> {
        let flights = self.flights.values().filter_map(Flight::waits_since_ms);
        let listing = self.listing.request.map(|_| self.listing.asked_ms);
        let oldest = flights.chain(listing).min();
        oldest.map(|since| since.saturating_add(ANSWER_MS))
    }

    /// Does what is due.
    pub(super) async fn alarm_rang(&mut self) -> Result<(), End> {
        let (now, clock) = (Instant::now(), now_ms());
        if self.overdue_at_ms().is_some_and(|at| at <= clock) {
            tracing::warn!("the relay does not answer");
            return Err(End::LOST);
        }
        self.pulls.wake(clock);
        let due = self.flights.iter();
        let due = due.filter(|(_, flight)| flight.look_at_ms(clock).is_some_and(|at| at <= clock));
        let due = due.map(|(conversation, _)| *conversation).collect();
        self.look_at_places(due).await?;
        for (conversation, flight) in &mut self.flights {
            if flight.wake(clock) {
                self.to_send.insert(*conversation);
            }
        }
        let due: Vec<_> = self
            .later
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(errand, _)| *errand)
            .collect();
        for errand in due {
            self.start(errand);
        }
        if self.listing.retry_at.is_some_and(|at| at <= now) {
            self.listing.retry_at = None;
            self.list();
        }
        Ok(())
    }
}
