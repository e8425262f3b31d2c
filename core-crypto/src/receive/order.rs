//! Counters: dense from 1 for each device in each conversation.

use super::{Alarm, Counters};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Next,
    Replay {
        last: u64,
    },
    /// A header named it before, and no message proved to be its own: that header may have been forged to keep this
    /// message out.
    Contested {
        last: u64,
    },
    Withheld {
        last: u64,
    },
}

impl Order {
    /// `None`: the store begins later than the device, so any counter may be the next.
    pub(super) fn judge(before: Option<Counters>, counter: u64) -> Self {
        match before {
            Some(Counters { proven, .. }) if counter <= proven => Self::Replay { last: proven },
            Some(Counters { shown, .. }) if counter <= shown => Self::Contested { last: shown },
            Some(Counters { shown, .. }) if counter - shown > 1 => Self::Withheld { last: shown },
            _ => Self::Next,
        }
    }

    pub(super) fn alarm(self, counter: u64) -> Option<Alarm> {
        match self {
            Self::Next => None,
            Self::Replay { last } | Self::Contested { last } => {
                Some(Alarm::Replay { last, counter })
            }
            Self::Withheld { last } => Some(Alarm::Withheld { last, counter }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(shown: u64, proven: u64, counter: u64) -> Order {
        Order::judge(Some(Counters { shown, proven }), counter)
    }

    #[test]
    fn counters_are_dense() {
        assert_eq!(judge(0, 0, 1), Order::Next);
        assert_eq!(judge(4, 4, 5), Order::Next);
        assert_eq!(judge(4, 4, 4), Order::Replay { last: 4 });
        assert_eq!(judge(4, 4, 6), Order::Withheld { last: 4 });
        assert_eq!(Order::judge(None, 6), Order::Next);
        let max = u64::MAX;
        assert_eq!(judge(max, max, max), Order::Replay { last: max });
        assert_eq!(judge(0, 0, max), Order::Withheld { last: 0 });
    }

    #[test]
    fn what_only_a_header_named_is_not_settled() {
        assert_eq!(judge(7, 4, 4), Order::Replay { last: 4 });
        assert_eq!(judge(7, 4, 5), Order::Contested { last: 7 });
        assert_eq!(judge(7, 4, 7), Order::Contested { last: 7 });
        assert_eq!(judge(7, 4, 8), Order::Next);
        assert_eq!(judge(7, 4, 9), Order::Withheld { last: 7 });
    }
}
