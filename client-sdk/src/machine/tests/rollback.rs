//! An old copy of the store is put back.

use sordino_crypto::rollback::SETTLING_MS;
use sordino_protocol::Code;

use super::{DAY, acquainted, two};
use crate::machine::Happening;

#[test]
fn an_old_copy_notices_tells_and_goes_on() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "kept");
    let copy = alice.path().with_file_name("copy");
    alice.copy_to(&copy);
    for text in ["lost one", "lost two"] {
        alice.send(b, text);
    }
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    alice.put_back(&copy);
    assert!(alice.send(b, "new"));
    let happenings = alice.sync(&mut relay, b);
    let told = |h: &&Happening| **h == Happening::RolledBack;
    assert_eq!(happenings.iter().filter(told).count(), 1);
    let want = ["> kept", "! lost_copy", "! lost_copy", "> new"];
    assert_eq!(alice.shown(b)[2..], want);
    bob.sync(&mut relay, a);
    let want = ["< kept", "< lost one", "< lost two", "< new"];
    assert_eq!(bob.shown(a)[2..], want);
    // Both go on, on a new session.
    bob.send(a, "there you are");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    alice.send(b, "yes");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(alice.shown(b)[6..], ["< there you are", "> yes"]);
    assert_eq!(bob.shown(a)[6..], ["> there you are", "< yes"]);
}

#[test]
fn a_message_that_the_lost_time_sent_is_not_sent_again() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    // Held in the copy, encrypted and sent after it was made.
    alice.send(b, "held");
    let copy = alice.path().with_file_name("copy");
    alice.copy_to(&copy);
    alice.prepare(&mut relay, b);
    alice.send(b, "lost");
    alice.sync(&mut relay, b);
    alice.put_back(&copy);
    alice.send(b, "third");
    let told = alice.sync(&mut relay, b);
    assert!(told.contains(&Happening::RolledBack));
    bob.sync(&mut relay, a);
    assert_eq!(alice.shown(b), ["> held", "! lost_copy", "> third"]);
    assert_eq!(bob.shown(a), ["< held", "< lost", "< third"]);
}

#[test]
fn a_peer_who_only_receives_goes_on_after_its_rollback() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let copy = bob.path().with_file_name("copy");
    bob.copy_to(&copy);
    for text in ["one", "two"] {
        alice.send(b, text);
        alice.sync(&mut relay, b);
        bob.sync(&mut relay, a);
        bob.send(a, "lost");
        bob.sync(&mut relay, a);
        alice.sync(&mut relay, b);
    }
    bob.put_back(&copy);
    let told = bob.sync(&mut relay, a);
    assert!(told.contains(&Happening::RolledBack));
    bob.sync(&mut relay, a);
    // Bob says nothing of his own; his client tells Alice's.
    alice.sync(&mut relay, b);
    alice.send(b, "three");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "< three");
}

#[test]
fn all_prekeys_are_replaced_and_the_old_ones_still_open() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let copy = alice.path().with_file_name("copy");
    alice.copy_to(&copy);
    alice.send(b, "lost");
    alice.sync(&mut relay, b);
    let old = relay.claim(a, &[alice.device]);
    alice.put_back(&copy);
    alice.sync(&mut relay, b);
    let fresh = relay.claim(a, &[alice.device]);
    assert_ne!(old.bundles[0].signed, fresh.bundles[0].signed);
    assert_eq!(relay.count(alice.device).one_time, 49);
    assert!(!alice.upload(&mut relay));
    // Bob sets up a session with the old keys.
    let now = bob.now + 20 * DAY;
    (alice.now, bob.now) = (now, now);
    bob.machine().bundles(a, old, now).unwrap();
    bob.send(a, "old keys");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "< old keys");
}

/// The relay takes what the lost copy had on its way only after the catch-up that found the rollback.
#[test]
fn what_the_lost_copy_had_on_its_way_is_of_the_same_rollback() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    let copy = alice.path().with_file_name("copy");
    alice.copy_to(&copy);
    alice.send(b, "lost");
    alice.sync(&mut relay, b);
    alice.send(b, "on its way");
    let late = alice.machine().outgoing(conversation, 2, 1, usize::MAX);
    let late = late.unwrap().remove(0).send;
    alice.put_back(&copy);
    let told = alice.pull(&relay, b).happenings;
    assert!(told.contains(&Happening::RolledBack));
    let now = alice.now;
    alice.machine().caught_up(now).unwrap();
    alice.upload(&mut relay);
    let fresh = relay.claim(a, &[alice.device]);
    alice.send(b, "new");
    relay.accept(&late).unwrap();
    let told = alice.sync(&mut relay, b);
    assert!(told.contains(&Happening::RolledBack));
    assert!(!told.contains(&Happening::TwoCopies));
    // The prekeys are those that the first discovery made.
    let now = relay.claim(a, &[alice.device]);
    assert_eq!(now.bundles[0].signed, fresh.bundles[0].signed);
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a)[2..], ["< lost", "< on its way", "< new"]);
    // The time runs from the first discovery.
    assert!(
        alice
            .machine()
            .store
            .read(|tx| tx.rollback_state())
            .unwrap()
            .last_ms
            == Some(alice.now)
    );
}

#[test]
fn a_second_time_within_a_day_is_two_copies() {
    for (after, stops) in [(SETTLING_MS, true), (2 * DAY, false)] {
        let (mut relay, mut alice, bob) = acquainted();
        let b = bob.user;
        for _ in 0..2 {
            let copy = alice.path().with_file_name("copy");
            alice.copy_to(&copy);
            alice.send(b, "lost");
            alice.sync(&mut relay, b);
            // Of the first discovery the copy must know.
            alice.put_back(&copy);
            let told = alice.sync(&mut relay, b);
            let first = told.contains(&Happening::RolledBack);
            let second = told.contains(&Happening::TwoCopies);
            assert!(first != second);
            if second {
                assert!(stops);
            }
            alice.now += after;
        }
        let now = alice.now;
        let sent = alice.machine().send(b, "more", now);
        assert_eq!(sent.is_err(), stops);
        if let Err(error) = sent {
            assert_eq!(error.code(), Code::TwoCopies);
        }
    }
}
