//! A filled relay with embedded stores moves into a cluster, and the same clients go on (`SORDINO_TEST_…`).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[allow(dead_code, reason = "each test program uses a part")]
mod cluster_support;
#[path = "../../relay-server/tests/data_support/mod.rs"]
mod data_support;
#[path = "../../client-sdk/tests/support/mod.rs"]
mod support;

use std::{path::Path, process::Command};

use data_support::conformance::append_all;
use sordino_relay::{
    config::Config,
    history::{
        History, StoredRow,
        cassandra::{self, Cassandra},
    },
    relay::{Relay, start},
    stores::cluster::{MoveError, Moved, move_in},
};
use support::{
    Person, Reading, all,
    phones::{registered, second_phone, typed, until_backed_up},
    received, texts, until, within,
};

/// A cluster of its own: database, topic and keyspace.
struct Cluster {
    shared: String,
    database: String,
}

/// `None` without servers.
async fn cluster() -> Option<Cluster> {
    let servers = cluster_support::servers()?;
    sql(
        &servers.postgres,
        &format!("CREATE DATABASE {}", servers.name),
    );
    let (server, _) = servers.postgres.rsplit_once('/').unwrap();
    let database = format!("{server}/{}", servers.name);
    let shared = servers.made(&database).await;
    Some(Cluster { shared, database })
}

fn sql(url: &str, statement: &str) {
    let done = Command::new("psql")
        .args([url, "-qtAc", statement])
        .status();
    assert!(done.expect("psql").success(), "{statement}");
}

impl Cluster {
    fn config(&self) -> Config {
        toml::from_str(&self.shared).unwrap()
    }

    async fn node(&self, relay: &Config) -> Relay {
        let mut config = self.config();
        config.server.listen = relay.server.listen;
        config.server.node = "one".to_owned();
        // As the operator writes it down: in hexadecimal.
        let key = std::fs::read(relay.store.data.join("password.key")).unwrap();
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let file = relay.store.data.with_extension("password.hex");
        std::fs::write(&file, digits).unwrap();
        config.auth.password_key = None;
        config.auth.password_key_file = Some(file);
        start(config).await.unwrap()
    }

    async fn moved(&self, from: &Path) -> Result<Moved, MoveError> {
        move_in(&self.config(), from, Box::new(|_, _, _| {})).await
    }
}

/// People who have talked on a relay with embedded stores, which has ended.
struct Source {
    _dir: tempfile::TempDir,
    config: Config,
    url: String,
    people: Vec<Person>,
    /// Alice's, as she has written it down.
    recovery_key: String,
}

const TALK: usize = 40;
/// What the relay keeps of users.
const EVERYTHING: &str = "DELETE FROM key_backups; DELETE FROM key_backup_ends; DELETE FROM passwords; DELETE FROM vaults; DELETE FROM push_targets; DELETE FROM subjects; \
                          DELETE FROM prekeys; DELETE FROM devices; DELETE FROM device_lists; DELETE FROM users";

async fn source() -> Source {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path().join("data"));
    let relay = start(config_like(&config)).await.unwrap();
    config.server.listen = relay.addr();
    let url = format!("http://{}", relay.addr());
    let (alice, recovery_key) = registered(&url, "alice").await;
    alice.client.connect();
    alice.until_live().await;
    let mut people = vec![alice];
    for name in ["bob", "carol"] {
        people.push(Person::online(&url, name).await);
    }
    let (alice, bob, carol) = (&people[0], &people[1], &people[2]);
    // The move reads back what it wrote: without this it would not be found.
    let token = alice
        .client
        .set_push_token(sordino::PushProvider::Fcm, "a-token");
    token.await.unwrap();
    let (mut heard, mut answered) = (bob.client.events(), alice.client.events());
    for n in 0..TALK {
        alice.with(bob).send(format!("ping {n}")).await.unwrap();
        assert_eq!(received(&mut heard).await.text, format!("ping {n}"));
        bob.with(alice).send(format!("pong {n}")).await.unwrap();
        assert_eq!(received(&mut answered).await.text, format!("pong {n}"));
    }
    // One that she has not seen when the relay ends.
    carol.client.close().await;
    alice.with(carol).send("while you were away").await.unwrap();
    let mut shown = Reading::new(alice.with(carol).timeline());
    shown
        .until(|items| {
            let own = items.iter().filter_map(|item| item.message());
            own.into_iter()
                .any(|m| m.state == sordino::SendState::Accepted)
        })
        .await;
    for person in [alice, bob] {
        until_backed_up(person).await;
        person.client.close().await;
    }
    relay.shutdown().await;
    Source {
        _dir: dir,
        config,
        url,
        people,
        recovery_key,
    }
}

fn config_like(config: &Config) -> Config {
    let mut again = Config::new(&config.store.data);
    again.server.listen = config.server.listen;
    again
}

impl Source {
    fn data(&self) -> &Path {
        &self.config.store.data
    }

    async fn reopened(&mut self) {
        for person in &mut self.people {
            person.reopen(&self.url).await;
            person.client.connect();
            person.until_live().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_p2_people_go_on_where_they_were() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let mut source = source().await;
    let moved = cluster.moved(source.data()).await.unwrap();
    // Of two pairs, and of the two who write with themselves: what they note of each other.
    assert_eq!((moved.users, moved.devices, moved.conversations), (3, 3, 4));
    assert!(moved.rows > 2 * TALK as u64, "{moved:?}");
    assert!(
        moved.marks > 0 && moved.prekeys > 0 && moved.lists >= 3,
        "{moved:?}"
    );
    // A second run changes nothing and finds the same.
    assert_eq!(cluster.moved(source.data()).await.unwrap(), moved);

    let node = cluster.node(&source.config).await;
    source.reopened().await;
    let [alice, bob, carol] = source.people.as_slice() else {
        panic!("three people");
    };
    within(async {
        let mut shown = Reading::new(carol.with(alice).timeline());
        while texts(&all(&carol.with(alice)).await) != ["while you were away"] {
            let _ = shown.until(|_| true).await;
        }
    })
    .await;
    let (mut heard, mut answered) = (bob.client.events(), alice.client.events());
    for n in TALK..2 * TALK {
        alice.with(bob).send(format!("ping {n}")).await.unwrap();
        assert_eq!(received(&mut heard).await.text, format!("ping {n}"));
        bob.with(alice).send(format!("pong {n}")).await.unwrap();
        assert_eq!(received(&mut answered).await.text, format!("pong {n}"));
    }
    // Bob and Carol have never talked: prekeys come from the moved store.
    let mut heard = carol.client.events();
    bob.with(carol).send("hello").await.unwrap();
    assert_eq!(received(&mut heard).await.text, "hello");
    let expected: Vec<_> = (0..2 * TALK)
        .flat_map(|n| [format!("ping {n}"), format!("pong {n}")])
        .collect();
    for (me, other) in [(alice, bob), (bob, alice)] {
        assert_eq!(texts(&all(&me.with(other)).await), expected);
    }
    // A new phone logs in with what the source knew, and reads what was written there.
    let phone = second_phone(&source.url, "alice", &typed(&source.recovery_key)).await;
    until(async || texts(&all(&phone.with(bob)).await) == expected).await;
    // The cluster is ahead of the source now.
    let refused = cluster.moved(source.data()).await;
    assert!(matches!(refused, Err(MoveError::InUse(_))), "{refused:?}");
    node.shutdown().await;
}

/// Longer than what Cassandra has in one partition.
#[tokio::test(flavor = "multi_thread")]
async fn long_conversations_and_what_was_erased_move_as_they_are() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    start(Config::new(&data)).await.unwrap().shutdown().await;
    const LAST: u64 = 10_050;
    const ALL: usize = usize::MAX;
    let id = data_support::conversation(1, 2);
    let parts = [(1, 40), (9_980, 10_020), (LAST - 40, LAST + 1)];
    let read = async |history: &dyn History| {
        let mut rows = Vec::new();
        for (from, to) in parts {
            rows.extend(history.rows(id, from, to, ALL, ALL).await.unwrap().rows);
        }
        rows
    };
    let (source, _) = data_support::run(&data.join("messages")).await;
    for first in (1..=LAST).step_by(50) {
        append_all(&*source.log, 1, 2, first..=first + 49).await;
    }
    let erasure = data_support::erase(1, 2, 1, LAST + 1, vec![7, 10_001]);
    source.log.append(erasure).await.unwrap();
    let before = read(&*source.history).await;
    let erased = before.iter().filter(|row| row.content.is_none());
    assert_eq!(erased.map(|row| row.seq).collect::<Vec<_>>(), [7, 10_001]);
    source.handle.shutdown().await.unwrap();
    drop((source.log, source.history));

    let moved = cluster.moved(&data).await.unwrap();
    assert_eq!((moved.conversations, moved.rows), (1, LAST + 1));
    let config = cluster.config().cassandra;
    let options = cassandra::Options::new(config.nodes, config.keyspace);
    let target = Cassandra::connect(&options).await.unwrap();
    let after = read(&target).await;
    assert_eq!(after.len(), before.len());
    for (row, there) in before.iter().zip(&after) {
        // Of what was erased no wraps are left, which are empty in Cassandra.
        let wraps = |row: &StoredRow| row.wraps.clone().unwrap_or_default();
        assert_eq!((row.seq, &row.content), (there.seq, &there.content));
        assert_eq!(wraps(row), wraps(there));
        assert_eq!(
            (&row.header, row.message_id),
            (&there.header, there.message_id)
        );
    }
    assert_eq!(cluster.moved(&data).await.unwrap(), moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_move_goes_on() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let mut source = source().await;
    // Given up at a later point each time, until one comes through.
    let (mut cuts, mut refused) = (0_u64, false);
    let moved = loop {
        if cuts == 2 {
            refused = start(cluster.config()).await.is_err();
        }
        let mut left: u64 = cuts * 2;
        let (cut, cutting) = tokio::sync::oneshot::channel();
        let mut cut = Some(cut);
        let say = move |_: &str, _: u64, _: u64| {
            if left == 0
                && let Some(cut) = cut.take()
            {
                let _ = cut.send(());
            }
            left = left.saturating_sub(1);
        };
        let config = cluster.config();
        tokio::select! {
            biased;
            Ok(()) = cutting => cuts += 1,
            moved = move_in(&config, source.data(), Box::new(say)) => break moved.unwrap(),
        }
    };
    assert!(cuts > 2, "{cuts}");
    assert!(refused, "no node may serve half a move");
    assert_eq!((moved.users, moved.conversations), (3, 4));
    let node = cluster.node(&source.config).await;
    source.reopened().await;
    let (alice, bob) = (&source.people[0], &source.people[1]);
    let mut heard = bob.client.events();
    alice.with(bob).send("after").await.unwrap();
    assert_eq!(received(&mut heard).await.text, "after");
    assert_eq!(all(&alice.with(bob)).await.len(), 2 * TALK + 1);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_the_same_move_is_left_alone() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let source = source().await;
    let running = start(config_like(&source.config)).await.unwrap();
    let refused = cluster.moved(source.data()).await;
    assert!(matches!(refused, Err(MoveError::Running(_))), "{refused:?}");
    running.shutdown().await;
    let nothing = tempfile::tempdir().unwrap();
    let refused = cluster.moved(nothing.path()).await;
    assert!(matches!(refused, Err(MoveError::Absent(_))), "{refused:?}");

    sql(
        &cluster.database,
        "INSERT INTO users VALUES (decode(repeat('7f', 16), 'hex'), 'somebody')",
    );
    let refused = cluster.moved(source.data()).await;
    assert!(
        matches!(refused, Err(MoveError::ForeignUser(_))),
        "{refused:?}"
    );
    sql(&cluster.database, "DELETE FROM users");
    cluster.moved(source.data()).await.unwrap();
    // A prekey that was given out since, on either side.
    sql(
        &cluster.database,
        "DELETE FROM prekeys WHERE arrival = (SELECT min(arrival) FROM prekeys)",
    );
    let refused = cluster.moved(source.data()).await;
    assert!(
        matches!(refused, Err(MoveError::ForeignUser(_))),
        "{refused:?}"
    );
    sql(&cluster.database, EVERYTHING);
    cluster.moved(source.data()).await.unwrap();
    let other = self::source().await;
    sql(&cluster.database, EVERYTHING);
    let refused = cluster.moved(other.data()).await;
    assert!(
        matches!(refused, Err(MoveError::ForeignConversation(_))),
        "{refused:?}"
    );
}
