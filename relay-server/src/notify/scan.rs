//! Finds who is behind in the store: at the start, for what came before it, and after the queue was full.

use std::{sync::Arc, time::Duration};

use sordino_protocol::{DeviceId, UserId};
use tokio::time::{Instant, sleep};

use super::watch::Watch;
use crate::{history::HistoryError, user::UserError};

const DEVICES: usize = 256;
const MARKS: usize = 256;
/// How often is looked whether the queue was full.
const EVERY: Duration = Duration::from_secs(1);
/// After a store did not answer.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum ScanError {
    #[error(transparent)]
    Users(#[from] UserError),
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Scans now, and whenever something found no place in the queue.
pub(super) async fn run(watch: Arc<Watch>) {
    loop {
        while let Err(error) = all(&watch).await {
            tracing::warn!("who is behind cannot be read: {error}; trying again");
            sleep(PAUSE).await;
        }
        loop {
            sleep(EVERY).await;
            if watch.hints.take_overflow() {
                break;
            }
        }
        watch.hints.light().await;
    }
}

async fn all(watch: &Watch) -> Result<(), ScanError> {
    let mut after = None;
    loop {
        let devices = watch.users.push_devices(after, DEVICES).await?;
        for &(user, device) in &devices {
            one(watch, user, device).await?;
        }
        match devices.last() {
            Some(&last) if devices.len() >= DEVICES => after = Some(last),
            _ => return Ok(()),
        }
    }
}

async fn one(watch: &Watch, user: UserId, device: DeviceId) -> Result<(), ScanError> {
    let mut after = None;
    loop {
        let marks = watch.history.marks(user, device, after, MARKS).await?;
        for mark in &marks {
            // Whether what it lacks is of the other person is looked at later.
            if mark.own_acked < mark.last_seq && mark.peer != user {
                if watch.hints.is_full() {
                    watch.hints.light().await;
                }
                let due = Instant::now() + watch.hints.delay();
                let place = Box::new(watch.hints.place());
                watch
                    .hints
                    .offer((mark.conversation, user), due, None, place);
            }
        }
        match marks.last() {
            Some(last) if marks.len() >= MARKS => after = Some(last.conversation),
            _ => return Ok(()),
        }
    }
}
