//! Telling the devices, in the order of the log.

use std::{sync::Arc, time::Duration};

use sordino_protocol::UserId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::AppendError,
    session::{Event, Sessions},
};

/// Something to tell both people of a conversation.
#[derive(Debug)]
pub(super) struct Publication {
    users: Vec<UserId>,
    event: Event,
}

impl Publication {
    pub(super) fn new(people: [UserId; 2], event: Event) -> Self {
        let users = both(&people).to_vec();
        Self { users, event }
    }
}

/// Whom an event is for. In the conversation with oneself both are one.
pub(super) fn both(people: &[UserId; 2]) -> &[UserId] {
    match people {
        [one, other] if one == other => std::slice::from_ref(one),
        _ => people,
    }
}

/// What a record's sender is answered, and what the devices are told.
pub(super) type Decision = (Result<(), AppendError>, Option<Publication>);

/// What became of a record that is durable, or was refused with a group that is: for its sender, and for the devices.
pub(super) struct Told {
    pub(super) answer: Option<Answer>,
    pub(super) publication: Option<Publication>,
}

/// Who waits, and for what.
pub(super) type Answer = (
    oneshot::Sender<Result<(), AppendError>>,
    Result<(), AppendError>,
);

impl Told {
    fn answer(&mut self) {
        if let Some((waiting, answer)) = self.answer.take() {
            // Its connection may be gone; the message is not.
            let _ = waiting.send(answer);
        }
    }
}

/// First wait before a publication is repeated; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Answers and publishes what comes, until the sender is gone. `stop` ends the repetition of what fails, nothing else.
///
/// Why no online device misses a row: rows and registers are durable and readable before they come here, and a device
/// registers before it reads. If the look-up in `publish` does not see the registration, the registration came later, so
/// the device's read came later still, and it sees the row.
pub(super) async fn run(
    mut groups: mpsc::Receiver<Vec<Told>>,
    sessions: Arc<dyn Sessions>,
    stop: CancellationToken,
) {
    while let Some(mut group) = groups.recv().await {
        let mut rest = group.as_mut_slice();
        while let Some((told, behind)) = rest.split_first_mut() {
            // The answer goes with the row: its connection wakes once for both.
            told.answer();
            rest = behind;
            let Some(Publication { users, event }) = told.publication.take() else {
                continue;
            };
            let mut wait = FIRST_WAIT;
            // A publication that fails may or may not have arrived: it is said again until it has. Devices drop repeats.
            while let Err(error) = sessions.publish(&users, event.clone()).await {
                tracing::warn!("devices could not be told of a row, trying again: {error}");
                // No answer waits for that.
                rest.iter_mut().for_each(Told::answer);
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                    () = stop.cancelled() => break,
                }
            }
        }
    }
}
