//! The way to the database, and what it is like.

use std::time::Duration;

use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::config::Secret;

pub(super) const NO_ANSWER: &str = "PostgreSQL did not answer in time";

/// How to use the database. Its address is no part of this: it is a secret.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections of this node at most, one to listen on not counted.
    pub connections: u32,
    /// How long to wait for a free connection, or a new one.
    pub acquire_timeout: Duration,
    /// How long an operation may take as a whole. The database ends statements, waits for locks and idle transactions after
    /// the same time, so that a node that stands still does not hold up the others.
    pub timeout: Duration,
    /// How long a list or an expiry may be served from memory. The belt: changes by other nodes are heard of at once.
    pub cache_age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 16,
            acquire_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            cache_age: Duration::from_secs(600),
        }
    }
}

/// Why the database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address makes no sense.
    #[error(
        "the address of PostgreSQL is not of the form postgres://user:password@host:port/database"
    )]
    Address,
    /// Nobody answers there, or the answer is no.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    /// The tables are missing or older.
    #[error(
        "PostgreSQL's tables are of version {found}, this relay needs {needed}: run `sordino-relay migrate`"
    )]
    Older {
        /// Version of the tables, 0 where there are none.
        found: i64,
        /// Version of this relay.
        needed: i64,
    },
    /// A later relay brought them up.
    #[error(
        "PostgreSQL's tables are of version {found}, this relay knows them up to {needed}: a later relay ran `sordino-relay migrate`; run that one"
    )]
    Newer {
        /// Version of the tables.
        found: i64,
        /// Version of this relay.
        needed: i64,
    },
    /// The tables come from elsewhere.
    #[error(
        "PostgreSQL's tables are not this relay's: what `sordino-relay migrate` did for version {0} was another text"
    )]
    Changed(i64),
    /// Anything else.
    #[error("PostgreSQL: {0}")]
    Failed(String),
}

impl From<sqlx::Error> for ConnectError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(told(&error))
    }
}

/// What happened, without the line of PostgreSQL's own source that the library adds.
fn told(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) => match error.code() {
            Some(state) => format!("{} (SQLSTATE {state})", error.message()),
            None => error.message().to_owned(),
        },
        None => error.to_string(),
    }
}

pub(super) fn address(url: &Secret) -> Result<PgConnectOptions, ConnectError> {
    // The cause may quote a part of the address.
    let options: PgConnectOptions = url.expose().parse().map_err(|_| ConnectError::Address)?;
    Ok(options.application_name("sordino-relay"))
}

pub(super) async fn dial(
    options: &PgConnectOptions,
    patience: Duration,
) -> Result<PgConnection, ConnectError> {
    tokio::time::timeout(patience, PgConnection::connect_with(options))
        .await
        .map_err(|_| ConnectError::Unreachable(NO_ANSWER.to_owned()))?
        .map_err(|error| ConnectError::Unreachable(told(&error)))
}

pub(super) fn pool(options: &Options, connect: PgConnectOptions) -> PgPool {
    let patience = options.acquire_timeout;
    PgPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(patience)
        // The pool tries a connection that comes back for as long as that takes: a dead one would keep its place for minutes.
        .after_release(move |connection, _| {
            Box::pin(async move {
                tokio::time::timeout(patience, connection.ping())
                    .await
                    .unwrap_or(Err(sqlx::Error::PoolTimedOut))
                    .map(|()| true)
            })
        })
        .connect_lazy_with(connect)
}
