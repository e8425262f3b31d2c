//! The straight path: two people who write to each other.

use super::two;
use crate::machine::{Happening, Need};

#[test]
fn two_people_write_to_each_other() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    assert!(!alice.send(b, "hello"));
    assert_eq!(alice.shown(b), ["> hello (pending)"]);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b), ["> hello"]);
    let happenings = bob.sync(&mut relay, a);
    assert!(matches!(happenings[..], [Happening::Received(_)]));
    assert_eq!(bob.shown(a), ["< hello"]);
    assert!(bob.send(a, "hello yourself"));
    assert!(bob.send(a, "how are you?"));
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert!(alice.send(b, "well"));
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let want = ["> hello", "< hello yourself", "< how are you?", "> well"];
    assert_eq!(alice.shown(b), want);
    let want = ["< hello", "> hello yourself", "> how are you?", "< well"];
    assert_eq!(bob.shown(a), want);
    let now = alice.now;
    assert_eq!(alice.machine().needs(b, now).unwrap(), Need::Nothing);
    assert!(alice.machine().waiting().unwrap().is_empty());
}
