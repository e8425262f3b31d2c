//! Connected, again and again: attempts, waits, and when to stop.

use std::{sync::Arc, time::Duration};

use sordino_protocol::{Code, pb::relay_frame};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{Core, Wish, errands::is_deleted, not_online, session};
use crate::{
    events::ConnectionState,
    net::socket::{self, End, Open},
    sync::backoff,
};

/// Before a relay is asked again that has disabled the account: whether it was enabled it says to nobody.
const DISABLED: Duration = Duration::from_secs(3600);
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);
/// A relay that moves connections gets them back spread over this.
const SPREAD: Duration = Duration::from_millis(250);
/// A connection that lasted so long begins a new series of attempts.
pub(super) const STEADY: Duration = Duration::from_secs(3);
/// Where the series stands at most after a connection that the relay took, and that was lost without a word from it: it is not
/// the relay that is overloaded, but the way that breaks, and waits of half a minute would only add to that.
const TAKEN: u32 = 2;
/// How often a device that is moved tries to connect elsewhere.
const MOVES: u32 = 4;

/// Keeps the client connected while that is wished; returns once its end is.
pub(crate) async fn supervise(core: Arc<Core>, mut wish: watch::Receiver<Wish>) {
    let views = core.shared.views();
    loop {
        let wished = wish.wait_for(|wish| *wish != Wish::Offline).await;
        if wished.map_or(Wish::Ended, |wish| *wish) != Wish::Online {
            break;
        }
        let online = core.online.lock().await;
        let stopped = stay_connected(&core, &mut wish).await;
        drop(online);
        match stopped {
            Some(why) => {
                if why.code() == Code::AccountDeleted {
                    note_deleted(&core).await;
                }
                tracing::warn!(code = why.code().as_str(), "connecting was given up");
                let disabled = why.code() == Code::AccountDisabled;
                views.set_connection(ConnectionState::Stopped { why });
                // Until the app says that it should be tried again.
                tokio::select! {
                    changed = wish.changed() => if changed.is_err() {
                        break;
                    },
                    () = sleep(DISABLED), if disabled => {}
                }
            }
            None => views.set_connection(ConnectionState::Offline),
        }
    }
}

/// The own account is gone: nothing more is taken to be sent.
async fn note_deleted(core: &Arc<Core>) {
    let Some(account) = core.shared.account() else {
        return;
    };
    if let Err(error) = is_deleted(core, account.user).await {
        tracing::warn!(
            code = error.code().as_str(),
            "the end of the account is not stored"
        );
    }
}

/// Until it is wished no more (`None`), or cannot be.
async fn stay_connected(
    core: &Arc<Core>,
    wish: &mut watch::Receiver<Wish>,
) -> Option<crate::Error> {
    let mut attempt = 0;
    loop {
        wish.mark_unchanged();
        if *wish.borrow() != Wish::Online {
            return None;
        }
        core.shared
            .views()
            .set_connection(ConnectionState::Connecting);
        let mut taken = None;
        let end = once(core, wish, &mut taken).await;
        if *wish.borrow() != Wish::Online {
            return None;
        }
        attempt = after(attempt, &end, taken.map(|at: Instant| at.elapsed()));
        let usual = || backoff(BASE, CAP, attempt, rand::random());
        let (retry_in, why) = match end {
            End::Stop(why) => return Some(why),
            End::Login if attempt == 0 => (Duration::ZERO, Code::NotAuthenticated),
            End::Login => (usual(), Code::NotAuthenticated),
            End::Again {
                backoff: false,
                why,
                ..
            } if attempt == 0 => (backoff(SPREAD, SPREAD, 0, rand::random()), why),
            End::Again { floor, why, .. } => (floor.saturating_add(usual()), why),
        };
        attempt = attempt.saturating_add(1);
        tracing::info!(
            wait_ms = retry_in.as_millis(),
            attempt,
            code = why.as_str(),
            "the connection ended"
        );
        core.shared
            .views()
            .set_connection(ConnectionState::Lost { retry_in, why });
        tokio::select! {
            () = sleep(retry_in) => {}
            // Wished once more, which is not to wait, or no more: it is looked at above.
            changed = wish.changed() => if changed.is_err() {
                return None;
            },
        }
    }
}

/// Where the series of attempts stands after one that came to this end; it may have become a connection that lasted so long.
fn after(attempt: u32, end: &End, lasted: Option<Duration>) -> u32 {
    match lasted {
        Some(lasted) if lasted >= STEADY => 0,
        Some(_) if *end == End::LOST => attempt.min(TAKEN),
        _ => attempt,
    }
}

/// One connection, from the login to its end, however often the relay moves it; and when it was last taken, if it was.
async fn once(
    core: &Arc<Core>,
    wish: &mut watch::Receiver<Wish>,
    taken: &mut Option<Instant>,
) -> End {
    let connected = tokio::select! {
        connected = open(core) => connected,
        () = not_online(wish) => return End::LOST,
    };
    let mut open = match connected {
        Ok(open) => open,
        Err(end) => return end,
    };
    // It may have been said to be gone, by a relay that had lost its data.
    if let Some(account) = core.shared.account() {
        let there = core
            .shared
            .change(move |machine| Ok(((), machine.account_is_there(account.user)?)));
        if let Err(error) = there.await {
            return End::from_error(&error);
        }
    }
    let mut moved = false;
    loop {
        *taken = Some(Instant::now());
        let token = open.token.clone();
        match session::run(core, wish, open, moved).await {
            Ok(another) => (open, moved) = (another, true),
            Err(end) => {
                if end == End::Login {
                    core.http.token_refused(&token).await;
                }
                return end;
            }
        }
    }
}

/// Logs in where needed, and connects.
async fn open(core: &Core) -> Result<Open, End> {
    let token = core.http.token().await;
    let token = token.map_err(|error| End::from_error(&error))?;
    let opened = socket::connect(&core.relay, &core.tls, &token).await;
    if matches!(opened, Err(End::Login)) {
        core.http.token_refused(&token).await;
    }
    let (reader, writer) = opened?;
    Ok(Open {
        token,
        reader,
        writer,
        signals: false,
        reset: None,
    })
}

/// Connects once more while a connection is served, and waits until the relay has taken the new one: what comes from then on
/// comes there. `None`: it was tried a few times, and the end of the old connection begins the usual attempts.
pub(super) async fn open_another(core: &Core) -> Option<Open> {
    for attempt in 0..MOVES {
        let floor = match taken(core).await {
            Ok(open) => return Some(open),
            // The old connection will be told the same.
            Err(End::Stop(_)) => return None,
            Err(End::Login) => Duration::ZERO,
            Err(End::Again { floor, .. }) => floor,
        };
        sleep(floor.saturating_add(backoff(BASE, CAP, attempt, rand::random()))).await;
    }
    None
}

async fn taken(core: &Core) -> Result<Open, End> {
    let mut open = open(core).await?;
    loop {
        match open.reader.next().await? {
            relay_frame::Frame::Sync(_) => return Ok(open),
            relay_frame::Frame::Welcome(welcome) => {
                open.signals = welcome.signals;
                open.reset = session::pending_reset(&welcome);
            }
            relay_frame::Frame::ResetPending(pending) => open.reset = Some(pending.ready_ms),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_short_while_the_relay_takes_connections_that_are_lost() {
        let short = Some(Duration::from_millis(10));
        let told = End::Again {
            floor: Duration::ZERO,
            backoff: false,
            why: Code::Draining,
        };
        assert_eq!(after(9, &End::LOST, None), 9);
        assert_eq!(after(9, &End::LOST, short), TAKEN);
        assert_eq!(after(1, &End::LOST, short), 1);
        assert_eq!(after(9, &told, short), 9);
        assert_eq!(after(9, &told, Some(STEADY)), 0);
    }
}
