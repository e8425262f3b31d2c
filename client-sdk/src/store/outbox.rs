//! Messages on their way: each keeps its counter and all its encryptions until a row names one of them.

use rusqlite::{OptionalExtension, params};
use sordino_protocol::{ClientMessageId, Code, ConversationId};

use super::{Tx, failed, from_sql, to_sql};
use crate::error::Error;

/// A message to send, in its newest encryption.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its counter, dense per conversation.
    pub counter: u64,
    /// Its name, the same in every encryption.
    pub client_message_id: ClientMessageId,
    /// Names this encryption.
    pub env_hash: [u8; 32],
    /// The encryption, as it goes on the wire.
    pub envelope: Vec<u8>,
}

/// A message that has found its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Its counter.
    pub counter: u64,
    /// Its name.
    pub client_message_id: ClientMessageId,
}

impl Tx<'_> {
    /// The next counter of this device in `conversation`, from 1. Taken only if the transaction ends well.
    ///
    /// # Errors
    /// `StoreFailed`, `StoreDamaged`.
    pub fn take_counter(&self, conversation: ConversationId) -> Result<u64, Error> {
        let counter = self
            .0
            .prepare_cached(
                "INSERT INTO conversations (conversation, counter) VALUES (?1, 1)
                 ON CONFLICT DO UPDATE SET counter = counter + 1 RETURNING counter",
            )
            .and_then(|mut s| s.query_row([conversation.as_bytes()], |row| row.get(0)))
            .map_err(failed)?;
        from_sql(counter)
    }

    /// Keeps an encryption of a message; a later one of the same counter becomes the one to send.
    ///
    /// # Errors
    /// `StoreFailed`, also if the counter and the id belong to different messages.
    pub fn outbox_put(&self, conversation: ConversationId, out: &Outgoing) -> Result<(), Error> {
        let (id, counter) = (conversation.as_bytes(), to_sql(out.counter)?);
        let name = out.client_message_id.as_bytes();
        let same = self
            .0
            .prepare_cached(
                "SELECT client_message_id = ?3 FROM outbox
                 WHERE conversation = ?1 AND counter = ?2",
            )
            .and_then(|mut s| {
                s.query_row(params![id, counter, name], |row| row.get(0))
                    .optional()
            })
            .map_err(failed)?;
        match same {
            Some(true) => {}
            Some(false) => {
                return Err(Error::new(
                    Code::StoreFailed,
                    "the counter is another message's",
                ));
            }
            None => {
                self.0
                    .prepare_cached("INSERT INTO outbox VALUES (?1, ?2, ?3)")
                    .and_then(|mut s| s.execute(params![id, counter, name]))
                    .map_err(failed)?;
            }
        }
        self.0
            .prepare_cached(
                "INSERT INTO envelopes (conversation, counter, env_hash, envelope)
                 VALUES (?1, ?2, ?3, ?4)",
            )
            .and_then(|mut s| s.execute(params![id, counter, out.env_hash, out.envelope]))
            .map_err(failed)?;
        Ok(())
    }

    /// The first unsequenced messages, at most `limit`, in the order of their counters.
    ///
    /// # Errors
    /// `StoreFailed`, `StoreDamaged`.
    pub fn first_unsequenced(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> Result<Vec<Outgoing>, Error> {
        let mut statement = self
            .0
            .prepare_cached(
                "SELECT o.counter, o.client_message_id, e.env_hash, e.envelope
                 FROM outbox o JOIN envelopes e ON e.version = (
                     SELECT max(version) FROM envelopes
                     WHERE conversation = o.conversation AND counter = o.counter)
                 WHERE o.conversation = ?1 ORDER BY o.counter LIMIT ?2",
            )
            .map_err(failed)?;
        let found = statement
            .query_map(params![conversation.as_bytes(), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .map_err(failed)?;
        found
            .map(|row| {
                let (counter, id, env_hash, envelope) = row.map_err(failed)?;
                Ok(Outgoing {
                    counter: from_sql(counter)?,
                    client_message_id: ClientMessageId::from_bytes(id),
                    env_hash,
                    envelope,
                })
            })
            .collect()
    }

    /// A row named this encryption: its message leaves the outbox. `None` if no such encryption is kept: the
    /// row was handled before, or this store is older than what it sent.
    ///
    /// # Errors
    /// `StoreFailed`, `StoreDamaged`.
    pub fn settle(
        &self,
        conversation: ConversationId,
        env_hash: &[u8; 32],
    ) -> Result<Option<Settled>, Error> {
        let settled = self
            .0
            .prepare_cached(
                "DELETE FROM outbox WHERE conversation = ?1 AND counter = (
                     SELECT counter FROM envelopes WHERE conversation = ?1 AND env_hash = ?2)
                 RETURNING counter, client_message_id",
            )
            .and_then(|mut s| {
                s.query_row(params![conversation.as_bytes(), env_hash], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
            })
            .map_err(failed)?;
        let Some((counter, id)) = settled else {
            return Ok(None);
        };
        Ok(Some(Settled {
            counter: from_sql(counter)?,
            client_message_id: ClientMessageId::from_bytes(id),
        }))
    }
}
