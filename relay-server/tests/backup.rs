//! Backups of a relay that runs or does not, and what is made of them.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod data_support;
#[path = "../src/user/fixtures.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod fixtures;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use data_support::{content, conversation, record, run};
use proptest::prelude::*;
use sordino_relay::{
    backup::{self, BackupError, Counts, Progress},
    relay::{Config, start},
    user::{Credentials, Users, sqlite::SqliteUsers},
};
// What the fixtures expect of their parent.
use sordino_relay::user::{Prekey, PrekeyKind, verify};

fn quiet() -> Progress {
    Box::new(|_, _| {})
}

async fn backed_up(data: &Path, to: &Path) -> Counts {
    backup::backup(data, to, quiet())
        .await
        .expect("backed up")
        .1
}

/// The users of a relay that has ended.
async fn users_of(data: &Path) -> SqliteUsers {
    let users = SqliteUsers::open(&data.join("users.sqlite")).await;
    users.expect("opened")
}

/// A data directory with some rows, users' tables and a token key, of a relay that has ended.
async fn filled(dir: &Path, rows: u64) -> PathBuf {
    let data = dir.join("data");
    start(Config::new(&data))
        .await
        .expect("started")
        .shutdown()
        .await;
    let (running, _) = run(&data.join("messages")).await;
    for n in 1..=rows {
        running
            .log
            .append(record(1, 2, 1, n))
            .await
            .expect("accepted");
    }
    let (history, device) = (&running.history, data_support::device(2));
    let acked = history.acknowledge(data_support::user(2), device, conversation(1, 2), rows / 2);
    acked.await.expect("acknowledged");
    running.handle.shutdown().await.expect("closed");
    data
}

/// Reads all rows, and sees that the conversation goes on. Returns how many there were.
async fn goes_on(data: &Path) -> u64 {
    let (running, _) = run(&data.join("messages")).await;
    let all = running
        .history
        .rows(conversation(1, 2), 1, u64::MAX, usize::MAX, usize::MAX);
    let rows = all.await.expect("read").rows;
    for (row, n) in rows.iter().zip(1..) {
        assert_eq!(
            (row.seq, row.content.as_deref()),
            (n, Some(&*content(1, 2, 1, n)))
        );
        assert!(row.wraps.is_some());
    }
    let last = rows.len() as u64;
    running
        .log
        .append(record(1, 2, 1, last + 1))
        .await
        .expect("goes on");
    running.handle.shutdown().await.expect("closed");
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_relay_comes_back_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = filled(dir.path(), 40).await;
    // Somebody waits for another identity of theirs, and may be refused after the backup.
    let (users, alice) = (users_of(&data).await, fixtures::Person::new(1));
    let list = alice.list(None, &[1]);
    let created = users.create("alice", &list, &Credentials::NONE).await;
    created.expect("created");
    assert_eq!(users.ask_reset(alice.user, 9, 0).await, Ok(9));
    users.close().await;
    let (file, counts) = backup::backup(&data, dir.path(), quiet())
        .await
        .expect("backed up");
    assert_eq!((counts.rows, counts.conversations), (40, 1));
    assert!(counts.token_key && counts.password_key);
    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let back = dir.path().join("back");
    let restored = backup::restore(&file, &back, quiet())
        .await
        .expect("restored");
    assert_eq!(restored, counts);
    for name in ["token.key", "password.key"] {
        let key = |data: &Path| fs::read(data.join(name)).expect("a key");
        assert_eq!(key(&data), key(&back), "{name}");
        let file = fs::metadata(back.join(name)).expect("there");
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(users_of(&back).await.reset(alice.user).await, Ok(None));
    assert_eq!(goes_on(&back).await, 40);
    let (running, _) = run(&back.join("messages")).await;
    let marks = running
        .history
        .marks(data_support::user(2), data_support::device(2), None, 9);
    assert_eq!(marks.await.expect("read")[0].own_acked, 20);
    running.handle.shutdown().await.expect("closed");
    // It keeps the store open.
    drop(running.history);
    start(Config::new(&back))
        .await
        .expect("started")
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = filled(dir.path(), 3).await;
    let file = dir.path().join("file");
    backed_up(&data, &file).await;
    let again = backup::backup(&data, &file, quiet()).await;
    assert!(matches!(again, Err(BackupError::Occupied(_))));
    for occupied in [&data, &file] {
        let refused = backup::restore(&file, occupied, quiet()).await;
        assert!(
            matches!(refused, Err(BackupError::Occupied(_))),
            "{refused:?}"
        );
    }
    assert_eq!(goes_on(&data).await, 3);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).expect("made");
    backup::restore(&file, &empty.join(""), quiet())
        .await
        .expect("restored");
    assert_eq!(goes_on(&empty).await, 3);
    let nothing = backup::backup(&dir.path().join("none"), &dir.path().join("f"), quiet()).await;
    assert!(matches!(nothing, Err(BackupError::Absent(_))));
    assert!(!dir.path().join("none").exists());
}

#[test]
fn a_damaged_backup_leaves_nothing_behind() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let [good, bad, back] = ["good", "bad", "back"].map(|name| dir.path().join(name));
    runtime.block_on(async {
        let data = filled(dir.path(), 20).await;
        backed_up(&data, &good).await;
    });
    let bytes = fs::read(&good).expect("read");
    let refused = |bytes: &[u8]| {
        fs::write(&bad, bytes).expect("written");
        let restored = runtime.block_on(backup::restore(&bad, &back, quiet()));
        assert!(restored.is_err());
        let left: Vec<_> = fs::read_dir(dir.path()).expect("read").collect();
        assert_eq!(left.len(), 3, "{left:?}");
        restored.expect_err("damaged")
    };
    let cases = ProptestConfig::with_cases(48);
    proptest!(cases, |(at in any::<prop::sample::Index>(), bit in 0u8..8)| {
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        refused(&flipped);
        refused(&bytes[..at.index(bytes.len())]);
    });
    let mut older = bytes.clone();
    older[17] = 0;
    let error = refused(&older);
    assert!(
        matches!(error, BackupError::Version { found: 0 }),
        "{error}"
    );
}

#[test]
fn a_restore_that_is_killed_is_begun_again() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let (file, back) = (dir.path().join("file"), dir.path().join("back"));
    runtime.block_on(async {
        let data = filled(dir.path(), 300).await;
        backed_up(&data, &file).await;
    });
    let restore = || {
        Command::new(env!("CARGO_BIN_EXE_sordino-relay"))
            .args(["restore", "--from"])
            .arg(&file)
            .arg("--data")
            .arg(&back)
            .stdout(Stdio::null())
            .spawn()
            .expect("runs")
    };
    let making = dir.path().join("back.restoring");
    // At a moment that is later each time; the directory is there as a whole, or not at all.
    for ms in 0.. {
        let mut running = restore();
        while !making.exists() && running.try_wait().expect("waited").is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(ms * 5));
        running.kill().expect("killed");
        running.wait().expect("ended");
        if back.exists() {
            break;
        }
    }
    assert!(!making.exists());
    assert_eq!(runtime.block_on(goes_on(&back)), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_ends_ends_the_backup_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let relay = start(Config::new(&data)).await.expect("started");
    // Whoever connects and reads nothing must not hold up the relay's end.
    let _silent = std::os::unix::net::UnixStream::connect(data.join("backup.sock"));
    relay.shutdown().await;
    assert!(!data.join("backup.sock").exists());
    start(Config::new(&data))
        .await
        .expect("started")
        .shutdown()
        .await;
}
