//! Looks after what is due: who is behind, who was woken for it already, and who is to be woken now.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use sordino_protocol::{Class, Header, UserId};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Providers, Settings,
    devices::{Devices, Known, Tries},
    hints::{At, Hint, Hints, Whom},
    provider::Outcome,
};
use crate::{
    history::{History, HistoryError, Progress},
    ops::said::Said,
    user::{PushTarget, UserError, Users},
};

/// How soon is looked again after a store did not answer, or when the log is not delivered that far yet.
const SOON: Duration = Duration::from_secs(2);
/// Rows of a conversation that are read to find the last one from the other person.
const ROWS: usize = 32;
const ROW_BYTES: usize = 256 * 1024;
const PAGES: usize = 4;

/// Whether a record of the log has been decided: its row can be read, or there will be none.
#[async_trait]
pub(super) trait Decided: Send + Sync + 'static {
    async fn decided(&self, whom: Whom, at: At) -> Result<bool, HistoryError>;
}

/// What became of a try to wake a device.
pub(super) enum Ended {
    /// The provider took it.
    Sent,
    /// The token is gone for good.
    Dead,
    /// The provider refused it, or did not take it for too long.
    GivenUp,
    /// The provider would not take it yet.
    Later { wait: Duration, tries: Tries },
}

/// A store does not answer; the text is for the operator.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Users(#[from] UserError),
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Everything that looking takes.
pub(super) struct Watch {
    pub(super) settings: Settings,
    pub(super) hints: Arc<Hints>,
    pub(super) users: Arc<dyn Users>,
    pub(super) history: Arc<dyn History>,
    pub(super) providers: Providers,
    pub(super) devices: Devices,
    pub(super) decided: Option<Arc<dyn Decided>>,
    pub(super) said: Said,
}

/// Looks after what is due, so many at a time, until told to stop. The rest waits in the queue, where more of it falls together.
pub(super) async fn run(watch: Arc<Watch>, stop: CancellationToken) {
    let turns = Arc::new(Semaphore::new(watch.settings.at_a_time));
    let mut under_way = JoinSet::new();
    loop {
        // First the turn, then what is due when it comes.
        let next = async {
            let turn = Arc::clone(&turns).acquire_owned().await;
            (turn, watch.hints.due().await)
        };
        let (turn, hint) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        while under_way.try_join_next().is_some() {}
        let watch = Arc::clone(&watch);
        under_way.spawn(async move {
            let _turn = turn;
            watch.look_after(hint).await;
        });
    }
    under_way.shutdown().await;
}

impl Watch {
    async fn look_after(&self, mut hint: Hint) {
        let again = self.look(&mut hint).await.unwrap_or_else(|error| {
            self.is_in_the_way(&error);
            Some(SOON)
        });
        match again {
            Some(wait) => self.hints.again(hint, wait),
            None => drop(hint),
        }
    }

    /// Wakes whom there is to wake. `Some`: to be looked at again after so long.
    async fn look(&self, hint: &mut Hint) -> Result<Option<Duration>, LookError> {
        let (conversation, user) = hint.whom;
        if let (Some(decided), Some(at)) = (&self.decided, hint.upto)
            && !decided.decided(hint.whom, at).await?
        {
            return Ok(Some(SOON));
        }
        let readable = *hint.readable.get_or_insert_with(Instant::now);
        let Some(progress) = self.history.progress(user, conversation).await? else {
            return Ok(None);
        };
        let behind = |device, seq| progress.of(device) < seq;
        let list = self.users.newest_list(user).await?;
        let mut listed = list.iter().flat_map(|list| &list.devices);
        if !listed.any(|listed| behind(listed.device, progress.last_seq)) {
            return Ok(None);
        }
        let mut targets = self.users.push_targets(user).await?;
        targets.retain(|target| {
            behind(target.device, progress.last_seq) && self.providers.has(target.provider)
        });
        let Some(least) = targets.iter().map(|t| progress.of(t.device)).min() else {
            return Ok(None);
        };
        let Some(newest) = self.newest_for(hint.whom, least).await? else {
            return Ok(None);
        };
        targets.retain(|target| behind(target.device, newest));
        let wakes = targets
            .iter()
            .map(|target| self.wake((hint.whom, readable), target, newest, &progress));
        let mut again = None;
        for wait in join_all(wakes).await {
            again = [again, wait?].into_iter().flatten().min();
        }
        Ok(again)
    }

    /// The newest row above `least` that is a message of the other person for this user: what the user's own devices wrote, what
    /// devices say among themselves, and what somebody wrote who was blocked, wakes nobody.
    async fn newest_for(&self, whom: Whom, least: u64) -> Result<Option<u64>, HistoryError> {
        let (conversation, user) = whom;
        let mut before = None;
        // Behind so many of the user's own rows, what the other person wrote was read long ago.
        for _ in 0..PAGES {
            let page = self
                .history
                .rows_before(conversation, before, ROWS, ROW_BYTES)
                .await?;
            for row in &page.rows {
                if row.seq <= least {
                    return Ok(None);
                }
                let header = Header::parse(&row.header);
                if header.is_ok_and(|h| h.class == Class::Message && h.sender != user)
                    && row.is_for(user)
                {
                    return Ok(Some(row.seq));
                }
            }
            before = page.rows.last().map(|row| row.seq);
            if before.is_none() || page.complete {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Wakes one device, unless it is being woken for this anyway. `Some`: to be looked at again after so long.
    async fn wake(
        &self,
        (whom, readable): (Whom, Instant),
        target: &PushTarget,
        seq: u64,
        progress: &Progress,
    ) -> Result<Option<Duration>, LookError> {
        let (conversation, user) = whom;
        let device = (user, target.device);
        let now = Instant::now();
        let seen = self.devices.of(device, now);
        match seen {
            None => {}
            Some(Known::UnderWay { .. }) => return Ok(Some(self.hints.delay())),
            Some(Known::Later { until, .. }) if now < until => return Ok(Some(until - now)),
            Some(Known::Later { .. }) => {}
            Some(Known::Refused { .. }) => return Ok(None),
            Some(Known::Woken {
                at,
                conversation: of,
                seq: up_to,
            }) => {
                let acked = match of == conversation {
                    true if seq <= up_to => return Ok(None),
                    true => progress.of(target.device),
                    false => {
                        let other = self.history.progress(user, of).await?;
                        other.map_or(0, |other| other.of(target.device))
                    }
                };
                if acked < up_to {
                    // It has not woken up yet. When it does it fetches this too. What could be read when it was woken stands
                    // for no wake of its own; for what came later it is woken once more, if it still sleeps then.
                    if readable <= at {
                        return Ok(None);
                    }
                    return Ok(Some(at + self.settings.window - now));
                }
            }
        }
        let Some(tries) = self.devices.begin(device, seen, Instant::now()) else {
            return Ok(Some(self.hints.delay()));
        };
        let ended = self.send(target, tries).await;
        let at = Instant::now();
        let known = match ended {
            Ended::Sent => Some(Known::Woken {
                at,
                conversation,
                seq,
            }),
            Ended::Dead => None,
            Ended::GivenUp => Some(Known::Refused {
                until: at + self.settings.window,
            }),
            Ended::Later { wait, tries } => Some(Known::Later {
                until: at + wait,
                tries,
            }),
        };
        self.devices.end(device, known);
        match ended {
            Ended::Dead => self.forget(user, target).await?,
            Ended::Later { wait, .. } => return Ok(Some(wait)),
            Ended::Sent | Ended::GivenUp => {}
        }
        Ok(None)
    }

    /// Tries to wake a device, and says in the log and the metrics what became of it.
    pub(super) async fn send(&self, target: &PushTarget, tries: Tries) -> Ended {
        match self.providers.wake(target).await {
            Outcome::Sent => {
                metrics::counter!("sordino_push_sent_total").increment(1);
                Ended::Sent
            }
            Outcome::Dead => {
                metrics::counter!("sordino_push_dead_total").increment(1);
                Ended::Dead
            }
            Outcome::Refused(why) => {
                metrics::counter!("sordino_push_failed_total", "why" => "refused").increment(1);
                if self.said.first(&why) {
                    tracing::error!(
                        "sleeping devices are not woken, the push provider refuses: {why}; see docs/operations.md, Notification"
                    );
                }
                Ended::GivenUp
            }
            Outcome::Later(_) if tries.first.elapsed() >= self.settings.give_up => {
                metrics::counter!("sordino_push_failed_total", "why" => "unavailable").increment(1);
                Ended::GivenUp
            }
            Outcome::Later(after) => {
                metrics::counter!("sordino_push_retried_total").increment(1);
                if self.said.first("later") {
                    tracing::warn!(
                        "the push provider is away, slow or asks for time: wakes are put off"
                    );
                }
                Ended::Later {
                    wait: self
                        .settings
                        .retry
                        .wait(after, tries.failed, rand::random()),
                    tries: Tries {
                        failed: tries.failed.saturating_add(1),
                        ..tries
                    },
                }
            }
        }
    }

    /// The provider says that a token is gone. Only this one: the app may have brought another meanwhile.
    pub(super) async fn forget(&self, user: UserId, target: &PushTarget) -> Result<(), UserError> {
        self.users
            .remove_push(user, target.device, Some(target))
            .await
    }

    /// A store did not answer.
    pub(super) fn is_in_the_way(&self, error: &dyn std::error::Error) {
        let error = error.to_string();
        if self.said.first(&error) {
            tracing::warn!("sleeping devices are not woken: {error}; trying again");
        }
    }
}
