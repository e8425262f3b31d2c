//! Accounts whose devices and friends are on different nodes, over real PostgreSQL, Redis, Kafka and Cassandra (`SORDINO_TEST_…`).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[allow(dead_code, reason = "each test program uses a part")]
#[path = "../cluster_support/mod.rs"]
mod cluster_support;
mod devices;
mod logins;
mod people;
#[path = "../../../client-sdk/tests/support/mod.rs"]
mod support;

use cluster_support::{any, name, pair::Pair};
use sordino::{Client, Code, ConnectionState, Event, Events};
use sordino_relay::{
    config::{Config, Registration, Role},
    relay::{Relay, start},
};
use support::{
    Person, open,
    phones::{registered, second_phone, typed},
    within,
};
use tempfile::TempDir;

async fn client(url: &str) -> (Client, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let client = open(url, directory.path()).await.unwrap();
    (client, directory)
}

/// A person with a phone on one node and a tablet on the other, and the recovery key as it was written down.
async fn on_both(pair: &Pair, of: &str) -> (Person, Person, String) {
    let name = name(of);
    let (phone, key) = registered(&pair.one(), &name).await;
    phone.client.connect();
    phone.until_live().await;
    let tablet = second_phone(&pair.two(), &name, &typed(&key)).await;
    (phone, tablet, key)
}

async fn until_event(events: &mut Events, wanted: impl Fn(&Event) -> bool) {
    within(async { while !wanted(&events.next().await.unwrap()) {} }).await;
}

/// Until the client has given up, and why.
async fn until_stopped(client: &Client) -> Code {
    let mut events = client.events();
    within(async {
        loop {
            if let ConnectionState::Stopped { why } = client.connection() {
                return why.code();
            }
            events.next().await.unwrap();
        }
    })
    .await
}

/// Another node that serves clients, with this rule of who may come in.
async fn door(shared: &str, name: &str, registration: Registration) -> Relay {
    let mut config: Config = toml::from_str(shared).unwrap();
    config.server.node = name.to_owned();
    config.server.listen = any();
    config.server.roles = [Role::Chat].into_iter().collect();
    config.registration = registration;
    // Nobody is left who would go elsewhere.
    config.ops.drain_seconds = 1;
    start(config).await.unwrap()
}
