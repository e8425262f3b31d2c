//! Times as a person reads them.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// What time it is here.
pub(crate) struct Clock {
    zone: TimeZone,
    now_ms: i64,
}

impl Clock {
    pub(crate) const fn new(zone: TimeZone, now_ms: i64) -> Self {
        Self { zone, now_ms }
    }

    pub(crate) const fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub(crate) const fn set(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Nothing for a time out of range: a peer can state any.
    fn local(&self, ms: i64) -> Option<DateTime> {
        let timestamp = Timestamp::from_millisecond(ms).ok()?;
        Some(self.zone.to_datetime(timestamp))
    }

    /// The day, to tell whether two messages share it.
    pub(crate) fn date(&self, ms: i64) -> Option<Date> {
        self.local(ms).map(DateTime::date)
    }

    /// `09:12`.
    pub(crate) fn time(&self, ms: i64) -> String {
        self.format(ms, "%H:%M")
    }

    /// `Today`, `Yesterday`, `Tuesday, 17 November`, with the year where it is another.
    pub(crate) fn day(&self, ms: i64) -> String {
        match self.days_ago(ms) {
            Some(0) => "Today".to_owned(),
            Some(1) => "Yesterday".to_owned(),
            _ if self.this_year(ms) => self.format(ms, "%A, %-d %B"),
            _ => self.format(ms, "%A, %-d %B %Y"),
        }
    }

    /// As short as it can be: `09:12`, `Tue`, `17 Nov`, `Nov 2025`.
    pub(crate) fn brief(&self, ms: i64) -> String {
        match self.days_ago(ms) {
            Some(0) => self.time(ms),
            Some(1..=6) => self.format(ms, "%a"),
            _ if self.this_year(ms) => self.format(ms, "%-d %b"),
            _ => self.format(ms, "%b %Y"),
        }
    }

    fn format(&self, ms: i64, pattern: &str) -> String {
        self.local(ms)
            .map_or_else(|| "--:--".to_owned(), |at| at.strftime(pattern).to_string())
    }

    fn days_ago(&self, ms: i64) -> Option<i32> {
        let passed = self.date(self.now_ms)? - self.date(ms)?;
        Some(passed.get_days())
    }

    fn this_year(&self, ms: i64) -> bool {
        self.date(ms).map(Date::year) == self.date(self.now_ms).map(Date::year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    /// 2026-11-24T09:12:00Z, a Tuesday.
    const NOW: i64 = 1_795_511_520_000;

    #[test]
    fn it_speaks_as_people_do() {
        let clock = Clock::new(TimeZone::UTC, NOW);
        assert_eq!(clock.time(NOW), "09:12");
        assert_eq!(clock.day(NOW - 60_000), "Today");
        assert_eq!(clock.day(NOW - DAY), "Yesterday");
        assert_eq!(clock.day(NOW - 7 * DAY), "Tuesday, 17 November");
        assert_eq!(clock.day(NOW - 365 * DAY), "Monday, 24 November 2025");
        assert_eq!(clock.brief(NOW), "09:12");
        assert_eq!(clock.brief(NOW - 2 * DAY), "Sun");
        assert_eq!(clock.brief(NOW - 30 * DAY), "25 Oct");
        assert_eq!(clock.brief(NOW - 400 * DAY), "Oct 2025");
    }

    #[test]
    fn a_peers_absurd_time_is_no_crash() {
        let clock = Clock::new(TimeZone::UTC, NOW);
        for ms in [i64::MIN, i64::MAX, -1] {
            assert!(!clock.day(ms).is_empty());
            assert!(!clock.brief(ms).is_empty());
        }
        assert_eq!(clock.time(i64::MAX), "--:--");
    }
}
