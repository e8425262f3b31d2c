//! Hears of what other nodes write: PostgreSQL's `LISTEN` and `NOTIFY`.

use std::{sync::Arc, time::Duration};

use sordino_protocol::UserId;
use sqlx::{
    Postgres, Transaction,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use super::cached::Cached;

/// The payload is a user id in hex. Part of the schema: nodes of neighbouring versions share it.
const CHANNEL: &str = "sordino_users";
/// After this long without a word the connection is tried: one that is cut without a goodbye stays silent for ever.
const SILENCE: Duration = Duration::from_secs(2);
/// How long the database may take to answer here.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells every node, this one too, that something of the user changed. Sent with the commit of the transaction, or never.
pub(super) async fn notify(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Listens until it is aborted. While it cannot, nothing is cached.
pub(super) async fn run(cached: Arc<Cached>, options: PgConnectOptions) {
    let mut told = false;
    loop {
        let error = listen(&cached, options.clone()).await;
        // Once for each time that it is away, however often it is tried.
        told &= !cached.is_listening();
        cached.stop();
        if !told {
            tracing::warn!(%error, "users: changes by other nodes are not heard of; caching nothing until they are");
            told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns what went wrong.
async fn listen(cached: &Cached, options: PgConnectOptions) -> sqlx::Error {
    // A pool of its own each time: a listener gives its connection back when dropped, and a dead one would be handed out again.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options);
    let mut listener = match in_time(subscribe(&pool)).await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    cached.start();
    tracing::info!("users: listening for changes by other nodes");
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => match user(notification.payload()) {
                Some(user) => cached.forget(user),
                None => return sqlx::Error::Protocol("a notification that names no user".into()),
            },
            // It would connect again by itself, and what was sent meanwhile would be missed.
            Ok(Ok(None)) => return lost(),
            Ok(Err(error)) => return error,
            Err(_) => {
                if let Err(error) = in_time(sqlx::query("SELECT 1").execute(&mut listener)).await {
                    return error;
                }
            }
        }
    }
}

async fn subscribe(pool: &sqlx::PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(lost()))
}

fn lost() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into())
}

fn user(payload: &str) -> Option<UserId> {
    UserId::from_slice(&hex::decode(payload).ok()?).ok()
}
