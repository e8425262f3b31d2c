//! Counters: dense from 1 for each device in each conversation.

use super::Alarm;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Next,
    Replay { last: u64 },
    Withheld { last: u64 },
}

impl Order {
    /// `None`: the store begins later than the device, so any counter may be the next.
    pub(super) fn judge(last: Option<u64>, counter: u64) -> Self {
        match last {
            Some(last) if counter <= last => Self::Replay { last },
            Some(last) if counter - last > 1 => Self::Withheld { last },
            _ => Self::Next,
        }
    }

    pub(super) fn alarm(self, counter: u64) -> Option<Alarm> {
        match self {
            Self::Next => None,
            Self::Replay { last } => Some(Alarm::Replay { last, counter }),
            Self::Withheld { last } => Some(Alarm::Withheld { last, counter }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_dense() {
        assert_eq!(Order::judge(Some(0), 1), Order::Next);
        assert_eq!(Order::judge(Some(4), 5), Order::Next);
        assert_eq!(Order::judge(Some(4), 4), Order::Replay { last: 4 });
        assert_eq!(Order::judge(Some(4), 6), Order::Withheld { last: 4 });
        assert_eq!(Order::judge(None, 6), Order::Next);
        assert_eq!(
            Order::judge(Some(u64::MAX), u64::MAX),
            Order::Replay { last: u64::MAX }
        );
        assert_eq!(Order::judge(Some(0), u64::MAX), Order::Withheld { last: 0 });
    }
}
