//! Conversations: cursors, counters and marks.

use rusqlite::{Row, params};
use sordino_crypto::receive::Counters;
use sordino_protocol::{Code, ConversationId, DeviceId, UserId};

use super::Tx;
use super::expiry::TIMER;
use super::sql::N;
use crate::error::Error;

/// A conversation as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The other person.
    pub peer: UserId,
    /// The highest seq up to which every row is stored.
    pub cursor: u64,
    /// The last counter that this device has taken.
    pub counter: u64,
    /// Read up to here.
    pub read: u64,
    /// Delivered to the peer up to here, by the relay's word.
    pub delivered: u64,
    /// Read by the peer up to here, by their own word.
    pub read_by_peer: u64,
    /// The peer was told that one has read up to here.
    pub receipt: u64,
}

/// A conversation with what the list of them shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Itself.
    pub held: Conversation,
    /// The user has ever written to this person, on any device.
    pub answered: bool,
    /// What the user has begun to write.
    pub draft: String,
    /// How long messages last, in seconds; 0: for ever.
    pub timer_s: u32,
    /// Messages of others after the read mark.
    pub unread: u64,
    /// The other person's name, if it was learnt.
    pub username: Option<String>,
    /// What they call themselves; empty: nothing, as far as it is known.
    pub display_name: String,
}

/// The columns of a conversation, of the table `c`.
const HELD: &str =
    "c.conversation, c.peer, c.cursor, c.counter, c.read, c.delivered, c.read_by_peer, c.receipt";
const NEWEST_FIRST: &str =
    "ORDER BY (SELECT max(at_ms) FROM timeline t WHERE t.conversation = c.conversation) DESC,
         (SELECT max(item) FROM timeline t WHERE t.conversation = c.conversation) DESC, c.conversation";

fn conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        id: ConversationId::from_bytes(row.get(0)?),
        peer: UserId::from_bytes(row.get(1)?),
        cursor: row.get::<_, N>(2)?.0,
        counter: row.get::<_, N>(3)?.0,
        read: row.get::<_, N>(4)?.0,
        delivered: row.get::<_, N>(5)?.0,
        read_by_peer: row.get::<_, N>(6)?.0,
        receipt: row.get::<_, N>(7)?.0,
    })
}

impl Tx<'_> {
    /// Makes the conversation if it is new.
    pub fn ensure_conversation(&self, id: ConversationId, peer: UserId) -> Result<(), Error> {
        self.run(
            "INSERT INTO conversations (conversation, peer) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![id.as_bytes(), peer.as_bytes()],
        )?;
        Ok(())
    }

    /// A conversation, if it exists.
    pub fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, Error> {
        self.one(
            &format!("SELECT {HELD} FROM conversations c WHERE conversation = ?1"),
            [id.as_bytes()],
            conversation,
        )
    }

    /// All conversations, that of the newest item first.
    pub fn conversations(&self) -> Result<Vec<Conversation>, Error> {
        self.all(
            &format!("SELECT {HELD} FROM conversations c {NEWEST_FIRST}"),
            [],
            conversation,
        )
    }

    /// The same with what the list of them shows beside the newest item.
    pub fn listed(&self) -> Result<Vec<Listed>, Error> {
        self.all(
            &format!(
                "SELECT {HELD}, answered, draft, {TIMER},
                     (SELECT count(*) FROM timeline t
                          WHERE t.conversation = c.conversation AND t.place > c.read AND t.kind = 1 AND t.mine = 0),
                     (SELECT username FROM names WHERE user = c.peer),
                     coalesce((SELECT display_name FROM contacts WHERE user = c.peer), '')
                 FROM conversations c {NEWEST_FIRST}"
            ),
            [],
            |row| {
                Ok(Listed {
                    held: conversation(row)?,
                    answered: row.get(8)?,
                    draft: row.get(9)?,
                    timer_s: row.get(10)?,
                    unread: row.get::<_, N>(11)?.0,
                    username: row.get(12)?,
                    display_name: row.get(13)?,
                })
            },
        )
    }

    /// Conversations of which there are rows, and not only gaps.
    pub fn conversations_with_rows(&self) -> Result<Vec<ConversationId>, Error> {
        self.all(
            "SELECT conversation FROM conversations c WHERE EXISTS
                 (SELECT 1 FROM rows r WHERE r.conversation = c.conversation AND r.env_hash IS NOT NULL)",
            [],
            |row| Ok(ConversationId::from_bytes(row.get(0)?)),
        )
    }

    /// The highest `seq` up to which every row is stored; 0 for none.
    pub fn cursor(&self, id: ConversationId) -> Result<u64, Error> {
        let cursor = self.one(
            "SELECT cursor FROM conversations WHERE conversation = ?1",
            [id.as_bytes()],
            |row| row.get::<_, N>(0),
        )?;
        Ok(cursor.map_or(0, |n| n.0))
    }

    /// The next counter of this device, from 1. Taken only if the transaction ends well.
    pub fn take_counter(&self, id: ConversationId) -> Result<u64, Error> {
        self.one(
            "UPDATE conversations SET counter = counter + 1 WHERE conversation = ?1 RETURNING counter",
            [id.as_bytes()],
            |row| row.get::<_, N>(0),
        )?
        .map(|n| n.0)
        .ok_or_else(|| Error::new(Code::Internal, "no such conversation"))
    }

    /// Sets the last counter that this device has taken.
    pub fn set_counter(&self, id: ConversationId, counter: u64) -> Result<(), Error> {
        self.run(
            "UPDATE conversations SET counter = ?2 WHERE conversation = ?1",
            params![id.as_bytes(), N(counter)],
        )?;
        Ok(())
    }

    /// The last sequenced counters of a device; 0 for none.
    pub fn counters(
        &self,
        id: ConversationId,
        user: UserId,
        device: DeviceId,
    ) -> Result<Counters, Error> {
        let found = self.one(
            "SELECT shown, proven FROM counters WHERE conversation = ?1 AND user = ?2 AND device = ?3",
            params![id.as_bytes(), user.as_bytes(), device.as_bytes()],
            |row| {
                Ok(Counters {
                    shown: row.get::<_, N>(0)?.0,
                    proven: row.get::<_, N>(1)?.0,
                })
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    /// The last sequenced counter of this device; 0 for none.
    pub fn own_last_counter(&self, id: ConversationId) -> Result<u64, Error> {
        let last = self.one(
            "SELECT shown FROM counters JOIN account USING (user, device) WHERE conversation = ?1",
            [id.as_bytes()],
            |row| row.get::<_, N>(0),
        )?;
        Ok(last.map_or(0, |n| n.0))
    }

    /// Raises the last sequenced counters of a device.
    pub fn raise_counters(
        &self,
        id: ConversationId,
        (user, device): (UserId, DeviceId),
        to: Counters,
    ) -> Result<(), Error> {
        self.run(
            "INSERT INTO counters VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET shown = max(shown, excluded.shown),
                 proven = max(proven, excluded.proven)",
            params![
                id.as_bytes(),
                user.as_bytes(),
                device.as_bytes(),
                N(to.shown),
                N(to.proven),
            ],
        )?;
        Ok(())
    }

    /// The user writes to this person: whatever they have written is no request any more.
    pub fn set_answered(&self, id: ConversationId) -> Result<(), Error> {
        self.run(
            "UPDATE conversations SET answered = 1 WHERE conversation = ?1 AND answered = 0",
            [id.as_bytes()],
        )?;
        Ok(())
    }

    /// Whether the user has ever written to this person, on any device.
    pub fn is_answered(&self, id: ConversationId) -> Result<bool, Error> {
        let answered = self.one(
            "SELECT answered FROM conversations WHERE conversation = ?1",
            [id.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(answered.unwrap_or(false))
    }

    /// Whether the other person may hear that somebody is there: the user has written to them, on any device, or is them. What another
    /// own device has written counts as well: this one may never have sent anything itself.
    pub fn is_accepted(&self, me: UserId, held: &Conversation) -> Result<bool, Error> {
        Ok(held.peer == me || held.counter > 0 || self.is_answered(held.id)?)
    }

    /// Raises the read mark; whether it rose.
    pub fn raise_read(&self, id: ConversationId, upto: u64) -> Result<bool, Error> {
        let changed = self.run(
            "UPDATE conversations SET read = ?2 WHERE conversation = ?1 AND read < ?2",
            params![id.as_bytes(), N(upto)],
        )?;
        Ok(changed > 0)
    }

    /// Raises the peer's mark; whether it rose.
    pub fn raise_delivered(&self, id: ConversationId, upto: u64) -> Result<bool, Error> {
        let changed = self.run(
            "UPDATE conversations SET delivered = ?2 WHERE conversation = ?1 AND delivered < ?2",
            params![id.as_bytes(), N(upto)],
        )?;
        Ok(changed > 0)
    }

    /// Raises the mark up to which the peer has read; whether it rose.
    pub fn raise_read_by_peer(&self, id: ConversationId, upto: u64) -> Result<bool, Error> {
        let changed = self.run(
            "UPDATE conversations SET read_by_peer = ?2 WHERE conversation = ?1 AND read_by_peer < ?2",
            params![id.as_bytes(), N(upto)],
        )?;
        Ok(changed > 0)
    }

    /// Raises the mark up to which the peer knows that one has read.
    pub fn raise_receipt(&self, id: ConversationId, upto: u64) -> Result<(), Error> {
        self.run(
            "UPDATE conversations SET receipt = max(receipt, ?2) WHERE conversation = ?1",
            params![id.as_bytes(), N(upto)],
        )?;
        Ok(())
    }

    /// Conversations that were read further than the peer knows.
    pub fn receipts_due(&self) -> Result<Vec<Conversation>, Error> {
        self.all(
            &format!("SELECT {HELD} FROM conversations c WHERE read > receipt"),
            [],
            conversation,
        )
    }

    /// The newest message of the peer with `after < seq <= upto`.
    pub fn newest_of_peer(
        &self,
        id: ConversationId,
        after: u64,
        upto: u64,
    ) -> Result<Option<u64>, Error> {
        let newest = self.one(
            "SELECT max(place) FROM timeline
             WHERE conversation = ?1 AND place > ?2 AND place <= ?3 AND kind = 1 AND mine = 0",
            params![id.as_bytes(), N(after), N(upto)],
            |row| row.get::<_, Option<N>>(0),
        )?;
        Ok(newest.flatten().map(|n| n.0))
    }

    /// Notes that the two were shown different conversations; whether that is news.
    pub fn note_views_differ(&self, id: ConversationId) -> Result<bool, Error> {
        let changed = self.run(
            "UPDATE conversations SET views_differ = 1 WHERE conversation = ?1 AND views_differ = 0",
            [id.as_bytes()],
        )?;
        Ok(changed > 0)
    }
}
