//! The embedded data path: telling, erasing, restarting, and a disk that is full or fails.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod data_support;

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use data_support::*;
use futures_util::future::join_all;
use sordino_relay::{
    broker::AppendError,
    delivery::embedded::{Running, start},
    history::{History, HistoryError, StoredRow},
    session::Event,
};

const ALL: usize = usize::MAX;

async fn all_rows(history: &dyn History, a: u8, b: u8) -> Vec<StoredRow> {
    let page = history
        .rows(conversation(a, b), 1, u64::MAX, ALL, ALL)
        .await
        .unwrap();
    assert!(page.rows.iter().map(|r| r.seq).eq(1..=page.last_seq));
    page.rows
}

#[tokio::test]
async fn both_people_are_told_in_order_and_duplicates_nudge() {
    let dir = tempfile::tempdir().unwrap();
    let (running, sessions) = run(dir.path()).await;
    *sessions.failures.lock().unwrap() = 2;
    let log = &running.log;
    let appends = [1, 2, 4, 2, 3].map(|n| log.append(record(1, 2, 1, n)));
    let gap = Err(AppendError::Gap);
    assert_eq!(
        join_all(appends).await,
        [Ok(()), Ok(()), gap, Ok(()), Ok(())]
    );
    log.append(record(3, 3, 3, 1)).await.unwrap();
    // Shutdown gives up what fails: not before the repetition has succeeded.
    sessions.wait_for(5).await;
    running.handle.shutdown().await.unwrap();
    let told = sessions.told.lock().unwrap();
    let seen: Vec<_> = told
        .iter()
        .map(|(users, event)| match event {
            Event::Row {
                conversation: c,
                row,
            } => (users.clone(), *c, 'r', row.seq),
            Event::Nudge {
                conversation: c,
                last_seq,
            } => (users.clone(), *c, 'n', *last_seq),
            other => panic!("{other:?}"),
        })
        .collect();
    let both = vec![user(1), user(2)];
    let c = conversation(1, 2);
    // The nudge's seq depends on which records came in one group.
    assert!(seen[2].2 == 'n' && (2..=3).contains(&seen[2].3));
    assert_eq!(seen[0], (both.clone(), c, 'r', 1));
    assert_eq!(seen[1], (both.clone(), c, 'r', 2));
    assert_eq!(seen[3], (both, c, 'r', 3));
    assert_eq!(seen[4], (vec![user(3)], conversation(3, 3), 'r', 1));
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn erase_empties_the_senders_own_rows_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = run(dir.path()).await;
    let log = &running.log;
    log.append(record(1, 2, 1, 1)).await.unwrap();
    log.append(record(2, 1, 2, 1)).await.unwrap();
    // In one group: a row (3), its erasure from another device of the same user (4), which also names the peer's row, itself, and
    // what does not exist yet.
    let group = [
        log.append(record(1, 2, 1, 2)),
        log.append(erase(1, 2, 8, 1, vec![1, 2, 3, 4, 5, 99])),
        log.append(record(1, 2, 1, 3)),
    ];
    assert_eq!(join_all(group).await, [Ok(()); 3]);
    let check = |rows: Vec<StoredRow>| {
        let kept: Vec<_> = rows.iter().map(|r| r.content.is_some()).collect();
        assert_eq!(kept, [false, true, false, true, true]);
        let wraps: Vec<_> = rows.iter().map(|r| r.wraps.is_some()).collect();
        assert_eq!(wraps, kept);
        let first = record(1, 2, 1, 1);
        assert_eq!(rows[0].header, first.header_bytes);
        assert_eq!(rows[0].content_hash, first.content_hash);
    };
    check(all_rows(&*running.history, 1, 2).await);
    running.handle.shutdown().await.unwrap();
    drop((running.log, running.history));
    let (running, _) = run(dir.path()).await;
    check(all_rows(&*running.history, 1, 2).await);
    // A resend of the erased counter does not bring it back.
    running.log.append(record(1, 2, 1, 1)).await.unwrap();
    check(all_rows(&*running.history, 1, 2).await);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let (running, _) = run(dir.path()).await;
        let first = round * 10 + 1;
        // Offsets begin again: the first counters of this round stand at offsets that earlier rounds have passed.
        let appends: Vec<_> = (first.max(2) - 1..first + 10)
            .map(|n| running.log.append(record(1, 2, 1, n)))
            .collect();
        assert!(join_all(appends).await.iter().all(Result::is_ok));
        assert_eq!(
            running.log.append(record(1, 2, 1, first + 11)).await,
            Err(AppendError::Gap)
        );
        let rows = all_rows(&*running.history, 1, 2).await;
        assert_eq!(rows.len() as u64, first + 9);
        for (row, n) in rows.iter().zip(1..) {
            assert_eq!(row.content.as_deref().unwrap(), content(1, 2, 1, n));
        }
        running.handle.shutdown().await.unwrap();
        assert_eq!(
            running.log.append(record(1, 2, 1, first + 10)).await,
            Err(AppendError::Busy)
        );
    }
}

#[tokio::test]
async fn shutdown_answers_everything_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (running, sessions) = run(dir.path()).await;
    let appends: Vec<_> = (1..=500)
        .map(|n| running.log.append(record(1, 2, 1, n)))
        .collect();
    running.handle.shutdown().await.unwrap();
    assert!(join_all(appends).await.iter().all(Result::is_ok));
    assert_eq!(sessions.told.lock().unwrap().len(), 500);
    assert_eq!(all_rows(&*running.history, 1, 2).await.len(), 500);
}

#[tokio::test]
async fn a_full_disk_refuses_new_messages_and_keeps_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let mut options = options(dir.path());
    let probe = Arc::clone(&left);
    options.store.machine.available = Arc::new(move |_| Ok(probe.load(Ordering::SeqCst)));
    let Running {
        log,
        history,
        handle,
    } = start(options, Arc::new(Recorder::default())).await.unwrap();
    log.append(record(1, 2, 1, 1)).await.unwrap();
    left.store(1024 * 1024 - 1, Ordering::SeqCst);
    let refused = [2, 3].map(|n| log.append(record(1, 2, 1, n)));
    assert_eq!(join_all(refused).await, [Err(AppendError::StorageFull); 2]);
    assert!(matches!(history.healthy().await, Err(HistoryError::Full)));
    assert_eq!(all_rows(&*history, 1, 2).await.len(), 1);
    let ack = || history.acknowledge(user(2), device(2), conversation(1, 2), 1);
    left.store(1, Ordering::SeqCst);
    assert!(matches!(ack().await, Err(HistoryError::Full)));
    left.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(ack().await.unwrap(), Some((1, user(1))));
    history.healthy().await.unwrap();
    let retried = [2, 3].map(|n| log.append(record(1, 2, 1, n)));
    assert_eq!(join_all(retried).await, [Ok(()); 2]);
    assert_eq!(all_rows(&*history, 1, 2).await.len(), 3);
    handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_delivery_thread_that_panics_is_fatal_and_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (died, heard) = std::sync::mpsc::channel();
    let mut options = options(dir.path());
    options.store.machine.before_sync = Arc::new(|| panic!("a fault, as the test wants it"));
    options.store.machine.fatal = Arc::new(move |why| died.send(why.to_owned()).unwrap());
    let sessions = Arc::new(Recorder::default());
    let running = start(options, sessions).await.unwrap();
    let append = running.log.append(record(1, 2, 1, 1));
    assert_eq!(append.await, Err(AppendError::Unknown));
    let why = tokio::task::spawn_blocking(move || heard.recv()).await;
    assert!(why.unwrap().unwrap().contains("panicked"));
    assert_eq!(
        running.log.append(record(1, 2, 1, 1)).await,
        Err(AppendError::Busy)
    );
}

#[tokio::test]
async fn a_failed_sync_is_unknown_drops_the_states_and_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let fail = Arc::new(AtomicBool::new(false));
    let fatal = Arc::new(Mutex::new(Vec::new()));
    let mut options = options(dir.path());
    let (failing, heard) = (Arc::clone(&fail), Arc::clone(&fatal));
    options.store.machine.before_sync = Arc::new(move || {
        let fails = failing.load(Ordering::SeqCst);
        if fails {
            Err(io::Error::other("the disk is on fire"))
        } else {
            Ok(())
        }
    });
    options.store.machine.fatal = Arc::new(move |why| heard.lock().unwrap().push(why.to_owned()));
    let Running {
        log,
        history,
        handle,
    } = start(options, Arc::new(Recorder::default())).await.unwrap();
    log.append(record(1, 2, 1, 1)).await.unwrap();
    fail.store(true, Ordering::SeqCst);
    assert_eq!(
        log.append(record(1, 2, 1, 2)).await,
        Err(AppendError::Unknown)
    );
    assert!(fatal.lock().unwrap()[0].contains("on fire"));
    // The process would have ended. As it has not, what the store says counts, not what was meant to be written.
    fail.store(false, Ordering::SeqCst);
    assert_eq!(log.append(record(1, 2, 1, 3)).await, Err(AppendError::Gap));
    assert_eq!(log.append(record(1, 2, 1, 2)).await, Ok(()));
    assert_eq!(all_rows(&*history, 1, 2).await.len(), 2);
    handle.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_disk_that_fills_during_a_commit_is_full_until_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fail = Arc::new(AtomicBool::new(false));
    let fatal = Arc::new(AtomicU64::new(0));
    let mut options = options(dir.path());
    let (failing, heard) = (Arc::clone(&fail), Arc::clone(&fatal));
    options.store.machine.before_sync = Arc::new(move || {
        let fails = failing.load(Ordering::SeqCst);
        if fails {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    });
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let probe = Arc::clone(&left);
    options.store.machine.available = Arc::new(move |_| Ok(probe.load(Ordering::SeqCst)));
    options.store.machine.fatal = Arc::new(move |_| {
        heard.fetch_add(1, Ordering::SeqCst);
    });
    let Running {
        log,
        history,
        handle,
    } = start(options, Arc::new(Recorder::default())).await.unwrap();
    log.append(record(1, 2, 1, 1)).await.unwrap();
    fail.store(true, Ordering::SeqCst);
    assert_eq!(
        log.append(record(1, 2, 1, 2)).await,
        Err(AppendError::StorageFull)
    );
    assert_eq!(
        fatal.load(Ordering::SeqCst),
        0,
        "old messages can still be read"
    );
    assert_eq!(all_rows(&*history, 1, 2).await.len(), 1);
    left.store(0, Ordering::SeqCst);
    assert_eq!(
        log.append(record(1, 2, 1, 2)).await,
        Err(AppendError::StorageFull)
    );
    assert_eq!(fatal.load(Ordering::SeqCst), 0);
    // Space again: the engine writes again only when it is opened again.
    left.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(
        log.append(record(1, 2, 1, 2)).await,
        Err(AppendError::StorageFull)
    );
    assert_eq!(fatal.load(Ordering::SeqCst), 1);
    handle.shutdown().await.unwrap();
}
