//! Messages by their words. What is in the index, the triggers of `0011_search.sql` see to.

use rusqlite::{Connection, functions::FunctionFlags, params};
use sordino_protocol::ConversationId;

use super::sql::N;
use super::timeline::{COLUMNS, StoredItem, UNPLACED, WIDTH, stored};
use super::{Tx, failed};
use crate::error::Error;
use crate::words::indexed;

/// Makes known to SQL how a text is cut into words.
pub(super) fn teach(connection: &Connection) -> Result<(), Error> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection
        .create_scalar_function("search_words", 1, flags, |call| {
            Ok(indexed(call.get_raw(0).as_str().unwrap_or_default()))
        })
        .map_err(failed)
}

impl Tx<'_> {
    /// Messages that have what `expression` asks for, the newest first, each with its number in the index: those before `before`.
    pub fn search(
        &self,
        expression: &str,
        within: Option<ConversationId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, StoredItem)>, Error> {
        self.all(
            &format!(
                "SELECT {COLUMNS}, search_key FROM search JOIN timeline ON search_key = search.rowid
                 WHERE words MATCH ?1 AND search.rowid < ?2 AND (?3 IS NULL OR conversation = ?3)
                 ORDER BY search.rowid DESC LIMIT ?4"
            ),
            params![
                expression,
                N(before.unwrap_or(UNPLACED).min(UNPLACED)),
                within.as_ref().map(ConversationId::as_bytes),
                limit,
            ],
            |row| Ok((row.get::<_, N>(WIDTH)?.0, stored(row)?)),
        )
    }

    /// Puts up to `count` messages of before into the index; whether there are more.
    pub fn index_backlog(&self, count: u32) -> Result<bool, Error> {
        let upto = self.one("SELECT upto FROM search_backlog", [], |row| row.get(0))?;
        let upto: i64 = match upto {
            Some(upto) if upto > 0 => upto,
            _ => return Ok(false),
        };
        let after = upto.saturating_sub(count.into());
        self.run(
            "UPDATE timeline SET text = text
             WHERE item > ?1 AND item <= ?2 AND kind = 1 AND search_key IS NULL",
            [after, upto],
        )?;
        self.run("UPDATE search_backlog SET upto = ?1", [after.max(0)])?;
        Ok(after > 0)
    }
}

#[cfg(feature = "bench")]
impl super::Store {
    /// From now on the index follows nothing; what makes it follow again.
    pub(crate) fn unindexed(&mut self) -> Result<Vec<String>, Error> {
        self.transaction(super::Durability::Relaxed, |tx| {
            let triggers = tx.all(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'",
                [],
                |row| Ok((row.get::<_, String>(0)?, row.get(1)?)),
            )?;
            for (name, _) in &triggers {
                tx.run(&format!("DROP TRIGGER {name}"), [])?;
            }
            Ok(triggers.into_iter().map(|(_, sql)| sql).collect())
        })
    }

    /// The index follows again; what it lacks is its backlog.
    pub(crate) fn indexed(&mut self, triggers: &[String]) -> Result<(), Error> {
        self.transaction(super::Durability::Relaxed, |tx| {
            for trigger in triggers {
                tx.run(trigger, [])?;
            }
            tx.run(
                "INSERT INTO search_backlog SELECT 1, max(item) FROM timeline",
                [],
            )?;
            Ok(())
        })
    }

    /// The newest messages that have this, all of them being looked at.
    pub(crate) fn scan(
        &self,
        pattern: &str,
        within: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<i64>, Error> {
        self.read(|tx| {
            tx.all(
                "SELECT item FROM timeline
                 WHERE kind = 1 AND text LIKE ?1 AND (?2 IS NULL OR conversation = ?2)
                 ORDER BY at_ms DESC LIMIT ?3",
                params![
                    pattern,
                    within.as_ref().map(ConversationId::as_bytes),
                    limit
                ],
                |row| row.get(0),
            )
        })
    }
}

#[cfg(test)]
mod tests;
