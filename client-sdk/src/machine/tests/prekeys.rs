//! Prekeys over their life.

use sordino_protocol::signed::SignedType;

use super::{DAY, acquainted, two};

#[test]
fn an_upload_is_the_same_until_it_has_arrived() {
    let (mut relay, mut alice, _) = two();
    alice.now += 8 * DAY;
    let now = alice.now;
    let count = relay.count(alice.device);
    let first = alice.machine().prekeys_due(&count, now).unwrap().unwrap();
    alice.crash();
    let again = alice.machine().prekeys_due(&count, now).unwrap().unwrap();
    assert_eq!(first.signed, again.signed);
    assert_eq!(first.pq_last_resort, again.pq_last_resort);
    assert!(first.one_time.is_empty() && !first.replace);
    // It arrives, but the answer is lost: the id of the SPK tells.
    relay.put(alice.device, again);
    assert!(!alice.upload(&mut relay));
}

#[test]
fn one_time_keys_are_replenished_below_half() {
    let (mut relay, mut alice, _) = two();
    let user = alice.user;
    for _ in 0..25 {
        relay.claim(user, &[alice.device]);
    }
    let count = relay.count(alice.device);
    assert_eq!((count.one_time, count.pq_one_time), (25, 0));
    assert!(alice.upload(&mut relay));
    let count = relay.count(alice.device);
    assert_eq!((count.one_time, count.pq_one_time), (25, 20));
    relay.claim(user, &[alice.device]);
    assert!(alice.upload(&mut relay));
    assert_eq!(relay.count(alice.device).one_time, 50);
    assert!(!alice.upload(&mut relay));
}

#[test]
fn secrets_are_kept_as_long_as_they_may_be_needed() {
    let (mut relay, mut alice, _) = two();
    let held = |alice: &mut super::Phone, kind, id| {
        let machine = alice.machine();
        machine
            .store
            .read(|tx| tx.prekey_secret(kind, id))
            .unwrap()
            .is_some()
    };
    let spk = relay.count(alice.device).signed_id;
    alice.now += 7 * DAY;
    assert!(alice.upload(&mut relay));
    assert_ne!(relay.count(alice.device).signed_id, spk);
    alice.now += 30 * DAY;
    alice.upload(&mut relay);
    assert!(held(&mut alice, SignedType::SignedPrekey, spk));
    assert!(held(&mut alice, SignedType::OneTimePrekey, 3));
    alice.now += 2 * DAY;
    alice.upload(&mut relay);
    assert!(!held(&mut alice, SignedType::SignedPrekey, spk));
    alice.now += 60 * DAY;
    alice.upload(&mut relay);
    assert!(!held(&mut alice, SignedType::OneTimePrekey, 3));
}

#[test]
fn used_one_time_secrets_are_gone() {
    let (_, _, mut bob) = acquainted();
    let machine = bob.machine();
    let left = |kind| {
        let keys = machine.store.read(|tx| tx.current_prekeys(kind, true));
        keys.unwrap().len()
    };
    assert_eq!(left(SignedType::OneTimePrekey), 49);
    assert_eq!(left(SignedType::PqOneTimePrekey), 19);
}
