//! Messages that could not be read are read after all, by who was meant and by nobody else.

use prost::bytes::Bytes;
use sordino_protocol::{ConversationId, DeviceId, UserId, pb};

use super::{DAY, acquainted, backup::history, contacts, phone::Phone, relay::Relay, two};
use crate::machine::{Happening, Taken};

/// Bob takes Alice's newest row with a wrap that does not open.
fn spoilt(relay: &Relay, alice: &mut Phone, bob: &mut Phone) -> Taken {
    spoilt_with(relay, alice.user, bob)
}

/// A device takes the newest row of what is said with a person, with a wrap that does not open.
pub(super) fn spoilt_with(relay: &Relay, peer: UserId, reader: &mut Phone) -> Taken {
    let conversation = reader.conversation(peer);
    let last = relay.last_seq(conversation);
    let mut rows = relay.rows(conversation, (reader.user, reader.device), last, last);
    let mut wrap = rows[0].wrap.take().unwrap().to_vec();
    *wrap.last_mut().unwrap() ^= 1;
    rows[0].wrap = Some(wrap.into());
    reader.take(relay, peer, &rows)
}

/// Alice has a tablet, and the two have sessions with each other.
fn with_tablet() -> (Relay, Phone, Phone, Phone) {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    contacts::look(&mut alice, &relay, a);
    tablet.pull(&relay, b);
    settle(&mut relay, &mut alice, &mut tablet);
    (relay, alice, tablet, bob)
}

/// The two have nothing more to say to each other.
fn settle(relay: &mut Relay, alice: &mut Phone, tablet: &mut Phone) {
    let own = alice.user;
    let conversation = alice.conversation(own);
    for _ in 0..8 {
        let before = relay.last_seq(conversation);
        tablet.sync(relay, own);
        alice.sync(relay, own);
        if relay.last_seq(conversation) == before {
            return;
        }
    }
    panic!("they do not come to an end");
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

/// Messages that wait to be sent to one device.
fn waiting_for(phone: &mut Phone, conversation: ConversationId, device: DeviceId) -> u64 {
    let waits = phone
        .machine()
        .store
        .read(|tx| tx.outbox_for(conversation, device));
    waits.unwrap()
}

/// What Bob's device sends that cannot be of another one.
fn asks(bob: &mut Phone, whom: &Phone, id: &[u8]) {
    let body = pb::content::Body::Retry(pb::Retry {
        client_message_ids: vec![Bytes::copy_from_slice(id)],
        ..Default::default()
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
    alice.pull(&relay, b);
    assert_eq!(waiting_for(&mut alice, conversation, device), 0);
    // What is for it, it gets.
    alice.send(b, "for both");
    alice.sync(&mut relay, b);
    let id = alice.named(b, "for both");
    asks(&mut tablet, &alice, id.as_bytes());
    tablet.sync(&mut relay, a);
    alice.pull(&relay, b);
    assert_eq!(waiting_for(&mut alice, conversation, device), 1);
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
    assert_eq!(waiting_for(&mut bob, conversation, device), 0);
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
    assert_eq!(waiting_for(&mut alice, conversation, device), 4);
}

#[test]
fn what_another_own_device_wrote_is_read_after_all() {
    let (mut relay, mut alice, mut tablet, bob) = with_tablet();
    let (a, b) = (alice.user, bob.user);
    let waiting = tablet.machine().backlog().unwrap().waiting;
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    let rows = relay.last_seq(alice.conversation(b));
    let taken = spoilt_with(&relay, b, &mut tablet);
    assert!(taken.tells_own);
    assert_eq!(tablet.shown(b), ["! bad_ratchet"]);
    settle(&mut relay, &mut alice, &mut tablet);
    let told = read_late(&relay, &mut tablet, b);
    assert!(
        matches!(&told[..], [Happening::Gone(..), Happening::Added(_)]),
        "{told:?}"
    );
    assert_eq!(tablet.shown(b), ["> spoilt"]);
    assert_eq!(tablet.machine().backlog().unwrap().waiting, waiting + 1);
    // The other person hears nothing of it.
    assert_eq!(relay.last_seq(alice.conversation(b)), rows);
    // Sessions are whole again.
    alice.send(b, "whole");
    alice.sync(&mut relay, b);
    tablet.pull(&relay, b);
    assert_eq!(tablet.shown(b), ["> spoilt", "> whole"]);
    // Also of what the user writes to themselves.
    alice.send(a, "a note");
    alice.sync(&mut relay, a);
    settle(&mut relay, &mut alice, &mut tablet);
    alice.send(a, "another");
    alice.sync(&mut relay, a);
    spoilt_with(&relay, a, &mut tablet);
    settle(&mut relay, &mut alice, &mut tablet);
    read_late(&relay, &mut tablet, a);
    assert_eq!(tablet.shown(a), ["> a note", "> another"]);
}

#[test]
fn a_device_that_has_left_gets_nothing_of_its_own_user() {
    let (mut relay, mut alice, mut tablet, bob) = with_tablet();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "meant for both");
    alice.sync(&mut relay, b);
    spoilt_with(&relay, b, &mut tablet);
    let now = tablet.now;
    tablet.prepare(&mut relay, a);
    assert!(!tablet.machine().waiting().unwrap().is_empty(), "it asks");
    // Before the question is there it is removed.
    let list = alice.machine().own_list().unwrap();
    let without = alice.machine().without_device(&list, tablet.device, now);
    let without = without.unwrap().signed;
    relay.takes_old = true;
    tablet.flush(&mut relay, a);
    relay.lists.get_mut(&a).unwrap().push(without.clone());
    alice.machine().take_lists(a, vec![without], now).unwrap();
    alice.sync(&mut relay, a);
    let (conversation, device) = (alice.conversation(a), tablet.device);
    assert_eq!(waiting_for(&mut alice, conversation, device), 0);
}

#[test]
fn what_nobody_answers_is_asked_for_less_and_less() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    spoilt(&relay, &mut alice, &mut bob);
    let conversation = alice.conversation(b);
    let mut before = relay.last_seq(conversation);
    let mut at = Vec::new();
    for hour in 0..15 * 24 {
        bob.sync(&mut relay, a);
        let asked = relay.last_seq(conversation) > before;
        before = relay.last_seq(conversation);
        at.extend(asked.then_some(hour));
        bob.now += DAY / 24;
    }
    assert_eq!(at, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256]);
    let late = bob.machine().store.read(|tx| tx.late_senders(1 << 60));
    assert_eq!(late.unwrap(), []);
}

#[test]
fn a_device_that_has_written_nothing_mends_sessions_of_those_whom_another_has_answered() {
    let (mut relay, mut alice, mut tablet, mut bob) = with_tablet();
    let (a, b) = (alice.user, bob.user);
    // It knows that Bob was answered: by what it has seen of the phone.
    alice.send(b, "hello again");
    alice.sync(&mut relay, b);
    tablet.pull(&relay, b);
    contacts::look(&mut bob, &relay, a);
    bob.sync(&mut relay, a);
    bob.send(a, "spoilt");
    bob.sync(&mut relay, a);
    let taken = spoilt_with(&relay, b, &mut tablet);
    assert!(taken.attention);
    assert!(tablet.waiting().iter().any(|(_, peer)| *peer == b));
    tablet.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    tablet.sync(&mut relay, b);
    read_late(&relay, &mut tablet, b);
    assert_eq!(tablet.shown(b), ["> hello again", "< spoilt"]);
}

#[test]
fn a_stranger_whose_message_does_not_open_hears_nothing() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    bob.send(a, "spoilt");
    bob.sync(&mut relay, a);
    let taken = spoilt_with(&relay, b, &mut alice);
    assert!(!taken.attention && !taken.answers);
    assert_eq!(alice.shown(b), ["! bad_handshake"]);
    alice.sync(&mut relay, b);
    assert_eq!(alice.waiting(), []);
    assert_eq!(relay.last_seq(alice.conversation(b)), 1);
}

#[test]
fn a_device_that_was_put_on_the_list_later_gets_nothing_of_its_own_user() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "before");
    alice.sync(&mut relay, b);
    let id = alice.named(b, "before");
    let mut later = alice.join(&mut relay);
    later.upload(&mut relay);
    contacts::look(&mut alice, &relay, a);
    settle(&mut relay, &mut alice, &mut later);
    alice.send(b, "after");
    alice.sync(&mut relay, b);
    let after = alice.named(b, "after");
    let (conversation, device) = (alice.conversation(b), later.device);
    for (id, answers) in [(id, 0), (after, 1)] {
        let body = pb::content::Body::Retry(pb::Retry {
            client_message_ids: vec![id.to_pb()],
            conversation: conversation.to_pb(),
        });
        later.control(a, body);
        later.sync(&mut relay, a);
        alice.pull(&relay, a);
        let own = alice.conversation(a);
        assert_eq!(waiting_for(&mut alice, own, device), answers);
    }
}

#[test]
fn what_an_own_device_left_this_one_out_of_is_asked_for_too() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    // Nobody reaches it: it has no prekeys.
    let mut tablet = alice.join(&mut relay);
    contacts::look(&mut alice, &relay, a);
    tablet.pull(&relay, b);
    assert_eq!(tablet.shown(b), [] as [&str; 0], "what was before it");
    alice.send(b, "left out");
    alice.sync(&mut relay, b);
    tablet.pull(&relay, b);
    assert_eq!(tablet.shown(b), ["! left_out"]);
    tablet.upload(&mut relay);
    alice.now += DAY;
    tablet.now += DAY;
    settle(&mut relay, &mut alice, &mut tablet);
    read_late(&relay, &mut tablet, b);
    assert_eq!(tablet.shown(b), ["> left out"]);
    // What they say to each other is no message of anybody's.
    assert_eq!(tablet.shown(a), [] as [&str; 0]);
}

#[test]
fn a_device_is_left_out_by_one_that_it_has_not_heard_of_too() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    contacts::look(&mut alice, &relay, a);
    tablet.pull(&relay, b);
    let held = tablet.machine().pinned_version(a).unwrap().unwrap();
    // While it was away another one has come, and meets no prekeys of it.
    let mut laptop = alice.join(&mut relay);
    laptop.upload(&mut relay);
    laptop.pull(&relay, b);
    laptop.send(b, "by the new one");
    laptop.sync(&mut relay, b);
    // What the list says is not known before the list.
    let conversation = tablet.conversation(b);
    let cursor = tablet.machine().cursor(conversation).unwrap();
    let rows = relay.rows(conversation, (a, tablet.device), cursor + 1, u64::MAX);
    let now = tablet.now;
    let taken = tablet
        .machine()
        .take_rows(b, conversation, &rows, false, now);
    assert_eq!(taken.unwrap().needs, Some((a, held + 1)));
    assert_eq!(tablet.machine().cursor(conversation).unwrap(), cursor);
    tablet.pull(&relay, b);
    assert_eq!(tablet.shown(b), ["! left_out"]);
}

#[test]
fn a_list_that_the_relay_denies_holds_up_no_row_without_a_wrap() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    contacts::look(&mut alice, &relay, a);
    tablet.pull(&relay, b);
    let before = relay.lists[&a].clone();
    let mut laptop = alice.join(&mut relay);
    laptop.upload(&mut relay);
    laptop.pull(&relay, b);
    laptop.send(b, "of a list that is not shown");
    laptop.sync(&mut relay, b);
    relay.lists.insert(a, before);
    tablet.pull(&relay, b);
    let conversation = tablet.conversation(b);
    let cursor = tablet.machine().cursor(conversation).unwrap();
    assert_eq!(cursor, relay.last_seq(conversation));
    assert_eq!(tablet.shown(b), [] as [&str; 0]);
}

#[test]
fn a_session_that_begins_asks_the_device_that_it_is_with_and_nobody_else() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let mut carol = Phone::new("carol", &mut relay);
    let (a, b, c) = (alice.user, bob.user, carol.user);
    carol.send(b, "hello");
    carol.sync(&mut relay, b);
    bob.sync(&mut relay, c);
    bob.send(c, "hello yourself");
    bob.sync(&mut relay, c);
    carol.sync(&mut relay, b);
    carol.send(b, "spoilt");
    carol.sync(&mut relay, b);
    spoilt_with(&relay, c, &mut bob);
    bob.prepare(&mut relay, c);
    let with_carol = bob.conversation(c);
    let asked = waiting_for(&mut bob, with_carol, carol.device);
    assert!(asked > 0);
    // She would be asked again by now.
    bob.now += 2 * 60 * 60 * 1000;
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    spoilt_with(&relay, a, &mut bob);
    bob.prepare(&mut relay, a);
    let with_alice = bob.conversation(a);
    assert!(waiting_for(&mut bob, with_alice, alice.device) > 0);
    assert_eq!(waiting_for(&mut bob, with_carol, carol.device), asked);
}
