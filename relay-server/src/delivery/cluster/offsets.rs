//! Which records of a partition are done.

use std::collections::BTreeSet;

/// Everything below the lowest record in work is done. Offsets may leave gaps.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    in_work: BTreeSet<u64>,
    /// Behind the last one that was taken.
    next: u64,
    committed: u64,
}

impl Offsets {
    /// A record was taken.
    pub(crate) fn take(&mut self, offset: u64) {
        self.in_work.insert(offset);
        self.next = self.next.max(offset + 1);
    }

    /// A record is done: stored, and told or not to be told.
    pub(crate) fn done(&mut self, offset: u64) {
        self.in_work.remove(&offset);
    }

    /// Where another owner would begin, if that moved since the last time.
    pub(crate) fn commit_up_to(&mut self) -> Option<u64> {
        let first = self.in_work.first().copied().unwrap_or(self.next);
        let moved = first > self.committed;
        self.committed = self.committed.max(first);
        moved.then_some(first)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_work.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_work_is_ever_committed() {
        let mut offsets = Offsets::default();
        assert_eq!(offsets.commit_up_to(), None);
        for offset in [10, 11, 13] {
            offsets.take(offset);
        }
        assert_eq!(offsets.commit_up_to(), Some(10));
        offsets.done(11);
        assert_eq!(offsets.commit_up_to(), None);
        offsets.done(10);
        assert_eq!(offsets.commit_up_to(), Some(13));
        offsets.done(13);
        assert!(offsets.is_idle());
        assert_eq!(offsets.commit_up_to(), Some(14));
        assert_eq!(offsets.commit_up_to(), None);
    }
}
