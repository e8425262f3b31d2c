//! Messages by their words.

use std::ops::Range;

use sordino_protocol::{Code, UserId, hash};

use super::timeline::{Reached, TimelineItem, show};
use super::{Machine, registered};
use crate::error::Error;
use crate::store::Durability;
use crate::words::Terms;

/// Messages that one search gives at most.
const MOST: u32 = 200;
/// Messages of before that are put into the index at a time: nothing else is stored meanwhile.
const STEP: u32 = 500;

/// A message that has what was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The message.
    pub item: TimelineItem,
    /// With whom its conversation is.
    pub peer: UserId,
    /// Their name, if it was learnt.
    pub username: Option<String>,
    /// What they call themselves; empty: nothing.
    pub display_name: String,
    /// Where its text has it.
    pub ranges: Vec<Range<usize>>,
    /// Its number in the index: those that were found after it have lower ones.
    pub key: u64,
}

impl Machine {
    /// The newest messages that have what `query` asks for, up to `limit`: with one person, or with all; before a number in the index.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn search(
        &self,
        query: &str,
        with: Option<UserId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Found>, Error> {
        let me = registered(self.account.as_ref())?;
        let Some(terms) = Terms::parse(query) else {
            return Ok(Vec::new());
        };
        let within = with.map(|peer| hash::conversation_id(me.user, peer));
        self.store.read(|tx| {
            let found = tx.search(&terms.expression(), within, before, limit.min(MOST))?;
            let found = found.into_iter().map(|(key, item)| {
                let held = tx.conversation(item.conversation)?;
                let held = held.ok_or_else(|| Error::new(Code::StoreDamaged, "a conversation"))?;
                Ok(Found {
                    ranges: terms.ranges(&item.text),
                    item: show(tx, item, Reached::of(Some(&held)))?,
                    peer: held.peer,
                    username: tx.name(held.peer)?,
                    display_name: tx.display_name(held.peer)?,
                    key,
                })
            });
            found.collect()
        })
    }

    /// Puts some of the messages into the index that an earlier version has stored without one; whether there are more.
    ///
    /// # Errors
    /// Those of the store.
    pub fn index_backlog(&mut self) -> Result<bool, Error> {
        self.store
            .transaction(Durability::Relaxed, |tx| tx.index_backlog(STEP))
    }
}
