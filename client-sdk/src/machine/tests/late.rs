//! Messages that could not be read are read after all, by who was meant and by nobody else.

use prost::bytes::Bytes;
use sordino_protocol::{UserId, pb};

use super::{DAY, acquainted, backup::history, contacts, phone::Phone, relay::Relay};
use crate::machine::{Happening, Taken};

/// Bob takes Alice's newest row with a wrap that does not open.
fn spoilt(relay: &Relay, alice: &mut Phone, bob: &mut Phone) -> Taken {
    let conversation = alice.conversation(bob.user);
    let last = relay.last_seq(conversation);
    let mut rows = relay.rows(conversation, (bob.user, bob.device), last, last);
    let mut wrap = rows[0].wrap.take().unwrap().to_vec();
    *wrap.last_mut().unwrap() ^= 1;
    rows[0].wrap = Some(wrap.into());
    bob.take(relay, alice.user, &rows)
}

/// Everything that is to be read late.
fn read_late(relay: &Relay, phone: &mut Phone, peer: UserId) -> Vec<Happening> {
    let mut happenings = Vec::new();
    for _ in 0..8 {
        let Some((conversation, seq)) = phone.machine().next_late().unwrap() else {
            return happenings;
        };
        let (rows, now) = (history(relay, phone, peer, seq + 1), phone.now);
        let told = phone.machine().take_late(conversation, seq, &rows, now);
        happenings.extend(told.unwrap());
    }
    panic!("it does not end");
}

/// What Bob's device sends that cannot be of another one.
fn asks(bob: &mut Phone, whom: &Phone, id: &[u8]) {
    let body = pb::content::Body::Retry(pb::Retry {
        client_message_ids: vec![Bytes::copy_from_slice(id)],
    });
    bob.control(whom.user, body);
}

#[test]
fn what_a_broken_session_kept_back_is_read_in_its_place_and_told_once() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    spoilt(&relay, &mut alice, &mut bob);
    assert_eq!(bob.shown(a)[2..], ["! bad_ratchet"]);
    // A new session, and the question on it.
    bob.sync(&mut relay, a);
    alice.send(b, "meanwhile");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let told = read_late(&relay, &mut bob, a);
    assert!(
        matches!(&told[..], [Happening::Gone(..), Happening::Received(_)]),
        "{told:?}"
    );
    assert_eq!(bob.shown(a)[2..], ["< spoilt", "< meanwhile"]);
    assert_eq!(read_late(&relay, &mut bob, a), []);
    // It goes into the backup like any other: four messages.
    assert_eq!(bob.machine().backlog().unwrap().waiting, 4);
    bob.crash();
    assert_eq!(bob.shown(a)[2..], ["< spoilt", "< meanwhile"]);
    // The next one needs nothing of it.
    alice.send(b, "whole");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "< whole");
}

#[test]
fn a_row_that_the_relay_has_changed_stays_closed() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "changed");
    alice.sync(&mut relay, b);
    let mut rows = relay.rows(conversation, (b, bob.device), 3, 3);
    let mut content = rows[0].content.take().unwrap().to_vec();
    content[0] ^= 1;
    rows[0].content = Some(content.into());
    bob.take(&relay, a, &rows);
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    // The key is of the row that she sent, and not of this one.
    assert_eq!(read_late(&relay, &mut bob, a), []);
    assert_eq!(bob.shown(a)[2..], ["! swapped_envelope"]);

    // Where the relay shows another row later, it is not taken for the first.
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    spoilt(&relay, &mut alice, &mut bob);
    bob.now += DAY;
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let (late, seq) = bob
        .machine()
        .next_late()
        .unwrap()
        .expect("its key has come");
    let mut rows = history(&relay, &mut bob, a, seq + 1);
    let other = rows
        .iter()
        .find(|row| row.seq == 1)
        .unwrap()
        .content
        .clone();
    rows[0].content = other;
    let now = bob.now;
    let told = bob.machine().take_late(late, seq, &rows, now).unwrap();
    assert_eq!(told, []);
    assert_eq!(read_late(&relay, &mut bob, a), []);
}

#[test]
fn keys_go_to_devices_that_were_meant_and_would_be_today() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "for bob's phone");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let id = alice.named(b, "for bob's phone");
    let id = id.as_bytes();
    let answered = |alice: &mut Phone, relay: &mut Relay| {
        let conversation = alice.conversation(b);
        let before = relay.last_seq(conversation);
        alice.sync(relay, b);
        relay.last_seq(conversation) > before
    };
    asks(&mut bob, &alice, id);
    bob.sync(&mut relay, a);
    assert!(answered(&mut alice, &mut relay));
    // Of a message that is none, or another's.
    asks(&mut bob, &alice, &[7; 16]);
    bob.sync(&mut relay, a);
    assert!(!answered(&mut alice, &mut relay));

    // A device that came later reads it from the backup, if at all.
    let mut tablet = bob.join(&mut relay);
    tablet.upload(&mut relay);
    tablet.pull(&relay, a);
    tablet.send(a, "new");
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    asks(&mut tablet, &alice, id);
    tablet.sync(&mut relay, a);
    assert!(!answered(&mut alice, &mut relay));

    // Too long ago.
    alice.now += 15 * DAY;
    asks(&mut bob, &alice, id);
    bob.sync(&mut relay, a);
    assert!(!answered(&mut alice, &mut relay));
    let now = alice.now;
    alice.now -= 15 * DAY;
    asks(&mut bob, &alice, id);
    bob.sync(&mut relay, a);
    assert!(answered(&mut alice, &mut relay));
    alice.now = now;

    // Another identity than the one that was compared.
    contacts::verified(&mut alice, b);
    contacts::reset(&mut bob, &mut relay);
    contacts::look(&mut alice, &relay, b);
    asks(&mut bob, &alice, id);
    let list = relay.lists[&b].clone();
    let now = bob.now;
    bob.machine().take_lists(b, list, now).unwrap();
    bob.sync(&mut relay, a);
    assert!(!answered(&mut alice, &mut relay));
}

#[test]
fn a_device_that_was_held_back_then_gets_nothing_now() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    contacts::verified(&mut alice, b);
    // Nobody vouches for it.
    let mut tablet = bob.join(&mut relay);
    tablet.upload(&mut relay);
    contacts::look(&mut alice, &relay, b);
    alice.send(b, "for the phone alone");
    alice.sync(&mut relay, b);
    let id = alice.named(b, "for the phone alone");
    let (device, now) = (tablet.device, alice.now);
    let accepted = alice.machine().accept_devices(b, &[device], now);
    accepted.unwrap();
    tablet.pull(&relay, a);
    tablet.send(a, "hello");
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    asks(&mut tablet, &alice, id.as_bytes());
    tablet.sync(&mut relay, a);
    let conversation = alice.conversation(b);
    let waits = |alice: &mut Phone| {
        let waits = alice
            .machine()
            .store
            .read(|tx| tx.outbox_for(conversation, device));
        waits.unwrap()
    };
    alice.pull(&relay, b);
    assert_eq!(waits(&mut alice), 0);
    // What is for it, it gets.
    alice.send(b, "for both");
    alice.sync(&mut relay, b);
    let id = alice.named(b, "for both");
    asks(&mut tablet, &alice, id.as_bytes());
    tablet.sync(&mut relay, a);
    alice.pull(&relay, b);
    assert_eq!(waits(&mut alice), 1);
}

#[test]
fn who_is_blocked_is_not_asked() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    spoilt(&relay, &mut alice, &mut bob);
    let now = bob.now;
    bob.machine().block(a, true, now).unwrap();
    bob.now += 2 * 60 * 60 * 1000;
    let now = bob.now;
    assert_eq!(bob.machine().ask_late(now).unwrap(), []);
    let conversation = bob.conversation(a);
    let device = alice.device;
    let waits = bob
        .machine()
        .store
        .read(|tx| tx.outbox_for(conversation, device));
    assert_eq!(waits.unwrap(), 0);
}

#[test]
fn a_device_that_asks_without_end_waits_for_its_answers() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "one");
    alice.sync(&mut relay, b);
    let id = alice.named(b, "one");
    for _ in 0..10 {
        asks(&mut bob, &alice, id.as_bytes());
    }
    bob.sync(&mut relay, a);
    let conversation = alice.conversation(b);
    alice.pull(&relay, b);
    let device = bob.device;
    let waits = alice
        .machine()
        .store
        .read(|tx| tx.outbox_for(conversation, device));
    assert_eq!(waits.unwrap(), 4);
}
