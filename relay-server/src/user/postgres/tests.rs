//! What only a store of several nodes can get wrong. Needs `SORDINO_TEST_POSTGRES`.

mod database;
mod deleted;
mod faults;
mod nodes;
mod versions;
mod whole;

use super::*;
use crate::user::{PrekeyKind, conformance, fixtures};
use database::Database;

/// Runs until it holds: the other node hears of things in its own time.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

/// A node whose cache holds what it reads.
async fn listening(users: &PostgresUsers) {
    until("the node listens", async || {
        users.inner.cached.is_listening()
    })
    .await;
}

/// Reads until the node holds what it read, and returns the version.
async fn cached_version(users: &PostgresUsers, user: UserId) -> u32 {
    // Notifications of earlier writes may still forget it.
    until("the list is cached", async || {
        users.newest_list(user).await.expect("read");
        users.inner.cached.list(user).is_ok()
    })
    .await;
    newest(users, user).await
}

async fn newest(users: &PostgresUsers, user: UserId) -> u32 {
    let list = users.newest_list(user).await.expect("read");
    list.expect("a list").version
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let users = database.node().await;
    conformance::all(Arc::new(users.clone())).await;
    users.close().await;
    database.remove().await;
}

/// The suite may be through before the node listens, and then nothing was cached.
#[tokio::test(flavor = "multi_thread")]
async fn conforms_with_a_cache() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let users = database.node().await;
    listening(&users).await;
    conformance::all(Arc::new(users.clone())).await;
    users.close().await;
    database.remove().await;
}
