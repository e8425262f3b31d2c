//! A conversation, as the app holds it.

use std::sync::Arc;

use sordino_protocol::{Code, ConversationId, UserId, limits};

use crate::{
    client::Inner,
    engine,
    error::Error,
    live::LiveList,
    machine::Position,
    net::blocking,
    types::{MessageId, TimelineItem},
};

/// Items that are read at a time when a message is looked for.
const PAGE: u32 = 200;
/// Pages in which it is looked for.
const PAGES: usize = 100;
/// Items that are loaded at a time on the way back to one.
const STEP: u32 = 1000;

/// The conversation with one person. Cheap to make and to clone; nothing of it needs the network.
#[derive(Clone)]
pub struct Conversation {
    inner: Arc<Inner>,
    peer: UserId,
}

impl Conversation {
    pub(crate) fn new(inner: Arc<Inner>, peer: UserId) -> Self {
        Self { inner, peer }
    }

    /// With whom.
    #[must_use]
    pub fn peer(&self) -> UserId {
        self.peer
    }

    /// Sends a text: returns once it is on this device's disk. From there it goes out by itself, in order and once, also
    /// after a restart; [`crate::SendState`] says how far it has come.
    ///
    /// A future that is dropped before it is done may have sent all the same.
    ///
    /// # Errors
    /// `NotRegistered`, `TextEmpty`, `TextTooLong`, `TwoCopies`, `StoreFailed`, `Stopped`.
    pub async fn send(&self, text: impl Into<String>) -> Result<MessageId, Error> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::new(Code::TextEmpty, ""));
        }
        if text.len() > limits::TEXT_BYTES {
            return Err(Error::new(Code::TextTooLong, ""));
        }
        engine::send(self.inner.sender(), self.peer, text).await
    }

    /// Gives up an own message that is still pending. The relay may have it already, and its answer be on the way: then it
    /// shows as sent after all.
    ///
    /// # Errors
    /// `UnknownMessage` if there is no such message or it has its place; `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn cancel(&self, message: MessageId) -> Result<(), Error> {
        engine::cancel(self.inner.core(), self.peer, message).await
    }

    /// The timeline, from its newest items on, kept up to date: see [`LiveList`]. It begins with 50 items at most, or
    /// with all messages that wait to be sent and up to 50 before them;
    /// [`Self::load_older`] puts more before them.
    #[must_use]
    pub fn timeline(&self) -> LiveList<TimelineItem> {
        self.inner.timeline(self.peer)
    }

    /// Puts up to `count` older items before those that [`Self::timeline`] shows; how many there were: 0 says that the
    /// beginning is reached, or that nobody reads the timeline.
    ///
    /// # Errors
    /// `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn load_older(&self, count: u32) -> Result<usize, Error> {
        let (shared, peer) = (self.inner.core().shared.clone(), self.peer);
        blocking(move || {
            shared.with(|machine| {
                let id = machine.conversation_with(peer)?;
                shared.views().load_older(machine, id, count)
            })
        })
        .await
    }

    /// Puts older items before those that [`Self::timeline`] shows until the one at this place is among them (that of a hit of
    /// [`crate::Client::search`]), and up to `before` more; whether it is. However far back that is, all of it is held from then on.
    ///
    /// # Errors
    /// `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn load_back_to(&self, at: Position, before: u32) -> Result<bool, Error> {
        let (shared, peer) = (self.inner.core().shared.clone(), self.peer);
        blocking(move || {
            loop {
                // By pages: what is sent and received meanwhile does not wait for all of them.
                let (shows, count) = shared.with(|machine| {
                    let id = machine.conversation_with(peer)?;
                    let shows = shared.views().shows_from(machine, id, at)?;
                    let count = if shows { before } else { STEP };
                    Ok((shows, shared.views().load_older(machine, id, count)?))
                })?;
                if shows || count == 0 {
                    return Ok(shows);
                }
            }
        })
        .await
    }

    /// Up to `limit` items before a place (see [`TimelineItem::at`]), or the newest ones, oldest first.
    ///
    /// # Errors
    /// `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn history(
        &self,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<TimelineItem>, Error> {
        let peer = self.peer;
        let items = self.inner.core().shared.run(move |machine| {
            let id = machine.conversation_with(peer)?;
            machine.timeline(id, before, limit)
        });
        Ok(items.await?.into_iter().map(Into::into).collect())
    }

    /// The user has read this message and everything before it. Their other devices learn it, and so does the other person, unless read
    /// receipts are switched off ([`ClientBuilder::read_receipts`](crate::ClientBuilder::read_receipts)) or nothing was ever written to them.
    ///
    /// # Errors
    /// `UnknownMessage`, `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn mark_read(&self, upto: MessageId) -> Result<(), Error> {
        let peer = self.peer;
        let marked = self.inner.core().shared.change(move |machine| {
            let id = machine.conversation_with(peer)?;
            let place = find(machine, id, upto)?;
            Ok(((), machine.mark_read(id, place)?))
        });
        marked.await?;
        self.inner.core().has_read();
        Ok(())
    }
}

fn find(
    machine: &crate::machine::Machine,
    conversation: ConversationId,
    message: MessageId,
) -> Result<u64, Error> {
    let mut before = None;
    for _ in 0..PAGES {
        let page = machine.timeline(conversation, before, PAGE)?;
        let Some(first) = page.first() else { break };
        before = Some(first.position);
        for item in page.into_iter().rev() {
            let item = TimelineItem::from(item);
            if item.message().is_some_and(|found| found.id == message) {
                return Ok(item.at().place);
            }
        }
    }
    Err(Error::new(Code::UnknownMessage, ""))
}
