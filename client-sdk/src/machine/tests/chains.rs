//! Chains of device lists that are longer than one fetch, or shorter than the relay says.

use sordino_crypto::lists::{Change, parse};
use sordino_protocol::Code;

use super::{Phone, Relay, acquainted, phone::LISTS};
use crate::machine::Need;

/// The next version, which holds what the one before held.
pub(super) fn add_nothing(phone: &mut Phone, relay: &mut Relay) {
    let lsk = phone.machine().store.read(|tx| tx.list_signing_key());
    let lists = relay.lists.get_mut(&phone.user).unwrap();
    let before = parse(lists.last().unwrap()).unwrap();
    let next = Change::of(&before, phone.now).unwrap();
    lists.push(next.sign(&lsk.unwrap().unwrap()).unwrap().signed);
}

/// A contact whose lists changed more often than one fetch gives: forwards from a pin, and backwards from the newest.
#[test]
fn a_message_is_read_however_many_lists_lie_between() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    for _ in 0..2 * LISTS {
        add_nothing(&mut alice, &mut relay);
    }
    alice.send(b, "far ahead");
    alice.sync(&mut relay, b);
    bob.pull(&relay, a);
    assert_eq!(bob.shown(a)[2..], ["< far ahead"]);
    let mut carol = Phone::new("carol", &mut relay);
    let (newest, now) = (relay.lists[&a].last().unwrap().clone(), carol.now);
    carol.machine().take_lists(a, vec![newest], now).unwrap();
    for version in [700, 1] {
        let (mut from, mut rounds) = (u32::MAX, 0);
        while from > version {
            let (first, last) = carol.machine().list_range(a, version).unwrap();
            let lists = relay.lists[&a][first as usize - 1..].iter().take(LISTS);
            assert!(last - first < LISTS as u32);
            let (lists, newest) = (lists.cloned().collect(), relay.lists[&a].len() as u32);
            let machine = carol.machine();
            let taken = machine.take_lists_of_row((a, version), lists, newest, now);
            taken.unwrap();
            (from, rounds) = (first, rounds + 1);
        }
        assert!(rounds < 9);
        let held = carol.machine().store.read(|tx| tx.list(a, version));
        assert!(held.unwrap().is_some());
    }
}

#[test]
fn lists_that_lead_no_further_are_the_relays_fault() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    add_nothing(&mut alice, &mut relay);
    let (held, now) = (relay.lists[&a][..1].to_vec(), bob.now);
    for lists in [held, vec![]] {
        let machine = bob.machine();
        let error = machine.take_lists_of_row((a, 2), lists, 2, now);
        assert_eq!(error.unwrap_err().code(), Code::RelayMisbehaved);
    }
    let lists = relay.lists[&a].clone();
    for lists in [lists.clone(), lists] {
        let taken = bob.machine().take_lists_of_row((a, 2), lists, 2, now);
        taken.unwrap();
    }
}

#[test]
fn what_the_relay_says_is_the_newest_list_is_fetched_before_sending() {
    let (mut relay, mut alice, bob) = acquainted();
    let b = bob.user;
    alice.send(b, "first");
    alice.machine().newest_list_is(b, 1).unwrap();
    let now = alice.now;
    assert_eq!(alice.machine().needs(b, now).unwrap(), Need::Nothing);
    alice.machine().newest_list_is(b, 2).unwrap();
    assert!(!alice.send(b, "second"));
    assert_eq!(alice.machine().needs(b, now).unwrap(), Need::Lists(vec![b]));
    let mut bob = bob;
    add_nothing(&mut bob, &mut relay);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b)[2..], ["> first", "> second"]);
}
