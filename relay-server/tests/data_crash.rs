//! `kill -9` at random points: what was acknowledged is there, once, in order. The child is this test binary itself.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod data_support;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use data_support::*;
use futures_util::{StreamExt, stream::FuturesOrdered};
use sordino_protocol::Header;
use sordino_relay::{
    delivery::embedded::start,
    history::{History, StoredRow},
};

const DIR: &str = "SORDINO_TEST_CRASH_DIR";
const FAILING_DIR: &str = "SORDINO_TEST_FAILING_DIR";
/// Pairs that write to one another, each in both directions.
const PAIRS: [(u8, u8); 3] = [(1, 2), (3, 4), (5, 5)];
const ROUNDS: u64 = 20;
const IN_FLIGHT: usize = 8;

type Rows = HashMap<(u8, u8), Vec<StoredRow>>;
/// The highest acknowledged counter of every stream.
type Acked = HashMap<(u8, u8), u64>;

/// (sender, recipient): what is a stream of counters.
fn streams() -> Vec<(u8, u8)> {
    let mut streams: Vec<_> = PAIRS.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect();
    streams.dedup();
    streams
}

async fn read_all(history: &dyn History) -> Rows {
    let mut all = Rows::new();
    for (a, b) in PAIRS {
        let page = history
            .rows(conversation(a, b), 1, u64::MAX, usize::MAX, usize::MAX)
            .await
            .unwrap();
        assert_eq!(page.rows.len() as u64, page.last_seq);
        all.insert((a, b), page.rows);
    }
    all
}

fn counters(rows: &Rows, from: u8, to: u8) -> Vec<u64> {
    let rows = rows
        .get(&(from, to))
        .or_else(|| rows.get(&(to, from)))
        .unwrap();
    let headers = rows.iter().map(|r| Header::parse(&r.header).unwrap());
    headers
        .filter(|h| h.sender == user(from))
        .map(|h| h.counter)
        .collect()
}

/// Not a test of its own: what the child process runs. It appends until it is killed and says what was acknowledged.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (running, _) = run(Path::new(&dir)).await;
        let rows = read_all(&*running.history).await;
        let writers = streams().into_iter().map(|(from, to)| {
            let log = running.log.clone();
            // Like an outbox after a restart: a few that are stored already are sent again.
            let last = counters(&rows, from, to).last().copied().unwrap_or(0);
            let first = last.saturating_sub(5).max(1);
            async move {
                let mut counter = first;
                let mut waiting = FuturesOrdered::new();
                loop {
                    while waiting.len() < IN_FLIGHT {
                        let append = log.append(record(from, to, from, counter));
                        let n = counter;
                        waiting.push_back(async move { (n, append.await) });
                        counter += 1;
                    }
                    let (n, outcome) = waiting.next().await.unwrap();
                    outcome.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {from} {to} {n}").unwrap();
                    out.flush().unwrap();
                }
            }
        });
        futures_util::future::join_all(writers).await;
    });
}

/// What is left after all rounds: the rows, and the highest acknowledged counter of every stream.
fn crashed() -> &'static (Rows, Acked) {
    static CRASHED: OnceLock<(Rows, Acked)> = OnceLock::new();
    CRASHED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut acked = Acked::new();
        for round in 0..ROUNDS {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child", "--nocapture", "--test-threads=1"])
                .env(DIR, dir.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            // Killed after so many acknowledgements that the rounds hit different moments of a group.
            let lives = 40 + round * 137 % 400;
            let mut heard = 0;
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            while out.read_line(&mut line).unwrap() > 0 {
                if line.ends_with('\n')
                    && let Some((_, ack)) = line.trim_end().split_once("ack ")
                {
                    let n: Vec<u64> = ack.split(' ').map(|n| n.parse().unwrap()).collect();
                    let last: &mut u64 = acked.entry((n[0] as u8, n[1] as u8)).or_default();
                    *last = n[2].max(*last);
                    heard += 1;
                    if heard == lives {
                        child.kill().unwrap();
                    }
                }
                line.clear();
            }
            let status = child.wait().unwrap();
            assert!(
                heard >= lives && !status.success(),
                "it was killed: {status}"
            );
        }
        let rows = tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (running, _) = run(dir.path()).await;
            let rows = read_all(&*running.history).await;
            running.handle.shutdown().await.unwrap();
            rows
        });
        (rows, acked)
    })
}

#[test]
fn contract_p1_what_was_acknowledged_survives_kill_9() {
    let (rows, acked) = crashed();
    assert_eq!(acked.len(), streams().len());
    for ((from, to), last) in acked {
        let stored = counters(rows, *from, *to);
        assert!(
            stored.last().unwrap() >= last,
            "{from} to {to}: {last} is gone"
        );
    }
    for row in rows.values().flatten() {
        let h = Header::parse(&row.header).unwrap();
        let byte = |id: &[u8; 16]| id[0];
        let (from, to) = (byte(h.sender.as_bytes()), byte(h.recipient.as_bytes()));
        assert_eq!(
            row.content.as_deref().unwrap(),
            content(from, to, from, h.counter)
        );
        assert!(row.wrap_for(user(to), device(to)).is_some());
    }
}

#[test]
fn contract_p3_kill_9_and_resends_store_nothing_twice() {
    let (rows, _) = crashed();
    for (from, to) in streams() {
        let mut stored = counters(rows, from, to);
        let all = stored.len();
        stored.sort_unstable();
        stored.dedup();
        assert_eq!(stored.len(), all, "{from} to {to}");
    }
}

#[test]
fn contract_p4_kill_9_leaves_every_conversation_dense_and_in_order() {
    let (rows, _) = crashed();
    for rows in rows.values() {
        assert!(rows.iter().map(|r| r.seq).eq(1..=rows.len() as u64));
    }
    for (from, to) in streams() {
        let stored = counters(rows, from, to);
        assert_eq!(stored, (1..=stored.len() as u64).collect::<Vec<_>>());
    }
}

/// What the child of the next test runs: a machine whose sync fails, and the default answer to that.
#[test]
fn child_with_a_failing_disk() {
    let Some(dir) = std::env::var_os(FAILING_DIR) else {
        return;
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut options = options(Path::new(&dir));
        options.store.machine.before_sync =
            std::sync::Arc::new(|| Err(std::io::Error::other("the disk is on fire")));
        let sessions = std::sync::Arc::new(Recorder::default());
        let running = start(options, sessions).await.unwrap();
        println!(
            "answered {:?}",
            running.log.append(record(1, 2, 1, 1)).await
        );
    });
}

#[test]
fn a_failed_sync_ends_the_process_before_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_a_failing_disk", "--nocapture"])
        .env(FAILING_DIR, dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(!String::from_utf8_lossy(&output.stdout).contains("answered"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("the disk is on fire") && said.contains("start it again"),
        "{said}"
    );
}
