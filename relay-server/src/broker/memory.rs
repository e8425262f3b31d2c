//! The embedded log: a bounded queue in memory. It never holds anything that was acknowledged, so that nothing is lost with it.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, future::BoxFuture};
use sordino_protocol::Header;
use tokio::sync::oneshot;

use super::{AppendError, Log, Record, refused};

/// Bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most bytes waiting.
    pub bytes: usize,
    /// Most records waiting.
    pub records: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024 * 1024,
            records: 64 * 1024,
        }
    }
}

/// A record in its place in the log, with the one who waits for its outcome.
pub(crate) struct Entry {
    pub(crate) record: Record,
    pub(crate) offset: u64,
    /// The log's append time; it does not go back while the process lives.
    pub(crate) unix_ms: u64,
    pub(crate) answer: oneshot::Sender<Result<(), AppendError>>,
}

/// The log. One consumer takes groups of it.
pub struct MemoryLog {
    bounds: Bounds,
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    next_offset: u64,
    last_ms: u64,
    closed: bool,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            queue: Mutex::default(),
            filled: Condvar::new(),
        })
    }

    /// Waits for records and takes as many as fit, at least one. `None`: closed, and nothing is left.
    pub(crate) fn take_group(&self, max: Bounds) -> Option<Vec<Entry>> {
        let mut queue = self.lock();
        while queue.entries.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self
                .filled
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(entry) = queue.entries.front() {
            let size = size(&entry.record);
            if !group.is_empty() && (group.len() >= max.records || bytes + size > max.bytes) {
                break;
            }
            bytes += size;
            queue.bytes = queue.bytes.saturating_sub(size);
            group.extend(queue.entries.pop_front());
        }
        metrics::gauge!("sordino_log_queue_records").set(queue.entries.len() as f64);
        metrics::gauge!("sordino_log_queue_bytes").set(queue.bytes as f64);
        Some(group)
    }

    /// Refuses appends from now on; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Closes, and forgets what waits: its senders learn that the outcome is unknown.
    pub(crate) fn abandon(&self) {
        self.close();
        self.lock().entries.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing between two changes of the queue can panic half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        record: Record,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let size = size(&record);
        let mut queue = self.lock();
        if queue.closed
            || queue.entries.len() >= self.bounds.records
            || queue.bytes + size > self.bounds.bytes
        {
            return Err(AppendError::Busy);
        }
        let (answer, outcome) = oneshot::channel();
        let offset = queue.next_offset;
        queue.next_offset += 1;
        queue.bytes += size;
        queue.last_ms = queue.last_ms.max(now);
        let unix_ms = queue.last_ms;
        queue.entries.push_back(Entry {
            record,
            offset,
            unix_ms,
            answer,
        });
        drop(queue);
        self.filled.notify_one();
        Ok(outcome)
    }
}

impl Log for MemoryLog {
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), AppendError>> {
        // Not in the future: the order of the calls is the order of the log, whoever polls first.
        let pushed = self.push(record);
        async move {
            let outcome = match pushed {
                Ok(outcome) => outcome.await.unwrap_or(Err(AppendError::Unknown)),
                Err(error) => Err(error),
            };
            outcome.inspect_err(|error| refused(*error))
        }
        .boxed()
    }
}

/// What a waiting record costs, its fixed parts included.
fn size(record: &Record) -> usize {
    size_of::<Entry>()
        + Header::MIN_LEN
        + record.header_bytes.len()
        + record.content.len()
        + record.wraps.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sordino_protocol::{Class, ClientMessageId, ConversationId, DeviceId, UserId};

    use super::*;

    fn record(counter: u64, len: usize) -> Record {
        let header = Header {
            class: Class::Message,
            conversation: ConversationId::from_bytes([1; 16]),
            counter,
            client_message_id: ClientMessageId::from_bytes([2; 16]),
            sender: UserId::from_bytes([3; 16]),
            sender_device: DeviceId::from_bytes([4; 16]),
            recipient: UserId::from_bytes([5; 16]),
            sender_list: 1,
            recipient_list: 1,
            list_digest: [6; 16],
            erase: vec![],
            commit: [7; 32],
        };
        Record {
            header_bytes: header.encode().into(),
            header,
            content: Bytes::from(vec![0; len]),
            content_hash: [0; 32],
            wraps: Bytes::new(),
        }
    }

    const GROUP: Bounds = Bounds {
        bytes: 10_000,
        records: 3,
    };

    #[tokio::test]
    async fn calls_decide_the_order_not_polls() {
        let log = MemoryLog::new(Bounds::default());
        let mut waiting: Vec<_> = (1..=5).map(|n| log.append(record(n, 0))).collect();
        waiting.reverse();
        let mut counters = vec![];
        let mut offsets = vec![];
        for expected in [3, 2] {
            let group = log.take_group(GROUP).unwrap();
            assert_eq!(group.len(), expected);
            for entry in group {
                counters.push(entry.record.header.counter);
                offsets.push(entry.offset);
                entry.answer.send(Ok(())).unwrap();
            }
        }
        assert_eq!(counters, [1, 2, 3, 4, 5]);
        assert_eq!(offsets, [0, 1, 2, 3, 4]);
        for append in waiting {
            assert_eq!(append.await, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_and_opens_again() {
        for bounds in [
            Bounds {
                records: 2,
                bytes: usize::MAX,
            },
            Bounds {
                records: 99,
                bytes: 5_000,
            },
        ] {
            let log = MemoryLog::new(bounds);
            let _first = log.append(record(1, 1_000));
            let _second = log.append(record(2, 1_000));
            let refused = [log.append(record(3, 4_000)), log.append(record(4, 4_000))];
            for append in refused {
                assert_eq!(append.await, Err(AppendError::Busy));
            }
            assert_eq!(log.take_group(GROUP).unwrap().len(), 2);
            let _again = log.append(record(3, 1_000));
            assert_eq!(log.take_group(GROUP).unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn groups_are_bounded_by_bytes_but_never_empty() {
        let log = MemoryLog::new(Bounds::default());
        let _waiting: Vec<_> = [20_000, 6_000, 6_000, 10]
            .into_iter()
            .zip(1..)
            .map(|(len, n)| log.append(record(n, len)))
            .collect();
        let sizes: Vec<_> = (0..3)
            .map(|_| log.take_group(GROUP).unwrap().len())
            .collect();
        assert_eq!(sizes, [1, 1, 2]);
    }

    #[tokio::test]
    async fn closed_takes_nothing_in_and_gives_the_rest_out() {
        let log = MemoryLog::new(Bounds::default());
        let waiting = log.append(record(1, 0));
        log.close();
        assert_eq!(log.append(record(2, 0)).await, Err(AppendError::Busy));
        assert_eq!(log.take_group(GROUP).unwrap().len(), 1);
        assert!(log.take_group(GROUP).is_none());
        assert_eq!(waiting.await, Err(AppendError::Unknown));
    }
}
