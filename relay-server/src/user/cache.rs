//! A bounded cache in front of a table, which never keeps a value older than the last finished write.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Values of rows, by key.
pub(super) struct Cache<K, V> {
    inner: Mutex<Inner<K, V>>,
    capacity: usize,
    max_age: Option<Duration>,
}

struct Inner<K, V> {
    /// With the time before it was read.
    values: HashMap<K, (Instant, V)>,
    /// Counts writes. A reader that began before a write must not put its older value in after it.
    writes: u64,
}

/// What a reader holds from before it reads the table until it fills the cache.
pub(super) struct Ticket {
    writes: u64,
    taken: Instant,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// With room for `capacity` values.
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Inner {
            values: HashMap::new(),
            writes: 0,
        };
        Self {
            inner: Mutex::new(inner),
            capacity,
            max_age: None,
        }
    }

    /// Where others write to the table too: no value is served that was read longer ago than this.
    #[cfg(feature = "cluster")]
    pub(super) fn with_max_age(self, max_age: Duration) -> Self {
        Self {
            max_age: Some(max_age),
            ..self
        }
    }

    /// The value, or a ticket to [`Cache::fill`] it with.
    pub(super) fn get(&self, key: &K) -> Result<V, Ticket> {
        let inner = self.lock();
        let taken = Instant::now();
        match inner.values.get(key) {
            Some((read, value)) if self.max_age.is_none_or(|max| taken - *read < max) => {
                Ok(value.clone())
            }
            _ => Err(Ticket {
                writes: inner.writes,
                taken,
            }),
        }
    }

    /// Keeps what was read, unless something was written since the ticket.
    pub(super) fn fill(&self, ticket: Ticket, key: K, value: V) {
        let mut inner = self.lock();
        if inner.writes != ticket.writes {
            return;
        }
        // Emptied rather than tracked by age: a miss costs one indexed read.
        if inner.values.len() >= self.capacity {
            inner.values.clear();
        }
        inner.values.insert(key, (ticket.taken, value));
    }

    /// To be called after each commit that changes these rows.
    pub(super) fn forget(&self, keys: impl IntoIterator<Item = K>) {
        let mut inner = self.lock();
        inner.writes += 1;
        for key in keys {
            inner.values.remove(&key);
        }
    }

    /// To be called where it is not known which rows changed.
    #[cfg(feature = "cluster")]
    pub(super) fn forget_all(&self) {
        let mut inner = self.lock();
        inner.writes += 1;
        inner.values.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        // Nothing panics while it is held; a map is whole after any of the steps above.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(cache: &Cache<u8, u8>, key: u8) -> Ticket {
        match cache.get(&key) {
            Ok(value) => panic!("{value} is cached"),
            Err(ticket) => ticket,
        }
    }

    #[test]
    fn a_value_read_before_a_write_is_not_kept() {
        let cache = Cache::new(8);
        let ticket = miss(&cache, 1);
        cache.forget([1]);
        cache.fill(ticket, 1, 10);
        let ticket = miss(&cache, 1);
        cache.fill(ticket, 1, 11);
        assert_eq!(cache.get(&1).ok(), Some(11));
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let cache = Cache::new(2);
        for key in 0..10 {
            let ticket = miss(&cache, key);
            cache.fill(ticket, key, key);
            assert!(cache.lock().values.len() <= 2);
        }
        assert_eq!(cache.get(&9).ok(), Some(9));
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_value_read_before_all_is_forgotten_is_not_kept() {
        let cache = Cache::new(8);
        let ticket = miss(&cache, 1);
        cache.fill(ticket, 1, 10);
        let ticket = miss(&cache, 2);
        cache.forget_all();
        cache.fill(ticket, 2, 20);
        miss(&cache, 1);
        miss(&cache, 2);
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_value_is_as_old_as_its_ticket() {
        let cache = Cache::new(8).with_max_age(Duration::from_secs(3600));
        let old = Ticket {
            writes: 0,
            taken: Instant::now() - Duration::from_secs(3600),
        };
        cache.fill(old, 1, 10);
        let ticket = miss(&cache, 1);
        cache.fill(ticket, 1, 11);
        assert_eq!(cache.get(&1).ok(), Some(11));
    }
}
