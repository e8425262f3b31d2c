//! Which implementation stands behind each door: what the configuration names, else the embedded one.

#[cfg(feature = "cluster")]
pub mod cluster;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    broker::{Log, memory::Bounds},
    config::Config,
    delivery::embedded::{self, DeliveryHandle, Options},
    history::{
        History,
        embedded::{Store, StoreOptions},
    },
    link::{Pipes, memory::MemoryPipes},
    notify::{Hints, Notifier, Providers, Settings},
    ops::fleet::{Alone, Fleet},
    session::{Sessions, memory::MemorySessions},
    user::{UserError, Users, sqlite::SqliteUsers},
};

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The users in SQLite.
    #[error(transparent)]
    Users(#[from] UserError),
    /// The messages in the data directory.
    #[error(transparent)]
    Messages(#[from] embedded::StartError),
    /// A server of the cluster.
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
}

/// The stores of a running relay.
pub struct Stores {
    /// Who is connected where.
    pub sessions: Arc<dyn Sessions>,
    /// What all nodes count together.
    pub fleet: Arc<dyn Fleet>,
    /// What devices link each other over.
    pub pipes: Arc<dyn Pipes>,
    /// Where messages go in.
    pub log: Arc<dyn Log>,
    /// Where they are read.
    pub history: Arc<dyn History>,
    users: UserStore,
    messages: Messages,
    /// Where embedded delivery leaves word of what may have to be woken.
    hints: Option<Arc<Hints>>,
}

enum UserStore {
    Sqlite(SqliteUsers),
    #[cfg(feature = "cluster")]
    Postgres(crate::user::postgres::PostgresUsers),
}

enum Messages {
    Embedded(DeliveryHandle),
    #[cfg(feature = "cluster")]
    Cluster(cluster::Messages),
}

impl Stores {
    /// Opens what the configuration names.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let users = UserStore::open(config).await?;
        #[cfg(feature = "cluster")]
        if config.is_cluster() {
            return Ok(cluster::open(config, users).await?);
        }
        let sessions = Arc::new(MemorySessions::new());
        let hints = config.push.is_set().then(|| Settings::default().hints());
        let options = Options {
            hints: hints.clone(),
            ..options(config)
        };
        let running = embedded::start(options, sessions.clone()).await?;
        Ok(Self {
            sessions,
            fleet: Arc::new(Alone),
            pipes: Arc::new(MemoryPipes::default()),
            log: running.log,
            history: running.history,
            users,
            messages: Messages::Embedded(running.handle),
            hints,
        })
    }

    /// The door of the users.
    pub fn users(&self) -> Arc<dyn Users> {
        self.users.door()
    }

    /// Starts to wake devices that sleep, through these providers. Without any, nothing starts.
    pub fn notifier(&self, providers: Providers) -> Result<Option<Notifier>, OpenError> {
        if providers.is_empty() {
            return Ok(None);
        }
        let settings = Settings::default();
        #[cfg(feature = "cluster")]
        if let Messages::Cluster(messages) = &self.messages {
            let notifier = messages.notifier(settings, self.users(), providers)?;
            return Ok(Some(notifier));
        }
        let Some(hints) = self.hints.clone() else {
            return Ok(None);
        };
        let history = Arc::clone(&self.history);
        let notifier = Notifier::embedded(settings, hints, self.users(), history, providers);
        Ok(Some(notifier))
    }

    /// The embedded store of messages, if it is in use.
    pub fn embedded(&self) -> Option<Arc<Store>> {
        match &self.messages {
            Messages::Embedded(handle) => Some(handle.store()),
            #[cfg(feature = "cluster")]
            Messages::Cluster(_) => None,
        }
    }

    /// Hands delivery over to the other nodes, if there are any. Messages are still accepted.
    pub async fn leave(&mut self) {
        match &mut self.messages {
            Messages::Embedded(_) => {}
            #[cfg(feature = "cluster")]
            Messages::Cluster(messages) => messages.leave().await,
        }
    }

    /// Answers and stores what is under way, and closes everything.
    pub async fn close(self) {
        match self.messages {
            Messages::Embedded(handle) => {
                if let Err(error) = handle.shutdown().await {
                    tracing::error!(%error, "the store of messages was not closed cleanly");
                }
            }
            #[cfg(feature = "cluster")]
            Messages::Cluster(messages) => messages.close().await,
        }
        match self.users {
            UserStore::Sqlite(users) => users.close().await,
            #[cfg(feature = "cluster")]
            UserStore::Postgres(users) => users.close().await,
        }
    }
}

/// Makes, or brings up to date, the tables of users in a data directory. The file, for people.
pub(crate) async fn migrate_users(data: &Path) -> Result<PathBuf, UserError> {
    let file = users_file(data);
    SqliteUsers::open(&file).await?.close().await;
    Ok(file)
}

impl UserStore {
    async fn open(config: &Config) -> Result<Self, OpenError> {
        #[cfg(feature = "cluster")]
        if config.has_postgres() {
            return Ok(Self::Postgres(cluster::users(config).await?));
        }
        let file = users_file(&config.store.data);
        Ok(Self::Sqlite(SqliteUsers::open(&file).await?))
    }

    fn door(&self) -> Arc<dyn Users> {
        match self {
            Self::Sqlite(users) => Arc::new(users.clone()),
            #[cfg(feature = "cluster")]
            Self::Postgres(users) => Arc::new(users.clone()),
        }
    }
}

/// The users alone. `runs`: beside a relay that has the data directory.
pub(crate) async fn users(config: &Config, runs: bool) -> Result<Arc<dyn Users>, OpenError> {
    let store = match runs {
        true => {
            let file = users_file(&config.store.data);
            UserStore::Sqlite(SqliteUsers::open_beside(&file).await?)
        }
        false => UserStore::open(config).await?,
    };
    Ok(store.door())
}

/// The file of the users.
pub(crate) fn users_file(data: &Path) -> PathBuf {
    data.join("users.sqlite")
}

/// The directory of the messages.
pub(crate) fn messages(data: &Path) -> PathBuf {
    data.join("messages")
}

fn options(config: &Config) -> Options {
    let path = messages(&config.store.data);
    let delivery = &config.delivery;
    Options {
        store: StoreOptions {
            reserve_bytes: config.store.reserve_bytes,
            cache_bytes: config.store.cache_bytes,
            ..StoreOptions::new(path)
        },
        queue: Bounds {
            bytes: delivery.queue_bytes,
            records: delivery.queue_records,
        },
        group: Bounds {
            bytes: delivery.group_bytes,
            records: delivery.group_records,
        },
        cached_states: delivery.cached_states,
        hints: None,
    }
}
