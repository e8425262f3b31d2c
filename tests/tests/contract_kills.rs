//! The delivery contract's promises P1 to P4, with relay and clients killed at random in the middle of the traffic.
//! `SORDINO_SEED` repeats the kills of an earlier run, though not the exact timing of the machine.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[cfg(feature = "cluster")]
#[allow(dead_code, reason = "each test program uses a part")]
mod cluster_support;

use std::{error::Error, ffi::OsString, path::Path, sync::OnceLock};

use sordino::UserId;
use sordino_tests::contract::{
    check::{Breach, Promise, check},
    outcome::{self, Rows},
    run::{Plan, Programs, Report, run},
};

const MESSAGES: usize = 60;

struct Judged {
    report: Report,
    kills: usize,
    breaches: Vec<Breach>,
    /// For a failure: how to repeat it, and where the notes are.
    traces: String,
}

/// A relay with these first arguments; `rows` reads its history.
fn judge(
    kills: usize,
    relay_args: &[OsString],
    rows: impl FnOnce(&Path, &[UserId]) -> Result<Rows, Box<dyn Error>>,
) -> Judged {
    let seed = std::env::var("SORDINO_SEED").map_or_else(
        |_| rand::random(),
        |seed| seed.parse().expect("SORDINO_SEED is a number"),
    );
    eprintln!("SORDINO_SEED={seed}");
    // Several runs may use one database.
    let name = |of| format!("{of}_{:08x}", rand::random::<u32>());
    let plan = Plan {
        seed,
        people: ["alice", "bob", "carol"].map(name).to_vec(),
        messages: MESSAGES,
        kills,
    };
    let programs = Programs {
        relay: Path::new(env!("CARGO_BIN_EXE_contract_relay")),
        relay_args,
        client: Path::new(env!("CARGO_BIN_EXE_contract_client")),
    };
    let mut dir = tempfile::tempdir().unwrap();
    // Kept until the verdict is known: a failure is worth nothing without its traces.
    dir.disable_cleanup(true);
    let traces = format!("SORDINO_SEED={seed}, traces in {}", dir.path().display());
    let report = run(programs, &plan, dir.path(), rows);
    let report = report.unwrap_or_else(|error| panic!("{error}; {traces}"));
    let breaches = check(&report.outcome);
    let quiet = report.outcome.people.values().all(|p| p.alarms.is_empty());
    if breaches.is_empty() && quiet && !report.stalled {
        std::fs::remove_dir_all(dir.path()).unwrap();
    }
    Judged {
        report,
        kills,
        breaches,
        traces,
    }
}

/// The promises on one kind of stores. `$judged` gives the one run that feeds all tests, or nothing where it has no servers.
macro_rules! promises {
    ($judged:ident) => {
        #[test]
        fn contract_p1_accepted_survives() {
            if let Some(judged) = $judged() {
                super::accepted_survives(judged);
            }
        }

        #[test]
        fn contract_p2_delivered_or_announced() {
            if let Some(judged) = $judged() {
                super::delivered_or_announced(judged);
            }
        }

        #[test]
        fn contract_p3_once() {
            if let Some(judged) = $judged() {
                super::once(judged);
            }
        }

        #[test]
        fn contract_p4_in_order() {
            if let Some(judged) = $judged() {
                super::in_order(judged);
            }
        }

        #[test]
        fn kills_are_many_and_raise_no_alarm() {
            if let Some(judged) = $judged() {
                super::many_and_quiet(judged);
            }
        }
    };
}

mod embedded {
    use super::*;

    fn judged() -> Option<&'static Judged> {
        static JUDGED: OnceLock<Judged> = OnceLock::new();
        let rows = |data: &Path, _: &[UserId]| Ok(outcome::rows(data)?);
        Some(JUDGED.get_or_init(|| judge(30, &[], rows)))
    }

    promises!(judged);
}

/// Users in PostgreSQL, sessions in Redis, the log in Kafka, history in Cassandra (`SORDINO_TEST_…`).
#[cfg(feature = "cluster")]
mod cluster {
    use sordino_relay::{config::Config, history::cassandra};

    use super::*;

    fn judged() -> Option<&'static Judged> {
        static JUDGED: OnceLock<Option<Judged>> = OnceLock::new();
        JUDGED.get_or_init(run).as_ref()
    }

    fn run() -> Option<Judged> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let shared = runtime.block_on(cluster_support::cluster())?;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.toml");
        std::fs::write(&file, &shared).unwrap();
        let config: Config = toml::from_str(&shared).unwrap();
        // Each death of the relay leaves its partitions to nobody until the group notices.
        let judged = judge(12, &["--config".into(), file.into()], |_, people| {
            let settings = &config.cassandra;
            let options = cassandra::Options::new(settings.nodes.clone(), &settings.keyspace);
            let rows = runtime.block_on(outcome::rows_of_cluster(&options, people));
            rows.map_err(|error| error as Box<dyn Error>)
        });
        Some(judged)
    }

    promises!(judged);
}

fn kept(judged: &Judged, promise: Promise) {
    let breaches = judged.breaches.iter().filter(|b| b.promise == promise);
    let breaches: Vec<_> = breaches.map(|breach| breach.what.as_str()).collect();
    assert!(breaches.is_empty(), "{breaches:#?}\n{}", judged.traces);
}

fn accepted_survives(judged: &Judged) {
    let report = &judged.report;
    let accepted: usize = report
        .outcome
        .people
        .values()
        .map(|p| p.accepted.len())
        .sum();
    // Everybody to everybody else: nothing may be left unaccepted in the end.
    assert_eq!(accepted, 3 * 2 * MESSAGES, "{}", judged.traces);
    kept(judged, Promise::P1AcceptedSurvives);
}

fn delivered_or_announced(judged: &Judged) {
    let Judged { report, traces, .. } = judged;
    assert!(!report.stalled, "not everything arrived; {traces}");
    let sent: usize = report.outcome.people.values().map(|p| p.sent.len()).sum();
    // A client that was killed between `send` and its note has one fewer each time.
    assert!(
        sent + report.client_kills * 2 >= 3 * 2 * MESSAGES,
        "{traces}"
    );
    kept(judged, Promise::P2DeliveredOrAnnounced);
}

fn once(judged: &Judged) {
    let timelines = judged.report.outcome.people.values();
    assert_eq!(timelines.map(|p| p.timelines.len()).sum::<usize>(), 3 * 2);
    kept(judged, Promise::P3Once);
}

fn in_order(judged: &Judged) {
    assert_eq!(judged.report.outcome.rows.len(), 3);
    kept(judged, Promise::P4InOrder);
}

fn many_and_quiet(judged: &Judged) {
    let Judged {
        report,
        kills,
        traces,
        ..
    } = judged;
    let (relay, clients) = (report.relay_kills, report.client_kills);
    eprintln!("the relay was killed {relay} times, clients {clients} times");
    assert!(relay + clients >= kills / 2, "{traces}");
    for person in report.outcome.people.values() {
        assert!(
            person.alarms.is_empty(),
            "{}: {:?}; {traces}",
            person.name,
            person.alarms
        );
    }
}
