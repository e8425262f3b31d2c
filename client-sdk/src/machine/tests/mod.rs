mod phone;
mod relay;
mod straight;

use phone::Phone;
use relay::Relay;

const NOW: u64 = 1_800_000_000_000;

fn two() -> (Relay, Phone, Phone) {
    let mut relay = Relay::default();
    let alice = Phone::new("alice", &mut relay);
    let bob = Phone::new("bob", &mut relay);
    (relay, alice, bob)
}
