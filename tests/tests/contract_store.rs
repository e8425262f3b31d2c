//! A client's store that is damaged, locked, opened with another key, or an old state of itself: a clear code or a healed
//! store, and nothing lost that the relay holds.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod contract_support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use contract_support::{Person, content, open, until, until_told};
use sordino::{Code, Event, TimelineItem};
use sordino_tests::contract::process::{ClientPlace, Process, RelayPlace, free_port};
use tempfile::TempDir;

const FILE: &str = "sordino.db";

struct World {
    dir: TempDir,
    url: String,
    _relay: Process,
}

impl World {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_contract_relay"));
        let port = free_port(&mut rand::rng()).unwrap();
        let place = RelayPlace::new(program, dir.path(), port);
        Self {
            url: place.url(),
            _relay: place.start().unwrap(),
            dir,
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    async fn person(&self, name: &str) -> Person {
        Person::online(&self.url, &self.place(name), name).await
    }

    /// Opens this person's store again, offline.
    async fn reopen(&self, person: &mut Person) {
        person.client.close().await;
        let place = self.place(&person.user.username);
        person.client = open(&self.url, &place).await.unwrap();
    }

    async fn refused(&self, person: &Person) -> Option<Code> {
        let opened = open(&self.url, &self.place(&person.user.username)).await;
        opened.err().map(|error| error.code())
    }

    fn store(&self, person: &Person) -> PathBuf {
        self.place(&person.user.username).join("store")
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_locked_as_long_as_another_process_lives() {
    let world = World::start();
    let place = ClientPlace {
        program: env!("CARGO_BIN_EXE_contract_client").into(),
        url: world.url.clone(),
        authority: None,
        name: "alice".into(),
        peers: Vec::new(),
        messages: 0,
        pace: 1,
        dir: world.place("alice"),
    };
    let process = place.start().unwrap();
    // Its notes begin when the store is open and the account made.
    let began = || fs::read_to_string(place.notes()).is_ok_and(|notes| notes.contains("began"));
    until(async || began().then_some(())).await;
    let second = open(&world.url, &place.dir).await;
    assert_eq!(second.err().map(|e| e.code()), Some(Code::StoreLocked));
    process.kill().unwrap();
    let freed = open(&world.url, &place.dir).await.unwrap();
    assert_eq!(freed.me().unwrap().username, "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_or_a_wrong_key_is_named_and_changes_nothing() {
    let world = World::start();
    let mut alice = world.person("alice").await;
    let bob = world.person("bob").await;
    bob.send(&alice, &["one", "two"]).await;
    alice.send(&bob, &["three"]).await;
    alice.until_heard(&bob, &["one", "two"]).await;
    alice.until_delivered(&bob, 1).await;
    alice.client.close().await;
    bob.send(&alice, &["four"]).await;

    let store = world.store(&alice);
    let file = store.join(FILE);
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let code = world.refused(&alice).await;
        assert_eq!(code, Some(Code::StoreDamaged), "cut to {length}");
        assert_eq!(fs::read(&file).unwrap(), whole[..length]);
    }
    for at in [0, 5000, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&file, &flipped).unwrap();
        let code = world.refused(&alice).await;
        assert_eq!(code, Some(Code::StoreDamaged), "flipped at {at}");
        assert!(fs::read(&file).unwrap() == flipped, "written to at {at}");
    }
    fs::write(&file, &whole).unwrap();
    let key = world.place("alice").join("key");
    let right = fs::read(&key).unwrap();
    fs::write(&key, [7; 32]).unwrap();
    assert_eq!(world.refused(&alice).await, Some(Code::StoreWrongKey));
    fs::write(&key, right).unwrap();

    world.reopen(&mut alice).await;
    alice.client.connect();
    alice.until_heard(&bob, &["one", "two", "four"]).await;
    let (seen, of_bob) = (alice.messages(&bob).await, bob.messages(&alice).await);
    assert_eq!(content(&seen), content(&of_bob));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_state_of_the_store_gets_back_what_came_since() {
    let world = World::start();
    let mut alice = world.person("alice").await;
    let (bob, carol) = (world.person("bob").await, world.person("carol").await);
    bob.send(&alice, &["one"]).await;
    alice.until_heard(&bob, &["one"]).await;
    alice.send(&bob, &["two"]).await;
    alice.until_delivered(&bob, 1).await;

    alice.client.close().await;
    let (store, old) = (world.store(&alice), world.dir.path().join("old"));
    copy(&store, &old);
    world.reopen(&mut alice).await;
    alice.client.connect();
    bob.send(&alice, &["three", "four"]).await;
    alice.until_heard(&bob, &["one", "three", "four"]).await;
    // A conversation that the old state knows nothing of.
    carol.send(&alice, &["hello"]).await;
    alice.until_heard(&carol, &["hello"]).await;
    // The answer is encrypted for a key that only the lost state has.
    alice.send(&bob, &["lost question"]).await;
    bob.until_heard(&alice, &["two", "lost question"]).await;
    bob.send(&alice, &["lost answer"]).await;
    let heard = ["one", "three", "four", "lost answer"];
    alice.until_heard(&bob, &heard).await;

    alice.client.close().await;
    copy(&old, &store);
    world.reopen(&mut alice).await;
    assert_eq!(alice.texts(&bob).await, ["one", "two"]);
    let mut events = alice.client.events();
    alice.client.connect();
    until_told(&mut events, Event::RolledBack).await;
    // The lost answer as well: bob's device is asked for its key.
    alice.until_heard(&bob, &heard).await;
    alice.until_heard(&carol, &["hello"]).await;
    alice.send(&bob, &["five"]).await;
    bob.until_heard(&alice, &["two", "lost question", "five"])
        .await;
    bob.send(&alice, &["six"]).await;
    alice
        .until_heard(&bob, &["one", "three", "four", "lost answer", "six"])
        .await;
    announced(&alice, &bob, 2).await;
}

/// Everything that `bob` is shown is shown to `alice` in its place, but for so many messages in whose place stands that
/// they cannot be.
async fn announced(alice: &Person, bob: &Person, at_most: usize) {
    let items = alice.with(bob).history(None, 5000).await.unwrap();
    let mut unreadable = 0;
    for message in bob.messages(alice).await {
        let place = message.at.place;
        let item = items.iter().find(|item| item.at().place == place);
        match item.unwrap_or_else(|| panic!("{place} is missing")) {
            TimelineItem::Message(shown) => {
                assert_eq!((shown.id, &shown.text), (message.id, &message.text))
            }
            TimelineItem::Undecryptable { .. } => unreadable += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(unreadable <= at_most, "{unreadable} are unreadable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_a_crash_spoilt_costs_nothing_that_the_relay_holds() {
    let world = World::start();
    let mut alice = world.person("alice").await;
    let bob = world.person("bob").await;
    alice.send(&bob, &["hello"]).await;
    bob.send(&alice, &["start"]).await;
    alice.until_delivered(&bob, 1).await;
    alice.until_heard(&bob, &["start"]).await;
    // Now the file holds what there is, and the log what follows.
    world.reopen(&mut alice).await;
    alice.client.connect();
    let mut of_bob = vec!["start".to_owned()];
    let mut of_alice = vec!["hello".to_owned()];
    for n in 0..5 {
        for (from, to, said) in [(&alice, &bob, &mut of_alice), (&bob, &alice, &mut of_bob)] {
            said.push(format!("{n} of {}", from.user.username));
            from.send(to, &[said.last().unwrap()]).await;
            to.until_heard(from, &strs(said)).await;
        }
    }
    // What a kill leaves: the files of a client that was not closed.
    let (store, crashed) = (world.store(&alice), world.dir.path().join("crashed"));
    copy(&store, &crashed);
    alice.client.close().await;
    let log = format!("{FILE}-wal");
    let whole = fs::read(crashed.join(&log)).unwrap();
    assert!(whole.len() > 10 * 4096, "it holds something");

    let cut = |length: usize| whole[..length].to_vec();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let len = whole.len();
    // All that was said after the file was written.
    let mut lost = 10;
    let spoilt = [
        cut(0),
        cut(len / 3),
        cut(len - 1),
        flipped(100),
        flipped(len / 2),
    ];
    for (n, bytes) in spoilt.into_iter().enumerate() {
        alice.client.close().await;
        copy(&crashed, &store);
        fs::write(store.join(&log), bytes).unwrap();
        world.reopen(&mut alice).await;
        alice.client.connect();
        for (from, to, said) in [(&alice, &bob, &mut of_alice), (&bob, &alice, &mut of_bob)] {
            said.push(format!("{n} after, of {}", from.user.username));
            from.send(to, &[said.last().unwrap()]).await;
            until_last(to, from, said.last().unwrap()).await;
        }
        announced(&alice, &bob, lost).await;
        // What was said since is in none of the other crashes.
        lost += 2;
    }
}

/// Until the last message of `from` that `to` is shown is this one.
async fn until_last(to: &Person, from: &Person, text: &str) {
    until(async || {
        let messages = to.messages(from).await;
        let last = messages.iter().rfind(|message| !message.mine)?;
        (last.text == text).then_some(())
    })
    .await;
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
