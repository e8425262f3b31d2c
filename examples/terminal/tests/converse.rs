//! Two people, each in a terminal of their own, talk over a relay.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod pty;

use std::process::Command;

use pty::Pty;
use sordino_testing::TestRelay;
use tempfile::TempDir;

/// A window with an empty store.
fn open(relay: &TestRelay, args: &[&str]) -> (Pty, TempDir) {
    let store = TempDir::new().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sordino-terminal"));
    command.args(["--relay", &relay.url()]).args(args);
    let pty = Pty::run(command.arg("--store").arg(store.path()));
    (pty, store)
}

fn start(relay: &TestRelay, name: &str) -> (Pty, TempDir) {
    let (mut pty, store) = open(relay, &["--name", name]);
    // It asks for the password twice, and shows the recovery key.
    pty.wait_for("password");
    pty.press("four-random-words\r");
    pty.wait_for("once");
    pty.press("four-random-words\r");
    pty.wait_for("recovery");
    pty.press("\u{1b}");
    pty.wait_for("live");
    (pty, store)
}

// Only single words are waited for: between words, a terminal's cursor jumps instead of drawing the space that is there.
#[tokio::test(flavor = "multi_thread")]
async fn they_talk_and_the_outage_of_the_relay_loses_nothing() {
    let mut relay = TestRelay::start().await.expect("a relay");
    let (mut alice, _alice) = start(&relay, "alice");
    let (mut bob, _bob) = start(&relay, "bob");

    alice.press("/bob\r");
    alice.wait_for("Message");
    alice.press("Hello-from-alice\r");
    bob.wait_for("Hello-from-alice");
    bob.press("\r");
    bob.press("Hello-from-bob\r");
    alice.wait_for("Hello-from-bob");
    alice.wait_for("✓✓");

    relay.stop().await;
    alice.wait_for("try");
    alice.press("Into-the-outage\r");
    alice.wait_for("◷");
    relay.restart().await.expect("a relay");
    bob.wait_for("Into-the-outage");

    for person in [&mut alice, &mut bob] {
        person.press("\u{3}");
        assert!(person.wait_for_clean_end().success());
    }
}

/// Nine groups of four.
fn recovery_key(shown: &str) -> &str {
    const LENGTH: usize = 9 * 4 + 8;
    let is_key = |at: &usize| {
        shown.get(*at..at + LENGTH).is_some_and(|text| {
            let groups: Vec<_> = text.split('-').collect();
            let is_group = |group: &&str| {
                group.len() == 4 && group.bytes().all(|byte| byte.is_ascii_alphanumeric())
            };
            groups.len() == 9 && groups.iter().all(is_group)
        })
    };
    let at = (0..shown.len()).find(is_key).expect("a recovery key");
    &shown[at..at + LENGTH]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_device_joins_and_shows_what_comes() {
    let relay = TestRelay::start().await.expect("a relay");
    let (mut alice, _alice) = start(&relay, "alice");
    let (mut bob, _bob) = start(&relay, "bob");
    let key = recovery_key(alice.shown()).to_owned();

    let (mut tablet, _tablet) = open(&relay, &[]);
    tablet.wait_for("Choose");
    tablet.press("alice\t\r");
    tablet.wait_for("password");
    tablet.press("four-other-words\r");
    tablet.wait_for("wrong.");
    tablet.press("\r");
    tablet.press("four-random-words\r");
    tablet.wait_for("groups");
    tablet.press(&format!("{}\r", key.to_lowercase()));
    tablet.wait_for("live");

    bob.press("/alice\r");
    bob.wait_for("Message");
    bob.press("To-both-of-them\r");
    alice.wait_for("To-both-of-them");
    tablet.wait_for("To-both-of-them");
    tablet.press("\r");
    tablet.press("7777-88888-99999\r");
    bob.wait_for("7777-88888-99999");
    alice.wait_for("7777-88888-99999");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_named_and_nothing_is_made() {
    let relay = TestRelay::start().await.expect("relay");
    let (mut pty, _store) = open(&relay, &["--name", "alice", "--email", "alice"]);
    pty.wait_for("password");
    pty.press("four-random-words\r");
    pty.wait_for("once");
    pty.press("four-random-words\r");
    pty.wait_for("(--email)");
    pty.press("\u{3}");
    assert!(pty.wait_for_clean_end().success());
    // The name is free.
    start(&relay, "alice");
}
