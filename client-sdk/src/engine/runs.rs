//! Errands of a session: run beside it, tried again, and what follows from them.

use std::time::Duration;

use sordino_protocol::{
    Code,
    pb::{self, client_frame},
};
use tokio::time::Instant;

use super::{
    backup, errands, now_ms,
    session::{Errand, Session},
};
use crate::{error::Error, net::socket::End, sync::backoff};

/// Between two looks at the prekeys.
const REPLENISH: Duration = Duration::from_secs(600);
/// Before a new device looks whether it is time for the next pass through the key backup.
const RESTORE: Duration = Duration::from_secs(30);
/// Before it is looked whether there is room for more keys for a device that was linked.
const HISTORY: Duration = Duration::from_secs(2);
/// Before what could not be read is asked for again.
const LATE: Duration = Duration::from_secs(3600);
/// Before own devices that had no prekeys, and have answered nothing, are tried again.
const GREET: Duration = Duration::from_secs(60);
/// Before an errand that failed is tried again: at least what was asked for, and a share of this that grows and is random.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_CAP: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(1);
const RETRY_NEVER: Duration = Duration::from_secs(61);

impl Session<'_> {
    /// Runs an errand: one at a time of each, and few of all.
    pub(super) fn start(&mut self, errand: Errand) {
        self.later.remove(&errand);
        if !self.running.insert(errand) {
            // What it was asked for may have come up after it looked.
            self.again.insert(errand);
            return;
        }
        let core = self.core.clone();
        let (token, me) = (self.token.clone(), self.me);
        self.errands.spawn(async move {
            let _turn = core.errands.acquire().await;
            let result = match errand {
                Errand::Prekeys => errands::replenish(&core).await,
                Errand::Prepare(peer) => errands::prepare(&core, peer).await,
                Errand::Lists(user, version) => errands::lists_of_row(&core, user, version).await,
                Errand::Look(user) => errands::look_at(&core, user).await,
                Errand::OwnList => errands::newest_lists(&core, me).await,
                Errand::Backup => backup::fill(&core).await,
                Errand::Restore => backup::read(&core).await,
                Errand::History => backup::share(&core).await,
                Errand::Greet => errands::greet(&core).await,
                Errand::Blocks => errands::blocks(&core).await,
                Errand::Receipts => errands::receipts(&core).await,
                Errand::Late => errands::late(&core).await,
                Errand::Name(user) => errands::learn_name(&core, user).await,
                Errand::Token => {
                    core.http.token_refused(&token).await;
                    core.http.token().await.map(|_| ())
                }
            };
            (errand, result)
        });
    }

    /// Fetches the own list where it may name keys that this device has asked for, or lacks.
    pub(super) async fn look_at_own_list(&mut self) -> Result<(), End> {
        let awaited = self.work(|machine| Ok((machine.own_list_is_awaited()?, Vec::new())));
        if awaited.await? {
            self.start(Errand::OwnList);
        }
        Ok(())
    }

    /// Runs an errand after a while, unless it is due before.
    pub(super) fn start_later(&mut self, errand: Errand, wait: Duration) {
        // One that failed waits as long as it was told to.
        if self.failures.contains_key(&errand) && self.later.contains_key(&errand) {
            return;
        }
        let at = Instant::now() + wait;
        let due = self.later.entry(errand).or_insert(at);
        *due = at.min(*due);
    }

    pub(super) async fn finished(
        &mut self,
        errand: Errand,
        result: Result<(), Error>,
    ) -> Result<(), End> {
        self.running.remove(&errand);
        if result.is_err() {
            self.again.remove(&errand);
        }
        if let Err(error) = &result {
            // Without its ids: they are user data.
            tracing::info!(code = error.code().as_str(), "an errand failed");
            if matches!(
                error.code(),
                Code::BadKeys | Code::RelayMisbehaved | Code::OtherRelay
            ) {
                self.tell_of_relay(None, error.detail().to_owned());
            }
            if matches!(
                error.code(),
                Code::DeviceRevoked
                    | Code::AccountDeleted
                    | Code::AccountDisabled
                    | Code::StoreDamaged
            ) {
                return Err(End::Stop(error.clone()));
            }
            if let Errand::Lists(user, _) = errand {
                self.pulls.lists_failed(user);
            }
            // Whoever writes to them asks again.
            if matches!(errand, Errand::Look(_)) {
                return Ok(());
            }
            let floor = match (error.code(), error.retry()) {
                (Code::NoDevices, _) => SOON,
                (_, crate::Retry::Never) => RETRY_NEVER,
                (_, crate::Retry::After(wait)) => wait.max(SOON),
                _ => SOON,
            };
            let (failures, how) = self.failures.entry(errand).or_insert((0, error.code()));
            *how = error.code();
            let base = if error.code() == Code::NoDevices {
                SOON
            } else {
                RETRY
            };
            let wait = floor + backoff(base, RETRY_CAP, *failures, rand::random());
            *failures = failures.saturating_add(1);
            self.later.insert(errand, Instant::now() + wait);
            return Ok(());
        }
        self.failures.remove(&errand);
        if self.again.remove(&errand) {
            self.start(errand);
        }
        match errand {
            Errand::Prekeys => {
                self.later.insert(errand, Instant::now() + REPLENISH);
                self.look_at_own_list().await?;
            }
            Errand::Prepare(peer) => self.prepared(peer),
            Errand::Greet => {
                let awaited = self.work(|machine| Ok((machine.awaits_answers()?, Vec::new())));
                if awaited.await? {
                    self.start_later(errand, GREET);
                }
            }
            Errand::Lists(user, _) => {
                self.pulls.lists_came(user);
                self.lists_came = true;
            }
            Errand::Restore => {
                let begun = self.work(|machine| {
                    let begun = machine.restore_progress()?.begun;
                    Ok((begun, Vec::new()))
                });
                if begun.await? {
                    self.start_later(errand, RESTORE);
                }
            }
            Errand::History => {
                let owes = self.work(|machine| Ok((machine.owes_history()?, Vec::new())));
                if owes.await? {
                    self.start_later(errand, HISTORY);
                }
            }
            Errand::OwnList => {
                let asks = self.work(|machine| Ok((machine.ask_for_keys(now_ms())?, Vec::new())));
                if asks.await? {
                    self.core.wake([self.me]);
                }
            }
            Errand::Late => {
                self.fill_backup(Duration::MAX);
                self.start_later(errand, LATE);
            }
            Errand::Look(_)
            | Errand::Name(_)
            | Errand::Backup
            | Errand::Receipts
            | Errand::Blocks => {}
            Errand::Token => {
                let token = self.core.http.token().await;
                let token = token.map_err(|error| End::from_error(&error))?;
                let refresh = pb::RefreshToken {
                    token: token.expose().to_owned(),
                };
                self.token = token;
                if !self.writer.send(client_frame::Frame::RefreshToken(refresh)) {
                    self.later.insert(errand, Instant::now() + RETRY);
                }
            }
        }
        Ok(())
    }
}
