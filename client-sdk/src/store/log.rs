//! Rows of conversations, and the cursors that they move.

use rusqlite::{OptionalExtension, params};
use sordino_protocol::{Code, ConversationId};

use super::{Tx, failed, from_sql, to_sql};
use crate::error::Error;
use crate::sync::{Arrival, arrival};

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
    /// Cannot be decrypted; the body is the cause.
    Undecryptable = 5,
    /// The relay has lost it.
    Missing = 6,
}

/// A row of a conversation as this device keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub seq: u64,
    /// What became of it.
    pub kind: RowKind,
    /// Names the encryption that the relay took; `None` only for a missing row.
    pub env_hash: Option<[u8; 32]>,
    /// The content, as its kind has it.
    pub body: Vec<u8>,
}

impl Tx<'_> {
    /// The highest `seq` up to which every row is stored; 0 for none.
    ///
    /// # Errors
    /// `StoreFailed`, `StoreDamaged`.
    pub fn cursor(&self, conversation: ConversationId) -> Result<u64, Error> {
        let cursor: Option<i64> = self
            .0
            .prepare_cached("SELECT cursor FROM conversations WHERE conversation = ?1")
            .and_then(|mut s| {
                s.query_row([conversation.as_bytes()], |row| row.get(0))
                    .optional()
            })
            .map_err(failed)?;
        from_sql(cursor.unwrap_or(0))
    }

    /// Stores `row` and moves the cursor to it, if it is the next one; else changes nothing and says what to do.
    ///
    /// # Errors
    /// `StoreFailed`, `StoreDamaged`.
    pub fn record_row(&self, conversation: ConversationId, row: &Row) -> Result<Arrival, Error> {
        let verdict = arrival(self.cursor(conversation)?, row.seq);
        if verdict != Arrival::Apply {
            return Ok(verdict);
        }
        let id = conversation.as_bytes();
        let seq = to_sql(row.seq)?;
        self.0
            .prepare_cached(
                "INSERT INTO conversations (conversation, cursor) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET cursor = excluded.cursor",
            )
            .and_then(|mut s| s.execute(params![id, seq]))
            .map_err(failed)?;
        self.0
            .prepare_cached(
                "INSERT INTO rows (conversation, seq, kind, env_hash, body)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut s| s.execute(params![id, seq, row.kind as i64, row.env_hash, row.body]))
            .map_err(failed)?;
        Ok(Arrival::Apply)
    }

    /// At most `limit` rows after `after`, in order.
    ///
    /// # Errors
    /// `StoreFailed`, `StoreDamaged`.
    pub fn rows(
        &self,
        conversation: ConversationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Row>, Error> {
        let mut statement = self
            .0
            .prepare_cached(
                "SELECT seq, kind, env_hash, body FROM rows
                 WHERE conversation = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )
            .map_err(failed)?;
        let found = statement
            .query_map(
                params![conversation.as_bytes(), to_sql(after)?, limit],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .map_err(failed)?;
        found
            .map(|row| {
                let (seq, kind, env_hash, body) = row.map_err(failed)?;
                Ok(Row {
                    seq: from_sql(seq)?,
                    kind: row_kind(kind)?,
                    env_hash,
                    body,
                })
            })
            .collect()
    }
}

fn row_kind(number: i64) -> Result<RowKind, Error> {
    Ok(match number {
        1 => RowKind::Message,
        2 => RowKind::Own,
        3 => RowKind::NotForMe,
        4 => RowKind::Pending,
        5 => RowKind::Undecryptable,
        6 => RowKind::Missing,
        _ => return Err(Error::new(Code::StoreDamaged, "unknown kind of row")),
    })
}
