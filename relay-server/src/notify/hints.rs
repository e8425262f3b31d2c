//! What may have to be woken, and when to look: a queue in which a conversation's recipient stands once, however many messages
//! came.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sordino_protocol::{Class, ConversationId, Header, UserId};
use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, sleep_until},
};

/// Whose devices, in which conversation.
pub(super) type Whom = (ConversationId, UserId);

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "cluster"),
    allow(dead_code, reason = "embedded rows are stored before there is a hint")
)]
pub(super) struct At {
    pub(super) partition: i32,
    pub(super) offset: u64,
}

/// Held until the devices were looked after, and then dropped: a place in the queue, and on a cluster the record's part in the
/// commit.
pub(super) type Held = Box<dyn Hold>;

/// What is held for a hint.
pub(super) trait Hold: Send + Sync {
    /// It stands for nothing any more: whoever owns the partition now reads the record again.
    fn is_stale(&self) -> bool {
        false
    }
}

impl Hold for Place {}

/// Something to look after.
pub(super) struct Hint {
    pub(super) whom: Whom,
    /// The last record that it stands for; `None` where rows are stored before there is a hint.
    pub(super) upto: Option<At>,
    /// Since when a device that fetches finds all that it stands for.
    pub(super) readable: Option<Instant>,
    pub(super) held: Held,
}

struct Waiting {
    due: Instant,
    upto: Option<At>,
    readable: Option<Instant>,
    held: Held,
}

#[derive(Default)]
struct Queue {
    waiting: HashMap<Whom, Waiting>,
    order: BTreeSet<(Instant, Whom)>,
}

/// The queue. Bounded: what finds no place is found by a scan instead (embedded), or stays in the log (cluster).
pub struct Hints {
    delay: Duration,
    capacity: usize,
    queue: Mutex<Queue>,
    /// The first one due may be another.
    changed: Notify,
    taken: Arc<Taken>,
    overflowed: AtomicBool,
}

#[derive(Default)]
struct Taken {
    places: AtomicUsize,
    freed: Notify,
}

/// One place, until it is dropped.
pub(super) struct Place(Arc<Taken>);

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.0.places.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("sordino_push_behind").set(before.saturating_sub(1) as f64);
        self.0.freed.notify_waiters();
    }
}

impl std::fmt::Debug for Hints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hints").finish_non_exhaustive()
    }
}

impl Hints {
    /// Devices are looked after `delay` after a message; `capacity` conversations may wait.
    pub fn new(delay: Duration, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            delay,
            capacity,
            queue: Mutex::default(),
            changed: Notify::new(),
            taken: Arc::default(),
            overflowed: AtomicBool::new(false),
        })
    }

    /// A message was stored whose header this is. Never waits.
    pub(crate) fn stored(&self, header: &Header) {
        let Some(whom) = wakes(header) else { return };
        if self.is_full() {
            // Only what is not there yet needs a place; but then it is too much to ask.
            self.overflowed.store(true, Ordering::Relaxed);
            metrics::counter!("sordino_push_overflows_total").increment(1);
            return;
        }
        let due = Instant::now() + self.delay;
        self.offer(whom, due, None, Box::new(self.place()));
    }

    /// Whether something found no place since the last time.
    pub(super) fn take_overflow(&self) -> bool {
        self.overflowed.swap(false, Ordering::Relaxed)
    }

    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    pub(super) fn place(&self) -> Place {
        let before = self.taken.places.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("sordino_push_behind").set((before + 1) as f64);
        Place(Arc::clone(&self.taken))
    }

    fn places(&self) -> usize {
        self.taken.places.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.places() >= self.capacity
    }

    #[cfg(any(test, feature = "cluster"))]
    pub(super) fn is_empty(&self) -> bool {
        self.places() == 0
    }

    /// Waits until it is half empty.
    pub(super) async fn light(&self) {
        loop {
            let freed = self.taken.freed.notified();
            if self.places() <= self.capacity / 2 {
                return;
            }
            freed.await;
        }
    }

    /// Something new, which waits until `due`, or until what waits there already is due.
    pub(super) fn offer(&self, whom: Whom, due: Instant, upto: Option<At>, held: Held) {
        // Where there is no log to be decided first, rows are stored before there is a hint.
        let readable = upto.is_none().then(Instant::now);
        let hint = Hint {
            whom,
            upto,
            readable,
            held,
        };
        self.put(hint, due);
    }

    fn put(&self, hint: Hint, due: Instant) {
        let Hint {
            whom,
            upto,
            readable,
            held,
        } = hint;
        let mut queue = self.queue();
        let first = queue.order.first().map(|(due, _)| *due);
        let due = match queue.waiting.get_mut(&whom) {
            Some(waiting) => {
                let before = waiting.due;
                waiting.due = before.min(due);
                // What is held for one stands for all: whoever reads its record again looks after the whole conversation.
                if waiting.held.is_stale() {
                    waiting.held = held;
                }
                let offset = |at: &Option<At>| at.map_or(0, |at| at.offset);
                if offset(&upto) > offset(&waiting.upto) {
                    waiting.upto = upto;
                }
                waiting.readable = readable
                    .zip(waiting.readable)
                    .map(|(one, two)| one.max(two));
                let due = waiting.due;
                queue.order.remove(&(before, whom));
                due
            }
            None => {
                let waiting = Waiting {
                    due,
                    upto,
                    readable,
                    held,
                };
                queue.waiting.insert(whom, waiting);
                due
            }
        };
        queue.order.insert((due, whom));
        drop(queue);
        if first.is_none_or(|first| due < first) {
            self.changed.notify_one();
        }
    }

    /// To be looked after once more.
    pub(super) fn again(&self, hint: Hint, wait: Duration) {
        if !hint.held.is_stale() {
            self.put(hint, Instant::now() + wait);
        }
    }

    /// The next one that is due. Cancel-safe.
    pub(super) async fn due(&self) -> Hint {
        loop {
            let changed: Notified<'_> = self.changed.notified();
            let next = {
                let mut queue = self.queue();
                match queue.order.first().copied() {
                    Some((due, whom)) if due <= Instant::now() => {
                        queue.order.pop_first();
                        let waiting = queue.waiting.remove(&whom);
                        let Some(waiting) = waiting.filter(|w| !w.held.is_stale()) else {
                            continue;
                        };
                        return Hint {
                            whom,
                            upto: waiting.upto,
                            readable: waiting.readable,
                            held: waiting.held,
                        };
                    }
                    next => next,
                }
            };
            match next {
                Some((due, _)) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing between two changes panics.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a record may wake: the person that a message is for. What devices say among themselves wakes nobody, nor does a message
/// its sender's other devices.
pub(super) fn wakes(header: &Header) -> Option<Whom> {
    let for_another = header.class == Class::Message && header.sender != header.recipient;
    for_another.then_some((header.conversation, header.recipient))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(n: u8) -> Whom {
        (
            ConversationId::from_bytes([n; 16]),
            UserId::from_bytes([n; 16]),
        )
    }

    fn hints() -> Arc<Hints> {
        Hints::new(Duration::from_millis(3), 4)
    }

    fn offer(hints: &Hints, n: u8, after_ms: u64, offset: u64) {
        let due = Instant::now() + Duration::from_millis(after_ms);
        let upto = Some(At {
            partition: 0,
            offset,
        });
        hints.offer(whom(n), due, upto, Box::new(hints.place()));
    }

    #[tokio::test]
    async fn the_first_due_comes_first_and_each_once() {
        let hints = hints();
        offer(&hints, 1, 500, 10);
        offer(&hints, 2, 300, 11);
        offer(&hints, 1, 900, 12);
        assert_eq!(hints.places(), 2, "two of one have one place");
        let (first, second) = (hints.due().await, hints.due().await);
        assert_eq!([first.whom, second.whom], [whom(2), whom(1)]);
        assert_eq!(second.upto.map(|at| at.offset), Some(12));
        assert_eq!(hints.places(), 2);
        drop((first, second));
        assert!(hints.is_empty());
    }

    #[tokio::test]
    async fn what_is_read_again_takes_the_place_of_what_a_lost_partition_left() {
        struct Reread(Arc<AtomicUsize>, bool);
        impl Hold for Reread {
            fn is_stale(&self) -> bool {
                self.1
            }
        }
        impl Drop for Reread {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (hints, dropped) = (hints(), Arc::new(AtomicUsize::new(0)));
        let offer = |stale| {
            let at = At {
                partition: 0,
                offset: 7,
            };
            let held = Box::new(Reread(dropped.clone(), stale));
            hints.offer(whom(1), Instant::now(), Some(at), held);
        };
        offer(true);
        offer(false);
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "the stale one");
        let hint = hints.due().await;
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "in work");
        drop(hint);
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_earlier_one_wakes_who_waits() {
        let hints = hints();
        offer(&hints, 1, 500_000, 1);
        let waiting = tokio::spawn({
            let hints = hints.clone();
            async move { hints.due().await.whom }
        });
        tokio::task::yield_now().await;
        offer(&hints, 2, 1, 2);
        assert_eq!(waiting.await.expect("ran"), whom(2));
    }

    #[tokio::test]
    async fn what_is_put_back_keeps_its_place() {
        let hints = hints();
        offer(&hints, 1, 0, 1);
        let hint = hints.due().await;
        // A later record that came meanwhile is the one that must have been delivered.
        offer(&hints, 1, 5, 8);
        hints.again(hint, Duration::from_millis(7));
        assert_eq!(hints.places(), 1);
        let hint = hints.due().await;
        assert_eq!(hint.whom, whom(1));
        assert_eq!(hint.upto.map(|at| at.offset), Some(8));
    }

    #[tokio::test]
    async fn a_full_queue_says_so_and_takes_no_more() {
        let hints = hints();
        let header = |n| Header {
            class: Class::Message,
            conversation: whom(n).0,
            counter: 1,
            client_message_id: sordino_protocol::ClientMessageId::from_bytes([0; 16]),
            sender: UserId::from_bytes([99; 16]),
            sender_device: sordino_protocol::DeviceId::from_bytes([1; 16]),
            recipient: whom(n).1,
            sender_list: 1,
            recipient_list: 1,
            list_digest: [0; 16],
            erase: vec![],
            commit: [0; 32],
        };
        for n in 1..=6 {
            hints.stored(&header(n));
        }
        assert_eq!(hints.places(), 4);
        assert!(hints.take_overflow());
        assert!(!hints.take_overflow());
        let taken = [hints.due().await, hints.due().await];
        let waiting = hints.light();
        drop(taken);
        waiting.await;
        let control = Header {
            class: Class::Control,
            ..header(7)
        };
        let note = Header {
            sender: whom(7).1,
            ..header(7)
        };
        assert_eq!(wakes(&control), None);
        assert_eq!(wakes(&note), None);
        assert_eq!(wakes(&header(7)), Some(whom(7)));
    }
}
