//! `kill -9` while a store is being made for the first time: the next start makes it. The child is this test binary itself.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use sordino_relay::history::embedded::{Store, StoreOptions};

const DIR: &str = "SORDINO_TEST_BIRTH_DIR";
/// What the engine makes, in this order. It is killed as soon as it has made so much.
const STEPS: [&str; 8] = [
    "",
    "lock",
    "keyspaces",
    "0.jnl",
    "version",
    "keyspaces/0",
    "keyspaces/1",
    "keyspaces/4",
];
const TIMES: usize = 3;

/// Not a test of its own: what the child process runs.
#[test]
fn child() {
    if let Some(dir) = std::env::var_os(DIR) {
        let path = Path::new(&dir).join("messages");
        drop(Store::open(StoreOptions::new(path)).unwrap());
    }
}

#[test]
fn a_store_whose_making_was_killed_is_made_at_the_next_start() {
    for step in STEPS.repeat(TIMES) {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let made = |place: &str| dir.path().join(place).join(step).exists();
        while !made("messages.new") && !made("messages") && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let made = Store::open(StoreOptions::new(dir.path().join("messages")));
        let store = made.unwrap_or_else(|error| panic!("killed at «{step}»: {error}"));
        assert!(store.epoch() <= 2);
        drop(store);
        let left = fs::read_dir(dir.path()).unwrap();
        assert_eq!(left.count(), 1, "nothing is left beside it");
    }
}
