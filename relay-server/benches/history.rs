//! Rows per second through the whole embedded path, against raw writes of the same bytes to the same engine in one run.
//!
//! `cargo bench -p sordino-relay --bench history -- [--rows N] [--json]`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program of its own"
)]

#[path = "../tests/data_support/mod.rs"]
mod data_support;

use std::{path::Path, time::Instant};

use data_support::{options, record};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use futures_util::{StreamExt, stream::FuturesUnordered};
use sordino_relay::delivery::embedded::start;

const GROUP: usize = 128;
const SENDERS: u8 = 100;
/// Appends on the way at once: four groups.
const IN_FLIGHT: usize = 4 * GROUP;

/// Rows, wraps, states and two registers, as the pipeline writes them, in groups of [`GROUP`].
fn raw(dir: &Path, rows: u64) -> f64 {
    let db = Database::builder(dir).open().unwrap();
    let names = ["rows", "wraps", "states", "registers"];
    let spaces = names.map(|n| db.keyspace(n, KeyspaceCreateOptions::default).unwrap());
    let [r, w, states, registers] = &spaces;
    let records: Vec<_> = (1..=GROUP as u64).map(|n| record(1, 2, 1, n)).collect();
    let begun = Instant::now();
    let mut written = 0;
    while written < rows {
        let mut batch = db.batch().durability(Some(PersistMode::SyncData));
        for record in &records {
            let mut key = vec![u8::try_from(written % u64::from(SENDERS)).unwrap(); 16];
            let mut row = record.content_hash.to_vec();
            row.extend_from_slice(&record.header_bytes);
            row.extend_from_slice(&record.content);
            batch.insert(states, key.clone(), vec![1; 50]);
            batch.insert(registers, [key.clone(), vec![1; 16]].concat(), vec![1; 24]);
            batch.insert(registers, [key.clone(), vec![2; 16]].concat(), vec![1; 24]);
            key.extend_from_slice(&written.to_be_bytes());
            batch.insert(w, key.clone(), record.wraps.to_vec());
            batch.insert(r, key, row);
            written += 1;
        }
        batch.commit().unwrap();
    }
    written as f64 / begun.elapsed().as_secs_f64()
}

async fn pipeline(dir: &Path, rows: u64) -> f64 {
    let sessions = std::sync::Arc::new(Silent);
    let running = start(options(dir), sessions).await.unwrap();
    let begun = Instant::now();
    let mut waiting = FuturesUnordered::new();
    for n in 0..rows {
        if waiting.len() >= IN_FLIGHT {
            let outcome: Option<Result<(), _>> = waiting.next().await;
            outcome.unwrap().unwrap();
        }
        let sender = u8::try_from(n % u64::from(SENDERS)).unwrap();
        let counter = n / u64::from(SENDERS) + 1;
        waiting.push(
            running
                .log
                .append(record(sender, sender + 100, sender, counter)),
        );
    }
    while let Some(outcome) = waiting.next().await {
        outcome.unwrap();
    }
    let rate = rows as f64 / begun.elapsed().as_secs_f64();
    running.handle.shutdown().await.unwrap();
    rate
}

struct Silent;

#[async_trait::async_trait]
impl sordino_relay::session::Sessions for Silent {
    async fn register(
        &self,
        _: sordino_relay::session::Connection,
    ) -> Result<(), sordino_relay::session::SessionError> {
        Ok(())
    }
    async fn unregister(
        &self,
        _: sordino_protocol::UserId,
        _: u64,
    ) -> Result<(), sordino_relay::session::SessionError> {
        Ok(())
    }
    async fn publish(
        &self,
        _: &[sordino_protocol::UserId],
        _: sordino_relay::session::Event,
    ) -> Result<usize, sordino_relay::session::SessionError> {
        Ok(0)
    }
}

fn main() {
    let args: Vec<_> = std::env::args().collect();
    // `cargo test --all-targets` runs this too, without `--bench`: then it only shows that it works.
    let default = if args.iter().any(|a| a == "--bench") {
        100_000
    } else {
        1_000
    };
    let rows = args
        .iter()
        .position(|a| a == "--rows")
        .and_then(|at| args.get(at + 1)?.parse().ok())
        .unwrap_or(default);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let raw = raw(one.path(), rows);
    let pipeline = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(pipeline(two.path(), rows));
    let ratio = pipeline / raw;
    if args.iter().any(|a| a == "--json") {
        println!(
            "{{\"rows\":{rows},\"raw_rows_per_second\":{raw:.0},\"pipeline_rows_per_second\":{pipeline:.0},\"ratio_to_raw\":{ratio:.2}}}"
        );
    } else {
        println!(
            "{rows} rows: engine alone {raw:.0}/s, the whole path {pipeline:.0}/s, ratio {ratio:.2}"
        );
    }
}
