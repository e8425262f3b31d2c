//! What the protocol costs, each operation against the sum of the primitives that it cannot do without, measured in the same
//! run, in turns, as medians: so a slow or busy machine changes the times, not the ratios.
//!
//! `cargo bench -p sordino-crypto` prints a table, `-- --json` one line of JSON.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench"
)]

mod primitives;

#[path = "../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, thread, time::Instant};

use primitives::Primitives;
use sordino_crypto::{
    Secret, message,
    pqxdh::{self, PrekeySecrets},
    prekeys::verify_bundle,
    session::Session,
};
use sordino_protocol::pb;
use support::{
    NOW,
    device::{Device, account},
};

/// In turns with the primitives.
const ROUNDS: usize = 300;
/// Of the operations that take microseconds, in one measurement.
const BATCH: usize = 16;

struct Measured {
    name: &'static str,
    /// Nanoseconds of one operation, one entry a round.
    times: Vec<f64>,
    /// Of its primitives.
    floor: f64,
    target: Option<f64>,
}

struct Sides {
    alice: Device,
    bob: Device,
    /// Bob's prekeys are used again and again: nothing is deleted here.
    offered: sordino_protocol::http::Bundle,
    spk: Secret<32>,
    opk: Secret<32>,
    pq: Secret<64>,
}

impl Sides {
    fn new() -> Self {
        let ((_, alice), (_, mut bob)) = (account(10), account(20));
        let offered = bob.bundle(true);
        let store = &bob.store;
        Self {
            spk: Secret::from_bytes(store.spk[&1]),
            opk: Secret::from_bytes(store.opk[&1]),
            pq: Secret::from_bytes(store.pq_one_time[&1]),
            offered,
            alice,
            bob,
        }
    }

    fn initiate(&self, bundle: &sordino_crypto::prekeys::VerifiedBundle) -> Session {
        pqxdh::initiate(
            &mut rand::rng(),
            &self.alice.peer,
            &self.alice.keys,
            bundle,
            NOW,
        )
        .unwrap()
    }

    fn respond(&self, first: &pb::WrapPayload) -> Session {
        let secrets = PrekeySecrets {
            signed: &self.spk,
            one_time: Some(&self.opk),
            pq: &self.pq,
        };
        let (me, keys) = (&self.bob.peer, &self.bob.keys);
        let rng = &mut rand::rng();
        pqxdh::respond(rng, me, keys, &self.alice.peer, &secrets, first)
            .unwrap()
            .0
    }
}

fn ns(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64() * 1e9
}

/// Nanoseconds of one of a batch.
fn each(mut run: impl FnMut()) -> f64 {
    ns(|| (0..BATCH).for_each(|_| run())) / f64::from(u32::try_from(BATCH).unwrap())
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

fn measure() -> Vec<Measured> {
    let sides = Sides::new();
    let bundle = verify_bundle(&sides.bob.list, sides.offered.clone(), NOW)
        .ok()
        .unwrap();
    let mut first_session = sides.initiate(&bundle);
    let payload = [1; 65];
    let first = first_session.encrypt(&payload).unwrap();
    let mut bob = sides.respond(&first);
    let reply = bob.encrypt(&payload).unwrap();
    let mut alice = first_session.decrypt(&reply.message).unwrap().0;
    let header = sides.alice.header(&sides.bob.list, 1);
    let content = sides.alice.content(&"x".repeat(500));
    let mut primitives = Primitives::new();
    let [
        mut send,
        mut further,
        mut same,
        mut step,
        mut open,
        mut begin,
        mut answer,
    ] = [const { Vec::new() }; 7];
    for _ in 0..ROUNDS {
        primitives.measure(|run| ns(run), |run| each(run));
        send.push(each(|| {
            let sealed = message::seal(&mut rand::rng(), header.clone(), &content).unwrap();
            let wrap = message::wrap_payload(&sealed.content_key, &sealed.env_hash);
            black_box(alice.encrypt(wrap.expose()).unwrap());
        }));
        let mut wraps = Vec::with_capacity(BATCH);
        further.push(each(|| wraps.push(alice.encrypt(&payload).unwrap())));
        // The first one makes the step to the chain of this round.
        let mut reader = Some(bob.decrypt(&wraps.remove(0).message).unwrap().0);
        let count = f64::from(u32::try_from(wraps.len()).unwrap());
        same.push(
            ns(|| {
                for wrap in &wraps {
                    let session = reader.take().unwrap();
                    reader = Some(session.decrypt(&wrap.message).unwrap().0);
                }
            }) / count,
        );
        bob = reader.unwrap();
        let reply = bob.encrypt(&payload).unwrap();
        let mut reader = Some(alice);
        step.push(ns(|| {
            let session = reader.take().unwrap();
            reader = Some(session.decrypt(&reply.message).unwrap().0);
        }));
        alice = reader.unwrap();
        let sealed = message::seal(&mut rand::rng(), header.clone(), &content).unwrap();
        open.push(each(|| {
            let key = &sealed.content_key;
            black_box(
                message::open_content(&sealed.header, &sealed.content, key)
                    .ok()
                    .unwrap(),
            );
        }));
        begin.push(ns(|| {
            black_box(sides.initiate(&bundle));
        }));
        answer.push(ns(|| {
            black_box(sides.respond(&first));
        }));
    }
    let p = primitives.medians(median);
    let rows = [
        ("send 500 B to one device", send, p.seal + p.wrap, Some(1.3)),
        ("each further device", further, p.wrap, Some(1.3)),
        ("decrypt, same chain", same, p.unwrap, Some(2.0)),
        (
            "decrypt, with a DH step",
            step,
            p.unwrap + p.dh + p.step,
            None,
        ),
        ("open 500 B of content", open, p.open, None),
        ("set-up, initiator", begin, p.begin(), Some(1.2)),
        ("set-up, responder", answer, p.answer(), Some(1.2)),
    ];
    rows.into_iter()
        .map(|(name, times, floor, target)| Measured {
            name,
            times,
            floor,
            target,
        })
        .collect()
}

fn main() {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let measured = measure();
    if std::env::args().any(|arg| arg == "--json") {
        let rows: Vec<_> = measured
            .iter()
            .map(|m| {
                let time = median(&m.times);
                serde_json::json!({
                    "name": m.name,
                    "median_ns": time.round(),
                    "primitives_ns": m.floor.round(),
                    "ratio": (time / m.floor * 100.0).round() / 100.0,
                    "target": m.target,
                })
            })
            .collect();
        println!("{}", serde_json::json!({ "cores": cores, "rows": rows }));
        return;
    }
    println!("{cores} cores, medians of {ROUNDS} rounds, microseconds\n");
    println!(
        "{:<28}{:>10}{:>12}{:>8}{:>9}",
        "", "time", "primitives", "ratio", "target"
    );
    for m in &measured {
        let time = median(&m.times);
        let target = m.target.map_or("-".into(), |t| format!("<= {t:.1}"));
        let (name, ratio) = (m.name, time / m.floor);
        println!(
            "{name:<28}{:>10.2}{:>12.2}{ratio:>8.2}{target:>9}",
            time / 1000.0,
            m.floor / 1000.0
        );
    }
}
