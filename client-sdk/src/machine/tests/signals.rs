//! Signals: who gets them, of whom they are believed, what a relay can do with them.

use sordino_protocol::{UserId, pb};

use super::contacts::{look, reset, verified};
use super::lists::replace_keys;
use super::{DAY, Phone, acquainted, two};
use crate::machine::{Heard, PresencePolicy, Said, SignalPolicy};

const TYPING: Said = Said::Typing(true);
const HERE: Said = Said::There {
    asks: true,
    away: None,
};

fn says(phone: &mut Phone, peer: UserId, said: Said) -> Option<pb::Signal> {
    let now = phone.now;
    phone.machine().signal(peer, said, now).unwrap()
}

/// As the relay passes it on.
fn passed(signal: &pb::Signal, from: &Phone, to: &Phone) -> pb::Signalled {
    let device = to.device.to_pb();
    let mut sealed = signal.sealed.iter();
    pb::Signalled {
        sender: from.user.to_pb(),
        sender_device: from.device.to_pb(),
        payload: sealed
            .find(|part| part.device == device)
            .unwrap()
            .payload
            .clone(),
    }
}

fn hears(phone: &mut Phone, signal: &pb::Signalled) -> Option<Heard> {
    let now = phone.now;
    phone.machine().hear(signal, now).unwrap()
}

/// Whether what one says now counts with the other.
fn reaches(from: &mut Phone, to: &mut Phone, said: Said) -> bool {
    match says(from, to.user, said) {
        Some(signal) => {
            let signal = passed(&signal, from, to);
            hears(to, &signal).is_some_and(|heard| heard.said == said)
        }
        None => false,
    }
}

#[test]
fn it_reaches_every_device_of_the_other_both_ways() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = bob.join(&mut relay);
    tablet.sync(&mut relay, b);
    tablet.pull(&relay, a);
    bob.sync(&mut relay, b);
    alice.send(b, "for both");
    alice.sync(&mut relay, b);
    for phone in [&mut bob, &mut tablet] {
        phone.sync(&mut relay, a);
    }
    bob.send(a, "for both of mine");
    bob.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    let signal = says(&mut alice, b, TYPING).unwrap();
    assert_eq!(signal.sealed.len(), 2);
    for to in [&mut bob, &mut tablet] {
        let signal = passed(&signal, &alice, to);
        let heard = hears(to, &signal).unwrap();
        assert_eq!(
            (heard.user, heard.device, heard.said),
            (a, alice.device, TYPING)
        );
    }
    assert!(reaches(&mut bob, &mut alice, HERE));
    // The tablet has written nothing itself; the person has.
    alice.sync(&mut relay, b);
    tablet.send(a, "from the tablet");
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert!(reaches(&mut tablet, &mut alice, HERE));
}

#[test]
fn nothing_of_it_is_stored_and_no_ratchet_moves() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    // None of these arrives.
    for _ in 0..5_000 {
        says(&mut alice, b, TYPING).unwrap();
    }
    let cursor = |phone: &mut Phone, peer| {
        let conversation = phone.conversation(peer);
        phone.machine().cursor(conversation).unwrap()
    };
    let rows = cursor(&mut bob, a);
    alice.send(b, "after");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "< after");
    assert_eq!(cursor(&mut bob, a), rows + 1);
    // A crash between two of them costs nothing.
    alice.crash();
    bob.crash();
    assert!(reaches(&mut alice, &mut bob, TYPING));
}

#[test]
fn strangers_learn_nothing_and_show_nothing() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    for said in [TYPING, HERE] {
        assert!(says(&mut alice, b, said).is_none(), "no conversation");
    }
    alice.send(b, "hello");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    for said in [TYPING, HERE] {
        // She has written to him, so he may know; he has not answered, and does not look.
        assert!(!reaches(&mut alice, &mut bob, said));
        assert!(says(&mut bob, a, said).is_none());
    }
    bob.send(a, "hello yourself");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert!(reaches(&mut alice, &mut bob, TYPING));
    assert!(says(&mut alice, a, TYPING).is_none(), "nor oneself");
}

#[test]
fn whoever_is_blocked_learns_nothing_and_shows_nothing() {
    let (_relay, mut alice, mut bob) = acquainted();
    let now = bob.now;
    bob.machine().block(alice.user, true, now).unwrap();
    for said in [TYPING, HERE] {
        assert!(!reaches(&mut alice, &mut bob, said));
        assert!(says(&mut bob, alice.user, said).is_none());
    }
    bob.machine().block(alice.user, false, now).unwrap();
    assert!(reaches(&mut alice, &mut bob, TYPING));
    assert!(reaches(&mut bob, &mut alice, HERE));
}

#[test]
fn what_is_switched_off_is_off_both_ways() {
    let (_relay, mut alice, mut bob) = acquainted();
    let set =
        |phone: &mut Phone, typing, presence| phone.signals(SignalPolicy { typing, presence });
    set(&mut bob, false, PresencePolicy::Everyone);
    assert!(says(&mut bob, alice.user, TYPING).is_none());
    assert!(!reaches(&mut alice, &mut bob, TYPING));
    assert!(reaches(&mut alice, &mut bob, HERE) && reaches(&mut bob, &mut alice, HERE));
    set(&mut bob, true, PresencePolicy::Nobody);
    assert!(says(&mut bob, alice.user, HERE).is_none());
    assert!(!reaches(&mut alice, &mut bob, HERE));
    assert!(reaches(&mut alice, &mut bob, TYPING) && reaches(&mut bob, &mut alice, TYPING));
    set(&mut bob, true, PresencePolicy::Verified);
    assert!(!reaches(&mut alice, &mut bob, HERE) && says(&mut bob, alice.user, HERE).is_none());
    verified(&mut bob, alice.user);
    assert!(reaches(&mut alice, &mut bob, HERE) && reaches(&mut bob, &mut alice, HERE));
}

#[test]
fn a_relay_repeats_turns_back_or_swaps_none() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let signal = says(&mut alice, bob.user, TYPING).unwrap();
    let first = passed(&signal, &alice, &bob);
    let next = says(&mut alice, bob.user, Said::Typing(false)).unwrap();
    let second = passed(&next, &alice, &bob);
    // As another's, or another device's.
    let mut carol = Phone::new("carol", &mut relay);
    carol.send(bob.user, "hello");
    carol.sync(&mut relay, bob.user);
    bob.sync(&mut relay, carol.user);
    bob.send(carol.user, "hello yourself");
    bob.sync(&mut relay, carol.user);
    for (sender, device) in [
        (carol.user, carol.device),
        (alice.user, carol.device),
        (carol.user, alice.device),
        (bob.user, bob.device),
    ] {
        let swapped = pb::Signalled {
            sender: sender.to_pb(),
            sender_device: device.to_pb(),
            payload: first.payload.clone(),
        };
        assert_eq!(hears(&mut bob, &swapped), None);
    }
    let back = pb::Signalled {
        sender: bob.user.to_pb(),
        sender_device: bob.device.to_pb(),
        payload: first.payload.clone(),
    };
    assert_eq!(hears(&mut alice, &back), None, "to its sender");
    for bit in [0, 70, 300, 415] {
        let mut payload = first.payload.to_vec();
        payload[bit / 8] ^= 1 << (bit % 8);
        let changed = pb::Signalled {
            payload: payload.into(),
            ..first.clone()
        };
        assert_eq!(hears(&mut bob, &changed), None);
    }
    assert!(
        hears(&mut bob, &first).is_some(),
        "none of these was in its way"
    );
    assert_eq!(hears(&mut bob, &first), None, "again");
    assert!(hears(&mut bob, &second).is_some());
    assert_eq!(hears(&mut bob, &first), None, "overtaken");
    // A process that has forgotten what it heard goes by the time.
    bob.now += 3 * 60 * 1000;
    bob.crash();
    assert_eq!(hears(&mut bob, &second), None);
    bob.now -= 6 * 60 * 1000;
    assert_eq!(hears(&mut bob, &second), None, "from the future");
}

#[test]
fn a_device_that_is_not_listed_any_more_is_not_heard() {
    let (mut relay, mut alice, mut bob) = acquainted();
    assert!(reaches(&mut alice, &mut bob, TYPING));
    replace_keys(&mut alice, &mut relay);
    look(&mut bob, &relay, alice.user);
    assert!(!reaches(&mut alice, &mut bob, TYPING));
    assert!(says(&mut bob, alice.user, TYPING).is_none());
}

#[test]
fn a_device_that_waits_to_be_accepted_learns_nothing_and_shows_nothing() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    verified(&mut bob, a);
    let mut tablet = alice.join(&mut relay);
    tablet.sync(&mut relay, a);
    tablet.send(b, "from the tablet");
    tablet.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert!(!reaches(&mut tablet, &mut bob, TYPING));
    assert_eq!(says(&mut bob, a, TYPING).unwrap().sealed.len(), 1);
    let now = bob.now;
    bob.machine()
        .accept_devices(a, &[tablet.device], now)
        .unwrap();
    bob.send(a, "for both");
    bob.sync(&mut relay, a);
    assert!(reaches(&mut tablet, &mut bob, TYPING));
    assert_eq!(says(&mut bob, a, TYPING).unwrap().sealed.len(), 2);
}

#[test]
fn another_key_of_a_verified_person_holds_signals_back() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    verified(&mut bob, a);
    reset(&mut alice, &mut relay);
    look(&mut bob, &relay, a);
    bob.send(a, "who are you?");
    bob.sync(&mut relay, a);
    for said in [TYPING, HERE] {
        assert!(says(&mut bob, a, said).is_none());
        assert!(!reaches(&mut alice, &mut bob, said));
    }
}

#[test]
fn when_somebody_was_seen_is_kept_and_goes_up_only() {
    let (_relay, mut alice, bob) = acquainted();
    let b = bob.user;
    assert_eq!(alice.machine().last_seen(b).unwrap(), None);
    alice.machine().saw(b, 3 * DAY).unwrap();
    alice.machine().saw(b, 2 * DAY).unwrap();
    alice.crash();
    assert_eq!(alice.machine().last_seen(b).unwrap(), Some(3 * DAY));
    // It is no decision about them.
    assert!(!alice.machine().trust(b).unwrap().blocked);
}
