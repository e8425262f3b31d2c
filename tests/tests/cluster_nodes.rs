//! Clients on several relay nodes, over real PostgreSQL, Redis, Kafka and Cassandra (`SORDINO_TEST_…`).
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
#[path = "../../client-sdk/tests/support/mod.rs"]
mod support;

use cluster_support::{any, cluster, name, node, url};
use futures_util::FutureExt;
use sordino::{Event, SendState};
use sordino_relay::{config::Config, relay::start};
use sordino_tests::faults::front::Front;
use support::{Person, Reading, all, received, texts, within};

#[tokio::test(flavor = "multi_thread")]
async fn contract_p5_people_on_different_nodes_talk() {
    let Some(shared) = cluster().await else {
        return;
    };
    let (one, two) = (
        node(&shared, "one", any()).await,
        node(&shared, "two", any()).await,
    );
    let alice = Person::online(&url(&one), &name("alice")).await;
    let bob = Person::online(&url(&two), &name("bob")).await;
    let (mut heard, mut answered) = (bob.client.events(), alice.client.events());
    let mut shown = Reading::new(alice.with(&bob).timeline());
    for n in 0..20 {
        alice.with(&bob).send(format!("ping {n}")).await.unwrap();
        assert_eq!(received(&mut heard).await.text, format!("ping {n}"));
        bob.with(&alice).send(format!("pong {n}")).await.unwrap();
        assert_eq!(received(&mut answered).await.text, format!("pong {n}"));
    }
    shown
        .until(|items| {
            let own = items
                .iter()
                .filter_map(|item| item.message())
                .filter(|m| m.mine);
            let states: Vec<_> = own.map(|message| message.state).collect();
            states.len() == 20 && states.iter().all(|state| *state == SendState::Delivered)
        })
        .await;
    // Her store is on one node's side, his on the other's: both have the same history.
    let (hers, his) = (all(&alice.with(&bob)).await, all(&bob.with(&alice)).await);
    assert_eq!(texts(&hers), texts(&his));
    one.shutdown().await;
    two.shutdown().await;
}

/// Behind one address, as behind a load balancer.
#[tokio::test(flavor = "multi_thread")]
async fn contract_p5_a_node_that_ends_hands_its_devices_to_another_and_nobody_notices() {
    let Some(shared) = cluster().await else {
        return;
    };
    let shared = shared.replace("ops.unready_seconds = 0", "ops.unready_seconds = 1");
    let one = node(&shared, "one", any()).await;
    let two = node(&shared, "two", any()).await;
    // To the first that takes the connection.
    let front = Front::new(vec![one.addr(), two.addr()]);
    let address = format!("http://{}", front.open(0).await.unwrap());
    let alice = Person::online(&address, &name("alice")).await;
    let bob = Person::online(&address, &name("bob")).await;
    let mut heard = bob.client.events();
    let mut at_alice = alice.client.events();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let over = || ended.load(std::sync::atomic::Ordering::SeqCst);
    let talk = async {
        // A few more once it has ended.
        let (mut n, mut more) = (0, 20);
        while more > 0 {
            alice.with(&bob).send(n.to_string()).await.unwrap();
            let text = within(async {
                loop {
                    match heard.next().await.unwrap() {
                        Event::Received(message) => return message.text,
                        Event::Connection(state) => panic!("{state:?}"),
                        _ => {}
                    }
                }
            });
            assert_eq!(text.await, n.to_string());
            (n, more) = (n + 1, more - usize::from(over()));
        }
    };
    let end = async {
        one.shutdown().await;
        ended.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    tokio::join!(talk, end);
    while let Some(event) = at_alice.next().now_or_never() {
        assert!(!matches!(event, Some(Event::Connection(_))), "{event:?}");
    }
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_p4_nodes_come_and_go_while_people_talk() {
    let Some(shared) = cluster().await else {
        return;
    };
    let mut one = node(&shared, "one", any()).await;
    let mut two = node(&shared, "two", any()).await;
    let alice = Person::online(&url(&one), &name("alice")).await;
    let bob = Person::online(&url(&two), &name("bob")).await;
    let rounds = 4;
    let talk = async |from: &Person, to: &Person, round: usize| {
        for n in 0..40 {
            let text = format!("{} {:04}", from.user.username, round * 40 + n);
            from.with(to).send(text).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    for round in 0..rounds {
        let turn = async {
            // Each node leaves once and comes back on its address, twice in order and twice as if it had died.
            let restarted = if round % 2 == 0 { &mut one } else { &mut two };
            let (address, again) = (restarted.addr(), ["one", "two"][round % 2]);
            let spare = node(&shared, "spare", any()).await;
            let old = std::mem::replace(restarted, spare);
            if round < 2 {
                old.shutdown().await;
            } else {
                drop(old);
            }
            let back = loop {
                let mut config: Config = toml::from_str(&shared).unwrap();
                config.server.node = again.to_owned();
                config.server.listen = address;
                // Dropped, it lets go of its address in its own time.
                if let Ok(relay) = start(config).await {
                    break relay;
                }
            };
            std::mem::replace(restarted, back).shutdown().await;
        };
        tokio::join!(talk(&alice, &bob, round), talk(&bob, &alice, round), turn);
    }
    let expected = rounds * 40;
    for (me, other) in [(&alice, &bob), (&bob, &alice)] {
        let mut shown = Reading::new(me.with(other).timeline());
        within(async {
            while all(&me.with(other)).await.len() < 2 * expected {
                let _ = shown.until(|_| true).await;
            }
        })
        .await;
    }
    let (hers, his) = (all(&alice.with(&bob)).await, all(&bob.with(&alice)).await);
    assert_eq!(texts(&hers), texts(&his));
    for person in [&alice, &bob] {
        let of: Vec<_> = hers.iter().filter(|m| m.author == person.user.id).collect();
        assert_eq!(of.len(), expected);
        for (n, message) in of.iter().enumerate() {
            assert_eq!(message.text, format!("{} {n:04}", person.user.username));
        }
    }
    one.shutdown().await;
    two.shutdown().await;
}
