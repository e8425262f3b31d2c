//! The end of a connection's token.

use std::time::Duration;

/// When the token of a connection ends, and whether the device was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenEnd {
    expires_ms: u64,
    told: bool,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing for this long.
    In(Duration),
    /// Tell the device.
    Tell,
    /// Close.
    Close,
}

impl TokenEnd {
    pub(super) fn new(expires_ms: u64) -> Self {
        Self {
            expires_ms,
            told: false,
        }
    }

    pub(super) fn expires_ms(self) -> u64 {
        self.expires_ms
    }

    /// The device was told.
    pub(super) fn told(&mut self) {
        self.told = true;
    }

    /// What is due, if a device is told `warning` before the end.
    pub(super) fn due(self, now_ms: u64, warning: Duration) -> Due {
        let left = Duration::from_millis(self.expires_ms.saturating_sub(now_ms));
        if left.is_zero() {
            Due::Close
        } else if self.told {
            Due::In(left)
        } else {
            match left.checked_sub(warning) {
                Some(left) if !left.is_zero() => Due::In(left),
                _ => Due::Tell,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_once_and_closed_at_the_end() {
        let warning = Duration::from_millis(60);
        let mut end = TokenEnd::new(1_000);
        assert_eq!(end.due(0, warning), Due::In(Duration::from_millis(940)));
        assert_eq!(end.due(940, warning), Due::Tell);
        assert_eq!(end.due(999, warning), Due::Tell);
        end.told();
        assert_eq!(end.due(950, warning), Due::In(Duration::from_millis(50)));
        assert_eq!(end.due(1_000, warning), Due::Close);
        assert_eq!(end.due(2_000, warning), Due::Close);
    }
}
