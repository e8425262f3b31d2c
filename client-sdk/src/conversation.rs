//! A conversation, as the app holds it.

use std::{sync::Arc, time::Duration};

use sordino_protocol::{Code, ConversationId, UserId};

use crate::{
    client::Inner,
    engine,
    error::Error,
    live::LiveList,
    machine::{Happening, Machine, Position},
    net::blocking,
    types::{Draft, MessageId, TimelineItem},
};

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

    /// Sends a text, or a [`Draft`] that answers a message: returns once it is on this device's disk. From there it goes out by itself, in order and once, also
    /// after a restart; [`crate::SendState`] says how far it has come.
    ///
    /// A future that is dropped before it is done may have sent all the same.
    ///
    /// # Errors
    /// `NotRegistered`, `TextEmpty`, `TextTooLong`, `UnknownMessage` where it answers one that is not here, `TwoCopies`, `StoreFailed`,
    /// `Stopped`.
    pub async fn send(&self, draft: impl Into<Draft>) -> Result<MessageId, Error> {
        let sent = engine::send(self.inner.sender(), self.peer, draft.into()).await?;
        self.inner.core().life().has_sent(self.peer);
        Ok(sent)
    }

    /// The user types to this person, or has stopped: call it at every key, and with `false` when what was typed is deleted or left. It is
    /// said every few seconds, by a sealed signal that nobody stores, and holds for eight; only where the user has ever written to the
    /// person, has not blocked them, and [`ClientBuilder::typing`](crate::ClientBuilder::typing) is on. Without a connection it is not said.
    pub fn typing(&self, on: bool) {
        self.inner.core().types(self.peer, on);
    }

    /// Whether the person types, as far as it is known now. [`Event::Typing`](crate::Event::Typing) tells when that changes.
    #[must_use]
    pub fn is_typing(&self) -> bool {
        self.inner.core().life().is_typing(self.peer)
    }

    /// Gives up an own message that is still pending. The relay may have it already, and its answer be on the way: then it
    /// shows as sent after all.
    ///
    /// # Errors
    /// `UnknownMessage` if there is no such message or it has its place; `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn cancel(&self, message: MessageId) -> Result<(), Error> {
        self.say(move |machine, id, now_ms| Ok(((), machine.cancel(id, message, now_ms)?)))
            .await
    }

    /// Sends a message anew that was given up ([`crate::SendState::Failed`]), as the newest; its new name. The old one is gone.
    ///
    /// # Errors
    /// `UnknownMessage` if there is no such message or it was not given up; `MessageUnsettled` while the relay may have taken it all the
    /// same; `NotRegistered`, `TwoCopies`, `StoreFailed`, `Stopped`.
    pub async fn retry(&self, message: MessageId) -> Result<MessageId, Error> {
        self.say(move |machine, id, now_ms| machine.retry(id, message, now_ms))
            .await
    }

    /// Gives an own message another text, for everybody. It is edited here at once; at the other devices as soon as that gets there.
    ///
    /// # Errors
    /// `UnknownMessage` if there is no such message of the user's, or it was given up or erased; `TextEmpty`, `TextTooLong`,
    /// `NotRegistered`, `TwoCopies`, `StoreFailed`, `Stopped`.
    pub async fn edit(&self, message: MessageId, text: impl Into<String>) -> Result<(), Error> {
        let (peer, text) = (self.peer, text.into());
        self.say(move |machine, _, now_ms| Ok(((), machine.edit(peer, message, &text, now_ms)?)))
            .await
    }

    /// Erases an own message for everybody, with its edits: at the relay, and on every device that learns of it. Nobody can make
    /// somebody forget it, nor a device that does not want to.
    ///
    /// # Errors
    /// `UnknownMessage` if there is no such message of the user's; `NotRegistered`, `TwoCopies`, `StoreFailed`, `Stopped`.
    pub async fn erase(&self, message: MessageId) -> Result<(), Error> {
        let peer = self.peer;
        self.say(move |machine, _, now_ms| Ok(((), machine.erase(peer, message, now_ms)?)))
            .await
    }

    /// Says how the user likes a message, with an emoji or another short word; the last one counts, and an empty one takes it back.
    ///
    /// # Errors
    /// `BadReaction` if it has more than 64 bytes, or a space; `UnknownMessage`, `NotRegistered`, `TwoCopies`, `StoreFailed`, `Stopped`.
    pub async fn react(&self, message: MessageId, emoji: impl Into<String>) -> Result<(), Error> {
        let (peer, emoji) = (self.peer, emoji.into());
        self.say(move |machine, _, now_ms| Ok(((), machine.react(peer, message, &emoji, now_ms)?)))
            .await
    }

    /// What either of the two writes from now on lasts for so long (whole seconds, up to a year; `None`: for ever): from when it is sent
    /// on the devices of who wrote it, from when it is read on those of the other. It shows in the timeline of both.
    ///
    /// # Errors
    /// `BadTimer`, `NotRegistered`, `TwoCopies`, `StoreFailed`, `Stopped`.
    pub async fn set_timer(&self, timer: Option<Duration>) -> Result<(), Error> {
        let peer = self.peer;
        let seconds = match timer.map(|timer| u32::try_from(timer.as_secs())) {
            None => 0,
            Some(Ok(seconds))
                if seconds > 0 && timer.is_some_and(|timer| timer.subsec_nanos() == 0) =>
            {
                seconds
            }
            Some(_) => return Err(Error::new(Code::BadTimer, "")),
        };
        self.say(move |machine, _, now_ms| Ok(((), machine.set_timer(peer, seconds, now_ms)?)))
            .await
    }

    /// Keeps what the user has begun to write, on this device, until it is another: empty for nothing. It is in
    /// [`crate::ConversationRow::draft`] and [`Self::draft`].
    ///
    /// # Errors
    /// `TextTooLong`, `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn save_draft(&self, text: impl Into<String>) -> Result<(), Error> {
        let (peer, text) = (self.peer, text.into());
        let shared = &self.inner.core().shared;
        let kept = shared.change(move |machine| Ok(((), machine.save_draft(peer, &text)?)));
        kept.await
    }

    /// What the user has begun to write.
    ///
    /// # Errors
    /// `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn draft(&self) -> Result<String, Error> {
        let peer = self.peer;
        let shared = &self.inner.core().shared;
        shared.run(move |machine| machine.draft(peer)).await
    }

    async fn say<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine, ConversationId, u64) -> Result<(T, Vec<Happening>), Error>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let peer = self.peer;
        engine::say(self.inner.core(), peer, move |machine, now_ms| {
            let id = machine.conversation_with(peer)?;
            work(machine, id, now_ms)
        })
        .await
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
            let place = machine.place_of(id, upto)?;
            Ok(((), machine.mark_read(id, place, engine::now_ms())?))
        });
        marked.await?;
        self.inner.core().has_read();
        Ok(())
    }
}
