//! Connections that have not said anything whole yet. There is room for so many; one more costs the oldest its place: who
//! means to speak does so at once, and who only holds the door is the first to go.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The waiting connections of one listener, oldest first.
pub(super) struct HalfOpen {
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
    capacity: usize,
}

impl HalfOpen {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            capacity,
        }
    }

    /// Takes a connection in; ids rise. What comes out is told `Ok` when the connection must go.
    pub(super) fn enter(&self, id: u64) -> oneshot::Receiver<()> {
        let (go, told) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.len() >= self.capacity
            && let Some((_, oldest)) = waiting.pop_first()
        {
            // One that has just ended by itself hears nothing.
            let _ = oldest.send(());
            ::metrics::counter!("sordino_connections_refused_total", "why" => "half_open")
                .increment(1);
        }
        waiting.insert(id, go);
        told
    }

    /// The connection has sent a request, or has ended.
    pub(super) fn leave(&self, id: u64) {
        self.waiting().remove(&id);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<()>>> {
        // Nothing panics between two steps on the map.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_who_has_spoken_stays() {
        let half_open = HalfOpen::new(2);
        let mut spoke = half_open.enter(0);
        half_open.leave(0);
        let mut oldest = half_open.enter(1);
        let mut newer = half_open.enter(2);
        let mut newest = half_open.enter(3);
        assert_eq!(half_open.len(), 2);
        assert_eq!(oldest.try_recv(), Ok(()));
        for stays in [&mut spoke, &mut newer, &mut newest] {
            assert!(stays.try_recv().is_err());
        }
    }
}
