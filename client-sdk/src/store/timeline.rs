//! What the user is shown of a conversation.

use rusqlite::{Row, params};
use sordino_protocol::{ClientMessageId, ConversationId, DeviceId, UserId};

use super::Tx;
use super::sql::N;
use crate::error::Error;

/// After every row: where a message stands that has none yet.
pub const UNPLACED: u64 = i64::MAX as u64;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A message.
    Message = 1,
    /// A row that cannot be shown.
    Undecryptable = 2,
    /// A row that the relay has lost.
    Gap = 3,
    /// Someone's keys changed.
    KeyChanged = 4,
    /// A message that its author has erased.
    Erased = 5,
    /// Somebody set how long messages last: [`StoredItem::timer_s`].
    Timer = 6,
}

/// Names a message of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// Who wrote it.
    pub author: UserId,
    /// With which device.
    pub device: DeviceId,
    /// What its author calls it.
    pub id: ClientMessageId,
}

/// How far an own message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not encrypted yet; it has no counter.
    Held = 0,
    /// In the outbox.
    Outbox = 1,
    /// The relay has it.
    Accepted = 2,
    /// Given up.
    Failed = 3,
}

/// An item as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredItem {
    /// Its local number; 0 before it is stored.
    pub item: u64,
    /// Its conversation.
    pub conversation: ConversationId,
    /// The seq of its row, or [`UNPLACED`].
    pub place: u64,
    /// What it is.
    pub kind: ItemKind,
    /// Who wrote it, or whose keys changed.
    pub author: Option<UserId>,
    /// With which device.
    pub author_device: Option<DeviceId>,
    /// The author's name for it.
    pub client_message_id: Option<ClientMessageId>,
    /// Written by the user of this device, on whichever device.
    pub mine: bool,
    /// The text.
    pub text: String,
    /// The author's clock.
    pub sent_ms: u64,
    /// When it came or was written, by this device's clock; of what the backup gave back, when it was written.
    pub at_ms: u64,
    /// How far it has come.
    pub progress: Progress,
    /// Why it failed or cannot be shown.
    pub code: String,
    /// The message that it answers.
    pub reply_to: Option<MessageRef>,
    /// It says something else than at first.
    pub edited: bool,
    /// Seconds that it lasts; 0: for ever.
    pub timer_s: u32,
    /// When it ends, once that is known.
    pub expires_ms: Option<u64>,
}

impl StoredItem {
    /// Its name, of a message.
    #[must_use]
    pub fn name(&self) -> Option<MessageRef> {
        Some(MessageRef {
            author: self.author?,
            device: self.author_device?,
            id: self.client_message_id?,
        })
    }
}

pub(super) const COLUMNS: &str = "item, conversation, place, kind, author, author_device, client_message_id, mine, text, \
                       sent_ms, state, code, at_ms, reply_author, reply_device, reply_message, original IS NOT NULL, timer_s, \
                       expires_ms";
/// How many they are.
pub(super) const WIDTH: usize = 19;

pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<StoredItem> {
    let kind = match row.get(3)? {
        1 => ItemKind::Message,
        2 => ItemKind::Undecryptable,
        3 => ItemKind::Gap,
        4 => ItemKind::KeyChanged,
        5 => ItemKind::Erased,
        6 => ItemKind::Timer,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
    };
    Ok(StoredItem {
        item: row.get::<_, N>(0)?.0,
        conversation: ConversationId::from_bytes(row.get(1)?),
        place: row.get::<_, N>(2)?.0,
        kind,
        author: row.get::<_, Option<_>>(4)?.map(UserId::from_bytes),
        author_device: row.get::<_, Option<_>>(5)?.map(DeviceId::from_bytes),
        client_message_id: row.get::<_, Option<_>>(6)?.map(ClientMessageId::from_bytes),
        mine: row.get(7)?,
        text: row.get(8)?,
        sent_ms: row.get::<_, N>(9)?.0,
        progress: progress(row, 10)?,
        code: row.get(11)?,
        at_ms: row.get::<_, N>(12)?.0,
        reply_to: reference(row, 13)?,
        edited: row.get(16)?,
        timer_s: row.get(17)?,
        expires_ms: row.get::<_, Option<N>>(18)?.map(|n| n.0),
    })
}

/// How far something has come, in the column `at`.
pub(super) fn progress(row: &Row<'_>, at: usize) -> rusqlite::Result<Progress> {
    Ok(match row.get(at)? {
        0 => Progress::Held,
        1 => Progress::Outbox,
        2 => Progress::Accepted,
        3 => Progress::Failed,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(at, other)),
    })
}

/// The name of a message in three columns from `at` on.
pub(super) fn reference(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<MessageRef>> {
    let author = row.get::<_, Option<_>>(at)?;
    let device = row.get::<_, Option<_>>(at + 1)?;
    let id = row.get::<_, Option<_>>(at + 2)?;
    let (Some(author), Some(device), Some(id)) = (author, device, id) else {
        return Ok(None);
    };
    Ok(Some(MessageRef {
        author: UserId::from_bytes(author),
        device: DeviceId::from_bytes(device),
        id: ClientMessageId::from_bytes(id),
    }))
}

impl Tx<'_> {
    /// Adds an item; its local number. `None` if this message is there already: it is shown once.
    pub fn add_item(&self, item: &StoredItem) -> Result<Option<u64>, Error> {
        self.one(
            "INSERT INTO timeline (conversation, place, kind, author, author_device, client_message_id,
                 mine, text, sent_ms, state, code, at_ms, reply_author, reply_device, reply_message, timer_s, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT DO NOTHING RETURNING item",
            params![
                item.conversation.as_bytes(),
                N(item.place),
                item.kind as i64,
                item.author.as_ref().map(UserId::as_bytes),
                item.author_device.as_ref().map(DeviceId::as_bytes),
                item.client_message_id.as_ref().map(ClientMessageId::as_bytes),
                item.mine,
                item.text,
                N(item.sent_ms.min(UNPLACED)),
                item.progress as i64,
                item.code,
                N(item.at_ms.min(UNPLACED)),
                item.reply_to.as_ref().map(|of| of.author.as_bytes()),
                item.reply_to.as_ref().map(|of| of.device.as_bytes()),
                item.reply_to.as_ref().map(|of| of.id.as_bytes()),
                item.timer_s,
                item.expires_ms.map(|at| N(at.min(UNPLACED))),
            ],
            |row| row.get::<_, N>(0).map(|n| n.0),
        )
    }

    /// Where an item stands, how far it has come, and why.
    pub fn update_item(
        &self,
        item: u64,
        place: u64,
        progress: Progress,
        code: &str,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE timeline SET place = ?2, state = ?3, code = ?4 WHERE item = ?1",
            params![N(item), N(place), progress as i64, code],
        )?;
        Ok(())
    }

    /// An own message by its name.
    pub fn own_item(
        &self,
        conversation: ConversationId,
        id: ClientMessageId,
    ) -> Result<Option<StoredItem>, Error> {
        self.one(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND client_message_id = ?2 AND mine = 1
                     AND author_device = (SELECT device FROM account)"
            ),
            params![conversation.as_bytes(), id.as_bytes()],
            stored,
        )
    }

    /// What is shown in the place of a row that cannot be read.
    pub fn unreadable_at(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Vec<StoredItem>, Error> {
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM timeline WHERE conversation = ?1 AND place = ?2 AND kind = ?3"
            ),
            params![
                conversation.as_bytes(),
                N(seq),
                ItemKind::Undecryptable as i64
            ],
            stored,
        )
    }

    /// Own messages that are not encrypted yet, in order.
    pub fn held(&self, conversation: ConversationId, limit: u32) -> Result<Vec<StoredItem>, Error> {
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND mine = 1 AND state = 0 ORDER BY item LIMIT ?2"
            ),
            params![conversation.as_bytes(), limit],
            stored,
        )
    }

    /// Own messages with `after < place <= upto`, the newest 256, in order.
    pub fn own_between(
        &self,
        conversation: ConversationId,
        after: u64,
        upto: u64,
    ) -> Result<Vec<StoredItem>, Error> {
        let mut found = self.all(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND place > ?2 AND place <= ?3 AND mine = 1
                 ORDER BY place DESC LIMIT 256"
            ),
            params![conversation.as_bytes(), N(after), N(upto)],
            stored,
        )?;
        found.reverse();
        Ok(found)
    }

    /// The `limit` items before (place, item), or the newest ones, in order.
    pub fn items_before(
        &self,
        conversation: ConversationId,
        before: Option<(u64, u64)>,
        limit: u32,
    ) -> Result<Vec<StoredItem>, Error> {
        let (place, item) = before.unwrap_or((UNPLACED, UNPLACED));
        let mut found = self.all(
            &format!(
                "SELECT {COLUMNS} FROM timeline
                 WHERE conversation = ?1 AND (place, item) < (?2, ?3)
                 ORDER BY place DESC, item DESC LIMIT ?4"
            ),
            params![conversation.as_bytes(), N(place), N(item), limit],
            stored,
        )?;
        found.reverse();
        Ok(found)
    }
}
