//! Alice and Bob.

use std::ops::{Index, IndexMut};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Alice,
    Bob,
}

impl Who {
    pub(super) const ALL: [Self; 2] = [Self::Alice, Self::Bob];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }
}

/// Something of each.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Both<T> {
    pub(super) alice: T,
    pub(super) bob: T,
}

impl<T> Index<Who> for Both<T> {
    type Output = T;

    fn index(&self, who: Who) -> &T {
        match who {
            Who::Alice => &self.alice,
            Who::Bob => &self.bob,
        }
    }
}

impl<T> IndexMut<Who> for Both<T> {
    fn index_mut(&mut self, who: Who) -> &mut T {
        match who {
            Who::Alice => &mut self.alice,
            Who::Bob => &mut self.bob,
        }
    }
}
