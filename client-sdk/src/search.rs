//! What an app searches for, and what it is shown of it.

use std::ops::Range;

use sordino_protocol::UserId;

use crate::{
    machine::Found,
    types::{Message, Peer, TimelineItem, shown_name},
};

/// Hits that a query gives unless it says otherwise.
const HITS: u32 = 50;

/// What is searched for; see [`crate::Client::search`]. A text is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(crate) text: String,
    pub(crate) with: Option<UserId>,
    pub(crate) before: Option<u64>,
    pub(crate) limit: u32,
}

impl Query {
    /// Of what a person typed, as it is: nothing in it can be wrong.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            with: None,
            before: None,
            limit: HITS,
        }
    }

    /// In the conversation with this person only.
    #[must_use]
    pub const fn with(mut self, peer: UserId) -> Self {
        self.with = Some(peer);
        self
    }

    /// What comes after this hit, the last one of a search before: the next page.
    #[must_use]
    pub const fn before(mut self, hit: &Hit) -> Self {
        self.before = Some(hit.key);
        self
    }

    /// So many hits, up to 200; 50 unless set.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

impl From<&str> for Query {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Query {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// With whom its conversation is.
    pub peer: Peer,
    /// Where its text has what was searched for: bytes, in their order, each range whole characters. To be highlighted.
    pub ranges: Vec<Range<usize>>,
    /// Its place among all hits.
    key: u64,
}

impl Hit {
    /// Nothing but messages is searched.
    pub(crate) fn of(found: Found) -> Option<Self> {
        let TimelineItem::Message(message) = found.item.into() else {
            return None;
        };
        Some(Self {
            message,
            peer: Peer {
                id: found.peer,
                username: found.username,
                display_name: shown_name(&found.display_name),
            },
            ranges: found.ranges,
            key: found.key,
        })
    }
}
