//! Exploring a model, and telling how it went.

use std::{fmt::Debug, hash::Hash, sync::OnceLock};

use stateright::{Checker, HasDiscoveries, Model, Property};

/// A model with promises.
pub trait Promises: Model {
    /// The first promise that does not hold in this state.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether all that was to be done is done. A model that never comes here shows nothing.
    fn is_done(&self, state: &Self::State) -> bool;
}

/// What an exploration came to.
#[derive(Debug)]
pub struct Explored {
    /// Different states that were seen.
    pub states: usize,
    /// The promise that was found broken, with a shortest way there.
    pub broken: Option<(&'static str, Vec<String>)>,
    /// Whether the end was reached. Says something only when nothing is broken: a counterexample ends the exploration.
    pub done: bool,
}

/// Breadth first and by one thread, so that the way to a broken promise is a shortest one. Ends with the first.
pub fn explore<M>(model: M) -> Explored
where
    M: Promises + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let watched = Watched {
        model,
        broken: OnceLock::new(),
    };
    let checker = watched
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let way = checker.discovery(KEPT).map(|path| {
        let steps = path.into_actions();
        steps.iter().map(|step| format!("{step:?}")).collect()
    });
    Explored {
        states: checker.unique_state_count(),
        broken: checker.model().broken.get().copied().zip(way),
        done: checker.discovery(DONE).is_some(),
    }
}

const KEPT: &str = "every promise is kept";
const DONE: &str = "all is done";

/// A model of which the first broken promise is remembered: the checker ends a while after it, and would tell the last.
struct Watched<M> {
    model: M,
    broken: OnceLock<&'static str>,
}

impl<M: Promises> Model for Watched<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<Self::State> {
        self.model.init_states()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.model.actions(state, actions);
    }

    fn next_state(&self, last: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.model.next_state(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(KEPT, |this: &Self, state| {
                let broken = this.model.broken(state);
                broken.is_none_or(|promise| this.broken.set(promise).is_err())
            }),
            Property::sometimes(DONE, |this, state| this.model.is_done(state)),
        ]
    }

    fn within_boundary(&self, state: &Self::State) -> bool {
        self.model.within_boundary(state)
    }
}

/// Whether deeper bounds are asked for: `SORDINO_MODEL_DEEP` is set.
pub fn deep() -> bool {
    std::env::var_os("SORDINO_MODEL_DEEP").is_some()
}
