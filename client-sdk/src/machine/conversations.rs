//! The list of conversations, and their marks.

use sordino_protocol::{ClientMessageId, Code, ConversationId, UserId, limits};

use super::contacts::{Trust, trust};
use super::expiry::begin;
use super::own_devices::among_own;
use super::timeline::{Reached, TimelineItem, blank, show};
use super::{Happening, Machine};
use crate::error::Error;
use crate::store::{Durability, ItemKind, Progress, Row, RowKind, UNPLACED};
use crate::sync::Arrival;

/// Rows that one call gives up.
const MISSING: u64 = 1024;

/// A conversation as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Its id.
    pub id: ConversationId,
    /// The other person.
    pub peer: UserId,
    /// Their name, if it was learnt.
    pub username: Option<String>,
    /// What they call themselves; empty: nothing.
    pub display_name: String,
    /// The newest item.
    pub last: Option<TimelineItem>,
    /// Messages of others after the read mark.
    pub unread: u64,
    /// How far the other person is trusted.
    pub trust: Trust,
    /// The other person wrote first, and the user has neither written to them nor verified them.
    pub request: bool,
    /// What the user has begun to write.
    pub draft: String,
    /// Seconds that messages last; 0: for ever.
    pub timer_s: u32,
}

impl Machine {
    /// All conversations, that of the newest item first.
    ///
    /// # Errors
    /// Those of the store.
    pub fn conversations(&self) -> Result<Vec<ConversationRow>, Error> {
        let own = self.account.as_ref().map(|me| among_own(me.user));
        self.store.read(|tx| {
            let mut rows = Vec::new();
            for row in tx.listed()? {
                let held = row.held;
                let last = tx.items_before(held.id, None, 1)?.pop();
                let last = last.map(|item| show(tx, item, Reached::of(Some(&held))));
                // Unless the person writes to themselves, their devices alone do.
                if last.is_none() && Some(held.id) == own {
                    continue;
                }
                let trust = trust(tx, held.peer)?;
                rows.push(ConversationRow {
                    request: last.is_some() && !row.answered && !trust.verified && !trust.blocked,
                    id: held.id,
                    peer: held.peer,
                    username: row.username,
                    display_name: row.display_name,
                    last: last.transpose()?,
                    unread: row.unread,
                    trust,
                    draft: row.draft,
                    timer_s: row.timer_s,
                });
            }
            Ok(rows)
        })
    }

    /// The highest `seq` up to which every row is stored; 0 for none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn cursor(&self, conversation: ConversationId) -> Result<u64, Error> {
        self.store.read(|tx| tx.cursor(conversation))
    }

    /// Conversations of which the relay has shown rows.
    ///
    /// # Errors
    /// Those of the store.
    pub fn with_rows(&self) -> Result<Vec<ConversationId>, Error> {
        self.store.read(|tx| tx.conversations_with_rows())
    }

    /// Where a message stands.
    ///
    /// # Errors
    /// `UnknownMessage`; those of the store.
    pub fn place_of(
        &self,
        conversation: ConversationId,
        message: ClientMessageId,
    ) -> Result<u64, Error> {
        let item = self
            .store
            .read(|tx| tx.message_called(conversation, message, false));
        Ok(item?.place)
    }

    /// What a person calls themselves; empty: nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub fn display_name(&self, user: UserId) -> Result<String, Error> {
        self.store.read(|tx| tx.display_name(user))
    }

    /// What the user has begun to write.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn draft(&self, peer: UserId) -> Result<String, Error> {
        let conversation = self.conversation_with(peer)?;
        self.store.read(|tx| tx.draft(conversation))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// `NotRegistered`, `TextTooLong`; those of the store.
    pub fn save_draft(&mut self, peer: UserId, text: &str) -> Result<Vec<Happening>, Error> {
        let conversation = self.conversation_with(peer)?;
        if text.len() > limits::TEXT_BYTES {
            return Err(Error::new(Code::TextTooLong, ""));
        }
        self.store.transaction(Durability::Relaxed, |tx| {
            tx.ensure_conversation(conversation, peer)?;
            tx.set_draft(conversation, text)?;
            Ok(vec![Happening::ConversationChanged(conversation)])
        })
    }

    /// The user has read everything up to `seq`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn mark_read(
        &mut self,
        conversation: ConversationId,
        upto: u64,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            let upto = upto.min(tx.cursor(conversation)?);
            let mut happenings = begin(tx, conversation, upto, now_ms)?;
            if tx.raise_read(conversation, upto)? {
                happenings.push(Happening::ConversationChanged(conversation));
            }
            Ok(happenings)
        })
    }

    /// A device of the peer has everything up to `seq`, the relay says.
    ///
    /// # Errors
    /// Those of the store.
    pub fn delivered(
        &mut self,
        conversation: ConversationId,
        upto: u64,
    ) -> Result<Vec<Happening>, Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            let Some(held) = tx.conversation(conversation)? else {
                return Ok(Vec::new());
            };
            // Beyond what is held here it would be believed of all that is written later.
            let upto = upto.min(held.cursor);
            if !tx.raise_delivered(conversation, upto)? {
                return Ok(Vec::new());
            }
            let items = tx.own_between(conversation, held.delivered, upto)?;
            let reached = Reached {
                delivered: upto,
                read: held.read_by_peer,
            };
            // One that was given up stays so, whatever the peer has.
            items
                .into_iter()
                .filter(|item| item.progress == Progress::Accepted)
                .map(|item| show(tx, item, reached).map(Happening::Changed))
                .collect()
        })
    }

    /// The relay has lost the rows after the cursor up to `upto`: gives them up, some at a time; the new cursor.
    ///
    /// # Errors
    /// Those of the store.
    pub fn missing(
        &mut self,
        conversation: ConversationId,
        upto: u64,
        now_ms: u64,
    ) -> Result<(u64, Vec<Happening>), Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            let cursor = tx.cursor(conversation)?;
            if upto <= cursor || tx.conversation(conversation)?.is_none() {
                return Ok((cursor, Vec::new()));
            }
            let upto = upto.min(cursor.saturating_add(MISSING)).min(UNPLACED - 1);
            for seq in cursor + 1..=upto {
                let row = Row {
                    seq,
                    kind: RowKind::Missing,
                    env_hash: None,
                    content_key: None,
                    pending: None,
                };
                if tx.record_row(conversation, &row)? != Arrival::Apply {
                    break;
                }
            }
            let item = super::timeline::add(tx, blank(conversation, upto, ItemKind::Gap, now_ms))?;
            let evidence = format!("rows {} to {upto} are gone", cursor + 1);
            let alarm = Happening::RelayMisbehaved {
                conversation: Some(conversation),
                evidence,
            };
            let item = item.map(Happening::Added);
            Ok((upto, item.into_iter().chain([alarm]).collect()))
        })
    }
}
