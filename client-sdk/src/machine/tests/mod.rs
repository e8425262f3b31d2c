mod backup;
mod chains;
mod changes;
mod contacts;
mod contradictions;
mod crashes;
mod decisions;
mod extremes;
mod interleavings;
mod late;
mod linking;
mod lists;
mod own_devices;
mod phone;
mod poison;
mod prekeys;
mod receipts;
mod records;
mod relay;
mod rollback;
mod settings;
mod signals;
mod straight;
mod transcripts;
mod withheld;

use sordino_protocol::UserId;

use super::{Machine, NewMessage, send::Sent};
use crate::error::Error;
use phone::Phone;
use relay::Relay;

const NOW: u64 = 1_800_000_000_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

impl Machine {
    fn send(&mut self, peer: UserId, text: &str, now_ms: u64) -> Result<Sent, Error> {
        let mut sent = self.send_many(&[NewMessage::new(peer, text)], now_ms)?;
        Ok(sent.remove(0))
    }
}

fn two() -> (Relay, Phone, Phone) {
    let mut relay = Relay::default();
    let alice = Phone::new("alice", &mut relay);
    let bob = Phone::new("bob", &mut relay);
    (relay, alice, bob)
}

/// Two who have written to each other once.
fn acquainted() -> (Relay, Phone, Phone) {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "hello");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    bob.send(a, "hello yourself");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    (relay, alice, bob)
}
