//! Telling the devices, in the order of the log.

use std::{sync::Arc, time::Duration};

use sordino_protocol::UserId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::session::{Event, Sessions};

/// Something to tell both people of a conversation.
#[derive(Debug)]
pub(super) struct Publication {
    users: Vec<UserId>,
    event: Event,
}

impl Publication {
    /// In the conversation with oneself both are one.
    pub(super) fn new([sender, recipient]: [UserId; 2], event: Event) -> Self {
        let mut users = vec![sender, recipient];
        users.dedup();
        Self { users, event }
    }
}

/// First wait before a publication is repeated; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Publishes what comes, until the sender is gone. `stop` ends the repetition of what fails, nothing else.
///
/// Why no online device misses a row: rows and registers are durable and readable before they come here, and a device
/// registers before it reads. If the look-up in `publish` does not see the registration, the registration came later, so
/// the device's read came later still, and it sees the row.
pub(super) async fn run(
    mut groups: mpsc::Receiver<Vec<Publication>>,
    sessions: Arc<dyn Sessions>,
    stop: CancellationToken,
) {
    while let Some(group) = groups.recv().await {
        for Publication { users, event } in group {
            let mut wait = FIRST_WAIT;
            // A publication that fails may or may not have arrived: it is said again until it has. Devices drop repeats.
            while let Err(error) = sessions.publish(&users, event.clone()).await {
                tracing::warn!("devices could not be told of a row, trying again: {error}");
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                    () = stop.cancelled() => break,
                }
            }
        }
    }
}
