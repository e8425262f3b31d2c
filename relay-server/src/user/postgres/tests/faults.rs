//! The database goes away and comes back.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::*;
use database::options;
use fixtures::{Person, device_id, prekey};

/// Ends the listeners' connections; returns how many. In silence they say `SELECT 1`.
async fn end_listeners(database: &Database) -> usize {
    database.end("LISTEN %").await + database.end("SELECT 1").await
}

/// A node that never needs a second connection.
async fn with_one_connection(database: &Database) -> PostgresUsers {
    let options = Options {
        connections: 1,
        ..options()
    };
    PostgresUsers::connect(&database.url(), &options)
        .await
        .expect("connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hears_nothing_serves_nothing_old() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let here = with_one_connection(&database).await;
    let there = with_one_connection(&database).await;
    for node in [&here, &there] {
        listening(node).await;
    }
    let person = Person::new(1);
    let user = person.user;
    let first = person.list(None, &[1]);
    here.create("one", &first, &Credentials::NONE)
        .await
        .expect("created");
    assert_eq!(cached_version(&there, user).await, 1);

    // Only those who are connected go on; the listeners are not let in again.
    database.open(false).await;
    until("both listeners are ended", async || {
        end_listeners(&database).await == 0 && !there.inner.cached.is_listening()
    })
    .await;
    let second = person.list(Some(&first), &[1, 2]);
    here.put_list(&second, &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(newest(&there, user).await, 2);
    assert!(there.inner.cached.list(user).is_err(), "cached");
    here.put_list(&person.list(Some(&second), &[2]), &Credentials::NONE)
        .await
        .expect("stored");
    assert_eq!(newest(&there, user).await, 3);

    database.open(true).await;
    listening(&there).await;
    assert_eq!(cached_version(&there, user).await, 3);
    for node in [here, there] {
        node.close().await;
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_listener_missed_is_forgotten() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let (here, there) = (database.node().await, database.node().await);
    listening(&there).await;
    let person = Person::new(1);
    let user = person.user;
    let mut list = person.list(None, &[1]);
    here.create("one", &list, &Credentials::NONE)
        .await
        .expect("created");
    for _ in 0..3 {
        assert_eq!(cached_version(&there, user).await, list.version);
        until("a listener is ended", async || {
            end_listeners(&database).await > 0
        })
        .await;
        list = person.list(Some(&list), &[1]);
        here.put_list(&list, &Credentials::NONE)
            .await
            .expect("stored");
        until("the new list", async || {
            newest(&there, user).await == list.version
        })
        .await;
    }
    for node in [here, there] {
        node.close().await;
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_again_when_the_database_does() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let node = PostgresUsers::connect(
        &database.url(),
        &Options {
            acquire_timeout: Duration::from_millis(200),
            ..options()
        },
    )
    .await
    .expect("connected");
    let person = Person::new(1);
    node.create("one", &person.list(None, &[1]), &Credentials::NONE)
        .await
        .expect("created");

    // To a client a restart is this: everyone is thrown out, and nobody gets in for a while.
    database.open(false).await;
    until("everyone is out", async || database.end("%").await == 0).await;
    assert!(matches!(node.healthy().await, Err(UserError::Failed(_))));
    assert!(node.by_id(person.user).await.is_err());
    until("nothing is cached", async || {
        !node.inner.cached.is_listening()
    })
    .await;

    database.open(true).await;
    until("it is healthy", async || node.healthy().await.is_ok()).await;
    node.put_prekeys(
        person.user,
        device_id(1),
        &[prekey(PrekeyKind::Signed, 1, 7)],
        false,
    )
    .await
    .expect("stored");
    listening(&node).await;
    assert_eq!(cached_version(&node, person.user).await, 1);
    node.close().await;
    database.remove().await;
}

/// The server loses its power: no goodbye, and no answer on what stood. Another takes its address.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fell_silent_are_replaced() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let wire = Wire::new(database.port()).await;
    // A login computes for a while where nothing is optimised and the machine is busy.
    let patience = Duration::from_secs(5);
    let node = PostgresUsers::connect(
        &database.url_at("127.0.0.1", wire.port),
        &Options {
            connections: 1,
            acquire_timeout: patience,
            timeout: patience,
            ..options()
        },
    )
    .await
    .expect("connected");
    let person = Person::new(1);
    let user = person.user;
    node.create("one", &person.list(None, &[1]), &Credentials::NONE)
        .await
        .expect("created");
    listening(&node).await;
    assert_eq!(cached_version(&node, user).await, 1);
    // One that falls silent on its way back into the pool keeps its place there until TCP gives up: the pool asks it once
    // more, after our own question, and sets no limit to that.
    until("the connection is back", async || {
        node.inner.pool.num_idle() == 1
    })
    .await;

    wire.silence();
    assert!(node.by_id(user).await.is_err());
    until("it is healthy", async || node.healthy().await.is_ok()).await;
    until("the listener notices", async || {
        node.inner.cached.list(user).is_err()
    })
    .await;
    listening(&node).await;
    assert_eq!(cached_version(&node, user).await, 1);
    node.close().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_is_not_healthy() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let node = database.node().await;
    node.healthy().await.expect("healthy");
    node.close().await;
    let read_only = format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        database.name()
    );
    database.run(&read_only).await;
    let node = database.node().await;
    assert!(matches!(node.healthy().await, Err(UserError::Failed(_))));
    node.close().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_held_by_a_dead_session_is_freed() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    let node = database.node().await;
    let person = Person::new(1);
    let first = person.list(None, &[1]);
    node.create("one", &first, &Credentials::NONE)
        .await
        .expect("created");
    // A session that goes silent in the middle, with the timeouts of a node.
    let silent = PostgresUsers::connect(
        &database.url(),
        &Options {
            timeout: Duration::from_secs(1),
            ..options()
        },
    )
    .await
    .expect("connected");
    let mut held = silent.inner.pool.begin().await.expect("begun");
    sqlx::query("SELECT 1 FROM users FOR UPDATE")
        .execute(&mut *held)
        .await
        .expect("locked");
    node.put_list(&person.list(Some(&first), &[2]), &Credentials::NONE)
        .await
        .expect("stored");
    drop(held);
    for node in [node, silent] {
        node.close().await;
    }
    database.remove().await;
}

/// A wire to the database whose connections can fall silent without being cut.
struct Wire {
    port: u16,
    /// Connections of an earlier generation carry nothing more.
    generation: Arc<AtomicUsize>,
}

impl Wire {
    async fn new(database: u16) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = socket.local_addr().expect("an address").port();
        let generation = Arc::new(AtomicUsize::new(0));
        let newest = generation.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = socket.accept().await {
                let far = TcpStream::connect(("127.0.0.1", database)).await;
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.expect("connected").into_split();
                tokio::spawn(carry(near_in, far_out, newest.clone()));
                tokio::spawn(carry(far_in, near_out, newest.clone()));
            }
        });
        Self { port, generation }
    }

    /// What is connected falls silent; who connects again is served.
    fn silence(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, newest: Arc<AtomicUsize>) {
    let own = newest.load(Ordering::SeqCst);
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if newest.load(Ordering::SeqCst) != own {
            std::future::pending::<()>().await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
