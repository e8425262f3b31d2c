//! One connection: a single task that reads, tells, answers and keeps time.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{FutureExt, SinkExt};
use prost::bytes::Bytes;
use sordino_protocol::{
    Code, ConversationId,
    frame::{FrameError, encode_relay},
    list::DeviceList,
    pb::{self, relay_frame::Frame},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Chat,
    ack::Acks,
    close::Close,
    connections::Seat,
    identity::{Identity, changed_list},
    mailbox::Next,
    pipeline::Pipeline,
    push,
    signal::Pace,
    token::{Due, TokenEnd},
    window::FRAMES,
};
use crate::{
    http::caller::{Caller, no_device},
    ops::rates::Wait,
    session::{self, Event},
    user::UserError,
};

/// How long a device has to answer the last frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the loop of a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The relay closes it.
    Close(Close),
    /// There is nobody to say anything to.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// A connection at work.
pub(super) struct Connection<'a> {
    pub(super) chat: &'a Chat,
    pub(super) identity: Identity,
    pub(super) pipeline: Pipeline,
    pub(super) acks: Acks,
    pub(super) token: TokenEnd,
    pub(super) signals: Pace,
    /// From when on the account may get another identity key, as the device was told; 0: never.
    reset_ms: u64,
    socket: WebSocket,
    seat: Seat<'a>,
    heard: Instant,
    asked: bool,
    /// Until when nothing is read, because the device was faster than its user may be.
    held: Option<Instant>,
}

/// What happened.
enum Step {
    Read(Option<Result<Message, axum::Error>>),
    Next(Next),
    Settled(Option<ConversationId>),
    Time,
}

/// Serves a socket until it ends.
pub(super) async fn serve(chat: &Chat, mut socket: WebSocket, caller: &Caller) {
    let Some(seat) = chat.connections.enter(caller.user, caller.device) else {
        let close = Close::RetryLater(chat.settings.drain_retry);
        return Box::pin(farewell(&mut socket, close)).await;
    };
    let mut connection = Connection {
        chat,
        identity: Identity::from(caller),
        pipeline: Pipeline::default(),
        acks: Acks::default(),
        token: TokenEnd::new(caller.expires_ms),
        signals: Pace::default(),
        reset_ms: 0,
        socket,
        seat,
        heard: Instant::now(),
        asked: false,
        held: None,
    };
    // Boxed: what only beginning and end need is not held while the connection idles.
    let end = match Box::pin(connection.begin()).await {
        Ok(()) => connection.run().await,
        Err(end) => end,
    };
    Box::pin(connection.finish(end)).await;
}

impl Connection<'_> {
    async fn begin(&mut self) -> Result<(), End> {
        self.reset_ms = self.pending_reset().await?;
        self.write(Frame::Welcome(pb::Welcome {
            now_ms: (self.chat.api.now_ms)(),
            token_expires_ms: self.token.expires_ms(),
            signals: true,
            resets: true,
            reset_ready_ms: self.reset_ms,
        }))
        .await?;
        let registered = self.chat.api.sessions.register(session::Connection {
            id: self.seat.id,
            user: self.identity.user,
            device: self.identity.device,
            sink: self.seat.mailbox.clone(),
        });
        if let Err(error) = registered.await {
            tracing::warn!(%error, "a connection was not registered");
            return Err(Close::RetryNow.into());
        }
        // Between the look at the handshake and the registration nobody would have said that the list changed.
        self.must_be_listed().await?;
        self.tell_of_reset().await?;
        self.write(Frame::Sync(pb::Sync {})).await?;
        self.flush().await
    }

    async fn run(&mut self) -> End {
        let mut timer = pin!(sleep_until(self.wake()));
        loop {
            let wake = self.wake();
            // Only ever moved forward here: a timer that comes too early looks again.
            if wake < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(wake);
            }
            let step = tokio::select! {
                message = self.socket.recv(), if self.held.is_none() => Step::Read(message),
                next = self.seat.mailbox.next() => Step::Next(next),
                settled = self.pipeline.settle(), if !self.pipeline.is_idle() => Step::Settled(settled),
                () = &mut timer => Step::Time,
            };
            // Boxed: the largest of these would be the size of every idle connection.
            if let Err(end) = Box::pin(self.step(step)).await {
                return end;
            }
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Read(Some(Ok(message))) => self.read(message).await,
            // A frame too long or against RFC 6455, or no connection any more: then nobody reads the code.
            Step::Read(Some(Err(_))) => Err(Close::ProtocolError(Code::BadFrame).into()),
            Step::Read(None) => Err(End::Gone),
            Step::Next(next) => self.tell(next).await,
            Step::Settled(settled) => self.answer_all(settled).await,
            Step::Time => self.keep_time().await,
        }?;
        self.flush().await
    }

    /// Does what the mailbox says, and all else that it holds already: written together, one call to the kernel takes
    /// it all. No more than a window at a time: who is told without end must still be heard.
    async fn tell(&mut self, first: Next) -> Result<(), End> {
        let mut next = Some(first);
        let mut more = 1..FRAMES;
        while let Some(what) = next {
            match what {
                Next::Close(close) => return Err(close.into()),
                Next::Moving => self.write(Frame::Moving(pb::Moving {})).await?,
                Next::ListChanged => {
                    let users = &*self.chat.api.users;
                    let list = changed_list(users, self.identity.user).await;
                    self.must_be_on(list).await?;
                    self.tell_of_reset().await?;
                }
                Next::Sync => self.write(Frame::Sync(pb::Sync {})).await?,
                Next::Tell(event) => {
                    if let Some(frame) = push::frame(&event, &self.identity) {
                        self.write(frame).await?;
                    }
                    if let Event::Row { conversation, row } = &event {
                        self.acks.told(*conversation, row, self.identity.user);
                        metrics::counter!("sordino_chat_delivered_total").increment(1);
                    }
                    self.seat.mailbox.written(&event);
                }
            }
            next = more.next().and_then(|_| self.seat.mailbox.take());
        }
        Ok(())
    }

    /// Says what can be said of a conversation, and of all others whose messages are stored already: those of one group
    /// are stored at once.
    async fn answer_all(&mut self, first: Option<ConversationId>) -> Result<(), End> {
        let mut settled = first;
        while let Some(conversation) = settled {
            self.answer(conversation).await?;
            settled = self.pipeline.settle().now_or_never().flatten();
        }
        Ok(())
    }

    async fn read(&mut self, message: Message) -> Result<(), End> {
        self.heard = Instant::now();
        self.asked = false;
        self.pay(self.heard);
        match message {
            Message::Binary(bytes) => match sordino_protocol::frame::decode_client(bytes) {
                Ok(frame) => self.handle(frame).await,
                Err(FrameError::TooLarge) => Err(Close::ProtocolError(Code::TooLarge).into()),
                Err(_) => Err(Close::ProtocolError(Code::BadFrame).into()),
            },
            Message::Text(_) => Err(Close::ProtocolError(Code::BadFrame).into()),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => Err(End::Gone),
        }
    }

    /// Accounts for a frame that was read. What it may not read yet the relay leaves with the kernel, and the kernel with
    /// the device: a flood costs neither memory nor anybody else's turn.
    fn pay(&mut self, now: Instant) {
        let paid = self.chat.api.rates.frame(self.identity.user);
        if paid.is_err() && self.held.is_none() {
            metrics::counter!("sordino_chat_held_total").increment(1);
        }
        self.held = paid.err().map(|Wait(wait)| now + wait);
    }

    async fn must_be_listed(&mut self) -> Result<(), End> {
        let list = self.chat.api.users.newest_list(self.identity.user).await;
        self.must_be_on(list).await
    }

    /// Ends the connection of a device that its owner removed, or whose account is gone or disabled.
    async fn must_be_on(
        &mut self,
        list: Result<Option<Arc<DeviceList>>, UserError>,
    ) -> Result<(), End> {
        if self.chat.api.disabled.is(self.identity.user) {
            return Err(Close::Disabled.into());
        }
        match list {
            Ok(Some(list)) if self.identity.is_on(&list) => Ok(()),
            Ok(Some(_)) => Err(Close::Stop.into()),
            Ok(None) => {
                let why = no_device(&*self.chat.api.users, self.identity.user);
                Err(match why.await {
                    Code::AccountDeleted => Close::Deleted,
                    Code::DeviceRevoked => Close::Stop,
                    _ => Close::RetryNow,
                }
                .into())
            }
            Err(error) => {
                tracing::warn!(%error, "a changed list could not be read");
                Err(Close::RetryNow.into())
            }
        }
    }

    async fn pending_reset(&mut self) -> Result<u64, End> {
        let pending = self.chat.api.pending_reset(self.identity.user).await;
        let pending = pending.map_err(|error| {
            tracing::warn!(?error, "a pending reset could not be read");
            Close::RetryNow
        })?;
        Ok(pending.unwrap_or(0))
    }

    /// Says that somebody wants another identity key for the account, for its devices may refuse; or that it is over.
    async fn tell_of_reset(&mut self) -> Result<(), End> {
        let ready_ms = self.pending_reset().await?;
        if self.reset_ms != ready_ms {
            self.reset_ms = ready_ms;
            self.write(Frame::ResetPending(pb::ResetPending { ready_ms }))
                .await?;
        }
        Ok(())
    }

    /// When the connection has something to do, though nothing comes.
    fn wake(&self) -> Instant {
        let (now, settings) = (Instant::now(), &self.chat.settings);
        let patience = if self.asked {
            settings.dead_after
        } else {
            settings.ping_after
        };
        let token = match self
            .token
            .due((self.chat.api.now_ms)(), settings.token_warning)
        {
            Due::In(wait) => now + wait,
            Due::Tell | Due::Close => now,
        };
        let acks = self.acks.due(now, settings.ack_every);
        let wake = token.min(self.heard + patience);
        [acks, self.held]
            .into_iter()
            .flatten()
            .fold(wake, Instant::min)
    }

    async fn keep_time(&mut self) -> Result<(), End> {
        let settings = &self.chat.settings;
        match self
            .token
            .due((self.chat.api.now_ms)(), settings.token_warning)
        {
            Due::Close => return Err(Close::RefreshToken.into()),
            Due::Tell => {
                self.token.told();
                let expires_ms = self.token.expires_ms();
                self.write(Frame::TokenExpiring(pb::TokenExpiring { expires_ms }))
                    .await?;
            }
            Due::In(_) => {}
        }
        let now = Instant::now();
        // The frame that was read is paid for before the next one is; several connections of a user take turns.
        if self.held.is_some_and(|until| until <= now) {
            self.pay(now);
        }
        if self
            .acks
            .due(now, settings.ack_every)
            .is_some_and(|due| due <= now)
        {
            let chat = self.chat;
            self.acks.write(&chat.api, &self.identity, &chat.acks);
        }
        let silence = now.saturating_duration_since(self.heard);
        if silence >= settings.dead_after {
            return Err(Close::RetryNow.into());
        }
        if silence >= settings.ping_after && !self.asked {
            self.asked = true;
            let ping = Message::Ping(Bytes::new());
            taken(self.chat, self.socket.feed(ping)).await?;
        }
        Ok(())
    }

    /// Writes a frame, which may stay here until [`Self::flush`].
    pub(super) async fn write(&mut self, frame: Frame) -> Result<(), End> {
        let message = Message::Binary(encode_relay(frame));
        taken(self.chat, self.socket.feed(message)).await
    }

    async fn flush(&mut self) -> Result<(), End> {
        taken(self.chat, self.socket.flush()).await
    }

    async fn finish(mut self, end: End) {
        let api = &self.chat.api;
        let unregistered = api.sessions.unregister(self.identity.user, self.seat.id);
        if let Err(error) = unregistered.await {
            tracing::warn!(%error, "a connection was not unregistered");
        }
        self.acks.finish(api, &self.identity, &self.chat.acks);
        match end {
            End::Close(close) => farewell(&mut self.socket, close).await,
            End::Gone => {}
        }
    }
}

/// What the socket must take in time.
async fn taken(
    chat: &Chat,
    write: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), End> {
    match timeout(chat.settings.stuck_after, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(Close::TooSlow.into()),
    }
}

/// The last frame. What the device still sends is read and dropped until it has answered: unread bytes at the end would
/// make the kernel reset the connection, and the frame might never arrive.
async fn farewell(socket: &mut WebSocket, close: Close) {
    let count =
        || metrics::counter!("sordino_chat_closed_total", "why" => close.name()).increment(1);
    if close == Close::TooSlow {
        // It will hardly take this frame either.
        count();
    }
    let frame = Message::Close(Some(CloseFrame {
        code: close.code() as u16,
        reason: close.reason().into(),
    }));
    let _ = timeout(FAREWELL, async {
        // A connection that broke off is not one that the relay closed.
        if socket.send(frame).await.is_ok() {
            if close != Close::TooSlow {
                count();
            }
            while let Some(Ok(_)) = socket.recv().await {}
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F, R>(_: F) -> usize
    where
        F: Fn(&'static Chat, WebSocket, &'static Caller) -> R,
    {
        size_of::<R>()
    }

    /// What every connection holds all its life, next to the buffer that it reads into.
    #[test]
    fn an_idle_connection_is_small() {
        let size = size(serve);
        assert!(size <= 1536, "{size} bytes");
    }
}
