//! Messages on their way: each keeps its counter and all its encryptions until a row names one of them.

use bytes::Bytes;
use rusqlite::params;
use sordino_crypto::Secret;
use sordino_protocol::{ClientMessageId, Code, ConversationId, DeviceId};

use super::Tx;
use super::account::secret;
use super::changes::MAY_GO;
use super::sql::N;
use crate::error::Error;

/// A message with a counter, as it is encrypted again if it must be.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its counter, dense per conversation.
    pub counter: u64,
    /// Its name, the same in every encryption.
    pub client_message_id: ClientMessageId,
    /// The class of its header.
    pub class: u8,
    /// The only device that it is for.
    pub target: Option<DeviceId>,
    /// The encoded content.
    pub content: Vec<u8>,
    /// Given up: the content is an empty one.
    pub given_up: bool,
}

/// One encryption of a message.
pub struct Envelope {
    /// Names it.
    pub env_hash: [u8; 32],
    /// As it goes on the wire: an encoded `Send`.
    pub envelope: Vec<u8>,
    /// CK, of a message that goes into the backup.
    pub content_key: Option<Secret<32>>,
}

/// A message to send, in its newest encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its counter.
    pub counter: u64,
    /// Its name.
    pub client_message_id: ClientMessageId,
    /// An encoded `Send`.
    pub send: Bytes,
}

impl Tx<'_> {
    /// Puts a message with its counter into the outbox; it goes out with its first encryption.
    pub fn outbox_put(&self, conversation: ConversationId, entry: &Entry) -> Result<(), Error> {
        self.run(
            "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
            params![
                conversation.as_bytes(),
                N(entry.counter),
                entry.client_message_id.as_bytes(),
                entry.class,
                entry.target.as_ref().map(DeviceId::as_bytes),
                entry.content,
                entry.given_up,
            ],
        )?;
        Ok(())
    }

    /// Keeps an encryption: from now on it is the one to send.
    pub fn outbox_encrypted(
        &self,
        conversation: ConversationId,
        counter: u64,
        given_up: bool,
        envelope: &Envelope,
    ) -> Result<(), Error> {
        self.run(
            "INSERT INTO envelopes (conversation, counter, env_hash, envelope, given_up, content_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                conversation.as_bytes(),
                N(counter),
                envelope.env_hash,
                envelope.envelope,
                given_up,
                envelope.content_key.as_ref().map(|key| key.expose().as_slice()),
            ],
        )?;
        self.run(
            "UPDATE outbox SET stale = 0 WHERE conversation = ?1 AND counter = ?2",
            params![conversation.as_bytes(), N(counter)],
        )?;
        Ok(())
    }

    /// Messages from `counter` on are to be encrypted again before they are sent; how many.
    pub fn outbox_stale_from(
        &self,
        conversation: ConversationId,
        counter: u64,
    ) -> Result<usize, Error> {
        self.run(
            "UPDATE outbox SET stale = 1 WHERE conversation = ?1 AND counter >= ?2",
            params![conversation.as_bytes(), N(counter)],
        )
    }

    /// Replaces the content of a message by an empty one, to be encrypted before it is sent.
    pub fn outbox_give_up(
        &self,
        conversation: ConversationId,
        counter: u64,
        content: &[u8],
    ) -> Result<(), Error> {
        self.run(
            "UPDATE outbox SET content = ?3, given_up = 1, stale = 1
             WHERE conversation = ?1 AND counter = ?2",
            params![conversation.as_bytes(), N(counter), content],
        )?;
        Ok(())
    }

    /// The message at a counter.
    pub fn outbox_entry(
        &self,
        conversation: ConversationId,
        counter: u64,
    ) -> Result<Option<Entry>, Error> {
        self.one(
            "SELECT counter, client_message_id, class, target, content, given_up FROM outbox
             WHERE conversation = ?1 AND counter = ?2",
            params![conversation.as_bytes(), N(counter)],
            entry,
        )
    }

    /// The message with a name.
    pub fn outbox_named(
        &self,
        conversation: ConversationId,
        id: ClientMessageId,
    ) -> Result<Option<Entry>, Error> {
        self.one(
            "SELECT counter, client_message_id, class, target, content, given_up FROM outbox
             WHERE conversation = ?1 AND client_message_id = ?2",
            params![conversation.as_bytes(), id.as_bytes()],
            entry,
        )
    }

    /// All messages of a conversation that have a counter and no row, in order.
    pub fn outbox(&self, conversation: ConversationId) -> Result<Vec<Entry>, Error> {
        self.all(
            "SELECT counter, client_message_id, class, target, content, given_up FROM outbox
             WHERE conversation = ?1 ORDER BY counter",
            [conversation.as_bytes()],
            entry,
        )
    }

    /// Messages that are to be encrypted again, in order.
    pub fn stale(&self, conversation: ConversationId, limit: u32) -> Result<Vec<Entry>, Error> {
        self.all(
            "SELECT counter, client_message_id, class, target, content, given_up FROM outbox
             WHERE conversation = ?1 AND stale = 1 ORDER BY counter LIMIT ?2",
            params![conversation.as_bytes(), limit],
            entry,
        )
    }

    /// Every encryption of a counter, oldest first: its name, and whether it is of the empty content.
    pub fn versions(
        &self,
        conversation: ConversationId,
        counter: u64,
    ) -> Result<Vec<([u8; 32], bool)>, Error> {
        self.all(
            "SELECT env_hash, given_up FROM envelopes
             WHERE conversation = ?1 AND counter = ?2 ORDER BY version",
            params![conversation.as_bytes(), N(counter)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// CK of an encryption of an own message.
    pub fn envelope_key(
        &self,
        conversation: ConversationId,
        env_hash: &[u8; 32],
    ) -> Result<Option<Secret<32>>, Error> {
        let key = self.one(
            "SELECT content_key FROM envelopes WHERE conversation = ?1 AND env_hash = ?2",
            params![conversation.as_bytes(), env_hash],
            |row| row.get(0).map(secret),
        )?;
        Ok(key.flatten())
    }

    /// An encryption of an own message, as it was sent.
    pub fn envelope(
        &self,
        conversation: ConversationId,
        env_hash: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, Error> {
        self.one(
            "SELECT envelope FROM envelopes WHERE conversation = ?1 AND env_hash = ?2",
            params![conversation.as_bytes(), env_hash],
            |row| row.get(0),
        )
    }

    /// The first unsequenced messages after a counter, at most `limit`, in order; it ends before the first that must not
    /// be sent as it is.
    pub fn outgoing(
        &self,
        conversation: ConversationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Outgoing>, Error> {
        self.all(
            "SELECT o.counter, o.client_message_id, e.envelope
             FROM outbox o JOIN envelopes e ON e.version = (
                 SELECT max(version) FROM envelopes
                 WHERE conversation = o.conversation AND counter = o.counter)
             WHERE o.conversation = ?1 AND o.counter > ?2 AND o.counter < coalesce(
                 (SELECT min(counter) FROM outbox WHERE conversation = ?1 AND stale = 1), ?4)
             ORDER BY o.counter LIMIT ?3",
            params![conversation.as_bytes(), N(after), limit, i64::MAX],
            |row| {
                Ok(Outgoing {
                    counter: row.get::<_, N>(0)?.0,
                    client_message_id: ClientMessageId::from_bytes(row.get(1)?),
                    send: row.get::<_, Vec<u8>>(2)?.into(),
                })
            },
        )
    }

    /// How much for this device alone waits.
    pub fn outbox_for(&self, conversation: ConversationId, target: DeviceId) -> Result<u64, Error> {
        let count = self.one(
            "SELECT count(*) FROM outbox WHERE conversation = ?1 AND target = ?2",
            params![conversation.as_bytes(), target.as_bytes()],
            |row| row.get::<_, N>(0),
        )?;
        Ok(count.map_or(0, |n| n.0))
    }

    /// The first counter without a row.
    pub fn first_counter(&self, conversation: ConversationId) -> Result<Option<u64>, Error> {
        let first = self.one(
            "SELECT min(counter) FROM outbox WHERE conversation = ?1",
            [conversation.as_bytes()],
            |row| row.get::<_, Option<N>>(0),
        )?;
        Ok(first.flatten().map(|n| n.0))
    }

    /// The message has its row, or its counter will never be used: it and its encryptions leave.
    pub fn outbox_delete(&self, conversation: ConversationId, counter: u64) -> Result<(), Error> {
        self.run(
            "DELETE FROM outbox WHERE conversation = ?1 AND counter = ?2",
            params![conversation.as_bytes(), N(counter)],
        )?;
        Ok(())
    }

    /// Conversations with something to send or to encrypt.
    pub fn waiting_conversations(&self) -> Result<Vec<ConversationId>, Error> {
        self.all(
            &format!(
                "SELECT conversation FROM outbox
                 UNION SELECT conversation FROM timeline WHERE mine = 1 AND state = 0
                 UNION SELECT conversation FROM changes c WHERE {MAY_GO}"
            ),
            [],
            |row| row.get(0).map(ConversationId::from_bytes),
        )
    }
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        counter: row.get::<_, N>(0)?.0,
        client_message_id: ClientMessageId::from_bytes(row.get(1)?),
        class: row.get(2)?,
        target: row.get::<_, Option<_>>(3)?.map(DeviceId::from_bytes),
        content: row.get(4)?,
        given_up: row.get(5)?,
    })
}

impl Entry {
    /// The content that is encrypted.
    ///
    /// # Errors
    /// `StoreDamaged`.
    pub fn decode(&self) -> Result<sordino_protocol::pb::Content, Error> {
        prost::Message::decode(self.content.as_slice())
            .map_err(|_| Error::new(Code::StoreDamaged, "a content of the outbox"))
    }
}
