//! What a node knows of itself: its connections, and what Redis has yet to be told of them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ::redis::aio::MultiplexedConnection;
use bytes::Bytes;
use sordino_protocol::UserId;
use tokio::sync::{Notify, Semaphore, watch};

use super::{
    fleet::QUESTIONS,
    keys::Keys,
    options::{Options, Timings},
    wire::{self, Said},
};
use crate::session::{Connection, Event, SessionError, memory::MemorySessions};

/// Connections that have left and that Redis has yet to be told of. What does not fit is left to its time to live.
const LEAVING: usize = 64 * 1024;

/// A node. Everything it does with Redis it does over [`Self::commands`].
pub(super) struct Node {
    pub(super) keys: Keys,
    pub(super) timings: Timings,
    /// Whether devices connect here, and so others have something to tell this node.
    pub(super) listens: bool,
    pub(super) local: MemorySessions,
    /// Its own beat arrived.
    pub(super) beat: Notify,
    /// One for each question to the fleet.
    pub(super) questions: Semaphore,
    /// The last one was not answered.
    unasked: AtomicBool,
    commands: Mutex<Option<MultiplexedConnection>>,
    debts: Mutex<Debts>,
    known: watch::Sender<bool>,
}

/// What Redis has yet to be told. No larger than the connections there are, and [`LEAVING`].
#[derive(Default)]
struct Debts {
    write: BTreeMap<(UserId, u64), Write>,
    leave: VecDeque<Left>,
}

/// Why a connection is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Write {
    /// So that its time to live begins anew.
    Renew,
    /// It may not stand in Redis: its device looks for itself once it does.
    Register,
}

/// A connection that has left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) user: UserId,
    pub(super) field: String,
}

impl Node {
    pub(super) fn new(options: Options) -> Self {
        Self {
            keys: Keys::new(&options),
            timings: options.timings,
            listens: options.listens,
            local: MemorySessions::new(),
            beat: Notify::new(),
            questions: Semaphore::new(QUESTIONS),
            unasked: AtomicBool::new(false),
            commands: Mutex::new(None),
            debts: Mutex::default(),
            known: watch::Sender::new(false),
        }
    }

    /// Whether Redis knows of this node.
    pub(super) fn known(&self) -> watch::Receiver<bool> {
        self.known.subscribe()
    }

    pub(super) fn is_known(&self) -> bool {
        *self.known.borrow()
    }

    pub(super) fn set_known(&self, known: bool) {
        self.known.send_replace(known);
        metrics::gauge!("sordino_sessions_known").set(f64::from(u8::from(known)));
    }

    /// The connection for commands, if there is one now: nobody waits for Redis to come back.
    pub(super) fn commands(&self) -> Result<MultiplexedConnection, SessionError> {
        let commands = lock(&self.commands).clone();
        commands.ok_or_else(|| SessionError("Redis: not connected".into()))
    }

    /// Logs when the fleet can no longer be asked, and when it can again: not each time.
    pub(super) fn says_fleet(&self, answered: bool) {
        if self.unasked.swap(!answered, Ordering::Relaxed) == answered {
            match answered {
                true => tracing::info!("limits are counted together with the other nodes again"),
                false => tracing::warn!("Redis does not answer: this node counts limits by itself"),
            }
        }
    }

    pub(super) fn connect(&self, commands: MultiplexedConnection) {
        *lock(&self.commands) = Some(commands);
    }

    pub(super) fn disconnect(&self) {
        self.set_known(false);
        *lock(&self.commands) = None;
    }

    /// Takes what came through the node's channel. Called where the socket is read: what the connections do not take in
    /// time waits in the socket, not in memory.
    pub(super) fn hear(&self, message: Vec<u8>) {
        match wire::decode(Bytes::from(message)) {
            Ok(Said::Beat) => self.beat.notify_one(),
            Ok(Said::Tell(users, event)) => {
                self.tell(&users, &event);
            }
            Err(wire::Malformed) => {
                metrics::counter!("sordino_sessions_malformed_total").increment(1);
            }
        }
    }

    /// Tells the connections of this node.
    pub(super) fn tell(&self, users: &[UserId], event: &Event) -> usize {
        let gone = |connection: Connection| self.owe_leave(&connection);
        self.local.tell(users, event, gone)
    }

    /// To be written as soon as possible. Who is owed a registration is not owed less.
    pub(super) fn owe_write(&self, (user, id): (UserId, u64), why: Write) {
        let mut debts = lock(&self.debts);
        let owed = debts.write.entry((user, id)).or_insert(why);
        *owed = why.max(*owed);
    }

    /// All connections are written, for this reason.
    pub(super) fn owe_all(&self, why: Write) {
        self.local.all().for_each(|one| self.owe_write(one, why));
    }

    /// To be taken out of Redis as soon as possible.
    pub(super) fn owe_leave(&self, connection: &Connection) {
        self.owe_left([self.left(connection)]);
    }

    pub(super) fn owe_left(&self, left: impl IntoIterator<Item = Left>) {
        let mut debts = lock(&self.debts);
        for one in left {
            if debts.leave.len() < LEAVING {
                debts.leave.push_back(one);
            }
        }
    }

    pub(super) fn left(&self, connection: &Connection) -> Left {
        Left {
            user: connection.user,
            field: self.keys.field(connection),
        }
    }

    pub(super) fn owes(&self) -> bool {
        let debts = lock(&self.debts);
        !debts.write.is_empty() || !debts.leave.is_empty()
    }

    /// Some connections to write.
    pub(super) fn take_writes(&self) -> Vec<((UserId, u64), Write)> {
        let mut debts = lock(&self.debts);
        let batch = std::iter::from_fn(|| debts.write.pop_first());
        batch.take(self.timings.batch.max(1)).collect()
    }

    /// Some connections that have left.
    pub(super) fn take_left(&self) -> Vec<Left> {
        let mut debts = lock(&self.debts);
        let batch = self.timings.batch.max(1).min(debts.leave.len());
        debts.leave.drain(..batch).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing above leaves anything half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
