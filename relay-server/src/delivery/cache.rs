//! States of the conversations that moved last.

use std::collections::HashMap;

use sordino_protocol::ConversationId;

use super::apply::State;

/// A bounded map in two generations: what was not used while the young one filled up is forgotten.
pub(super) struct StateCache {
    young: HashMap<ConversationId, State>,
    old: HashMap<ConversationId, State>,
    generation: usize,
}

impl StateCache {
    /// Keeps between `capacity / 2` and `capacity` states.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation: (capacity / 2).max(1),
        }
    }

    /// Takes a state out. Whoever takes it puts it back once what it says is durable, and never otherwise.
    pub(super) fn take(&mut self, conversation: &ConversationId) -> Option<State> {
        let young = self.young.remove(conversation);
        let old = self.old.remove(conversation);
        young.or(old)
    }

    /// Puts a durable state in.
    pub(super) fn put(&mut self, conversation: ConversationId, state: State) {
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(conversation, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_and_keeps_what_is_used() {
        let mut cache = StateCache::new(10);
        let id = |n: u8| ConversationId::from_bytes([n; 16]);
        let hot = State {
            last_seq: 7,
            ..State::default()
        };
        cache.put(id(200), hot.clone());
        for n in 0..100 {
            cache.put(id(n), State::default());
            let kept = cache.take(&id(200));
            assert_eq!(kept.as_ref(), Some(&hot));
            cache.put(id(200), hot.clone());
            assert!(cache.young.len() + cache.old.len() <= 10);
        }
        assert_eq!(cache.take(&id(0)), None);
    }
}
