//! The delivery contract's promises P1 to P4, with relay and clients killed at random in the middle of the traffic.
//! `SORDINO_SEED` repeats the kills of an earlier run, though not the exact timing of the machine.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{path::Path, sync::OnceLock};

use sordino_tests::contract::{
    check::{Breach, Promise, check},
    run::{Plan, Programs, Report, run},
};

const MESSAGES: usize = 60;
const KILLS: usize = 30;

struct Judged {
    report: Report,
    breaches: Vec<Breach>,
    /// For a failure: how to repeat it, and where the notes are.
    traces: String,
}

/// One run feeds all tests.
fn judged() -> &'static Judged {
    static JUDGED: OnceLock<Judged> = OnceLock::new();
    JUDGED.get_or_init(|| {
        let seed = std::env::var("SORDINO_SEED").map_or_else(
            |_| rand::random(),
            |seed| seed.parse().expect("SORDINO_SEED is a number"),
        );
        eprintln!("SORDINO_SEED={seed}");
        let plan = Plan {
            seed,
            people: ["alice", "bob", "carol"].map(str::to_owned).to_vec(),
            messages: MESSAGES,
            kills: KILLS,
        };
        let programs = Programs {
            relay: Path::new(env!("CARGO_BIN_EXE_contract_relay")),
            client: Path::new(env!("CARGO_BIN_EXE_contract_client")),
        };
        let mut dir = tempfile::tempdir().unwrap();
        // Kept until the verdict is known: a failure is worth nothing without its traces.
        dir.disable_cleanup(true);
        let traces = format!("SORDINO_SEED={seed}, traces in {}", dir.path().display());
        let report = run(programs, &plan, dir.path());
        let report = report.unwrap_or_else(|error| panic!("{error}; {traces}"));
        let breaches = check(&report.outcome);
        let quiet = report.outcome.people.values().all(|p| p.alarms.is_empty());
        if breaches.is_empty() && quiet && !report.stalled {
            std::fs::remove_dir_all(dir.path()).unwrap();
        }
        Judged {
            report,
            breaches,
            traces,
        }
    })
}

fn kept(promise: Promise) {
    let judged = judged();
    let breaches = judged.breaches.iter().filter(|b| b.promise == promise);
    let breaches: Vec<_> = breaches.map(|breach| breach.what.as_str()).collect();
    assert!(breaches.is_empty(), "{breaches:#?}\n{}", judged.traces);
}

#[test]
fn contract_p1_accepted_survives() {
    let report = &judged().report;
    let accepted: usize = report
        .outcome
        .people
        .values()
        .map(|p| p.accepted.len())
        .sum();
    // Everybody to everybody else: nothing may be left unaccepted in the end.
    assert_eq!(accepted, 3 * 2 * MESSAGES, "{}", judged().traces);
    kept(Promise::P1AcceptedSurvives);
}

#[test]
fn contract_p2_delivered_or_announced() {
    let Judged { report, traces, .. } = judged();
    assert!(!report.stalled, "not everything arrived; {traces}");
    let sent: usize = report.outcome.people.values().map(|p| p.sent.len()).sum();
    // A client that was killed between `send` and its note has one fewer each time.
    assert!(
        sent + report.client_kills * 2 >= 3 * 2 * MESSAGES,
        "{traces}"
    );
    kept(Promise::P2DeliveredOrAnnounced);
}

#[test]
fn contract_p3_once() {
    let timelines = judged().report.outcome.people.values();
    assert_eq!(timelines.map(|p| p.timelines.len()).sum::<usize>(), 3 * 2);
    kept(Promise::P3Once);
}

#[test]
fn contract_p4_in_order() {
    assert_eq!(judged().report.outcome.rows.len(), 3);
    kept(Promise::P4InOrder);
}

#[test]
fn kills_are_many_and_raise_no_alarm() {
    let Judged { report, traces, .. } = judged();
    let (relay, clients) = (report.relay_kills, report.client_kills);
    eprintln!("the relay was killed {relay} times, clients {clients} times");
    assert!(relay + clients >= KILLS / 2, "{traces}");
    for person in report.outcome.people.values() {
        assert!(
            person.alarms.is_empty(),
            "{}: {:?}; {traces}",
            person.name,
            person.alarms
        );
    }
}
