//! Finding the connections of users on all nodes, and telling them.

use std::collections::{BTreeMap, BTreeSet};

use ::redis::{FromRedisValue, Pipeline, pipe};
use sordino_protocol::UserId;

use super::{keys::Entry, node::Node, unknown, wire};
use crate::session::{Event, SessionError};

/// A hash as Redis gives it: it holds what any version has written, or nobody of ours.
type Hash = Vec<(Vec<u8>, Vec<u8>)>;

/// Where an entry stands: whose hash, which field.
type Place<'a> = (UserId, &'a [u8]);

const FORGET: &str = "\
if redis.call('EXISTS', KEYS[2]) == 0 then
    return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0";

impl Node {
    /// Tells the connections of these users on every node.
    ///
    /// Why no online device misses what was stored before this call: a device registers, here and in Redis, before it
    /// reads. If the look-up does not see the registration, that came later, so the read came later still, and it sees
    /// what was stored. That holds for this node's own connections, which are found in memory, and for the others',
    /// which are found in Redis. What else may come between is made good by a `Sync` that the device's node sends after
    /// it has set its key and registered the connection again, in this order:
    /// - Redis has lost the registration. Then it has lost the node's key with it, or the connection to the node, and
    ///   the node registers again; or this user's hash alone, and the node finds that out when it renews.
    /// - The node has lost its channel (`PUBLISH` reaches nobody). Then it is unknown whether it lives: the caller says
    ///   it again until the node has heard it or its key is gone.
    /// - The node's key is gone. Then its registrations are skipped: it is dead, or it will find its key gone.
    /// - Redis took the message, and the node's channel broke before it arrived. Then the node subscribes anew.
    ///
    /// # Errors
    /// It is unknown whether every node has heard it. Some may have, and hear a repeat: devices drop those.
    pub(super) async fn publish(
        &self,
        users: &[UserId],
        event: &Event,
    ) -> Result<usize, SessionError> {
        // First, and whatever becomes of Redis: the two people may well be on this node.
        let mut took = self.tell(users, event);
        for users in users.chunks(wire::USERS) {
            took += self.publish_elsewhere(users, event).await?;
        }
        Ok(took)
    }

    async fn publish_elsewhere(
        &self,
        users: &[UserId],
        event: &Event,
    ) -> Result<usize, SessionError> {
        let users: BTreeSet<_> = users.iter().copied().collect();
        let users: Vec<_> = users.into_iter().collect();
        let mut look_up = pipe();
        for user in &users {
            look_up.cmd("HGETALL").arg(self.keys.user(*user));
        }
        let found: Vec<Hash> = self.ask(&look_up).await?;
        let mut connections: BTreeMap<String, Vec<Place<'_>>> = BTreeMap::new();
        for (user, hash) in users.iter().zip(&found) {
            for (field, entry) in read(hash) {
                if entry.server_id != self.keys.server_id {
                    let places = connections.entry(entry.server_id).or_default();
                    places.push((*user, field));
                }
            }
        }
        if connections.is_empty() {
            return Ok(0);
        }
        let message = wire::encode(&users, event);
        let mut publish = pipe();
        for node in connections.keys() {
            publish
                .cmd("PUBLISH")
                .arg(self.keys.node(node))
                .arg(&message);
        }
        let heard: Vec<u64> = self.ask(&publish).await?;
        let (mut took, mut deaf) = (0, Vec::new());
        for ((node, places), heard) in connections.iter().zip(heard) {
            if heard > 0 {
                took += places.len();
            } else {
                deaf.push(node);
            }
        }
        // Asked after the message found nobody: a node whose key is gone now sets it, and sends `Sync`, later than that.
        let alive = self.alive(&deaf).await?;
        if alive.contains(&true) {
            return Err(SessionError("a node does not hear its channel".into()));
        }
        for node in deaf {
            let places = connections.get(node).map(Vec::as_slice);
            self.forget(node, places.unwrap_or_default()).await;
        }
        Ok(took)
    }

    /// Deletes what a dead node left, so that the hash of a user who is always connected does not grow with every crash.
    ///
    /// A node's fields are its own to delete as long as its key stands. Redis looks at the key and deletes in one step,
    /// and a node whose key is gone sets it before it registers all its connections again: so what is deleted here is a
    /// dead node's, or is written again. What fails is tried again with the next event.
    async fn forget(&self, node: &str, places: &[Place<'_>]) {
        let mut forget = pipe();
        for (user, field) in places {
            forget
                .cmd("EVAL")
                .arg(FORGET)
                .arg(2)
                .arg(self.keys.user(*user))
                .arg(self.keys.node(node))
                .arg(field);
        }
        let _: Result<Vec<u64>, _> = self.ask(&forget).await;
    }

    /// Of each node, whether its key stands.
    async fn alive(&self, nodes: &[&String]) -> Result<Vec<bool>, SessionError> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let mut look_up = pipe();
        for node in nodes {
            look_up.cmd("EXISTS").arg(self.keys.node(node));
        }
        self.ask(&look_up).await
    }

    async fn ask<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, SessionError> {
        let answer = pipe.query_async(&mut self.commands()?).await;
        answer.map_err(|error| unknown(&error))
    }
}

/// The entries of a hash, and their fields. What cannot be read is counted and skipped: there is no node to tell.
fn read(hash: &Hash) -> impl Iterator<Item = (&[u8], Entry)> {
    hash.iter().filter_map(|(field, value)| {
        let entry = Entry::read(value);
        if entry.is_none() {
            metrics::counter!("sordino_sessions_malformed_total").increment(1);
        }
        Some((field.as_slice(), entry?))
    })
}
