//! How sockets are sent away: in batches, so that they do not all come back at once.

use std::time::Duration;

/// What lies between two batches.
const PAUSE: Duration = Duration::from_millis(50);
/// Where other nodes take them there is no hurry: the fewer at a time, the less do handshakes and catching up keep the others
/// from delivering, and each device is away only as long as it takes to connect.
const LEAST_ELSEWHERE: usize = 1;
/// Where nobody else takes them they wait for this node, and fewer at a time would only make its end slow.
const LEAST_ALONE: usize = 64;

/// How long a device that was told to move has for it at most, where other nodes take it.
const GRACE: Duration = Duration::from_secs(5);

/// How many sockets are told together, what lies between two such batches, and when they are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// At least one.
    pub batch: usize,
    /// Between the batches.
    pub pause: Duration,
    /// How long a socket lives on after it was told to move. Zero: it is closed instead.
    pub grace: Duration,
}

/// The pace at which `sockets` are told within the first half of `within`; the other half is for their answers. `alone`: no
/// other node takes them.
pub fn pace(sockets: usize, within: Duration, alone: bool) -> Pace {
    let least = if alone { LEAST_ALONE } else { LEAST_ELSEWHERE };
    let batches = (within / 2).as_millis() / PAUSE.as_millis();
    let batches = usize::try_from(batches).unwrap_or(usize::MAX).max(1);
    Pace {
        batch: sockets.div_ceil(batches).max(least),
        pause: PAUSE,
        grace: match alone {
            true => Duration::ZERO,
            false => GRACE.min(within / 4),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everyone_is_told_in_the_first_half(sockets in 0usize..5_000_000, seconds in 1u64..86_400, alone: bool) {
            let within = Duration::from_secs(seconds);
            let pace = pace(sockets, within, alone);
            let batches = sockets.div_ceil(pace.batch);
            let pauses = u32::try_from(batches.saturating_sub(1)).expect("fits");
            prop_assert!(pace.pause * pauses <= within / 2);
        }

        #[test]
        fn nobody_is_told_in_larger_batches_than_needed(sockets in 0usize..5_000_000, seconds in 1u64..86_400, alone: bool) {
            let within = Duration::from_secs(seconds);
            let Pace { batch, pause, .. } = pace(sockets, within, alone);
            let fewer = batch - 1;
            let least = if alone { LEAST_ALONE } else { LEAST_ELSEWHERE };
            // One less in a batch would be below the least, or take too long.
            let too_long = || {
                let pauses = u32::try_from(sockets.div_ceil(fewer)).expect("fits");
                pause * pauses > within / 2
            };
            prop_assert!(fewer < least || too_long());
        }
    }

    #[test]
    fn ten_thousand_in_ten_seconds() {
        for (alone, grace) in [(false, 2_500), (true, 0)] {
            let expected = Pace {
                batch: 100,
                pause: PAUSE,
                grace: Duration::from_millis(grace),
            };
            assert_eq!(pace(10_000, Duration::from_secs(10), alone), expected);
        }
    }
}
