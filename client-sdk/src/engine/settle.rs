//! Where a connection stands: whether everything is here that was announced, and what follows once it is.

use std::time::Duration;

use sordino_protocol::{Code, ConversationId, UserId};

use super::{
    flight::is_trouble,
    now_ms,
    session::{Errand, Session},
};
use crate::{
    error::Error,
    events::ConnectionState,
    machine::{Machine, Taken},
    net::socket::End,
};

/// People without a name whose names are asked for at the start.
const NAMES: u32 = 256;
/// After a connection has caught up the backup is filled so soon, where it is not to be sooner.
const BACKUP_AT_FIRST: Duration = Duration::from_secs(5);

impl Session<'_> {
    /// Everything that was announced is here.
    pub(super) fn is_up_to_date(&self) -> bool {
        self.listing.done && self.listing.request.is_none() && self.pulls.left() == 0
    }

    /// What keeps the relay from doing what it is asked for, as far as somebody waits for it.
    fn trouble(&self) -> Option<Code> {
        let failures = self.failures.iter();
        let errands = failures.filter_map(|(errand, (_, code))| {
            let awaited = matches!(errand, Errand::Prepare(_) | Errand::Lists(..));
            (awaited && is_trouble(*code)).then_some(*code)
        });
        let flights = self.flights.iter().filter_map(|(conversation, flight)| {
            let is_behind = self.pulls.is_behind(*conversation);
            flight.trouble(is_behind)
        });
        let slow = self.is_slow().then_some(Code::Timeout);
        self.unanswered
            .into_iter()
            .chain(flights)
            .chain(errands)
            .chain(slow)
            .next()
    }

    /// Says where the connection stands; once it has caught up, what waits may go out.
    pub(super) async fn settle(&mut self) -> Result<(), End> {
        let up_to_date = self.is_up_to_date();
        if up_to_date && (!self.settled || self.rolled_back) {
            self.caught_up().await?;
        } else if up_to_date && std::mem::take(&mut self.lists_came) {
            // Not before: what an own device sent is opened in the order of its chain.
            for (conversation, peer) in self.try_pending(Machine::try_pending).await? {
                self.prepare(conversation, peer);
            }
        }
        let views = self.core.shared.views();
        // A hole in a conversation that was up to date is no reason to show the whole connection as behind; nor is it that the
        // device was moved to this one.
        let live = self.settled || views.connection() == ConnectionState::Live;
        views.set_connection(match self.trouble() {
            Some(why) => ConnectionState::Degraded { why },
            None if live => ConnectionState::Live,
            None => ConnectionState::CatchingUp {
                left: self.pulls.left(),
            },
        });
        Ok(())
    }

    /// Everything is here.
    async fn caught_up(&mut self) -> Result<(), End> {
        self.settled = true;
        self.lists_came = false;
        self.rolled_back = false;
        let nameless = self.work(|machine| Ok((machine.nameless(NAMES)?, Vec::new())));
        for peer in nameless.await? {
            self.learn_name(peer);
        }
        let waiting = self.try_pending(Machine::caught_up).await?;
        self.look_at_own_list().await?;
        // What is restored are rows that passed by.
        self.start(Errand::Restore);
        self.start(Errand::History);
        self.start(Errand::Greet);
        self.start(Errand::Blocks);
        self.start(Errand::Late);
        self.start(Errand::Receipts);
        self.fill_backup(BACKUP_AT_FIRST);
        self.core
            .caught_up
            .store(true, std::sync::atomic::Ordering::Release);
        for (conversation, peer) in waiting {
            self.prepare(conversation, peer);
        }
        Ok(())
    }

    /// Rows that wait are tried, by this. Conversations in which something is to be sent, also for what those have said.
    async fn try_pending(
        &mut self,
        by: fn(&mut Machine, u64) -> Result<Taken, Error>,
    ) -> Result<Vec<(ConversationId, UserId)>, End> {
        let (waiting, taken) = self
            .work(move |machine| {
                let mut taken = by(machine, now_ms())?;
                let happenings = std::mem::take(&mut taken.happenings);
                Ok(((machine.waiting()?, taken), happenings))
            })
            .await?;
        self.follow_up(&taken);
        if let Some((user, version)) = taken.needs {
            self.start(Errand::Lists(user, version));
        }
        Ok(waiting)
    }
}
