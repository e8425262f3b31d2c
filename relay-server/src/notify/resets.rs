//! Wakes the devices of accounts for which somebody who has nothing but the login has asked for another identity key: each may refuse, but
//! has to connect for that before the wait is over.
//!
//! The store says who is due. Whom a look finds is claimed until some time after the last try, and put off for a day only once all devices
//! were woken. So whatever fails costs those hours and not the day, also where this node dies in between.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sordino_protocol::UserId;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    devices::Tries,
    watch::{Ended, Watch},
};
use crate::{
    relay::now_ms,
    user::{PushTarget, UserError},
};

/// How soon everybody is woken once more: whoever has overlooked it then has some days left.
const AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks now, and every while until told to stop.
pub(super) async fn run(watch: Arc<Watch>, stop: CancellationToken) {
    let mut looks = interval(watch.settings.resets);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        while under_way.try_join_next().is_some() {}
        // Longer than anything is tried: an hour, and one try more when the provider says, which may be an hour later.
        let again_ms = from_now(3 * watch.settings.give_up);
        // The rest is due at the next look. Those that a provider does not take yet wait beside it, an hour's at most, and hold up nobody.
        let limit = watch.settings.at_a_time;
        let claimed = watch.users.claim_reset_wakes(now_ms(), again_ms, limit);
        match claimed.await {
            Ok(users) => {
                for user in users {
                    let watch = Arc::clone(&watch);
                    under_way.spawn(async move {
                        if let Err(error) = watch.wake_all(user, again_ms).await {
                            watch.is_in_the_way(&error);
                        }
                    });
                }
            }
            Err(error) => watch.is_in_the_way(&error),
        }
    }
    under_way.shutdown().await;
}

fn from_now(wait: Duration) -> u64 {
    now_ms().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

impl Watch {
    /// Wakes all devices of a user who was claimed until `again_ms`.
    async fn wake_all(&self, user: UserId, again_ms: u64) -> Result<(), UserError> {
        let mut targets = self.users.push_targets(user).await?;
        targets.retain(|target| self.providers.has(target.provider));
        let wakes = targets
            .iter()
            .map(|target| self.wake_for_reset(user, target));
        for done in join_all(wakes).await {
            if !done? {
                return Ok(());
            }
        }
        let users = &self.users;
        users
            .put_off_reset_wake(user, again_ms, from_now(AGAIN))
            .await
    }

    /// Whether there is nothing left to do for this device.
    async fn wake_for_reset(&self, user: UserId, target: &PushTarget) -> Result<bool, UserError> {
        let mut tries = Tries::first(Instant::now());
        // It may be refused meanwhile.
        while self.users.reset(user).await?.is_some() {
            match self.send(target, tries).await {
                Ended::Sent => return Ok(true),
                Ended::Dead => {
                    self.forget(user, target).await?;
                    return Ok(true);
                }
                Ended::GivenUp => return Ok(false),
                Ended::Later { wait, tries: next } => {
                    tries = next;
                    sleep(wait).await;
                }
            }
        }
        Ok(true)
    }
}
