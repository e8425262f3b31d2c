//! A partition that this node owns: its conversations in work, and how far it is.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sordino_protocol::ConversationId;
use tokio_util::sync::CancellationToken;

use super::{load::Held, offsets::Offsets, tell::Untold};
use crate::{
    broker::Record,
    delivery::{apply::State, cache::StateCache},
};

/// A record with its place.
pub(super) struct Placed {
    pub(super) record: Record,
    pub(super) offset: u64,
    /// The log's append time.
    pub(super) unix_ms: u64,
    pub(super) held: Held,
}

/// From its assignment to its loss. When it is assigned again, it is another one: what was known before may be old.
pub(super) struct Partition {
    pub(super) number: i32,
    /// Cancelled when another node owns it. Work in hand may go on, it only does what the other does as well.
    pub(super) lost: CancellationToken,
    pub(super) untold: Untold,
    /// Every record below is surely in the log; see [`Self::ends_behind`].
    end: AtomicU64,
    /// Whoever holds it asks the broker where the log ends, for all who want to know: each question takes a thread.
    pub(super) asking: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// The first record that this owner took.
    begin: Option<u64>,
    /// Nothing is taken any more, nor done.
    stopped: bool,
    offsets: Offsets,
    cache: StateCache,
    /// Records of conversations in work. One task for each entry.
    lanes: HashMap<ConversationId, VecDeque<Placed>>,
}

impl Partition {
    pub(super) fn new(number: i32, cached_states: usize) -> Self {
        Self {
            number,
            lost: CancellationToken::new(),
            untold: Untold::default(),
            end: AtomicU64::new(0),
            asking: tokio::sync::Mutex::default(),
            inner: Mutex::new(Inner {
                begin: None,
                stopped: false,
                offsets: Offsets::default(),
                cache: StateCache::new(cached_states),
                lanes: HashMap::new(),
            }),
        }
    }

    /// Takes a record. `true`: the first of its conversation, for which a task is to be started.
    pub(super) fn take(&self, placed: Placed) -> bool {
        use std::collections::hash_map::Entry::{Occupied, Vacant};
        let mut inner = self.inner();
        if inner.stopped {
            return false;
        }
        inner.begin.get_or_insert(placed.offset);
        inner.offsets.take(placed.offset);
        self.end.fetch_max(placed.offset + 1, Ordering::Relaxed);
        match inner.lanes.entry(placed.record.header.conversation) {
            Occupied(mut lane) => {
                lane.get_mut().push_back(placed);
                false
            }
            Vacant(lane) => {
                lane.insert(VecDeque::from([placed]));
                true
            }
        }
    }

    /// Takes no more records. The commit stays before the one that was in work.
    pub(super) fn stop(&self) {
        let mut inner = self.inner();
        inner.stopped = true;
        inner.lanes.clear();
    }

    /// A record that is nobody's: done.
    pub(super) fn skip(&self, offset: u64) {
        let mut inner = self.inner();
        inner.begin.get_or_insert(offset);
        inner.offsets.take(offset);
        inner.offsets.done(offset);
    }

    /// The next record of a conversation. `None` ends its task; the state, if it is given, is kept.
    pub(super) fn next(
        &self,
        conversation: ConversationId,
        state: &mut Option<State>,
    ) -> Option<Placed> {
        let mut inner = self.inner();
        let next = inner.lanes.get_mut(&conversation)?.pop_front();
        if next.is_none() {
            inner.lanes.remove(&conversation);
            if let Some(state) = state.take() {
                inner.cache.put(conversation, state);
            }
        }
        next
    }

    /// The next record too, if one is there already and `fits`.
    pub(super) fn next_if(
        &self,
        conversation: ConversationId,
        fits: impl FnOnce(&Placed) -> bool,
    ) -> Option<Placed> {
        let mut inner = self.inner();
        let lane = inner.lanes.get_mut(&conversation)?;
        lane.pop_front_if(|placed| fits(placed))
    }

    /// What is known of a conversation.
    pub(super) fn cached(&self, conversation: ConversationId) -> Option<State> {
        self.inner().cache.take(&conversation)
    }

    /// The first record that this owner took: what the log holds from there on may have been persisted by the former owner,
    /// or by halves.
    pub(super) fn begin(&self) -> u64 {
        self.inner().begin.unwrap_or(0)
    }

    pub(super) fn done(&self, offset: u64) {
        self.inner().offsets.done(offset);
    }

    pub(super) fn commit_up_to(&self) -> Option<u64> {
        self.inner().offsets.commit_up_to()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.inner().offsets.is_idle()
    }

    /// Whether the log is known to reach beyond `offset`.
    pub(super) fn ends_behind(&self, offset: u64) -> bool {
        self.end.load(Ordering::Relaxed) > offset
    }

    /// The broker says where the log ends.
    pub(super) fn found_end(&self, end: u64) {
        self.end.fetch_max(end, Ordering::Relaxed);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing between two changes panics.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
