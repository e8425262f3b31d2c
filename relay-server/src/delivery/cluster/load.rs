//! How much of the log is in work on this node.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Records in work, in bytes.
pub(super) struct Load {
    bytes: AtomicUsize,
    max: usize,
    lighter: Notify,
}

/// One record's part of it, until it is dropped.
pub(super) struct Held {
    load: Arc<Load>,
    pub(super) bytes: usize,
}

impl Load {
    /// Nothing in work, and at most `max` bytes.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            max,
            lighter: Notify::new(),
        })
    }

    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Held {
            load: Arc::clone(self),
            bytes,
        }
    }

    /// Whether no more should come: from the maximum on, until half of it is left.
    pub(super) fn is_heavy(&self, paused: bool) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed);
        metrics::gauge!("sordino_delivery_work_bytes").set(bytes as f64);
        bytes >= self.max || (paused && bytes >= self.max / 2)
    }

    /// Returns when half of the maximum, or nothing, is left.
    pub(super) async fn lighter(&self) {
        self.lighter.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let before = self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        let half = self.load.max / 2;
        let left = before.saturating_sub(self.bytes);
        if left == 0 || (before >= half && left < half) {
            self.load.lighter.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn heavy_from_the_maximum_until_half_is_left() {
        let load = Load::new(100);
        let (first, second) = (load.hold(60), load.hold(40));
        assert!(load.is_heavy(false));
        drop(second);
        assert!(load.is_heavy(true));
        assert!(!load.is_heavy(false));
        drop(first);
        assert!(!load.is_heavy(true));
        load.lighter().await;
    }
}
