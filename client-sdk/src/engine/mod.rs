//! What keeps the client connected: one task per client that connects, catches up, sends and receives until told
//! otherwise.
//!
//! The relay's word is a hint; the machine decides. A session (one open socket) holds nothing that a later one needs:
//! it begins with the cursors and the outbox of the store, so it may end at any point.

mod accounts;
mod alarms;
mod backup;
mod connection;
mod errands;
mod flight;
mod life;
mod outbox;
mod pulls;
mod receive;
mod runs;
mod sender;
mod session;
mod settle;
mod shared;
mod signals;
mod views;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sordino_protocol::{ConversationId, UserId};
use tokio::sync::{Notify, watch};

use crate::{
    error::Error,
    net::{Http, RelayUrl},
    password::VaultPolicy,
    types::BackupPolicy,
};

#[cfg(test)]
pub(crate) use accounts::{Backup, OpenVault, code_of};
pub use accounts::{Credential, VaultSecret};
pub(crate) use accounts::{
    Joining, Linking, Locked, LoggedIn, ResetBy, change_password, delete_account, login,
    login_external, new_recovery_key, refuse_reset, register, remove_device, renew_keys,
    reset_identity,
};
pub(crate) use connection::supervise;
pub(crate) use errands::newest_lists;
pub(crate) use life::Life;
pub(crate) use sender::{Sender, queue, say, send, send_all};
pub(crate) use shared::Shared;
pub(crate) use views::Views;

const LONG_WAIT: Duration = Duration::from_secs(3600);
/// Requests over HTTP at a time.
const ERRANDS: usize = 4;

/// What the app wants of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Offline,
    Online,
    /// For good.
    Ended,
}

/// What the app has chosen.
pub(crate) struct Settings {
    pub(crate) vault_policy: VaultPolicy,
    pub(crate) device_name: String,
    pub(crate) backup: BackupPolicy,
}

/// What all tasks of a client work with.
pub(crate) struct Core {
    pub(crate) shared: Shared,
    pub(crate) http: Http,
    relay: RelayUrl,
    tls: Arc<rustls::ClientConfig>,
    vault_policy: VaultPolicy,
    /// What a new device is called.
    device_name: String,
    /// Whether what is opened here goes into the key backup.
    pub(crate) backup: BackupPolicy,
    /// Held while an account is made or joined: one at a time.
    account: tokio::sync::Mutex<()>,
    /// Held while there is a connection, or one is being made.
    pub(crate) online: tokio::sync::Mutex<()>,
    /// Errands that may ask the relay at a time.
    errands: tokio::sync::Semaphore,
    /// Every conversation has caught up since the process started: what waits may be sent.
    caught_up: AtomicBool,
    /// Conversations for whose sake a connection was ended, until something of them is accepted.
    begun_anew: Mutex<HashSet<ConversationId>>,
    /// People for whom something waits.
    waiting: Mutex<HashSet<UserId>>,
    something_waits: Notify,
    /// Something was read of which nobody is told yet.
    read: AtomicBool,
    /// Something was decided of which the relay may have to be told.
    decided: AtomicBool,
    life: Mutex<Life>,
    begun: Instant,
}

impl Core {
    pub(crate) fn new(
        shared: Shared,
        relay: RelayUrl,
        tls: Arc<rustls::ClientConfig>,
        settings: Settings,
    ) -> Result<Arc<Self>, Error> {
        let Settings {
            vault_policy,
            device_name,
            backup,
        } = settings;
        let device = shared::StoredDevice {
            shared: shared.clone(),
            unconfirmed: false,
        };
        let http = Http::new(relay.clone(), &tls, Arc::new(device))?;
        Ok(Arc::new(Self {
            shared,
            http,
            relay,
            tls,
            vault_policy,
            device_name,
            backup,
            account: tokio::sync::Mutex::new(()),
            online: tokio::sync::Mutex::new(()),
            errands: tokio::sync::Semaphore::new(ERRANDS),
            caught_up: AtomicBool::new(false),
            begun_anew: Mutex::default(),
            waiting: Mutex::default(),
            something_waits: Notify::new(),
            read: AtomicBool::new(false),
            decided: AtomicBool::new(false),
            life: Mutex::default(),
            begun: Instant::now(),
        }))
    }

    /// Whether a new connection may help this conversation: one was not begun for it already.
    fn may_begin_anew(&self, conversation: ConversationId) -> bool {
        let mut begun = self
            .begun_anew
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        begun.insert(conversation)
    }

    /// The relay takes what this conversation sends.
    fn goes_on(&self, conversation: ConversationId) {
        let mut begun = self
            .begun_anew
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        begun.remove(&conversation);
    }

    /// Something waits for these people.
    pub(crate) fn wake(&self, peers: impl IntoIterator<Item = UserId>) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(peers);
        self.something_waits.notify_one();
    }

    /// Something was read.
    pub(crate) fn has_read(&self) {
        self.read.store(true, Ordering::Release);
        self.something_waits.notify_one();
    }

    /// Something was decided about a person.
    pub(crate) fn has_decided(&self) {
        self.decided.store(true, Ordering::Release);
        self.something_waits.notify_one();
    }

    fn take_decided(&self) -> bool {
        self.decided.swap(false, Ordering::AcqRel)
    }

    /// Who types and who is there.
    pub(crate) fn life(&self) -> MutexGuard<'_, Life> {
        // Moments: one that a panic has left half-told lapses like the others.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> life::Now {
        let ms = self.begun.elapsed().as_millis();
        life::Now {
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
            clock_ms: now_ms(),
        }
    }

    fn take_read(&self) -> bool {
        self.read.swap(false, Ordering::AcqRel)
    }

    fn take_waiting(&self) -> HashSet<UserId> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// The store was closed and opened: what was sent last is to be learnt again.
    pub(crate) fn forget_caught_up(&self) {
        self.caught_up.store(false, Ordering::Release);
    }
}

/// Reads the list of conversations again whenever it may have changed; what changes meanwhile is read once.
pub(crate) async fn refresh(core: Arc<Core>, mut wish: watch::Receiver<Wish>) {
    loop {
        tokio::select! {
            () = core.shared.views().stale.notified() => {}
            () = ended(&mut wish) => return,
        }
        let shared = core.shared.clone();
        // A store that is closed for a while is read when it is back.
        let read = core
            .shared
            .run(move |machine| shared.views().refresh(machine));
        if let Err(error) = read.await {
            tracing::debug!(code = error.code().as_str(), "conversations not read");
        }
    }
}

/// Takes messages away whose time is over.
pub(crate) async fn expire(core: Arc<Core>, mut wish: watch::Receiver<Wish>) {
    loop {
        let expired = core.shared.change(|machine| machine.expire(now_ms()));
        // A store that is closed for a while is looked at when it is back.
        let next = expired.await.unwrap_or_default();
        // A clock that is put back or forward is looked at again after an hour at most.
        let wait = next.map_or(LONG_WAIT, |at: u64| {
            LONG_WAIT.min(Duration::from_millis(at.saturating_sub(now_ms())))
        });
        tokio::select! {
            () = core.shared.views().timers.notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = ended(&mut wish) => return,
        }
    }
}

/// Until no connection is wished any more.
async fn not_online(wish: &mut watch::Receiver<Wish>) {
    // Who wished is gone: so is the wish. The guard must not live on: it is not `Send`.
    let _ = wish.wait_for(|wish| *wish != Wish::Online).await;
}

async fn ended(wish: &mut watch::Receiver<Wish>) {
    let _ = wish.wait_for(|wish| *wish == Wish::Ended).await;
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
