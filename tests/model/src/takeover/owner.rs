//! A node that owns the partition, or thinks so.

use super::Sequence;

/// Records that are persisted together, or what a cold load writes back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Batch {
    /// Behind its last record.
    pub(super) to: usize,
    pub(super) after: Sequence,
    /// Whether devices are told of it.
    pub(super) says: bool,
    /// The mutations that it waits for.
    pub(super) writes: Vec<u8>,
}

impl Batch {
    pub(super) fn of_load(next: usize, state: Sequence, writes: Vec<u8>) -> Self {
        Self {
            to: next,
            after: state,
            says: false,
            writes,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) owns: bool,
    /// Where it began.
    pub(super) begin: usize,
    /// The first entry that is not done.
    pub(super) next: usize,
    pub(super) cache: Option<Sequence>,
    pub(super) batches: Vec<Batch>,
}

impl Owner {
    pub(super) fn assigned(begin: usize) -> Self {
        Self {
            owns: true,
            begin,
            next: begin,
            ..Self::default()
        }
    }

    /// Begins at what is committed. What it has on its way may still arrive.
    pub(super) fn assign(&mut self, committed: usize, drop: bool) {
        let cache = self.cache.take().filter(|_| !drop);
        *self = Self {
            cache,
            ..Self::assigned(committed)
        };
    }

    pub(super) fn revoke(&mut self, drop: bool) {
        let cache = self.cache.take().filter(|_| !drop);
        *self = Self {
            cache,
            ..Self::default()
        };
    }

    /// The state that the next record meets.
    pub(super) fn newest(&self) -> Option<Sequence> {
        let batch = self.batches.last().map(|batch| batch.after);
        batch.or(self.cache)
    }

    /// Behind the last entry that it took.
    pub(super) fn taken(&self) -> usize {
        self.batches.last().map_or(self.next, |batch| batch.to)
    }
}
