//! A node's connections in Redis: one field of their user's hash each. Only their node writes and deletes it.

use ::redis::{RedisError, cmd, pipe};
use sordino_protocol::UserId;

use super::{
    keeper::millis,
    node::{Left, Node, Write},
    unknown,
};
use crate::{
    relay::now_ms,
    session::{Connection, Event, SessionError},
};

impl Node {
    /// Registers a connection here, which always succeeds, and in Redis, which may have to wait.
    pub(super) async fn register(&self, connection: Connection) {
        let key = (connection.user, connection.id);
        self.local.add(connection.clone());
        if !self.is_known() || self.write(&[connection]).await.is_err() {
            // Once it is made up for, a `Sync` stands for all that the other nodes could not tell this connection.
            self.owe_write(key, Write::Register);
        }
    }

    /// Forgets a connection here, and in Redis as soon as possible.
    pub(super) async fn unregister(&self, user: UserId, id: u64) {
        let Some(connection) = self.local.remove(user, id) else {
            return;
        };
        let left = [self.left(&connection)];
        if self.erase(&left).await.is_err() {
            self.owe_left(left);
        }
    }

    /// Pays some of what Redis has yet to be told.
    ///
    /// # Errors
    /// Redis does not answer; everything is still owed.
    pub(super) async fn pay(&self) -> Result<(), SessionError> {
        let left = self.take_left();
        if let Err(error) = self.erase(&left).await {
            self.owe_left(left);
            return Err(error);
        }
        let owed = self.take_writes();
        let find =
            |(key, why): &((UserId, u64), Write)| Some((self.local.get(key.0, key.1)?, *why));
        let (connections, whys): (Vec<_>, Vec<_>) = owed.iter().filter_map(find).unzip();
        let written = match self.write(&connections).await {
            Ok(written) => written,
            Err(error) => {
                owed.into_iter()
                    .for_each(|(key, why)| self.owe_write(key, why));
                return Err(error);
            }
        };
        for ((connection, why), new) in connections.iter().zip(whys).zip(written) {
            if self.local.get(connection.user, connection.id).is_none() {
                // It left while it was written, and its field may have been deleted before it was set.
                self.owe_leave(connection);
            } else if (why == Write::Register || new) && !connection.sink.deliver(&Event::Sync) {
                self.unregister(connection.user, connection.id).await;
            }
        }
        Ok(())
    }

    /// Takes all connections and the node's key out.
    pub(super) async fn leave(&self) {
        let all: Vec<_> = self.local.all().collect();
        for batch in all.chunks(self.timings.batch.max(1)) {
            let find = |&(user, id): &(UserId, u64)| self.local.get(user, id);
            let left = batch.iter().filter_map(find).map(|one| self.left(&one));
            if self.erase(&left.collect::<Vec<_>>()).await.is_err() {
                return;
            }
        }
        while let Some(left) = Some(self.take_left()).filter(|left| !left.is_empty()) {
            if self.erase(&left).await.is_err() {
                return;
            }
        }
        if let Ok(mut commands) = self.commands() {
            let mut delete = cmd("DEL");
            delete.arg(&self.keys.own_node);
            let _ = delete.exec_async(&mut commands).await;
        }
    }

    /// Writes connections and begins their users' times to live anew. Says of each whether it did not stand before.
    async fn write(&self, connections: &[Connection]) -> Result<Vec<bool>, SessionError> {
        if connections.is_empty() {
            return Ok(Vec::new());
        }
        let (mut pipe, now) = (pipe(), now_ms());
        for connection in connections {
            let key = self.keys.user(connection.user);
            pipe.cmd("HSET")
                .arg(&key)
                .arg(self.keys.field(connection))
                .arg(self.keys.entry(connection, now));
            pipe.cmd("PEXPIRE")
                .arg(&key)
                .arg(millis(self.timings.session_ttl))
                .ignore();
        }
        let new: Result<Vec<u64>, RedisError> = pipe.query_async(&mut self.commands()?).await;
        let new = new.map_err(|error| unknown(&error))?;
        Ok(new.into_iter().map(|new| new > 0).collect())
    }

    /// Deletes the fields of connections that have left.
    async fn erase(&self, left: &[Left]) -> Result<(), SessionError> {
        if left.is_empty() {
            return Ok(());
        }
        let mut pipe = pipe();
        for one in left {
            pipe.cmd("HDEL")
                .arg(self.keys.user(one.user))
                .arg(&one.field);
        }
        let erased = pipe.exec_async(&mut self.commands()?).await;
        erased.map_err(|error| unknown(&error))
    }
}
