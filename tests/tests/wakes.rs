//! Sleeping people are woken: real clients, relays as their configuration makes them, and a server that speaks FCM. Embedded
//! always; as a cluster, and with users alone in PostgreSQL, where `SORDINO_TEST_…` name servers.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[cfg(feature = "cluster")]
#[allow(dead_code, reason = "each test program uses a part")]
mod cluster_support;
#[path = "../../relay-server/tests/fcm_support/mod.rs"]
mod fcm_support;
#[path = "../../client-sdk/tests/support/mod.rs"]
mod support;

use fcm_support::{Fcm, Say};
use sordino::{PushProvider, SendState};
use sordino_relay::{
    config::Config,
    relay::{Relay, start},
};
use support::{Person, Reading, received};
use tempfile::TempDir;

/// A relay, or the first node of several.
struct World {
    config: String,
    fcm: Fcm,
    relay: Relay,
    /// The account's file, and the embedded relay's data.
    dir: TempDir,
}

impl World {
    async fn embedded() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self::of(dir, format!("store.data = '{}'\n", data.display())).await
    }

    /// `None` without servers.
    #[cfg(feature = "cluster")]
    async fn cluster() -> Option<Self> {
        let shared = cluster_support::cluster().await?;
        Some(Self::of(tempfile::tempdir().unwrap(), shared).await)
    }

    /// Users in PostgreSQL, messages in the data directory. `None` without servers.
    #[cfg(feature = "cluster")]
    async fn pair() -> Option<Self> {
        let servers = cluster_support::servers()?;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let config = format!(
            "store.data = '{}'\npostgres.url = '{}'\n",
            data.display(),
            servers.postgres
        );
        let read: Config = toml::from_str(&config).unwrap();
        sordino_relay::stores::cluster::migrate(&read)
            .await
            .unwrap();
        Some(Self::of(dir, config).await)
    }

    async fn of(dir: TempDir, config: String) -> Self {
        let fcm = Fcm::start().await;
        let account = dir.path().join("account.json");
        fcm.write_account(&account);
        let config = format!(
            "push.fcm_service_account_file = '{}'\npush.fcm_endpoint = '{}'\n{config}",
            account.display(),
            fcm.endpoint()
        );
        let relay = node(&config, "one").await;
        Self {
            config,
            fcm,
            relay,
            dir,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.relay.addr())
    }

    /// Somebody who is online, and whose device is known to FCM by their name.
    async fn online(&self, name: &str) -> Person {
        let name = format!("{name}{:08x}", rand::random::<u32>());
        let person = Person::online(&self.url(), &name).await;
        let set = person.client.set_push_token(PushProvider::Fcm, &name);
        set.await.unwrap();
        person
    }

    async fn asleep(&self, name: &str) -> Person {
        let person = self.online(name).await;
        person.client.close().await;
        person
    }

    async fn woken(&self, person: &Person, times: usize) {
        self.fcm.wait_for(&person.user.username, times).await;
    }

    fn said(&self, person: &Person) -> Vec<Say> {
        self.fcm.said(&person.user.username)
    }

    async fn end(self) {
        self.relay.shutdown().await;
        drop(self.dir);
    }
}

async fn node(config: &str, name: &str) -> Relay {
    let mut config: Config = toml::from_str(config).unwrap();
    config.server.node = name.to_owned();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    start(config).await.unwrap()
}

/// Sends so many, and waits until the relay has them all.
async fn send(from: &Person, to: &Person, messages: usize) {
    let conversation = from.with(to);
    let mut shown = Reading::new(conversation.timeline());
    for n in 0..messages {
        conversation.send(format!("message {n}")).await.unwrap();
    }
    shown
        .until(|items| {
            let own = items.iter().filter_map(|item| item.message());
            let states: Vec<_> = own.filter(|m| m.mine).map(|m| m.state).collect();
            states.len() >= messages && !states.contains(&SendState::Pending)
        })
        .await;
}

async fn a_sleeper_is_woken_once_and_nobody_else(world: World) {
    let (alice, bob) = (world.online("alice").await, world.asleep("bob").await);
    let (carol, dave) = (world.online("carol").await, world.asleep("dave").await);
    let mut heard = carol.client.events();
    send(&alice, &carol, 1).await;
    assert_eq!(received(&mut heard).await.text, "message 0");
    send(&alice, &bob, 20).await;
    world.woken(&bob, 1).await;
    // What else was to come is through when a later message has woken somebody.
    send(&alice, &dave, 1).await;
    world.woken(&dave, 1).await;
    assert_eq!(world.said(&bob), [Say::Sent]);
    assert_eq!(world.said(&carol), []);
    assert_eq!(world.said(&alice), []);
    // He who does not want it is not woken; nor is who is gone from FCM, once FCM has said so.
    let again = support::open(&world.url(), dave.directory.path())
        .await
        .unwrap();
    again.clear_push_token().await.unwrap();
    again.close().await;
    world.fcm.script("gone", [Say::Unregistered]);
    let erin = world.online("erin").await;
    erin.client
        .set_push_token(PushProvider::Fcm, "gone")
        .await
        .unwrap();
    erin.client.close().await;
    send(&alice, &erin, 1).await;
    world.fcm.wait_for("gone", 1).await;
    send(&alice, &dave, 1).await;
    send(&alice, &erin, 1).await;
    let frank = world.asleep("frank").await;
    send(&alice, &frank, 1).await;
    world.woken(&frank, 1).await;
    assert_eq!(world.said(&dave), [Say::Sent]);
    assert_eq!(world.fcm.said("gone"), [Say::Unregistered]);
    for person in [&alice, &carol] {
        person.client.close().await;
    }
    world.end().await;
}

/// A relay that dies with a wake that FCM would not take yet leaves it to the next.
async fn a_wake_survives_the_relay(mut world: World) {
    let (alice, bob) = (world.online("alice").await, world.asleep("bob").await);
    let later = Say::Unavailable(Some(3600));
    world.fcm.script(&bob.user.username, [later.clone()]);
    send(&alice, &bob, 3).await;
    world.woken(&bob, 1).await;
    alice.client.close().await;
    let other = world.config.contains("kafka").then_some("two");
    if let Some(name) = other {
        let next = node(&world.config, name).await;
        drop(std::mem::replace(&mut world.relay, next));
        world.woken(&bob, 2).await;
    } else {
        let World {
            config,
            fcm,
            relay,
            dir,
        } = world;
        relay.shutdown().await;
        let relay = node(&config, "one").await;
        world = World {
            config,
            fcm,
            relay,
            dir,
        };
        world.woken(&bob, 2).await;
    }
    assert_eq!(world.said(&bob), [later, Say::Sent]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_a_sleeper_is_woken_once_and_nobody_else() {
    a_sleeper_is_woken_once_and_nobody_else(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_a_wake_survives_the_relay() {
    a_wake_survives_the_relay(World::embedded().await).await;
}

#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn cluster_a_sleeper_is_woken_once_and_nobody_else() {
    if let Some(world) = World::cluster().await {
        a_sleeper_is_woken_once_and_nobody_else(world).await;
    }
}

#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn cluster_a_wake_survives_the_relay() {
    if let Some(world) = World::cluster().await {
        a_wake_survives_the_relay(world).await;
    }
}

#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn pair_a_sleeper_is_woken_once_and_nobody_else() {
    if let Some(world) = World::pair().await {
        a_sleeper_is_woken_once_and_nobody_else(world).await;
    }
}

#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn pair_a_wake_survives_the_relay() {
    if let Some(world) = World::pair().await {
        a_wake_survives_the_relay(world).await;
    }
}

/// What was looked after is committed: nobody is woken for it again when nodes come and go.
#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn cluster_what_was_done_is_not_done_again() {
    let Some(mut world) = World::cluster().await else {
        return;
    };
    let (alice, bob) = (world.online("alice").await, world.asleep("bob").await);
    send(&alice, &bob, 3).await;
    world.woken(&bob, 1).await;
    alice.client.close().await;
    let next = node(&world.config, "two").await;
    std::mem::replace(&mut world.relay, next).shutdown().await;
    let (carol, dave) = (world.online("carol").await, world.asleep("dave").await);
    send(&carol, &dave, 1).await;
    world.woken(&dave, 1).await;
    assert_eq!(world.said(&bob), [Say::Sent]);
    carol.client.close().await;
    world.end().await;
}
