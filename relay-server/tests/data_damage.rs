//! A store that is locked, of another version, or damaged: a clear error or a healed store, never a panic.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod data_support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_support::*;
use futures_util::future::join_all;
use sordino_relay::{
    delivery::embedded::start,
    history::embedded::{Store, StoreError},
};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
    // Directories without files count too.
    for entry in fs::read_dir(from).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            fs::create_dir_all(to.join(entry.file_name().unwrap())).unwrap();
        }
    }
}

async fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = run(dir.path()).await;
    let appends: Vec<_> = (1..=30)
        .map(|n| running.log.append(record(1, 2, 1, n)))
        .collect();
    assert!(join_all(appends).await.iter().all(Result::is_ok));
    running.handle.shutdown().await.unwrap();
    dir
}

/// Opens a damaged copy. If it opens, what is left must be the beginning of what was there, and it must go on from it.
async fn opens_clearly_or_healed(dir: &Path, what: &str) -> bool {
    let running = match start(options(dir), std::sync::Arc::new(Recorder::default())).await {
        Ok(running) => running,
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("restore it from a backup"), "{what}: {text}");
            assert!(text.contains("docs/recovery.md"), "{what}: {text}");
            return false;
        }
    };
    let c = conversation(1, 2);
    let rows = running
        .history
        .rows(c, 1, u64::MAX, usize::MAX, usize::MAX)
        .await;
    if let Ok(page) = rows {
        for (row, n) in page.rows.iter().zip(1..) {
            assert_eq!(row.seq, n, "{what}");
            assert_eq!(
                row.content.as_deref().unwrap(),
                content(1, 2, 1, n),
                "{what}"
            );
        }
        assert_eq!(page.rows.len() as u64, page.last_seq, "{what}");
        let next = page.last_seq + 1;
        running.log.append(record(1, 2, 1, next)).await.unwrap();
    }
    running.handle.shutdown().await.unwrap();
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_files_are_an_error_or_healed() {
    let whole = filled().await;
    let (mut opened, mut refused) = (0, 0);
    for file in files(whole.path()) {
        let name = file.strip_prefix(whole.path()).unwrap();
        let len = fs::metadata(&file).unwrap().len();
        if len == 0 {
            continue;
        }
        for keep in [0, len / 2, len - 1] {
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            let damaged = fs::OpenOptions::new()
                .write(true)
                .open(dir.path().join(name))
                .unwrap();
            damaged.set_len(keep).unwrap();
            drop(damaged);
            let what = format!("{} cut to {keep} of {len}", name.display());
            if opens_clearly_or_healed(dir.path(), &what).await {
                opened += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(opened + refused >= 9, "{opened} opened, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_an_error_or_healed() {
    let whole = filled().await;
    for file in files(whole.path()) {
        let name = file.strip_prefix(whole.path()).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        // The journal is longer than what is written in it.
        let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        for at in [used / 3, used.saturating_sub(9)] {
            let Some(byte) = bytes.get_mut(at) else {
                continue;
            };
            *byte ^= 0x10;
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            fs::write(dir.path().join(name), &bytes).unwrap();
            bytes[at] ^= 0x10;
            let what = format!("{} flipped at {at} of {used}", name.display());
            opens_clearly_or_healed(dir.path(), &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = run(dir.path()).await;
    let second = Store::open(options(dir.path()).store);
    assert!(matches!(second, Err(StoreError::Locked(_))));
    drop(second);
    running.log.append(record(1, 2, 1, 1)).await.unwrap();
    running.handle.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_format_is_refused_and_left_as_it_is() {
    let dir = filled().await;
    let path = options(dir.path()).store.path;
    let set = |format: u64| {
        let db = fjall::Database::builder(&path).open().unwrap();
        let meta = db.keyspace("meta", Default::default).unwrap();
        let was = meta.get("format").unwrap().unwrap();
        meta.insert("format", format.to_be_bytes()).unwrap();
        db.persist(fjall::PersistMode::SyncAll).unwrap();
        u64::from_be_bytes(was[..].try_into().unwrap())
    };
    let own = set(1);
    for other in [1, own + 1] {
        set(other);
        let refused = Store::open(options(dir.path()).store).err().unwrap();
        assert!(matches!(refused, StoreError::Format(_, format) if format == other));
    }
    assert_eq!(set(own), own + 1);
    let (running, _) = run(dir.path()).await;
    let rows = running.history.rows(conversation(1, 2), 1, 99, 99, 99_999);
    assert_eq!(rows.await.unwrap().rows.len(), 30);
    running.handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_epoch_rises_with_every_start() {
    let dir = tempfile::tempdir().unwrap();
    for start in 1..=3 {
        let store = Store::open(options(dir.path()).store).unwrap();
        assert_eq!(store.epoch(), start);
    }
}
