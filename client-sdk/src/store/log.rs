//! Rows of conversations: one for every seq up to the cursor.

use rusqlite::params;
use sordino_crypto::{Secret, session::Position};
use sordino_protocol::{Code, ConversationId};

use super::Tx;
use super::sql::N;
use crate::error::Error;
use crate::sync::{Arrival, arrival};

/// The chain of a row that waits for a list: it is tried after those that wait for others of theirs.
pub const WITHOUT_CHAIN: [u8; 32] = [0xff; 32];

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// A message that this device could read.
    Message = 1,
    /// A message that this device sent.
    Own = 2,
    /// Not for this device.
    NotForMe = 3,
    /// To be decrypted later.
    Pending = 4,
    /// Cannot be decrypted.
    Undecryptable = 5,
    /// The relay has lost it.
    Missing = 6,
}

/// A row of a conversation as this device keeps it.
pub struct Row<'a> {
    /// Its place.
    pub seq: u64,
    /// What became of it.
    pub kind: RowKind,
    /// Names the encryption that the relay took; `None` only for a missing row.
    pub env_hash: Option<[u8; 32]>,
    /// CK, where the row was opened.
    pub content_key: Option<&'a Secret<32>>,
    /// The row as it came, if it is to be opened later.
    pub pending: Option<(&'a [u8], Position)>,
}

fn kind(number: i64) -> rusqlite::Result<RowKind> {
    Ok(match number {
        1 => RowKind::Message,
        2 => RowKind::Own,
        3 => RowKind::NotForMe,
        4 => RowKind::Pending,
        5 => RowKind::Undecryptable,
        6 => RowKind::Missing,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    })
}

impl Tx<'_> {
    /// Stores `row` and moves the cursor to it, if it is the next one; else changes nothing and says what to do.
    pub fn record_row(
        &self,
        conversation: ConversationId,
        row: &Row<'_>,
    ) -> Result<Arrival, Error> {
        let verdict = arrival(self.cursor(conversation)?, row.seq);
        if verdict != Arrival::Apply {
            return Ok(verdict);
        }
        let id = conversation.as_bytes();
        let moved = self.run(
            "UPDATE conversations SET cursor = ?2 WHERE conversation = ?1",
            params![id, N(row.seq)],
        )?;
        if moved != 1 {
            return Err(Error::new(Code::Internal, "no such conversation"));
        }
        self.run(
            "INSERT INTO rows (conversation, seq, kind, env_hash, content_key, pending, chain, chain_index)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                N(row.seq),
                row.kind as i64,
                row.env_hash,
                row.content_key.map(|key| key.expose().as_slice()),
                row.pending.map(|(bytes, _)| bytes),
                row.pending.map(|(_, at)| at.chain),
                row.pending.map(|(_, at)| N(at.index)),
            ],
        )?;
        Ok(Arrival::Apply)
    }

    /// Names the encryption at `seq`: the outer `None` where no row is held, the inner where the relay has lost it.
    pub fn row_hash(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Option<[u8; 32]>>, Error> {
        if i64::try_from(seq).is_err() {
            return Ok(None);
        }
        self.one(
            "SELECT env_hash FROM rows WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
            |row| row.get(0),
        )
    }

    /// What became of the row at `seq`.
    pub fn row_kind(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<RowKind>, Error> {
        self.one(
            "SELECT kind FROM rows WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
            |row| kind(row.get(0)?),
        )
    }

    /// A row of before was opened with a key from the backup.
    pub fn row_restored(
        &self,
        conversation: ConversationId,
        seq: u64,
        content_key: &Secret<32>,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE rows SET kind = ?3, content_key = ?4,
                 batch = (SELECT CASE WHEN backs_up_restored THEN NULL ELSE 0 END FROM account)
             WHERE conversation = ?1 AND seq = ?2",
            params![
                conversation.as_bytes(),
                N(seq),
                RowKind::Message as i64,
                content_key.expose().as_slice(),
            ],
        )?;
        Ok(())
    }

    /// Rows that are to be opened later, in the order of their chains: conversation, seq, the row as it came.
    pub fn pending_rows(&self) -> Result<Vec<(ConversationId, u64, Vec<u8>)>, Error> {
        self.all(
            "SELECT conversation, seq, pending FROM rows WHERE pending IS NOT NULL
             ORDER BY chain, chain_index, conversation, seq",
            [],
            |row| {
                Ok((
                    ConversationId::from_bytes(row.get(0)?),
                    row.get::<_, N>(1)?.0,
                    row.get(2)?,
                ))
            },
        )
    }

    /// How many rows of a conversation wait for a list.
    pub fn waits_for_list(&self, conversation: ConversationId) -> Result<u64, Error> {
        let count = self.one(
            "SELECT count(*) FROM rows WHERE conversation = ?1 AND pending IS NOT NULL AND chain = ?2",
            params![conversation.as_bytes(), WITHOUT_CHAIN],
            |row| row.get::<_, N>(0),
        )?;
        Ok(count.map_or(0, |count| count.0))
    }

    /// A row that is to be opened later, as it came.
    pub fn pending_row(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let row = self.one(
            "SELECT pending FROM rows WHERE conversation = ?1 AND seq = ?2 AND pending IS NOT NULL",
            params![conversation.as_bytes(), N(seq)],
            |row| row.get(0),
        )?;
        Ok(row)
    }

    /// A pending row has been opened, or never will be.
    pub fn settle_pending(
        &self,
        conversation: ConversationId,
        seq: u64,
        kind: RowKind,
        content_key: Option<&Secret<32>>,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE rows SET kind = ?3, content_key = ?4, pending = NULL
             WHERE conversation = ?1 AND seq = ?2",
            params![
                conversation.as_bytes(),
                N(seq),
                kind as i64,
                content_key.map(|key| key.expose().as_slice()),
            ],
        )?;
        Ok(())
    }
}
