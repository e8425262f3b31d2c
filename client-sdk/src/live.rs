//! Lists that stay up to date: the first thing a reader gets is the whole list, then what changes in it.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::Notify;

/// Changes that wait for one reader. One that falls further behind gets the whole list again.
const WAITING: usize = 256;

/// A change of a list, to be applied to what the reader has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListDiff<T> {
    /// Throw away what you have: the list is this.
    Reset(Vec<T>),
    /// Put the item at this index; those from there on move up by one.
    Insert(usize, T),
    /// Put the item in the place of the one at this index.
    Update(usize, T),
    /// Take out the item at this index; those behind it move down by one.
    Remove(usize),
    /// Take out the item at `from` and put `item`, which is its newer state, at `to` of the list without it: in one step, so
    /// that nothing flickers.
    Move {
        /// Where it is.
        from: usize,
        /// Where it is afterwards.
        to: usize,
        /// What it is afterwards.
        item: T,
    },
}

impl<T> ListDiff<T> {
    /// Carries out the change on `list`. An index beyond its end, which no [`LiveList`] produces, changes nothing.
    pub fn apply(self, list: &mut Vec<T>) {
        match self {
            Self::Reset(whole) => *list = whole,
            Self::Insert(at, item) if at <= list.len() => list.insert(at, item),
            Self::Update(at, item) => {
                if let Some(place) = list.get_mut(at) {
                    *place = item;
                }
            }
            Self::Remove(at) if at < list.len() => {
                list.remove(at);
            }
            Self::Move { from, to, item } if from < list.len() && to < list.len() => {
                list.remove(from);
                list.insert(to, item);
            }
            Self::Insert(..) | Self::Remove(_) | Self::Move { .. } => {}
        }
    }
}

/// A list that stays up to date for as long as it is held.
///
/// However slowly it is read, it holds a bounded number of changes: then it begins again with [`ListDiff::Reset`].
pub struct LiveList<T> {
    reader: Arc<Reader<T>>,
    source: Arc<Source<T>>,
}

impl<T: Clone> LiveList<T> {
    /// The next change; the first is [`ListDiff::Reset`]. `None` once the client is closed, or where
    /// the store cannot be read. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<ListDiff<T>> {
        loop {
            // Before the look: a change between look and wait then wakes us.
            let changed = self.reader.changed.notified();
            if let Some(next) = self.take() {
                return next;
            }
            changed.await;
        }
    }

    fn take(&self) -> Option<Option<ListDiff<T>>> {
        let state = self.source.lock();
        if !state.loaded {
            return state.ended.then_some(None);
        }
        let mut waiting = self.reader.lock();
        if waiting.reset {
            waiting.reset = false;
            waiting.diffs.clear();
            return Some(Some(ListDiff::Reset(state.items.clone())));
        }
        match waiting.diffs.pop_front() {
            Some(diff) => Some(Some(diff)),
            None if state.ended => Some(None),
            None => None,
        }
    }
}

/// What one reader has not read yet.
struct Reader<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Notify,
}

struct Waiting<T> {
    reset: bool,
    diffs: VecDeque<ListDiff<T>>,
}

impl<T> Reader<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list with its readers. Locked before any reader, so that all of them see one order of changes.
pub(crate) struct Source<T>(Mutex<State<T>>);

struct State<T> {
    items: Vec<T>,
    readers: Vec<Weak<Reader<T>>>,
    /// Readers wait for the first items.
    loaded: bool,
    ended: bool,
}

impl<T: Clone + PartialEq> Source<T> {
    /// A list whose items are not known yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            items: Vec::new(),
            readers: Vec::new(),
            loaded: false,
            ended: false,
        })))
    }

    /// A new reader, which begins with the whole list.
    pub(crate) fn read(self: &Arc<Self>) -> LiveList<T> {
        let reader = Arc::new(Reader {
            waiting: Mutex::new(Waiting {
                reset: true,
                diffs: VecDeque::new(),
            }),
            changed: Notify::new(),
        });
        let mut state = self.lock();
        state.readers.retain(|reader| reader.strong_count() > 0);
        state.readers.push(Arc::downgrade(&reader));
        drop(state);
        LiveList {
            reader,
            source: self.clone(),
        }
    }

    /// Whether anybody reads.
    pub(crate) fn is_read(&self) -> bool {
        self.lock()
            .readers
            .iter()
            .any(|reader| reader.strong_count() > 0)
    }

    /// Whether the items are known.
    pub(crate) fn is_loaded(&self) -> bool {
        self.lock().loaded
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// The first item.
    pub(crate) fn first(&self) -> Option<T> {
        self.lock().items.first().cloned()
    }

    /// The list is `new` from now on. `id` tells items apart; ids are unique.
    pub(crate) fn set<K: Hash + Eq>(&self, new: Vec<T>, id: impl Fn(&T) -> K) {
        let mut state = self.lock();
        let first = !state.loaded;
        let diffs = differences(&state.items, &new, id);
        state.items = new;
        state.loaded = true;
        if first {
            state.wake();
        } else {
            state.tell(&diffs);
        }
    }

    /// Puts an item of an ordered list in its place, and takes it from where it stood before. One before the first item
    /// that has its final place is none of the part that is shown. Those that wait for theirs say nothing of what is shown:
    /// they stand behind whatever comes.
    pub(crate) fn place<O: Ord>(
        &self,
        item: T,
        is_same: impl Fn(&T) -> bool,
        is_final: impl Fn(&T) -> bool,
        order: impl Fn(&T) -> O,
    ) {
        let mut state = self.lock();
        if !state.loaded {
            return;
        }
        // What changes is mostly new.
        let found = state.items.iter().rposition(is_same);
        let first = state.items.first().filter(|first| is_final(first));
        if found.is_none() && first.is_some_and(|first| order(&item) < order(first)) {
            return;
        }
        if let Some(from) = found
            && state.items.get(from) == Some(&item)
        {
            return;
        }
        // Without the item itself the list is in order.
        let others = state.items.iter().enumerate();
        let to = others
            .filter(|(at, other)| Some(*at) != found && order(other) < order(&item))
            .count();
        let diff = match found {
            None => ListDiff::Insert(to, item),
            Some(from) if from == to => ListDiff::Update(to, item),
            Some(from) => ListDiff::Move { from, to, item },
        };
        diff.clone().apply(&mut state.items);
        state.tell(&[diff]);
    }

    /// Takes an item out, if it is shown.
    pub(crate) fn remove(&self, is_it: impl Fn(&T) -> bool) {
        let mut state = self.lock();
        if let Some(at) = state.items.iter().rposition(is_it) {
            let diff = ListDiff::Remove(at);
            diff.clone().apply(&mut state.items);
            state.tell(&[diff]);
        }
    }

    /// Puts items before the first one.
    pub(crate) fn prepend(&self, items: Vec<T>) {
        let mut state = self.lock();
        if !state.loaded {
            return;
        }
        let diffs = items.iter().cloned().enumerate();
        let diffs: Vec<_> = diffs.map(|(at, item)| ListDiff::Insert(at, item)).collect();
        // At once: one by one, a long list would be moved as often.
        state.items.splice(0..0, items);
        state.tell(&diffs);
    }

    /// There will be no more changes.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.wake();
    }
}

impl<T: Clone> State<T> {
    fn tell(&self, diffs: &[ListDiff<T>]) {
        if diffs.is_empty() {
            return;
        }
        for reader in self.readers.iter().filter_map(Weak::upgrade) {
            let mut waiting = reader.lock();
            if waiting.reset || waiting.diffs.len() + diffs.len() > WAITING {
                waiting.reset = true;
                waiting.diffs.clear();
            } else {
                waiting.diffs.extend(diffs.iter().cloned());
            }
            drop(waiting);
            reader.changed.notify_one();
        }
    }
}

impl<T> State<T> {
    fn wake(&self) {
        for reader in self.readers.iter().filter_map(Weak::upgrade) {
            reader.changed.notify_one();
        }
    }
}

impl<T> Source<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change of the state is one assignment: a panic leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What turns `old` into `new`: items that are gone are removed, then the rest is built from the front.
fn differences<T: Clone + PartialEq, K: Hash + Eq>(
    old: &[T],
    new: &[T],
    id: impl Fn(&T) -> K,
) -> Vec<ListDiff<T>> {
    let mut diffs = Vec::new();
    let stays: HashSet<K> = new.iter().map(&id).collect();
    let mut now: Vec<&T> = Vec::with_capacity(old.len());
    for item in old {
        if stays.contains(&id(item)) {
            now.push(item);
        } else {
            diffs.push(ListDiff::Remove(now.len()));
        }
    }
    let known: HashSet<K> = now.iter().map(|item| id(item)).collect();
    for (at, item) in new.iter().enumerate() {
        let key = id(item);
        match now.get(at) {
            Some(here) if id(here) == key => {
                if *here != item {
                    diffs.push(ListDiff::Update(at, item.clone()));
                }
                continue;
            }
            _ => {}
        }
        let here = known.contains(&key);
        let from = here.then(|| now.iter().position(|other| id(other) == key));
        diffs.push(match from.flatten() {
            Some(from) => {
                now.remove(from);
                let item = item.clone();
                ListDiff::Move { from, to: at, item }
            }
            None => ListDiff::Insert(at, item.clone()),
        });
        now.insert(at.min(now.len()), item);
    }
    diffs
}

#[cfg(test)]
mod tests;
