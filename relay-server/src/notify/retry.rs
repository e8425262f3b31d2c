//! How long to wait before a provider is asked again.

use std::time::Duration;

/// Waits between tries, as FCM asks for them: at least ten seconds, doubling, spread.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// After the first failure, if the provider names no time.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_secs(600),
        }
    }
}

/// What a provider says is believed between these: without the first, a zero would be asked for again and again.
const LEAST: Duration = Duration::from_secs(1);
const BELIEVED: Duration = Duration::from_secs(3600);

impl Retry {
    /// After so many failures before this one; `random` is any number. Never before the time that the provider named.
    pub(super) fn wait(&self, named: Option<Duration>, failed: u32, random: u32) -> Duration {
        let share = f64::from(random) / f64::from(u32::MAX);
        match named {
            // A little later, so that not everybody comes in the same moment.
            Some(named) => named.clamp(LEAST, BELIEVED).mul_f64(1.0 + share / 10.0),
            None => {
                let doubled = self.first.saturating_mul(1 << failed.min(16));
                doubled.min(self.longest).mul_f64(1.0 + share / 2.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_never_shorter_than_named() {
        let retry = Retry::default();
        let seconds = |named: Option<u64>, failed, random| {
            retry
                .wait(named.map(Duration::from_secs), failed, random)
                .as_secs()
        };
        assert_eq!(
            [0, 1, 2, 5, 6, 99].map(|failed| seconds(None, failed, 0)),
            [10, 20, 40, 320, 600, 600]
        );
        assert_eq!(seconds(None, 0, u32::MAX), 15);
        assert_eq!(seconds(Some(7), 9, 0), 7);
        assert_eq!(seconds(Some(0), 0, 0), 1);
        assert_eq!(seconds(Some(70), 0, u32::MAX), 77);
        assert_eq!(seconds(Some(1 << 40), 0, 0), 3600);
    }
}
