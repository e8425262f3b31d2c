//! What breaks in the middle, and what must not follow from it.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{Client, Code, ConnectionState, Event, FileKey, SendState, TimelineItem};
use sordino_testing::TestRelay;
use support::{Person, Reading, all, open, received, texts, until, within};

/// Until every own message of the conversation is delivered.
async fn until_delivered(one: &Person, other: &Person, count: usize) {
    let mut shown = Reading::new(one.with(other).timeline());
    let conversation = one.with(other);
    shown.until(|items| !items.is_empty()).await;
    while conversation.load_older(500).await.expect("loaded") > 0 {}
    let done = |items: &[TimelineItem]| {
        let mine = items.iter().filter_map(TimelineItem::message);
        let mine: Vec<_> = mine.filter(|message| message.mine).collect();
        mine.len() == count && mine.iter().all(|m| m.state == SendState::Delivered)
    };
    if !done(&shown.items) {
        shown.until(done).await;
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_restarts_in_mid_traffic_loses_and_doubles_nothing() {
    const COUNT: usize = 200;
    let mut relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let send = async |from: &Person, to: &Person| {
        let conversation = from.with(to);
        for text in numbers(COUNT) {
            conversation.send(text).await.expect("sent");
        }
    };
    let restart = async {
        let mut events = bob.client.events();
        for _ in 0..3 {
            for _ in 0..20 {
                received(&mut events).await;
            }
            relay.restart().await.expect("restarted");
        }
    };
    tokio::join!(restart, send(&alice, &bob), send(&bob, &alice));
    until_delivered(&alice, &bob, COUNT).await;
    until_delivered(&bob, &alice, COUNT).await;
    let seen = all(&alice.with(&bob)).await;
    assert_eq!(texts(&seen), texts(&all(&bob.with(&alice)).await));
    for author in [&alice, &bob] {
        let of: Vec<_> = seen.iter().filter(|m| m.author == author.user.id).collect();
        assert!(of.iter().map(|m| &m.text).eq(&numbers(COUNT)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_closed_in_mid_traffic_goes_on_where_it_was() {
    const COUNT: usize = 120;
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let mut bob = Person::online(&relay.url(), "bob").await;
    let conversation = alice.with(&bob);
    let alice_sends = async {
        for text in numbers(COUNT) {
            conversation.send(text).await.expect("sent");
        }
    };
    let bob_comes_and_goes = async {
        let mut sent = 0;
        for _ in 0..4 {
            let answers = bob.with(&alice);
            for _ in 0..COUNT / 4 {
                answers.send(sent.to_string()).await.expect("sent");
                sent += 1;
            }
            bob.reopen(&relay.url()).await;
            bob.client.connect();
        }
    };
    tokio::join!(alice_sends, bob_comes_and_goes);
    until_delivered(&alice, &bob, COUNT).await;
    until_delivered(&bob, &alice, COUNT).await;
    let seen = all(&alice.with(&bob)).await;
    assert_eq!(texts(&seen), texts(&all(&bob.with(&alice)).await));
    for author in [&alice, &bob] {
        let of: Vec<_> = seen.iter().filter(|m| m.author == author.user.id).collect();
        assert!(of.iter().map(|m| &m.text).eq(&numbers(COUNT)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_has_one_client_at_a_time() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let second = open(&relay.url(), alice.directory.path()).await;
    let second = second.err().expect("locked");
    assert_eq!(second.code(), Code::StoreLocked);
    let store = alice.directory.path().join("store");
    assert!(second.detail().contains(&store.display().to_string()));

    alice.client.suspend().await.expect("suspended");
    assert_eq!(alice.client.me(), Some(alice.user.clone()));
    let other = open(&relay.url(), alice.directory.path()).await;
    let other = other.expect("the lock is free");
    let locked = alice.client.resume().await;
    assert_eq!(
        locked.err().map(|error| error.code()),
        Some(Code::StoreLocked)
    );
    let error = alice.client.conversation(alice.user.id).send("x").await;
    let error = error.expect_err("no store");
    assert_eq!(error.code(), Code::Stopped);
    assert!(error.to_string().contains("suspended"), "{error}");
    other.close().await;
    alice.client.resume().await.expect("resumed");
    alice.until_live().await;
    assert_eq!(alice.client.me(), Some(alice.user.clone()));

    alice.client.close().await;
    let error = alice.client.resume().await;
    assert_eq!(error.err().map(|error| error.code()), Some(Code::Stopped));
    let again = open(&relay.url(), alice.directory.path())
        .await
        .expect("opened");
    assert_eq!(again.me(), Some(alice.user.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_events_end_with_the_client() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let mut events = alice.client.events();
    let mut rows = alice.client.conversations();
    let mut items = alice.client.conversation(alice.user.id).timeline();
    alice.client.close().await;
    within(async {
        while events.next().await.is_some() {}
        while rows.next().await.is_some() {}
        while items.next().await.is_some() {}
    })
    .await;
    let sent = alice.client.conversation(alice.user.id).send("x").await;
    assert_eq!(sent.err().map(|error| error.code()), Some(Code::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_dropped_releases_its_store() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let Person {
        client, directory, ..
    } = alice;
    drop(client);
    // Its tasks end one after the other.
    until(async || open(&relay.url(), directory.path()).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_under_another_name_gets_no_account_and_no_login() {
    let relay = TestRelay::named("other.example").await.expect("relay");
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&relay.url(), directory.path()).await.expect("opened");
    let refused = client.register("alice", None).await.expect_err("refused");
    assert_eq!(refused.code(), Code::OtherRelay);
    assert!(refused.detail().contains("other.example"), "{refused}");
    assert_eq!(client.me(), None);
    client.close().await;

    // The name is not used up, and the store neither.
    let named = Client::builder(relay.url())
        .relay_name("other.example")
        .store(directory.path().join("store"))
        .keys(FileKey::new(directory.path().join("key")))
        .open()
        .await
        .expect("opened");
    named.register("alice", None).await.expect("registered");
    named.close().await;

    let client = open(&relay.url(), directory.path()).await.expect("opened");
    let mut events = client.events();
    client.connect();
    let why = within(async {
        loop {
            let event = events.next().await.expect("an event");
            if let Event::Connection(ConnectionState::Stopped { why }) = event {
                return why;
            }
        }
    })
    .await;
    assert_eq!(why.code(), Code::OtherRelay);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_once() {
    let mut relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let code = |result: Result<_, sordino::Error>| result.err().map(|error| error.code());
    let again = alice.client.register("alice", None).await;
    assert_eq!(code(again), Some(Code::AlreadyRegistered));

    let directory = tempfile::tempdir().expect("a directory");
    let other = open(&relay.url(), directory.path()).await.expect("opened");
    assert_eq!(other.me(), None);
    let unregistered = other.find_user("alice").await;
    assert_eq!(
        unregistered.err().map(|e| e.code()),
        Some(Code::NotRegistered)
    );
    let unsent = other.conversation(alice.user.id).send("x").await;
    assert_eq!(unsent.err().map(|e| e.code()), Some(Code::NotRegistered));
    assert_eq!(
        code(other.register("alice", None).await),
        Some(Code::NameTaken)
    );
    assert_eq!(
        code(other.register("Not a name", None).await),
        Some(Code::BadRequest)
    );
    relay.stop().await;
    assert_eq!(
        code(other.register("bob", None).await),
        Some(Code::Unreachable)
    );
    relay.restart().await.expect("restarted");
    let bob = other.register("bob", None).await.expect("registered");
    assert_eq!(other.me(), Some(bob.clone()));

    let found = other.find_user("alice").await.expect("an answer");
    assert_eq!(found, Some(alice.user.clone()));
    let found = alice.client.find_user("bob").await.expect("an answer");
    assert_eq!(found, Some(bob));
    assert_eq!(other.find_user("carol").await.expect("an answer"), None);
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    for url in ["http://relay.example", "relay.example", ""] {
        let opened = open(url, directory.path()).await;
        assert_eq!(
            opened.err().map(|error| error.code()),
            Some(Code::BadRequest)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_key_opens_nothing() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    alice.client.close().await;
    std::fs::write(alice.directory.path().join("key"), [7; 32]).expect("written");
    let opened = open(&relay.url(), alice.directory.path()).await;
    assert_eq!(
        opened.err().map(|error| error.code()),
        Some(Code::StoreWrongKey)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_not_made_anew_and_nothing_is_changed() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    alice.client.close().await;
    let (key, away) = (
        alice.directory.path().join("key"),
        alice.directory.path().join("away"),
    );
    std::fs::rename(&key, &away).expect("moved");
    for _ in 0..2 {
        let opened = open(&relay.url(), alice.directory.path()).await;
        let error = opened.err().expect("refused");
        assert_eq!(error.code(), Code::StoreKeyLost);
        assert!(error.detail().contains("key"), "{error}");
        assert!(!key.exists());
    }
    std::fs::rename(&away, &key).expect("moved");
    let opened = open(&relay.url(), alice.directory.path()).await;
    assert_eq!(opened.expect("opened").me(), Some(alice.user));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_copied_back_heals() {
    let relay = TestRelay::start().await.expect("relay");
    let mut alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let mut heard = bob.client.events();
    alice.with(&bob).send("before").await.expect("sent");
    assert_eq!(received(&mut heard).await.text, "before");
    until_delivered(&alice, &bob, 1).await;

    alice.client.close().await;
    let (store, copy) = (alice.directory.path().join("store"), tempfile::tempdir());
    let copy = copy.expect("a directory");
    copy_files(&store, copy.path());
    alice.reopen(&relay.url()).await;
    alice.client.connect();
    for text in ["one", "two"] {
        alice.with(&bob).send(text).await.expect("sent");
        assert_eq!(received(&mut heard).await.text, text);
    }
    until_delivered(&alice, &bob, 3).await;

    alice.client.close().await;
    std::fs::remove_dir_all(&store).expect("removed");
    std::fs::create_dir(&store).expect("made");
    copy_files(copy.path(), &store);
    alice.reopen(&relay.url()).await;
    alice.with(&bob).send("after").await.expect("sent");
    let mut told = alice.client.events();
    alice.client.connect();
    assert_eq!(received(&mut heard).await.text, "after");
    within(async { while told.next().await != Some(Event::RolledBack) {} }).await;
    bob.with(&alice).send("welcome back").await.expect("sent");
    assert_eq!(received(&mut told).await.text, "welcome back");
    let seen = all(&bob.with(&alice)).await;
    assert_eq!(
        texts(&seen),
        ["before", "one", "two", "after", "welcome back"]
    );
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("read") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}
