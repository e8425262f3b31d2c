//! Sessions of a single process, in memory.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sordino_protocol::UserId;

use super::{Connection, Event, SessionError, Sessions};

/// So that threads seldom wait for each other.
const SHARDS: usize = 64;

type Shard = HashMap<UserId, Vec<Connection>>;

/// The registry of one node that is alone.
pub struct MemorySessions {
    shards: Box<[Mutex<Shard>]>,
    /// Keyed: user ids are drawn by clients, who must not choose their shard.
    hasher: RandomState,
}

impl MemorySessions {
    /// Nobody connected.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn add(&self, connection: Connection) {
        if let Some(mut shard) = self.shard(connection.user) {
            shard.entry(connection.user).or_default().push(connection);
        }
    }

    /// Forgets a connection. It is given back, unless it was forgotten before.
    pub(super) fn remove(&self, user: UserId, id: u64) -> Option<Connection> {
        let mut shard = self.shard(user)?;
        let connections = shard.get_mut(&user)?;
        let at = connections.iter().position(|one| one.id == id)?;
        let removed = connections.swap_remove(at);
        if connections.is_empty() {
            shard.remove(&user);
        }
        Some(removed)
    }

    /// Tells every connection of these users. Returns how many took it. Never waits. Connections that are gone are
    /// forgotten and handed to `gone`.
    pub(super) fn tell(
        &self,
        users: &[UserId],
        event: &Event,
        mut gone: impl FnMut(Connection),
    ) -> usize {
        let mut took = 0;
        for (at, user) in users.iter().enumerate() {
            // In the conversation with oneself both sides are the same user: once is enough.
            if users.iter().take(at).any(|earlier| earlier == user) {
                continue;
            }
            // Copied out: a sink may take its time, or call back into the registry.
            let connections = self
                .shard(*user)
                .and_then(|shard| shard.get(user).cloned())
                .unwrap_or_default();
            for connection in connections {
                if connection.sink.deliver(event) {
                    took += 1;
                } else if let Some(connection) = self.remove(*user, connection.id) {
                    gone(connection);
                }
            }
        }
        took
    }

    fn shard(&self, user: UserId) -> Option<MutexGuard<'_, Shard>> {
        let at = self.hasher.hash_one(user) % SHARDS as u64;
        let shard = self.shards.get(usize::try_from(at).ok()?)?;
        // A map of lists is whole between any two steps here, whatever panicked.
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a node of several asks of its own connections.
#[cfg(feature = "cluster")]
impl MemorySessions {
    pub(super) fn get(&self, user: UserId, id: u64) -> Option<Connection> {
        let shard = self.shard(user)?;
        let connections = shard.get(&user)?;
        connections.iter().find(|one| one.id == id).cloned()
    }

    /// Every connection there is, shard by shard: those that come or go meanwhile may be missing or too many.
    pub(super) fn all(&self) -> impl Iterator<Item = (UserId, u64)> {
        self.shards.iter().flat_map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let connections = shard.values().flatten();
            connections
                .map(|one| (one.user, one.id))
                .collect::<Vec<_>>()
        })
    }
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn register(&self, connection: Connection) -> Result<(), SessionError> {
        self.add(connection);
        Ok(())
    }

    async fn unregister(&self, user: UserId, id: u64) -> Result<(), SessionError> {
        self.remove(user, id);
        Ok(())
    }

    async fn publish(&self, users: &[UserId], event: Event) -> Result<usize, SessionError> {
        Ok(self.tell(users, &event, |_| {}))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::conformance::{self, Sink, user};

    #[tokio::test]
    async fn it_does_what_every_registry_must() {
        let sessions = Arc::new(MemorySessions::new());
        conformance::all(&*sessions, &*sessions).await;
        let empty = |shard: &Mutex<Shard>| shard.lock().expect("whole").is_empty();
        assert!(sessions.shards.iter().all(empty));
    }

    #[test]
    fn a_connection_goes_once() {
        let sessions = MemorySessions::new();
        sessions.add(Sink::connection(1, user(1)).1);
        assert!(sessions.remove(user(1), 1).is_some());
        assert!(sessions.remove(user(1), 1).is_none());
    }
}
