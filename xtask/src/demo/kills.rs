//! When to kill whom.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::who::Who;

/// Who can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Relay,
    Client(Who),
}

/// Kills spread over a transfer, each at a random place of its own stretch.
pub(super) struct Kills {
    random: StdRng,
    /// Received messages at which to kill, the next one last.
    at: Vec<usize>,
    pub(super) done: [u32; 3],
}

impl Kills {
    pub(super) fn new(seed: u64, kills: u32, messages: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let stretch = messages as f64 / f64::from(kills.max(1));
        let mut at: Vec<_> = (0..kills)
            .map(|n| ((f64::from(n) + random.random::<f64>()) * stretch) as usize)
            .collect();
        at.reverse();
        Self {
            random,
            at,
            done: [0; 3],
        }
    }

    /// Whether one is due, and of whom.
    pub(super) fn due(&mut self, received: usize) -> Option<Victim> {
        self.at.pop_if(|at| *at <= received)?;
        let victims = [
            Victim::Relay,
            Victim::Client(Who::Alice),
            Victim::Client(Who::Bob),
        ];
        let which = self.random.random_range(0..victims.len());
        if let Some(done) = self.done.get_mut(which) {
            *done += 1;
        }
        victims.get(which).copied()
    }

    pub(super) fn left(&self) -> usize {
        self.at.len()
    }

    /// How long the victim stays away, in milliseconds.
    pub(super) fn absence(&mut self) -> u64 {
        self.random.random_range(0..200)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kills_fall_due_within_the_transfer_and_repeat_with_the_seed() {
        let victims = |seed| {
            let mut kills = Kills::new(seed, 50, 2000);
            let victims: Vec<_> = (0..2000).flat_map(|n| kills.due(n)).collect();
            (victims, kills.left(), kills.done)
        };
        let (first, left, done) = victims(7);
        assert_eq!((first.len(), left, done.iter().sum()), (50, 0, 50_u32));
        assert_eq!(victims(7).0, first);
        assert_ne!(victims(8).0, first);
    }
}
