//! The client: opened without network, connected when the app says so, closed in order.

mod account;
mod search;
mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sordino_protocol::{
    Code, UserId, hash,
    http::{PushProvider, PutPush},
    limits,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    contact::Contact,
    conversation::Conversation,
    engine::{self, Core, Sender, Settings, Shared, Views, Wish},
    error::Error,
    events::{ConnectionState, Events},
    live::LiveList,
    machine::{Defaults, Machine, PresencePolicy, check_device_name},
    net::{self, RelayUrl, blocking},
    password::VaultPolicy,
    store::{KeyStore, Store},
    types::{BackupPolicy, ConversationRow, TimelineItem, User},
};

/// The file of the store, in the directory that the app names.
const FILE: &str = "sordino.db";

/// How a client is opened; see [`Client::builder`].
pub struct ClientBuilder {
    relay: String,
    relay_name: Option<String>,
    authorities: Option<Vec<u8>>,
    store: Option<PathBuf>,
    keys: Option<Arc<dyn KeyStore>>,
    settings: Settings,
    defaults: Defaults,
}

impl ClientBuilder {
    /// The directory of the store, made if there is none. One client at a time uses it.
    #[must_use]
    pub fn store(mut self, directory: impl Into<PathBuf>) -> Self {
        self.store = Some(directory.into());
        self
    }

    /// Where the key of the store is kept.
    #[must_use]
    pub fn keys(mut self, keys: impl KeyStore + 'static) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// What shall open the vault of an account that this app makes. The recovery key alone unless set.
    #[must_use]
    pub fn vault(mut self, policy: VaultPolicy) -> Self {
        self.settings.vault_policy = policy;
        self
    }

    /// What the account's other devices are to call this one, once it is on an account ("Kitchen tablet"): up to 64 bytes, without
    /// control characters. Nobody else learns it. [`Client::name_device`] changes it.
    #[must_use]
    pub fn device_name(mut self, name: impl Into<String>) -> Self {
        self.settings.device_name = name.into();
        self
    }

    /// Whether the keys of what this device reads and writes go into the account's key backup, from which a new device reads what was
    /// before it: a minute after they came, unless set.
    #[must_use]
    pub fn backup(mut self, policy: BackupPolicy) -> Self {
        self.settings.backup = policy;
        self
    }

    /// Whether people learn what was read of what they wrote, and one learns it of them, until the user has set it
    /// ([`Setting::ReadReceipts`](crate::Setting::ReadReceipts)): yes, unless said here.
    #[must_use]
    pub fn read_receipts(mut self, on: bool) -> Self {
        self.defaults.receipts = on;
        self
    }

    /// Whether people see that the user types, and the user sees it of them, until the user has set it ([`Setting::Typing`](crate::Setting::Typing)): yes,
    /// unless said here.
    #[must_use]
    pub fn typing(mut self, on: bool) -> Self {
        self.defaults.signals.typing = on;
        self
    }

    /// Who sees that the user is there and when they last were, and whose presence the user sees, until the user has set it
    /// ([`Setting::Presence`](crate::Setting::Presence)): everyone to whom they have ever written, unless said here. People who are blocked never do.
    #[must_use]
    pub fn presence(mut self, policy: PresencePolicy) -> Self {
        self.defaults.signals.presence = policy;
        self
    }

    /// The relay's name, where it is not the host of its address (`localhost` for a relay on this machine). A relay that
    /// bears another name gets no account and no login (`OtherRelay`): it may be passing on another relay's challenge.
    #[must_use]
    pub fn relay_name(mut self, name: impl Into<String>) -> Self {
        self.relay_name = Some(name.into());
        self
    }

    /// The certificate authorities of the relay, in PEM: for a relay whose certificate is signed by one of its operator's
    /// own. They take the place of the web's; no other is trusted then.
    #[must_use]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Opens the store, making it if there is none. No network; must be called on a tokio runtime.
    ///
    /// # Errors
    /// `BadRequest` for an address, authorities or a device's name that cannot be used, or a missing setting; `StoreLocked`, `StoreKeyLost`, `StoreWrongKey`,
    /// `StoreDamaged`, `StoreNewer`, `StoreFailed`, `CipherMissing`.
    pub async fn open(self) -> Result<Client, Error> {
        let missing = |what| Error::new(Code::BadRequest, format!("{what} is not set"));
        let relay = RelayUrl::parse(&self.relay, self.relay_name.as_deref())?;
        let tls = net::tls(self.authorities.as_deref())?;
        check_device_name(&self.settings.device_name)?;
        let place = Place {
            directory: self.store.ok_or_else(|| missing("store"))?,
            keys: self.keys.ok_or_else(|| missing("keys"))?,
            defaults: self.defaults,
        };
        let opening = place.clone();
        let machine = blocking(move || opening.open()).await?;
        let shared = Shared::new(machine, Views::new());
        let core = Core::new(shared, relay, tls, self.settings)?;
        Ok(Client {
            inner: Arc::new(Inner::start(core, place)),
        })
    }
}

/// Where the store is.
#[derive(Clone)]
struct Place {
    directory: PathBuf,
    keys: Arc<dyn KeyStore>,
    defaults: Defaults,
}

impl Place {
    fn open(&self) -> Result<Machine, Error> {
        fs::create_dir_all(&self.directory)
            .map_err(|error| Error::new(Code::StoreFailed, error.kind().to_string()))
            .map_err(|error| error.at(&self.directory))?;
        let file: &Path = &self.directory.join(FILE);
        let mut machine = Machine::open(Store::open(file, self.keys.as_ref())?)?;
        // Nobody sees what has ended meanwhile.
        while !machine.expire(engine::now_ms())?.1.is_empty() {}
        Ok(machine.with_defaults(self.defaults))
    }
}

/// A client of one account on one device. Cheap to clone. It ends with [`Client::close`], or when the last clone and the
/// last [`Conversation`] are dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

impl Client {
    /// A client of the relay at this address: `https://…`, or `http://…` of this machine.
    pub fn builder(relay: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            relay: relay.into(),
            relay_name: None,
            authorities: None,
            store: None,
            keys: None,
            settings: Settings {
                vault_policy: VaultPolicy::default(),
                device_name: String::new(),
                backup: BackupPolicy::default(),
            },
            defaults: Defaults::default(),
        }
    }

    /// Who this client is, once registered. Also known while suspended and after the end.
    #[must_use]
    pub fn me(&self) -> Option<User> {
        let account = self.inner.core.shared.account()?;
        account.registered.then_some(User {
            id: account.user,
            username: account.username,
        })
    }

    /// Connects, and keeps connected until told otherwise. Returns at once; [`Client::events`] tells how it goes. Called again between two
    /// attempts it tries at once: for a person who asks for it, or a network that is back.
    pub fn connect(&self) {
        if let Some(was_online) = &mut *self.inner.suspended() {
            *was_online = true;
            return;
        }
        self.inner.wish(Wish::Online);
    }

    /// Goes offline. What is sent meanwhile waits on this device.
    pub fn disconnect(&self) {
        if let Some(was_online) = &mut *self.inner.suspended() {
            *was_online = false;
        }
        self.inner.wish(Wish::Offline);
    }

    /// The connection as it is now.
    #[must_use]
    pub fn connection(&self) -> ConnectionState {
        self.inner.core.shared.views().connection()
    }

    /// Finds a person by their whole name.
    ///
    /// # Errors
    /// `BadRequest` for what is no name, `NotRegistered`, `RateLimited`, `Unreachable`, `RelayMisbehaved`.
    pub async fn find_user(&self, username: &str) -> Result<Option<User>, Error> {
        let core = &self.inner.core;
        let Some(found) = core.http.user_by_name(username).await? else {
            return Ok(None);
        };
        if found.username != username {
            return Err(Error::new(Code::RelayMisbehaved, "another user was given"));
        }
        let user = User {
            id: found.user,
            username: found.username.clone(),
        };
        core.shared
            .run(move |machine| machine.learn_name(&found))
            .await?;
        core.shared.views().name_learnt();
        Ok(Some(user))
    }

    /// Tells the relay where to wake this device while the app sleeps: `token` is what the app got from the provider. Call it
    /// whenever the provider gives one, and at each start of the app; it takes the place of the one before. The wake says
    /// nothing: the app connects, and what waits comes as always.
    ///
    /// # Errors
    /// `BadRequest` for what is no token, `NotRegistered`, `RateLimited`, `Unreachable` and whatever else keeps the relay from
    /// storing it: nothing is stored then, call it again later.
    pub async fn set_push_token(&self, provider: PushProvider, token: &str) -> Result<(), Error> {
        if !limits::is_push_token(token) {
            let what = "a token of a push provider is up to 4096 characters of printable ASCII";
            return Err(Error::new(Code::BadRequest, what));
        }
        let token = token.to_owned();
        self.put_push(Some(PutPush { provider, token })).await
    }

    /// Tells the relay not to wake this device any more.
    ///
    /// # Errors
    /// As [`Self::set_push_token`].
    pub async fn clear_push_token(&self) -> Result<(), Error> {
        self.put_push(None).await
    }

    async fn put_push(&self, push: Option<PutPush>) -> Result<(), Error> {
        let core = &self.inner.core;
        let account = core.shared.run(|machine| {
            let account = machine.account();
            account.ok_or_else(|| Error::new(Code::NotRegistered, ""))
        });
        let account = account.await?;
        let (user, device) = (account.user, account.device);
        core.http.put_push(user, device, push.as_ref()).await
    }

    /// All conversations, that of the newest item first, kept up to date.
    #[must_use]
    pub fn conversations(&self) -> LiveList<ConversationRow> {
        self.inner.core.shared.views().conversations()
    }

    /// The conversation with this person. It begins with its first message.
    #[must_use]
    pub fn conversation(&self, peer: UserId) -> Conversation {
        Conversation::new(self.inner.clone(), peer)
    }

    /// How far this person is trusted, and what the user decides of that.
    #[must_use]
    pub fn contact(&self, user: UserId) -> Contact {
        Contact::new(self.inner.clone(), user)
    }

    /// The people whose presence is shown at the moment, in place of those before: up to 8, the rest is left out. Say it again
    /// whenever others are in sight. They are asked every half minute; [`Event::Presence`](crate::Event::Presence) tells what they answer. Whoever
    /// is asked learns that the user is there: who may not see that ([`ClientBuilder::presence`]) is not asked. Of all of them it is looked
    /// every ten minutes whether they have newer devices or another identity, so that it is told before anything is written.
    pub fn watch(&self, users: &[UserId]) {
        self.inner.core.watch(users);
    }

    /// Whether the user is in front of the app: yes, unless said. Otherwise people see when they last were.
    pub fn set_active(&self, active: bool) {
        self.inner.core.set_active(active);
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.inner.core.shared.views().events()
    }

    /// Lets go of the store's file and its lock, and of the connection: for a platform that stops the process, and ends
    /// it if it holds a lock. Until [`Client::resume`] calls that need the store fail with `Stopped`.
    ///
    /// # Errors
    /// `Stopped` if the client is closed.
    pub async fn suspend(&self) -> Result<(), Error> {
        let inner = &self.inner;
        inner.not_ended()?;
        inner
            .suspended()
            .get_or_insert(*inner.wish.borrow() == Wish::Online);
        inner.wish(Wish::Offline);
        // Held by the connection as long as there is one.
        drop(inner.core.online.lock().await);
        inner.close_store().await;
        Ok(())
    }

    /// Opens the store again and, if the client was connected, connects.
    ///
    /// # Errors
    /// Those of [`ClientBuilder::open`]; `Stopped` if the client is closed.
    pub async fn resume(&self) -> Result<(), Error> {
        self.inner.not_ended()?;
        let (core, place) = (self.inner.core.clone(), self.inner.place.clone());
        blocking(move || {
            if !core.shared.is_open() {
                core.forget_caught_up();
                core.shared.reopen(place.open()?);
            }
            Ok(())
        })
        .await?;
        tokio::spawn(search::index_backlog(self.inner.core.shared.clone()));
        if self.inner.suspended().take() == Some(true) {
            self.inner.wish(Wish::Online);
        }
        Ok(())
    }

    /// Ends the client: acknowledges what was received, closes the connection and the store, releases its lock. Every
    /// clone is closed with it; lists and events end.
    pub async fn close(&self) {
        self.inner.wish(Wish::Ended);
        let mut connection = self.inner.connection.lock().await;
        if let Some(task) = &mut *connection {
            // By reference: a close that is given up and called again still waits for it.
            let _ = task.await;
        }
        *connection = None;
        self.inner.close_store().await;
        self.inner.core.shared.views().end();
    }
}

/// As a task of its own: it goes on when this future is dropped.
pub(crate) async fn on_its_own<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::spawn(work).await;
    done.map_err(|_| Error::new(Code::Stopped, "the runtime shuts down"))?
}

/// What all clones share.
pub(crate) struct Inner {
    core: Arc<Core>,
    place: Place,
    sender: Sender,
    wish: watch::Sender<Wish>,
    /// While suspended: whether to connect afterwards.
    suspended: Mutex<Option<bool>>,
    /// The task that holds the connection.
    connection: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    runtime: tokio::runtime::Handle,
}

impl Inner {
    fn start(core: Arc<Core>, place: Place) -> Self {
        let (wish, wished) = watch::channel(Wish::Offline);
        let (sender, drafts) = engine::queue();
        tokio::spawn(engine::send_all(core.clone(), drafts));
        tokio::spawn(engine::refresh(core.clone(), wished.clone()));
        tokio::spawn(engine::expire(core.clone(), wished.clone()));
        tokio::spawn(search::index_backlog(core.shared.clone()));
        let connection = tokio::spawn(engine::supervise(core.clone(), wished));
        Self {
            core,
            place,
            sender,
            wish,
            suspended: Mutex::new(None),
            connection: tokio::sync::Mutex::new(Some(connection)),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn timeline(&self, peer: UserId) -> LiveList<TimelineItem> {
        let shared = self.core.shared.clone();
        // Before registration there is no conversation: its list begins empty under an id that nobody has.
        let me = shared.account().map_or(peer, |account| account.user);
        let id = hash::conversation_id(me, peer);
        let (list, unloaded) = shared.views().timeline(id);
        if unloaded {
            self.runtime.spawn_blocking(move || {
                let loaded = shared.with(|machine| shared.views().load(machine, id));
                if let Err(error) = loaded {
                    tracing::warn!(code = error.code().as_str(), "a timeline cannot be read");
                    shared.views().give_up(id);
                }
            });
        }
        list
    }

    fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|now| {
            // Wishing again tries again what was given up; the end is the end.
            let changes = *now != Wish::Ended;
            if changes {
                *now = wish;
            }
            changes
        });
    }

    fn not_ended(&self) -> Result<(), Error> {
        if *self.wish.borrow() == Wish::Ended {
            return Err(Error::new(Code::Stopped, ""));
        }
        Ok(())
    }

    fn suspended(&self) -> MutexGuard<'_, Option<bool>> {
        self.suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn close_store(&self) {
        let shared = self.core.shared.clone();
        // What runs in the machine ends first: the lock waits for it.
        let closed = blocking(move || {
            shared.close();
            Ok(())
        });
        let _ = closed.await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wish.send_replace(Wish::Ended);
        self.core.shared.views().end();
    }
}
