//! The connections of this process: how many a device has, and how they all end.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sordino_protocol::{DeviceId, UserId};
use tokio::{sync::Notify, time::sleep};

use super::{CONNECTIONS_PER_DEVICE, close::Close, mailbox::Mailbox};

type Key = (UserId, DeviceId);

/// Who is connected here.
#[derive(Default)]
pub(super) struct Connections {
    state: Mutex<State>,
    left: Notify,
    next_id: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    devices: HashMap<Key, Vec<(u64, Arc<Mailbox>)>>,
    open: usize,
    draining: bool,
}

/// A place in the table, until it is dropped.
pub(super) struct Seat<'a> {
    connections: &'a Connections,
    key: Key,
    pub(super) id: u64,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Connections {
    /// Takes a connection in, at the cost of the device's oldest where it has too many. `None`: draining.
    pub(super) fn enter(&self, user: UserId, device: DeviceId) -> Option<Seat<'_>> {
        let key = (user, device);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::default());
        let mut state = self.state();
        if state.draining {
            return None;
        }
        let seats = state.devices.entry(key).or_default();
        seats.push((id, Arc::clone(&mailbox)));
        for (_, old) in seats.iter().rev().skip(CONNECTIONS_PER_DEVICE) {
            old.close(Close::Replaced);
        }
        state.open += 1;
        metrics::gauge!("sordino_chat_connections").set(state.open as f64);
        drop(state);
        Some(Seat {
            connections: self,
            key,
            id,
            mailbox,
        })
    }

    /// Whether new connections are refused.
    pub(super) fn draining(&self) -> bool {
        self.state().draining
    }

    pub(super) fn open(&self) -> usize {
        self.state().open
    }

    /// Closes everything in batches and waits for the last one. The batches spread them, so each may come back at once.
    pub(super) async fn drain(&self, batch: usize, pause: Duration) {
        let open: Vec<_> = {
            let mut state = self.state();
            state.draining = true;
            let seats = state.devices.values().flatten();
            seats.map(|(_, mailbox)| Arc::clone(mailbox)).collect()
        };
        for (at, mailboxes) in open.chunks(batch.max(1)).enumerate() {
            if at > 0 {
                sleep(pause).await;
            }
            for mailbox in mailboxes {
                mailbox.close(Close::RetryNow);
            }
        }
        loop {
            let left = self.left.notified();
            if self.open() == 0 {
                return;
            }
            left.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Count and table change together, without a step in between that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.mailbox.leave();
        let mut state = self.connections.state();
        if let Some(seats) = state.devices.get_mut(&self.key) {
            seats.retain(|(id, _)| *id != self.id);
            if seats.is_empty() {
                state.devices.remove(&self.key);
            }
        }
        state.open = state.open.saturating_sub(1);
        metrics::gauge!("sordino_chat_connections").set(state.open as f64);
        drop(state);
        self.connections.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::mailbox::Next, *};

    const USER: UserId = UserId::from_bytes([1; 16]);
    const DEVICE: DeviceId = DeviceId::from_bytes([2; 16]);

    #[tokio::test]
    async fn a_fifth_connection_of_a_device_closes_the_first() {
        let connections = Connections::default();
        let other = connections.enter(USER, DeviceId::from_bytes([3; 16]));
        let seats: Vec<_> = (0..=CONNECTIONS_PER_DEVICE)
            .map(|_| connections.enter(USER, DEVICE).expect("entered"))
            .collect();
        assert!(matches!(
            seats[0].mailbox.next().await,
            Next::Close(Close::Replaced)
        ));
        for seat in seats[1..].iter().chain(&other) {
            let wait = tokio::time::timeout(Duration::ZERO, seat.mailbox.next());
            assert!(wait.await.is_err(), "left alone");
        }
        drop((seats, other));
        assert_eq!(connections.open(), 0);
        assert!(connections.state().devices.is_empty());
    }

    #[tokio::test]
    async fn a_drain_closes_all_and_waits_for_the_last() {
        let connections = Connections::default();
        let seats: Vec<_> = (0..5u8)
            .map(|n| connections.enter(USER, DeviceId::from_bytes([n; 16])))
            .collect();
        let leave = async {
            for seat in seats.into_iter().flatten() {
                let Next::Close(Close::RetryNow) = seat.mailbox.next().await else {
                    panic!("not told to come back")
                };
                drop(seat);
            }
        };
        let drain = connections.drain(2, Duration::from_millis(1));
        tokio::join!(drain, leave);
        assert!(connections.enter(USER, DEVICE).is_none());
        assert_eq!(connections.open(), 0);
    }
}
