//! What was done for a login, in order: for tests that hold one path against another. Without the feature nothing is kept.

#[cfg(feature = "noted")]
use std::cell::RefCell;

#[cfg(feature = "noted")]
thread_local! {
    /// `None`: nobody asks.
    static STEPS: RefCell<Option<Vec<&'static str>>> = const { RefCell::new(None) };
}

/// A step whose time could be measured is about to be made.
#[inline]
pub fn step(name: &'static str) {
    #[cfg(feature = "noted")]
    STEPS.with_borrow_mut(|steps| steps.iter_mut().for_each(|steps| steps.push(name)));
    #[cfg(not(feature = "noted"))]
    let _ = name;
}

/// From now on the steps of this thread are kept. Gives those that were kept until now.
#[cfg(feature = "noted")]
pub fn begin() -> Vec<&'static str> {
    STEPS.replace(Some(Vec::new())).unwrap_or_default()
}
