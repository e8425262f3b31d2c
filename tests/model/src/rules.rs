//! The rules of the design, and the same without one of them.

use sordino_protocol::{DeviceId, UserId};
use sordino_relay::delivery::apply::{Outcome, Position, Sender, State, apply};

/// All rules of a model, or all but one: a model that breaks without a rule sees what the rule is for.
#[derive(Debug, Clone, Copy)]
pub struct Rules<R>(Option<R>);

impl<R: PartialEq> Rules<R> {
    /// The design.
    pub fn all() -> Self {
        Self(None)
    }

    /// The design without this rule.
    pub fn without(rule: R) -> Self {
        Self(Some(rule))
    }

    /// Whether the rule stands.
    pub fn hold(&self, rule: R) -> bool {
        self.0 != Some(rule)
    }
}

/// A rule of [`apply`] that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// What was decided is not known again by its place in the log.
    Positions,
    /// The place is compared without its epoch.
    Epochs,
    /// A counter that has its row is sequenced again.
    Duplicates,
    /// A counter beyond the next is sequenced.
    Gaps,
}

/// The relay's [`apply`], or what becomes of it when one of its rules is left out.
pub fn apply_without(
    left: Option<Left>,
    state: &mut State,
    at: Position,
    sender: Sender,
    counter: u64,
) -> Outcome {
    match (left, &mut state.at) {
        (Some(Left::Positions), before) => *before = None,
        (Some(Left::Epochs), Some(before)) => before.epoch = at.epoch,
        _ => {}
    }
    let last = state.counters.get(&sender).copied().unwrap_or(0);
    let next = match left {
        Some(Left::Duplicates) if counter <= last => true,
        Some(Left::Gaps) => counter > last,
        _ => false,
    };
    if next {
        state.counters.insert(sender, counter.saturating_sub(1));
    }
    let outcome = apply(state, at, sender, counter);
    if next && !matches!(outcome, Outcome::Sequenced { .. }) {
        state.counters.insert(sender, last);
    }
    outcome
}

/// A sending device by its number.
pub fn device(number: u8) -> Sender {
    (
        UserId::from_bytes([number; 16]),
        DeviceId::from_bytes([number; 16]),
    )
}
