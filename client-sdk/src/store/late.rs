//! Messages that could not be read, until the keys have come after all.

use rusqlite::params;
use sordino_crypto::{Secret, backup::Entry};
use sordino_protocol::{ClientMessageId, ConversationId, DeviceId, hash::Hash};

use super::Tx;
use super::sql::N;
use crate::error::Error;

/// Between two questions for the same row, at least.
const ASK_AGAIN_MS: u64 = 60 * 60 * 1000;

/// That a row is to be asked for, at the time that is the first parameter. What nobody has answered since it came is asked for again
/// when twice as long has passed: most of it never will be. What was asked for later than now was so by a clock that has been set back.
fn is_due() -> String {
    format!(
        "(asked_ms IS NULL OR asked_ms > ?1 OR ?1 - asked_ms >= max({ASK_AGAIN_MS}, asked_ms - came_ms))"
    )
}

/// A device that has sent what could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateSender {
    /// It.
    pub device: DeviceId,
    /// It is one of this user's, and not of the other person of the conversation.
    pub is_own: bool,
}

/// A message that another device may still give the key of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRow {
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its place.
    pub seq: u64,
    /// The device that sent it.
    pub sender: LateSender,
    /// What that device calls it.
    pub id: ClientMessageId,
}

/// For whom an own message was encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meant {
    /// The version of the other person's device list.
    pub recipient_list: u32,
    /// Their devices.
    pub devices: Vec<DeviceId>,
    /// The version of this user's own list: all other devices of it.
    pub sender_list: u32,
}

/// What opens an own message, and whom it was for.
pub struct OwnKey {
    /// Its place and key.
    pub entry: Entry,
    /// The devices that it was encrypted for.
    pub meant: Meant,
    /// When it was written.
    pub at_ms: u64,
}

impl Tx<'_> {
    /// Notes a row that could not be read.
    pub fn put_late(&self, row: &LateRow, now_ms: u64) -> Result<(), Error> {
        self.run(
            "INSERT OR IGNORE INTO late_rows (conversation, seq, device, client_message_id, came_ms, is_own)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.conversation.as_bytes(),
                N(row.seq),
                row.sender.device.as_bytes(),
                row.id.as_bytes(),
                N(now_ms),
                row.sender.is_own,
            ],
        )?;
        Ok(())
    }

    /// Whether a row could not be read, and its key is waited for.
    pub fn is_late(&self, conversation: ConversationId, seq: u64) -> Result<bool, Error> {
        let noted = self.one(
            "SELECT 1 FROM late_rows WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
            |_| Ok(()),
        )?;
        Ok(noted.is_some())
    }

    /// Forgets rows that came before this.
    pub fn forget_late_before(&self, came_ms: u64) -> Result<(), Error> {
        let forget = "DELETE FROM late_rows WHERE came_ms < ?1";
        self.run(forget, [N(came_ms)]).map(drop)
    }

    /// Nothing is asked of the other person of this conversation any more.
    pub fn forget_late_of(&self, conversation: ConversationId) -> Result<(), Error> {
        let forget = "DELETE FROM late_rows WHERE conversation = ?1 AND NOT is_own";
        self.run(forget, [conversation.as_bytes()]).map(drop)
    }

    /// The key that came does not open what the relay shows: it is asked for again.
    pub fn forget_late_key(&self, conversation: ConversationId, seq: u64) -> Result<(), Error> {
        self.run(
            "UPDATE late_rows SET content_key = NULL WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
        )
        .map(drop)
    }

    /// There is nothing more to be had for a row.
    pub fn forget_late(&self, conversation: ConversationId, seq: u64) -> Result<(), Error> {
        self.run(
            "DELETE FROM late_rows WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
        )
        .map(drop)
    }

    /// Devices of which rows could not be read, and that are to be asked for their keys.
    pub fn late_senders(&self, now_ms: u64) -> Result<Vec<(ConversationId, LateSender)>, Error> {
        self.all(
            &format!(
                "SELECT DISTINCT conversation, device, is_own FROM late_rows
                 WHERE content_key IS NULL AND {}",
                is_due()
            ),
            [N(now_ms)],
            |row| {
                let sender = LateSender {
                    device: DeviceId::from_bytes(row.get(1)?),
                    is_own: row.get(2)?,
                };
                Ok((ConversationId::from_bytes(row.get(0)?), sender))
            },
        )
    }

    /// What these rows are called by their device, the oldest first, at most `limit`; from now on they were asked for.
    pub fn ask_late(
        &self,
        conversation: ConversationId,
        sender: LateSender,
        now_ms: u64,
        limit: u32,
    ) -> Result<Vec<ClientMessageId>, Error> {
        let due: Vec<(u64, ClientMessageId)> = self.all(
            &format!(
                "SELECT seq, client_message_id FROM late_rows
                 WHERE conversation = ?2 AND device = ?3 AND is_own = ?4 AND content_key IS NULL AND {}
                 ORDER BY coalesce(asked_ms, 0), seq LIMIT ?5",
                is_due()
            ),
            params![
                N(now_ms),
                conversation.as_bytes(),
                sender.device.as_bytes(),
                sender.is_own,
                limit,
            ],
            |row| {
                Ok((
                    row.get::<_, N>(0)?.0,
                    ClientMessageId::from_bytes(row.get(1)?),
                ))
            },
        )?;
        for (seq, _) in &due {
            self.run(
                "UPDATE late_rows SET asked_ms = ?3 WHERE conversation = ?1 AND seq = ?2",
                params![conversation.as_bytes(), N(*seq), N(now_ms)],
            )?;
        }
        Ok(due.into_iter().map(|(_, id)| id).collect())
    }

    /// A device gives the key of a row. Whether it is one that this device has sent and that could not be read.
    pub fn late_key_came(&self, entry: &Entry, from: LateSender) -> Result<bool, Error> {
        let noted = self.run(
            "UPDATE late_rows SET content_key = ?5
             WHERE conversation = ?1 AND seq = ?2 AND device = ?3 AND is_own = ?6 AND EXISTS (
                 SELECT 1 FROM rows r WHERE r.conversation = ?1 AND r.seq = ?2 AND r.env_hash = ?4)",
            params![
                entry.conversation.as_bytes(),
                N(entry.seq),
                from.device.as_bytes(),
                entry.env_hash,
                entry.content_key.expose().as_slice(),
                from.is_own,
            ],
        )?;
        Ok(noted > 0)
    }

    /// The oldest row whose key has come.
    pub fn next_late(&self) -> Result<Option<(ConversationId, u64)>, Error> {
        self.one(
            "SELECT conversation, seq FROM late_rows WHERE content_key IS NOT NULL LIMIT 1",
            [],
            |row| {
                Ok((
                    ConversationId::from_bytes(row.get(0)?),
                    row.get::<_, N>(1)?.0,
                ))
            },
        )
    }

    /// A row whose key has come, and that key.
    pub fn late_row(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<(LateRow, Hash, Secret<32>)>, Error> {
        self.one(
            "SELECT l.device, l.client_message_id, r.env_hash, l.content_key, l.is_own
             FROM late_rows l JOIN rows r USING (conversation, seq)
             WHERE conversation = ?1 AND seq = ?2
                 AND l.content_key IS NOT NULL AND r.env_hash IS NOT NULL",
            params![conversation.as_bytes(), N(seq)],
            |row| {
                let late = LateRow {
                    conversation,
                    seq,
                    sender: LateSender {
                        device: DeviceId::from_bytes(row.get(0)?),
                        is_own: row.get(4)?,
                    },
                    id: ClientMessageId::from_bytes(row.get(1)?),
                };
                Ok((late, row.get(2)?, Secret::copy_of(&row.get(3)?)))
            },
        )
    }

    /// For whom an own message was encrypted: devices that could not read it may ask again.
    pub fn note_meant(
        &self,
        conversation: ConversationId,
        seq: u64,
        meant: &Meant,
    ) -> Result<(), Error> {
        let devices = meant.devices.iter();
        let devices: Vec<u8> = devices.flat_map(|id| *id.as_bytes()).collect();
        self.run(
            "UPDATE rows SET recipient_list = ?3, meant = ?4, sender_list = ?5
             WHERE conversation = ?1 AND seq = ?2",
            params![
                conversation.as_bytes(),
                N(seq),
                meant.recipient_list,
                devices,
                meant.sender_list,
            ],
        )
        .map(drop)
    }

    /// What opens a message, or what was said of one, that this device has sent under this name.
    pub fn own_key(
        &self,
        conversation: ConversationId,
        id: ClientMessageId,
    ) -> Result<Option<OwnKey>, Error> {
        self.one(
            "WITH sent AS (
                 SELECT place, at_ms FROM timeline JOIN account ON author = user AND author_device = device
                 WHERE conversation = ?1 AND client_message_id = ?2 AND kind IN (1, 6)
                 UNION ALL
                 SELECT place, at_ms FROM changes JOIN account ON author = user AND author_device = device
                 WHERE conversation = ?1 AND client_message_id = ?2)
             SELECT r.seq, r.env_hash, r.content_key, r.recipient_list, at_ms, r.meant,
                 coalesce(r.sender_list, 0)
             FROM sent JOIN rows r ON r.conversation = ?1 AND r.seq = place
             WHERE r.content_key IS NOT NULL AND r.env_hash IS NOT NULL AND r.recipient_list IS NOT NULL AND r.meant IS NOT NULL",
            params![conversation.as_bytes(), id.as_bytes()],
            |row| {
                Ok(OwnKey {
                    entry: Entry {
                        conversation,
                        seq: row.get::<_, N>(0)?.0,
                        env_hash: row.get(1)?,
                        content_key: Secret::copy_of(&row.get(2)?),
                    },
                    at_ms: row.get::<_, N>(4)?.0,
                    meant: Meant {
                        recipient_list: row.get(3)?,
                        devices: row
                            .get::<_, Vec<u8>>(5)?
                            .chunks_exact(16)
                            .filter_map(|id| DeviceId::from_slice(id).ok())
                            .collect(),
                        sender_list: row.get(6)?,
                    },
                })
            },
        )
    }
}
