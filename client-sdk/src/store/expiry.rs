//! How long messages last, and what the user has begun to write.

use rusqlite::params;
use sordino_protocol::ConversationId;

use super::sql::N;
use super::timeline::{COLUMNS, StoredItem, stored};
use super::{Tx, UNPLACED};
use crate::error::Error;

/// How long messages of the conversation `c` last.
pub(super) const TIMER: &str = "coalesce(
    (SELECT t.timer_s FROM timeline t WHERE t.conversation = c.conversation AND t.kind = 6 AND NOT (t.mine = 1 AND t.state = 3)
         ORDER BY t.place DESC, t.item DESC LIMIT 1),
    (SELECT t.timer_s FROM timeline t WHERE t.conversation = c.conversation AND t.kind = 1
         ORDER BY t.place DESC, t.item DESC LIMIT 1),
    0)";
/// The time of messages of the other person begins. By name: the planner would take `timeline_of_others`, and look at all that they ever
/// wrote.
pub(super) const START_TIMERS: &str =
    "UPDATE timeline INDEXED BY timeline_unread_timers SET expires_ms = min(?3, ?4 - 1000 * timer_s) + 1000 * timer_s
     WHERE conversation = ?1 AND place <= ?2 AND timer_s > 0 AND expires_ms IS NULL AND mine = 0 AND kind = 1
     RETURNING place, item";
/// Messages that are told of at a time.
const TOLD: usize = 256;

impl Tx<'_> {
    /// How long messages last, by who set it last; where that is not here, as long as the newest message.
    pub fn timer(&self, conversation: ConversationId) -> Result<u32, Error> {
        let set = self.one(
            &format!("SELECT {TIMER} FROM (SELECT ?1 AS conversation) c"),
            [conversation.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(set.unwrap_or(0))
    }

    /// The time of messages of the other person begins that were read now; the newest of them, in order.
    pub fn start_timers(
        &self,
        conversation: ConversationId,
        upto: u64,
        now_ms: u64,
    ) -> Result<Vec<StoredItem>, Error> {
        let mut begun = self.all(
            START_TIMERS,
            params![conversation.as_bytes(), N(upto), N(now_ms), N(UNPLACED)],
            |row| Ok((row.get::<_, N>(0)?.0, row.get::<_, N>(1)?.0)),
        )?;
        begun.sort_unstable();
        let newest = begun.into_iter().rev().take(TOLD).rev();
        newest
            .filter_map(|(_, item)| self.item_numbered(item).transpose())
            .collect()
    }

    /// The time of an own message begins.
    pub fn start_timer(&self, item: u64, now_ms: u64) -> Result<(), Error> {
        self.run(
            "UPDATE timeline SET expires_ms = min(?2, ?3 - 1000 * timer_s) + 1000 * timer_s
             WHERE item = ?1 AND timer_s > 0 AND expires_ms IS NULL AND kind = 1",
            params![N(item), N(now_ms), N(UNPLACED)],
        )?;
        Ok(())
    }

    /// Messages whose time is over.
    pub fn expired(&self, now_ms: u64, limit: u32) -> Result<Vec<StoredItem>, Error> {
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM timeline WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2"
            ),
            params![N(now_ms.min(UNPLACED)), limit],
            stored,
        )
    }

    /// When the next one ends.
    pub fn next_expiry(&self) -> Result<Option<u64>, Error> {
        let next = self.one(
            "SELECT min(expires_ms) FROM timeline WHERE expires_ms IS NOT NULL",
            [],
            |row| row.get::<_, Option<N>>(0),
        )?;
        Ok(next.flatten().map(|at| at.0))
    }

    /// What the user has begun to write.
    pub fn draft(&self, conversation: ConversationId) -> Result<String, Error> {
        let draft = self.one(
            "SELECT draft FROM conversations WHERE conversation = ?1",
            [conversation.as_bytes()],
            |row| row.get(0),
        )?;
        Ok(draft.unwrap_or_default())
    }

    /// Keeps it.
    pub fn set_draft(&self, conversation: ConversationId, text: &str) -> Result<(), Error> {
        self.run(
            "UPDATE conversations SET draft = ?2 WHERE conversation = ?1",
            params![conversation.as_bytes(), text],
        )?;
        Ok(())
    }
}
