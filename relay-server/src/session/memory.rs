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

    fn shard(&self, user: UserId) -> Option<MutexGuard<'_, Shard>> {
        let at = self.hasher.hash_one(user) % SHARDS as u64;
        let shard = self.shards.get(usize::try_from(at).ok()?)?;
        // A map of lists is whole between any two steps below, whatever panicked.
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
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
        if let Some(mut shard) = self.shard(connection.user) {
            shard.entry(connection.user).or_default().push(connection);
        }
        Ok(())
    }

    async fn unregister(&self, user: UserId, id: u64) -> Result<(), SessionError> {
        if let Some(mut shard) = self.shard(user)
            && let Some(connections) = shard.get_mut(&user)
        {
            connections.retain(|connection| connection.id != id);
            if connections.is_empty() {
                shard.remove(&user);
            }
        }
        Ok(())
    }

    async fn publish(&self, users: &[UserId], event: Event) -> Result<usize, SessionError> {
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
                if connection.sink.deliver(&event) {
                    took += 1;
                } else {
                    self.unregister(*user, connection.id).await?;
                }
            }
        }
        Ok(took)
    }

    async fn online(&self, user: UserId) -> Result<bool, SessionError> {
        Ok(self
            .shard(user)
            .is_some_and(|shard| shard.contains_key(&user)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use sordino_protocol::DeviceId;

    use super::*;
    use crate::session::Deliver;

    #[derive(Default)]
    struct Sink {
        taken: AtomicUsize,
        gone: AtomicBool,
    }

    impl Deliver for Sink {
        fn deliver(&self, _: &Event) -> bool {
            self.taken.fetch_add(1, Ordering::Relaxed);
            !self.gone.load(Ordering::Relaxed)
        }
    }

    fn connection(id: u64, user: UserId) -> (Arc<Sink>, Connection) {
        let sink = Arc::new(Sink::default());
        let connection = Connection {
            id,
            user,
            device: DeviceId::from_bytes([1; 16]),
            sink: sink.clone(),
        };
        (sink, connection)
    }

    fn user(seed: u8) -> UserId {
        UserId::from_bytes([seed; 16])
    }

    #[tokio::test]
    async fn an_event_reaches_every_connection_of_each_user_once() {
        let sessions = MemorySessions::new();
        let (first, connection_one) = connection(1, user(1));
        let (second, connection_two) = connection(2, user(1));
        let (other, connection_three) = connection(3, user(2));
        for connection in [connection_one, connection_two, connection_three] {
            sessions.register(connection).await.expect("registered");
        }
        let users = [user(1), user(1), user(3)];
        let took = sessions.publish(&users, Event::ListChanged).await;
        assert_eq!(took.expect("published"), 2);
        let taken = [first, second, other].map(|sink| sink.taken.load(Ordering::Relaxed));
        assert_eq!(taken, [1, 1, 0]);
    }

    #[tokio::test]
    async fn a_user_is_online_until_the_last_connection_goes() {
        let sessions = MemorySessions::new();
        for id in [1, 2] {
            let (_, connection) = connection(id, user(1));
            sessions.register(connection).await.expect("registered");
        }
        sessions.unregister(user(1), 1).await.expect("forgotten");
        assert!(sessions.online(user(1)).await.expect("asked"));
        sessions.unregister(user(1), 2).await.expect("forgotten");
        assert!(!sessions.online(user(1)).await.expect("asked"));
        assert!(
            sessions
                .shards
                .iter()
                .all(|shard| shard.lock().expect("whole").is_empty())
        );
    }

    #[tokio::test]
    async fn a_connection_that_is_gone_is_forgotten() {
        let sessions = MemorySessions::new();
        let (sink, connection) = connection(1, user(1));
        sessions.register(connection).await.expect("registered");
        sink.gone.store(true, Ordering::Relaxed);
        let took = sessions.publish(&[user(1)], Event::ListChanged).await;
        assert_eq!(took.expect("published"), 0);
        assert!(!sessions.online(user(1)).await.expect("asked"));
    }
}
