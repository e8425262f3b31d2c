//! Decisions of catch-up and reconnecting, free of I/O so that they can be tested exhaustively.

use std::time::Duration;

/// What to do with a row that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one: apply it and advance the cursor.
    Apply,
    /// It is ahead: rows from `from` up to the one before it must be pulled first.
    Pull {
        /// The first missing sequence number.
        from: u64,
    },
    /// It was applied already.
    Drop,
}

/// Judges the row `seq` against `cursor`, the last sequence number applied.
#[must_use]
pub const fn arrival(cursor: u64, seq: u64) -> Arrival {
    if seq <= cursor {
        Arrival::Drop
    } else if seq - cursor == 1 {
        Arrival::Apply
    } else {
        Arrival::Pull { from: cursor + 1 }
    }
}

/// The wait before attempt `attempt` (from 0) with full jitter; `random` is uniform over `u64`.
#[must_use]
pub fn backoff(base: Duration, cap: Duration, attempt: u32, random: u64) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(attempt)).min(cap);
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random % nanos.saturating_add(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_applied_only_right_after_the_cursor() {
        for cursor in 0..20 {
            for seq in 0..20 {
                let want = match seq {
                    s if s <= cursor => Arrival::Drop,
                    s if s == cursor + 1 => Arrival::Apply,
                    _ => Arrival::Pull { from: cursor + 1 },
                };
                assert_eq!(arrival(cursor, seq), want);
            }
        }
        assert_eq!(arrival(u64::MAX, u64::MAX), Arrival::Drop);
    }

    #[test]
    fn backoff_stays_under_its_ceiling() {
        let (base, cap) = (Duration::from_millis(500), Duration::from_secs(30));
        for attempt in [0, 1, 5, 31, 32, u32::MAX] {
            for random in [0, 1, 499_999_999, u64::MAX / 2, u64::MAX] {
                let ceiling = base.saturating_mul(2_u32.saturating_pow(attempt)).min(cap);
                assert!(backoff(base, cap, attempt, random) <= ceiling);
            }
        }
        assert_eq!(backoff(base, cap, 1, 1_000_000_000), Duration::from_secs(1));
    }
}
