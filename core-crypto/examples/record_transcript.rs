//! Records `tests/vectors/transcript.json`: `cargo run -p sordino-crypto --example record_transcript > FILE`.
//!
//! A new recording is needed only where the protocol's bytes or the stored form of a session change on purpose.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "makes test data"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use prost::Message as _;
use support::{
    device::account,
    transcript::{Party, Recorded, Transcript},
};

/// Whether Alice speaks, and what.
const SCRIPT: [(bool, &str); 9] = [
    (true, "the first, with a handshake"),
    (true, "the second, still with it"),
    (false, "the first answer"),
    (true, "after an answer: no handshake"),
    (true, "again"),
    (false, "two answers"),
    (false, "in one chain"),
    (true, "grüße, 你好, 👋"),
    (true, ""),
];

fn main() {
    let ((_, mut alice), (_, mut bob)) = (account(10), account(20));
    alice.meet(&mut bob);
    let sid = alice.begin(&mut bob, 1);
    let (party_a, party_b) = (Party::record(&alice), Party::record(&bob));
    let mut counters = [0, 0];
    let mut rows = Vec::new();
    for (seq, (by_alice, text)) in (1..).zip(SCRIPT) {
        let counter = &mut counters[usize::from(by_alice)];
        *counter += 1;
        let (from, to) = match by_alice {
            true => (&mut alice, &mut bob),
            false => (&mut bob, &mut alice),
        };
        let mut row = from.send(to, sid, *counter, text);
        row.seq = seq;
        let key = (from.peer.user, from.peer.device, sid);
        let before = to.store.sessions.get(&key);
        rows.push(Recorded {
            to_alice: !by_alice,
            text: text.to_owned(),
            row: hex::encode(row.encode_to_vec()),
            session_before: before.map(|bytes| serde_json::from_slice(bytes).unwrap()),
        });
        to.take(&row);
    }
    let transcript = Transcript {
        alice: party_a,
        bob: party_b,
        rows,
    };
    println!("{}", serde_json::to_string(&transcript).unwrap());
}
