//! Signals of a session: what is due goes out, what comes is taken in. Whatever fails of it is no reason to end a connection,
//! and nothing is kept for later.

use sordino_protocol::{
    UserId,
    pb::{self, client_frame},
};

use super::{
    Core,
    life::{Life, PARTED},
    session::Session,
};
use crate::{
    machine::{Content, Happening, Said},
    net::socket::End,
};

/// Places in the queue of the socket that are left to everything else.
const RESERVED: usize = 128;

impl Session<'_> {
    /// Says what is due, tells what has changed.
    pub(super) async fn signal(&mut self) -> Result<(), End> {
        if self.settled {
            self.core.life().connected();
        }
        let (due, unknown, watched) = {
            let mut life = self.core.life();
            let due = life.due(self.core.moment());
            (due, life.take_unknown(), life.watched())
        };
        for user in unknown {
            let seen = self.work(move |machine| Ok((machine.last_seen(user)?, Vec::new())));
            if let Some(at_ms) = seen.await? {
                self.core.life().was_seen(user, at_ms);
            }
        }
        for user in watched {
            self.look_at(user);
        }
        for (user, said) in due {
            self.say(user, said).await?;
        }
        self.keep_seen().await?;
        tell(self.core);
        Ok(())
    }

    async fn say(&mut self, user: UserId, said: Said) -> Result<(), End> {
        if !self.signals || self.writer.room() <= RESERVED {
            return Ok(());
        }
        let now_ms = super::now_ms();
        let sealed =
            self.work(move |machine| Ok((machine.signal(user, said, now_ms)?, Vec::new())));
        match sealed.await? {
            Some(signal) => {
                // One that finds no place is not said.
                let _ = self.writer.send(client_frame::Frame::Signal(signal));
            }
            None if matches!(said, Said::There { .. }) => {
                let now = self.core.moment();
                self.core.life().refused(user, now);
            }
            None => {}
        }
        Ok(())
    }

    /// A device of somebody else has said something.
    pub(super) async fn heard(&mut self, signal: pb::Signalled) -> Result<(), End> {
        let Ok(user) = UserId::from_slice(&signal.sender) else {
            return Ok(());
        };
        let now = self.core.moment();
        if !self.settled || !self.core.life().admits(user, now) {
            return Ok(());
        }
        let heard =
            self.work(move |machine| Ok((machine.hear(&signal, now.clock_ms)?, Vec::new())));
        if let Some(heard) = heard.await? {
            self.core.life().hears(heard, now);
            tell(self.core);
        }
        Ok(())
    }

    /// The connection ends. Where it is the user who ends it, those who look are told.
    pub(super) async fn fall_silent(&mut self, by_user: bool) {
        let now = self.core.moment();
        if by_user {
            let partners = self.work(|machine| {
                let partners = machine.partners(PARTED)?;
                Ok((partners, Vec::new()))
            });
            let partners = partners.await.unwrap_or_default();
            let leaves = self.core.life().leaves(partners, now);
            for (user, said) in leaves {
                if self.say(user, said).await.is_err() {
                    break;
                }
            }
        }
        self.core.life().disconnected(now);
        // Where the store does not take it, it is known for less long.
        let _ = self.keep_seen().await;
        tell(self.core);
    }

    async fn keep_seen(&mut self) -> Result<(), End> {
        let seen = self.core.life().take_seen();
        for (user, at_ms) in seen {
            let kept = self.work(move |machine| Ok((machine.saw(user, at_ms)?, Vec::new())));
            kept.await?;
        }
        Ok(())
    }
}

fn tell(core: &Core) {
    let events = core.life().take_events();
    for event in events {
        core.shared.views().say(event);
    }
}

/// What was being typed has come.
pub(super) fn written(core: &Core, happenings: &[Happening]) {
    let now = core.moment();
    for happening in happenings {
        if let Happening::Received(item) = happening
            && let Content::Message {
                author, sent_ms, ..
            } = item.content
        {
            core.life().has_written(author, sent_ms, now);
        }
    }
}

/// What the app says.
impl Core {
    /// The user types to somebody, or does not any more.
    pub(crate) fn types(&self, peer: UserId, on: bool) {
        self.with_life(|life, now| life.types(peer, on, now));
    }

    /// The people whose presence is shown.
    pub(crate) fn watch(&self, users: &[UserId]) {
        self.with_life(|life, now| life.watch(users, now));
    }

    /// The user is in front of the app, or is not.
    pub(crate) fn set_active(&self, active: bool) {
        self.with_life(|life, now| life.set_active(active, now));
    }

    fn with_life(&self, change: impl FnOnce(&mut Life, super::life::Now)) {
        change(&mut self.life(), self.moment());
        self.something_waits.notify_one();
    }
}
