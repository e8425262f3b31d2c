//! The connections of this process: how many a device has, and how they all end.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sordino_protocol::{DeviceId, UserId};
use tokio::{sync::Notify, time::sleep};

use super::{CONNECTIONS_PER_DEVICE, close::Close, mailbox::Mailbox};
use crate::ops::drain::Pace;

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

    /// Tells everybody to move, closes who has not after the grace, and waits for the last one. The batches spread them, so
    /// each may connect at once.
    pub(super) async fn drain(&self, pace: Pace) {
        let open: Vec<_> = {
            let mut state = self.state();
            state.draining = true;
            let seats = state.devices.values().flatten();
            seats.map(|(_, mailbox)| Arc::clone(mailbox)).collect()
        };
        let grace = pace.grace;
        let tell = async {
            if !grace.is_zero() {
                spread(&open, pace, Mailbox::move_away).await;
            }
        };
        let close = async {
            sleep(grace).await;
            spread(&open, pace, |mailbox| mailbox.close(Close::RetryNow)).await;
        };
        tokio::join!(tell, close);
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

/// Does something with all of them, one batch after the other.
async fn spread(all: &[Arc<Mailbox>], pace: Pace, act: impl Fn(&Mailbox)) {
    for (at, batch) in all.chunks(pace.batch.max(1)).enumerate() {
        if at > 0 {
            sleep(pace.pause).await;
        }
        batch.iter().for_each(|mailbox| act(mailbox));
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
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{super::mailbox::Next, *};
    use crate::session::{Deliver as _, Event};

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

    fn two_at_a_time(grace: Duration) -> Pace {
        Pace {
            batch: 2,
            pause: Duration::from_millis(1),
            grace,
        }
    }

    #[tokio::test(start_paused = true)]
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
        let drain = connections.drain(two_at_a_time(Duration::ZERO));
        tokio::join!(drain, leave);
        assert!(connections.enter(USER, DEVICE).is_none());
        assert_eq!(connections.open(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_to_move_is_served_until_it_has_or_the_grace_is_over() {
        let connections = Connections::default();
        let mut seats: Vec<_> = (0..3u8)
            .filter_map(|n| connections.enter(USER, DeviceId::from_bytes([n; 16])))
            .collect();
        let grace = Duration::from_secs(5);
        let begun = Instant::now();
        let leave = async {
            for seat in &seats {
                assert!(matches!(seat.mailbox.next().await, Next::Moving));
            }
            assert!(begun.elapsed() < grace);
            drop(seats.pop());
            for seat in &seats {
                seat.mailbox.deliver(&Event::Sync);
                assert!(matches!(seat.mailbox.next().await, Next::ListChanged));
                assert!(matches!(seat.mailbox.next().await, Next::Sync));
            }
            assert!(begun.elapsed() < grace);
            for seat in seats.drain(..) {
                assert!(matches!(
                    seat.mailbox.next().await,
                    Next::Close(Close::RetryNow)
                ));
                assert!(begun.elapsed() >= grace);
            }
        };
        tokio::join!(connections.drain(two_at_a_time(grace)), leave);
        assert_eq!(connections.open(), 0);
    }
}
