//! Signals: passed on to who is connected, and forgotten. Their sender learns nothing of what becomes of them, and so not
//! whether anybody is there.

use std::{sync::Arc, time::Duration};

use sordino_protocol::{Code, DeviceId, UserId, limits, pb};
use tokio::{sync::Semaphore, time::Instant};

use super::{Chat, close::Close, identity::Identity};
use crate::session::{Event, Signal};

/// Between two signals of a connection, in the long run.
const EVERY: Duration = Duration::from_millis(500);
/// So many may come at once: a device that comes back looks at several people.
const BURST: u32 = 32;
/// Signals of all connections on their way to other nodes. One more is dropped: when Redis does not answer, they must not
/// pile up.
const PASSING: usize = 512;

/// Signals on their way.
pub(super) fn passing() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(PASSING))
}

/// How often a connection may signal.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all that may come at once may come again.
    full_at: Option<Instant>,
}

impl Pace {
    fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let taken = full_at.duration_since(now) <= EVERY * (BURST - 1);
        if taken {
            self.full_at = Some(full_at + EVERY);
        }
        taken
    }
}

/// Passes a signal on, unless there are too many.
pub(super) fn pass(
    chat: &Chat,
    pace: &mut Pace,
    sender: &Identity,
    signal: pb::Signal,
) -> Result<(), Close> {
    let (recipient, signal) = read(sender, signal).ok_or(Close::ProtocolError(Code::BadFrame))?;
    if !pace.take(Instant::now()) {
        count("rate");
        return Ok(());
    }
    let Ok(turn) = Arc::clone(&chat.passing).try_acquire_owned() else {
        count("busy");
        return Ok(());
    };
    count("passed");
    let api = Arc::clone(&chat.api);
    // Beside the connection, which must not wait for Redis. One that overtakes another is no harm: they are numbered within.
    tokio::spawn(async move {
        // Where that cannot be read it is dropped: it would be worth nothing a moment later.
        if api.has_blocked(recipient, signal.sender).await == Ok(false) {
            // Whom it does not reach, it was not for.
            let _ = api
                .sessions
                .publish(&[recipient], Event::Signal(signal))
                .await;
        }
        drop(turn);
    });
    Ok(())
}

/// `None`: no device makes such a signal. Not to its own user either, and all of one length.
fn read(sender: &Identity, signal: pb::Signal) -> Option<(UserId, Arc<Signal>)> {
    let recipient = UserId::from_slice(&signal.recipient).ok()?;
    let part = |part: pb::SealedSignal| {
        let device = DeviceId::from_slice(&part.device).ok()?;
        (part.payload.len() == limits::SIGNAL_BYTES).then_some((device, part.payload))
    };
    let sealed: Option<Vec<_>> = signal.sealed.into_iter().map(part).collect();
    let sealed = sealed.filter(|sealed| !sealed.is_empty() && recipient != sender.user)?;
    let signal = Signal {
        sender: sender.user,
        sender_device: sender.device,
        sealed,
    };
    Some((recipient, Arc::new(signal)))
}

fn count(outcome: &'static str) {
    metrics::counter!("sordino_chat_signals_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_at_a_time() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..BURST {
            assert!(pace.take(now));
        }
        assert!(!pace.take(now));
        assert!(!pace.take(now + EVERY / 2));
        assert!(pace.take(now + EVERY));
        assert!(!pace.take(now + EVERY));
        let later = now + EVERY * (BURST + 10);
        for _ in 0..BURST {
            assert!(pace.take(later));
        }
        assert!(!pace.take(later), "rest is not saved up");
    }
}
