//! What is said of messages: edits, reactions, erasures.

use rusqlite::{Row, params};
use sordino_protocol::{ClientMessageId, Code, ConversationId, UserId};

use super::sql::N;
use super::timeline::{
    COLUMNS, ItemKind, MessageRef, Progress, StoredItem, progress, reference, stored,
};
use super::{Tx, UNPLACED};
use crate::error::Error;

/// What is said of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It says something else.
    Edit = 1,
    /// How somebody likes it.
    Reaction = 2,
    /// It is to be gone. Only own ones are kept, until they have their row.
    Erasure = 3,
}

/// Something that is said of a message, as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Its local number; 0 before it is stored.
    pub change: u64,
    /// Its conversation.
    pub conversation: ConversationId,
    /// The seq of its row, or [`UNPLACED`].
    pub place: u64,
    /// What it is.
    pub kind: ChangeKind,
    /// Its own name.
    pub name: MessageRef,
    /// Of which message.
    pub of: MessageRef,
    /// The new text; the reaction, empty for none; the rows to be erased.
    pub text: String,
    /// Its author's clock.
    pub sent_ms: u64,
    /// When it came or was written, by this device's clock.
    pub at_ms: u64,
    /// How far an own one has come.
    pub progress: Progress,
}

const CHANGE: &str = "change, conversation, place, kind, author, author_device, client_message_id, of_author, of_device, \
                      of_message, text, sent_ms, at_ms, state";

/// Of a change `c`: it has no counter yet, and may take one. What it is of is itself on its way; for an erasure it has its place, which
/// is below [`UNPLACED`].
pub(super) const MAY_GO: &str = "c.state = 0 AND EXISTS (
    SELECT 1 FROM timeline t WHERE t.conversation = c.conversation AND t.client_message_id = c.of_message
        AND t.author = c.of_author AND t.author_device = c.of_device
        AND t.state <> 0 AND (c.kind <> 3 OR t.place < 9223372036854775807))";

fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let kind = match row.get(3)? {
        1 => ChangeKind::Edit,
        2 => ChangeKind::Reaction,
        3 => ChangeKind::Erasure,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
    };
    let nameless = || rusqlite::Error::IntegralValueOutOfRange(4, 0);
    Ok(Change {
        change: row.get::<_, N>(0)?.0,
        conversation: ConversationId::from_bytes(row.get(1)?),
        place: row.get::<_, N>(2)?.0,
        kind,
        name: reference(row, 4)?.ok_or_else(nameless)?,
        of: reference(row, 7)?.ok_or_else(nameless)?,
        text: row.get(10)?,
        sent_ms: row.get::<_, N>(11)?.0,
        at_ms: row.get::<_, N>(12)?.0,
        progress: progress(row, 13)?,
    })
}

impl Tx<'_> {
    /// Adds a change; whether it is new.
    pub fn add_change(&self, change: &Change) -> Result<bool, Error> {
        let added = self.run(
            "INSERT INTO changes (conversation, place, kind, author, author_device, client_message_id,
                 of_author, of_device, of_message, text, sent_ms, at_ms, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING",
            params![
                change.conversation.as_bytes(),
                N(change.place),
                change.kind as i64,
                change.name.author.as_bytes(),
                change.name.device.as_bytes(),
                change.name.id.as_bytes(),
                change.of.author.as_bytes(),
                change.of.device.as_bytes(),
                change.of.id.as_bytes(),
                change.text,
                N(change.sent_ms.min(UNPLACED)),
                N(change.at_ms.min(UNPLACED)),
                change.progress as i64,
            ],
        )?;
        Ok(added > 0)
    }

    /// Where a change stands and how far it has come.
    pub fn update_change(&self, change: u64, place: u64, progress: Progress) -> Result<(), Error> {
        self.run(
            "UPDATE changes SET place = ?2, state = ?3 WHERE change = ?1",
            params![N(change), N(place), progress as i64],
        )?;
        Ok(())
    }

    /// Which rows an erasure names: the same whenever it is encrypted.
    pub fn set_change_text(&self, change: u64, text: &str) -> Result<(), Error> {
        self.run(
            "UPDATE changes SET text = ?2 WHERE change = ?1",
            params![N(change), text],
        )?;
        Ok(())
    }

    /// A change counts for nothing any more.
    pub fn delete_change(&self, change: u64) -> Result<(), Error> {
        self.run("DELETE FROM changes WHERE change = ?1", [N(change)])?;
        Ok(())
    }

    /// A change of this device by its name.
    pub fn own_change(
        &self,
        conversation: ConversationId,
        id: ClientMessageId,
    ) -> Result<Option<Change>, Error> {
        self.one(
            &format!(
                "SELECT {CHANGE} FROM changes JOIN account ON author = user AND author_device = device
                 WHERE conversation = ?1 AND client_message_id = ?2"
            ),
            params![conversation.as_bytes(), id.as_bytes()],
            change,
        )
    }

    /// Own changes that have no counter yet and may take one: of what is itself on its way, and erasures of what has its place.
    pub fn held_changes(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> Result<Vec<Change>, Error> {
        self.all(
            &format!(
                "SELECT {CHANGE} FROM changes c
                 WHERE c.conversation = ?1 AND {MAY_GO}
                 ORDER BY c.change LIMIT ?2"
            ),
            params![conversation.as_bytes(), limit],
            change,
        )
    }

    /// What is said of a message in one way, except what failed; the newest last.
    pub fn changes_of(
        &self,
        conversation: ConversationId,
        of: MessageRef,
        kind: ChangeKind,
    ) -> Result<Vec<Change>, Error> {
        self.all(
            &format!(
                "SELECT {CHANGE} FROM changes
                 WHERE conversation = ?1 AND of_message = ?2 AND of_author = ?3 AND of_device = ?4 AND kind = ?5
                     AND state <> 3 ORDER BY place, change"
            ),
            params![
                conversation.as_bytes(),
                of.id.as_bytes(),
                of.author.as_bytes(),
                of.device.as_bytes(),
                kind as i64
            ],
            change,
        )
    }

    /// What `author` said of a message in one way before they said something else of it.
    pub fn forget_superseded(&self, last: &Change) -> Result<(), Error> {
        self.run(
            "DELETE FROM changes
             WHERE conversation = ?1 AND of_message = ?2 AND of_author = ?3 AND of_device = ?4 AND kind = ?5 AND author = ?6
                 AND place < (SELECT max(place) FROM changes
                     WHERE conversation = ?1 AND of_message = ?2 AND of_author = ?3 AND of_device = ?4 AND kind = ?5
                         AND author = ?6 AND place < ?7)",
            params![
                last.conversation.as_bytes(),
                last.of.id.as_bytes(),
                last.of.author.as_bytes(),
                last.of.device.as_bytes(),
                last.kind as i64,
                last.name.author.as_bytes(),
                N(UNPLACED)
            ],
        )?;
        Ok(())
    }

    /// All that is said of messages of a conversation.
    #[cfg(test)]
    pub fn count_changes(&self, conversation: ConversationId) -> Result<u64, Error> {
        let count = self.one(
            "SELECT count(*) FROM changes WHERE conversation = ?1",
            [conversation.as_bytes()],
            |row| row.get::<_, N>(0),
        )?;
        Ok(count.map_or(0, |n| n.0))
    }

    /// The change with its row at `seq`.
    pub fn change_at(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Change>, Error> {
        self.one(
            &format!("SELECT {CHANGE} FROM changes WHERE conversation = ?1 AND place = ?2"),
            params![conversation.as_bytes(), N(seq)],
            change,
        )
    }

    /// All that is said of a message is forgotten, except that it is to be erased; what it was.
    pub fn forget_changes(
        &self,
        conversation: ConversationId,
        of: MessageRef,
    ) -> Result<Vec<Change>, Error> {
        self.all(
            &format!(
                "DELETE FROM changes
                 WHERE conversation = ?1 AND of_message = ?2 AND of_author = ?3 AND of_device = ?4 AND kind <> 3
                 RETURNING {CHANGE}"
            ),
            params![
                conversation.as_bytes(),
                of.id.as_bytes(),
                of.author.as_bytes(),
                of.device.as_bytes()
            ],
            change,
        )
    }

    /// What a message says from now on; `None`: what it said at first.
    pub fn set_text(&self, item: u64, text: Option<&str>) -> Result<(), Error> {
        match text {
            Some(text) => self.run(
                "UPDATE timeline SET original = coalesce(original, text), text = ?2 WHERE item = ?1",
                params![N(item), text],
            )?,
            None => self.run(
                "UPDATE timeline SET text = original, original = NULL WHERE item = ?1 AND original IS NOT NULL",
                [N(item)],
            )?,
        };
        Ok(())
    }

    /// What a message that is not on its way yet says.
    pub fn rewrite(&self, item: u64, text: &str) -> Result<(), Error> {
        self.run(
            "UPDATE timeline SET text = ?2 WHERE item = ?1",
            params![N(item), text],
        )?;
        Ok(())
    }

    /// Nothing is left of an item but that it was there.
    pub fn blank_item(&self, item: u64) -> Result<(), Error> {
        self.run(
            "UPDATE timeline SET kind = ?2, text = '', original = NULL, reply_author = NULL, reply_device = NULL,
                 reply_message = NULL, timer_s = 0, expires_ms = NULL
             WHERE item = ?1",
            params![N(item), ItemKind::Erased as i64],
        )?;
        Ok(())
    }

    /// An item is gone.
    pub fn delete_item(&self, item: u64) -> Result<(), Error> {
        self.run("DELETE FROM timeline WHERE item = ?1", [N(item)])?;
        Ok(())
    }

    /// A row will not be read again: its key leaves, and that from a backup.
    pub fn forget_key(&self, conversation: ConversationId, seq: u64) -> Result<(), Error> {
        self.run(
            "UPDATE rows SET content_key = NULL WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
        )?;
        self.forget_late(conversation, seq)?;
        self.run(
            "DELETE FROM restored_keys WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
        )?;
        Ok(())
    }

    /// The message, or what is left of it, with a name.
    pub fn item_named(
        &self,
        conversation: ConversationId,
        name: MessageRef,
    ) -> Result<Option<StoredItem>, Error> {
        self.one(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND client_message_id = ?2 AND author = ?3 AND author_device = ?4"
            ),
            params![
                conversation.as_bytes(),
                name.id.as_bytes(),
                name.author.as_bytes(),
                name.device.as_bytes()
            ],
            stored,
        )
    }

    /// The item with a local number.
    pub fn item_numbered(&self, item: u64) -> Result<Option<StoredItem>, Error> {
        self.one(
            &format!("SELECT {COLUMNS} FROM timeline WHERE item = ?1"),
            [N(item)],
            stored,
        )
    }

    /// Whether anything is said of a message.
    pub fn is_changed(&self, conversation: ConversationId, of: MessageRef) -> Result<bool, Error> {
        let found = self.one(
            "SELECT 1 FROM changes WHERE conversation = ?1 AND of_message = ?2 AND of_author = ?3 AND of_device = ?4 LIMIT 1",
            params![
                conversation.as_bytes(),
                of.id.as_bytes(),
                of.author.as_bytes(),
                of.device.as_bytes()
            ],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// The message that an app means: of `mine`, or of anybody. Whoever takes another's name for theirs comes after it.
    pub fn message_called(
        &self,
        conversation: ConversationId,
        id: ClientMessageId,
        mine: bool,
    ) -> Result<StoredItem, Error> {
        self.one(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND client_message_id = ?2 AND kind = 1 AND (mine = 1 OR NOT ?3)
                 ORDER BY place, item LIMIT 1"
            ),
            params![conversation.as_bytes(), id.as_bytes(), mine],
            stored,
        )?
        .ok_or_else(|| Error::new(Code::UnknownMessage, ""))
    }

    /// What a person wrote in the row `seq`, readable or not. What was given up may stand there, too, without a row.
    pub fn written_at(
        &self,
        conversation: ConversationId,
        seq: u64,
        by: UserId,
    ) -> Result<Option<StoredItem>, Error> {
        self.one(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND place = ?2 AND author = ?3 AND kind IN (1, 2, 6) AND state <> 3"
            ),
            params![conversation.as_bytes(), N(seq), by.as_bytes()],
            stored,
        )
    }

    /// Messages that answer one, the newest `limit`.
    pub fn answers_to(
        &self,
        conversation: ConversationId,
        name: MessageRef,
        limit: u32,
    ) -> Result<Vec<StoredItem>, Error> {
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND reply_message = ?2 AND reply_author = ?3 AND reply_device = ?4
                 ORDER BY place DESC, item DESC LIMIT ?5"
            ),
            params![
                conversation.as_bytes(),
                name.id.as_bytes(),
                name.author.as_bytes(),
                name.device.as_bytes(),
                limit
            ],
            stored,
        )
    }
}
