//! Delivery on the embedded stores: one thread takes groups off the log, commits them, answers, and hands on what to tell.
//!
//! While a group is synced the next one gathers in the log, so the groups grow with the load; devices are told on another
//! task meanwhile.

use std::{io, sync::Arc, thread, time::Instant};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    cache::StateCache,
    group::{Decided, Group},
    publish::{self, Decision, Told},
};
use crate::{
    broker::{
        AppendError, Log,
        memory::{Bounds, Entry, MemoryLog},
    },
    history::{
        History,
        embedded::{EmbeddedHistory, Store, StoreError, StoreOptions},
    },
    notify::Hints,
    session::Sessions,
};

/// Settings of the embedded data path.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store.
    pub store: StoreOptions,
    /// What may wait in the log.
    pub queue: Bounds,
    /// What is committed together at most.
    pub group: Bounds,
    /// Conversations whose state is kept in memory.
    pub cached_states: usize,
    /// Where notification hears of what was stored, if anybody is to be woken.
    pub hints: Option<Arc<Hints>>,
}

impl Options {
    /// The defaults, in this directory.
    pub fn new(path: impl Into<std::path::PathBuf>) -> Self {
        Self {
            store: StoreOptions::new(path),
            queue: Bounds::default(),
            group: Bounds {
                bytes: 2 * 1024 * 1024,
                records: 128,
            },
            cached_states: 20_000,
            hints: None,
        }
    }
}

/// Groups that may wait to be told. Beyond it the log fills, and then appends are refused.
const UNTOLD_GROUPS: usize = 16;

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread.
    #[error("the delivery thread cannot be started: {0}")]
    Thread(io::Error),
}

/// The running data path.
pub struct Running {
    /// The log's door.
    pub log: Arc<dyn Log>,
    /// History's door.
    pub history: Arc<dyn History>,
    /// Ends it.
    pub handle: DeliveryHandle,
}

/// Ends delivery. Dropped, it closes the log and lets the rest finish by itself.
pub struct DeliveryHandle {
    log: Arc<MemoryLog>,
    store: Arc<Store>,
    finished: Option<oneshot::Receiver<()>>,
    publisher: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

/// Opens the store and starts. To be called in a tokio runtime; opening blocks for as long as recovery takes.
pub async fn start(options: Options, sessions: Arc<dyn Sessions>) -> Result<Running, StartError> {
    let store_options = options.store.clone();
    let store = tokio::task::spawn_blocking(move || Store::open(store_options))
        .await
        .map_err(|e| StartError::Thread(io::Error::other(e)))??;
    let store = Arc::new(store);
    let log = MemoryLog::new(options.queue);
    let (told, untold) = mpsc::channel(UNTOLD_GROUPS);
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(publish::run(untold, sessions, stop.clone()));
    let (done, finished) = oneshot::channel();
    let consumer = Consumer {
        cache: StateCache::new(options.cached_states),
        log: Arc::clone(&log),
        store: Arc::clone(&store),
        group: options.group,
        told,
        hints: options.hints,
        _done: done,
    };
    thread::Builder::new()
        .name("delivery".to_owned())
        .spawn(move || consumer.run())
        .map_err(StartError::Thread)?;
    Ok(Running {
        log: Arc::clone(&log) as Arc<dyn Log>,
        history: Arc::new(EmbeddedHistory::new(Arc::clone(&store))),
        handle: DeliveryHandle {
            log,
            store,
            finished: Some(finished),
            publisher: Some(publisher),
            stop,
        },
    })
}

impl DeliveryHandle {
    /// The store that it writes to.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Refuses appends, finishes and answers what waits, tells the devices, syncs the store.
    pub async fn shutdown(mut self) -> Result<(), StoreError> {
        self.log.close();
        if let Some(finished) = self.finished.take() {
            // The sender is dropped when the thread ends, in whatever way.
            let _ = finished.await;
        }
        self.stop.cancel();
        if let Some(publisher) = self.publisher.take() {
            let _ = publisher.await;
        }
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.flush())
            .await
            .unwrap_or_else(|e| Err(fjall::Error::from(io::Error::other(e)).into()))
    }
}

impl Drop for DeliveryHandle {
    fn drop(&mut self) {
        self.log.close();
        self.stop.cancel();
    }
}

struct Consumer {
    cache: StateCache,
    log: Arc<MemoryLog>,
    store: Arc<Store>,
    group: Bounds,
    told: mpsc::Sender<Vec<Told>>,
    hints: Option<Arc<Hints>>,
    _done: oneshot::Sender<()>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // Also when the thread panics: nobody may wait for an answer that never comes.
        self.log.abandon();
        if thread::panicking() {
            // A relay that goes on without this thread would refuse every message and look well.
            self.store.fatal("the delivery thread panicked");
        }
    }
}

impl Consumer {
    fn run(mut self) {
        while let Some(entries) = self.log.take_group(self.group) {
            match self.carry_out(&entries) {
                Ok(decisions) => {
                    metrics::gauge!("sordino_delivery_untold_groups")
                        .set((UNTOLD_GROUPS - self.told.capacity()) as f64);
                    self.hint(&entries, &decisions);
                    let told = entries.into_iter().zip(decisions);
                    let told = told.map(|(entry, (answer, publication))| Told {
                        answer: Some((entry.answer, answer)),
                        publication,
                    });
                    // Answered over there too: a thread outside the runtime would wake it once for every answer. Only a
                    // runtime that is being torn down drops the receiver; history has everything.
                    let _ = self.told.blocking_send(told.collect());
                }
                Err(error) => {
                    tracing::error!("a group of messages was not stored: {error}");
                    let answer = match error {
                        StoreError::Full => AppendError::StorageFull,
                        _ => AppendError::Unknown,
                    };
                    for entry in entries {
                        let _ = entry.answer.send(Err(answer));
                    }
                }
            }
        }
    }

    /// Also for duplicates: whoever stored the first may have died before this.
    fn hint(&self, entries: &[Entry], decisions: &[Decision]) {
        let Some(hints) = &self.hints else { return };
        for (entry, (answer, _)) in entries.iter().zip(decisions) {
            if answer.is_ok() {
                hints.stored(&entry.record.header);
            }
        }
    }

    /// Apply, persist: the decisions, one for each record, in order. The states taken from the cache come back only with a
    /// durable commit: after a failure the next group reads what the store says.
    fn carry_out(&mut self, entries: &[Entry]) -> Result<Vec<Decision>, StoreError> {
        self.store.check_space()?;
        let mut group = Group::new(&self.store, &mut self.cache);
        for entry in entries {
            group.take(entry)?;
        }
        let Decided {
            write,
            decisions,
            sequenced,
            states,
        } = group.decide();
        let begun = Instant::now();
        self.store.commit(&write)?;
        metrics::histogram!("sordino_delivery_commit_seconds").record(begun.elapsed());
        metrics::histogram!("sordino_delivery_group_records").record(entries.len() as f64);
        metrics::counter!("sordino_delivery_sequenced_total").increment(sequenced);
        for (conversation, state) in states {
            self.cache.put(conversation, state);
        }
        Ok(decisions)
    }
}
