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

fn start(relay: &TestRelay, name: &str) -> (Pty, TempDir) {
    let store = TempDir::new().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sordino-terminal"));
    command.args(["--relay", &relay.url(), "--name", name]);
    let mut pty = Pty::run(command.arg("--store").arg(store.path()));
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
