//! Device lists that change under a conversation; refusals.

use sordino_crypto::{
    keys::DeviceKeys,
    lists::{Change, listed, parse},
};
use sordino_protocol::{Code, DeviceId, pb};

use super::{DAY, Phone, Relay, acquainted, two};
use crate::machine::{AfterRefusal, Content, Happening, Need};

/// The id of the device comes back with new keys.
pub(super) fn replace_keys(phone: &mut Phone, relay: &mut Relay) {
    let before = parse(relay.lists[&phone.user].last().unwrap()).unwrap();
    let lsk = phone.machine().store.read(|tx| tx.list_signing_key());
    let keys = DeviceKeys::generate(&mut rand::rng());
    let (user, device) = (phone.user, phone.device);
    let entry = listed(user, &before.identity_key, device, &keys, phone.now);
    let next = Change::of(&before, phone.now)
        .unwrap()
        .remove(device)
        .add_unvouched(entry)
        .sign(&lsk.unwrap().unwrap())
        .unwrap();
    relay.lists.get_mut(&user).unwrap().push(next.signed);
}

#[test]
fn a_device_id_with_new_keys_is_another_device() {
    for (days, want) in [(0, "< late"), (31, "! removed_device")] {
        let (mut relay, mut alice, mut bob) = two();
        let (a, b) = (alice.user, bob.user);
        let conversation = alice.conversation(b);
        alice.send(b, "late");
        alice.prepare(&mut relay, b);
        alice.flush(&mut relay, b);
        replace_keys(&mut alice, &mut relay);
        let (lists, now) = (relay.lists[&a].clone(), bob.now);
        bob.machine().take_lists(a, lists, now).unwrap();
        bob.now += days * DAY;
        let taken = bob.pull(&relay, a);
        assert_eq!(bob.shown(a), [want]);
        for happening in &taken.happenings {
            if let Happening::Received(item) = happening {
                let Content::Message { removed_sender, .. } = item.content else {
                    panic!("no message")
                };
                assert!(removed_sender);
            }
        }
        // What the old keys began is not what the new ones are sent.
        let rows = relay.rows(conversation, (b, bob.device), 1, 1);
        assert!(rows[0].wrap.is_some());
        let book = bob.machine().store.read(|tx| tx.book(a, alice.device));
        assert_eq!(book.unwrap().sending(), None);
    }
}

/// A second device that nobody vouches for joins the newest list.
pub(super) fn add_device(phone: &mut Phone, relay: &mut Relay) -> DeviceId {
    let device = DeviceId::from_bytes(rand::random());
    let newest = relay.lists[&phone.user].last().unwrap();
    let before = parse(newest).unwrap();
    let lsk = phone.machine().store.read(|tx| tx.list_signing_key());
    let keys = DeviceKeys::generate(&mut rand::rng());
    let entry = listed(phone.user, &before.identity_key, device, &keys, phone.now);
    let next = Change::of(&before, phone.now)
        .unwrap()
        .add_unvouched(entry)
        .sign(&lsk.unwrap().unwrap())
        .unwrap();
    relay
        .lists
        .get_mut(&phone.user)
        .unwrap()
        .push(next.signed.clone());
    let now = phone.now;
    let user = phone.user;
    phone
        .machine()
        .take_lists(user, vec![next.signed], now)
        .unwrap();
    device
}

#[test]
fn changed_lists_encrypt_again_under_the_same_counter_and_name() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "one");
    alice.send(b, "two");
    let machine = alice.machine();
    let before = machine.outgoing(conversation, 0, 9, usize::MAX).unwrap();
    add_device(&mut bob, &mut relay);
    add_device(&mut bob, &mut relay);
    alice.flush(&mut relay, b);
    let machine = alice.machine();
    let after = machine.outgoing(conversation, 0, 9, usize::MAX).unwrap();
    let names = |out: &[crate::store::Outgoing]| {
        let name = |o: &crate::store::Outgoing| (o.counter, o.client_message_id);
        out.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&before), names(&after));
    assert!(before[0].send != after[0].send && before[1].send != after[1].send);
    let versions = alice
        .machine()
        .store
        .read(|tx| tx.versions(conversation, 2));
    assert_eq!(versions.unwrap().len(), 2);
    alice.pull(&relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a)[2..], ["< one", "< two"]);
    let want = ["keys changed, false", "> one", "> two"];
    assert_eq!(alice.shown(b)[2..], want);
}

#[test]
fn a_row_of_the_older_encryption_settles_the_message_too() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "one");
    let machine = alice.machine();
    let first = machine.outgoing(conversation, 0, 9, usize::MAX).unwrap();
    relay.accept(&first[0].send).unwrap();
    // The answer was lost; the lists change; the resend is refused and encrypted again.
    add_device(&mut bob, &mut relay);
    alice.flush(&mut relay, b);
    assert_eq!(relay.last_seq(conversation), 3);
    alice.pull(&relay, b);
    assert!(alice.waiting().is_empty());
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a)[2..], ["< one"]);
}

#[test]
fn a_new_device_is_told_once_and_loudly() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    let device = add_device(&mut bob, &mut relay);
    let lists = relay.lists[&b].clone();
    let now = alice.now;
    let told = alice.machine().take_lists(b, lists.clone(), now).unwrap();
    let want = Happening::DeviceAdded {
        user: b,
        device,
        loud: true,
    };
    assert!(told.contains(&want));
    assert!(
        alice
            .machine()
            .take_lists(b, lists, now)
            .unwrap()
            .is_empty()
    );
    let pin = alice.machine().store.read(|tx| tx.pin(b)).unwrap();
    assert_eq!(pin.unwrap().1, [device]);
    alice.crash();
    assert_eq!(alice.machine().pinned_version(b).unwrap(), Some(2));
}

/// Alice's new device, which nobody vouches for, vouches for a third one: told at once, or one after the other.
#[test]
fn a_loud_device_vouches_for_no_other() {
    for together in [true, false] {
        let (mut relay, mut alice, mut bob) = acquainted();
        let a = alice.user;
        let lsk = alice.machine().store.read(|tx| tx.list_signing_key());
        let lsk = lsk.unwrap().unwrap();
        let one = parse(relay.lists[&a].last().unwrap()).unwrap();
        let new = |n| {
            let (id, keys) = (
                DeviceId::from_bytes([n; 16]),
                DeviceKeys::generate(&mut rand::rng()),
            );
            (
                id,
                listed(a, &one.identity_key, id, &keys, super::NOW),
                keys,
            )
        };
        let (second, entry, keys) = new(77);
        let two = Change::of(&one, alice.now).unwrap().add_unvouched(entry);
        let two = two.sign(&lsk).unwrap();
        let (third, entry, _) = new(78);
        let three = Change::of(&two, alice.now).unwrap();
        let three = three.link(entry, second, &keys).unwrap();
        let three = three.sign(&lsk).unwrap();
        let lists = relay.lists.get_mut(&a).unwrap();
        lists.extend([two.signed.clone(), three.signed.clone()]);
        let steps = if together {
            vec![vec![two.signed, three.signed]]
        } else {
            vec![vec![two.signed], vec![three.signed]]
        };
        let now = bob.now;
        let mut told = Vec::new();
        for lists in steps {
            told.extend(bob.machine().take_lists(a, lists, now).unwrap());
        }
        for device in [second, third] {
            let want = Happening::DeviceAdded {
                user: a,
                device,
                loud: true,
            };
            assert!(told.contains(&want), "together: {together}");
        }
        let pin = bob.machine().store.read(|tx| tx.pin(a)).unwrap();
        assert_eq!(pin.unwrap().1, [second, third]);
    }
}

#[test]
fn lists_that_do_not_join_the_pin_are_refused() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    for _ in 0..3 {
        add_device(&mut bob, &mut relay);
    }
    let lists = relay.lists[&b].clone();
    let now = alice.now;
    let mut refused = |user, lists: Vec<pb::Signed>| {
        let error = alice.machine().take_lists(user, lists, now).unwrap_err();
        assert_eq!(error.code(), Code::BadKeys);
    };
    refused(b, lists[2..].to_vec());
    refused(b, vec![lists[1].clone(), lists[3].clone()]);
    refused(b, vec![]);
    refused(a, lists[..1].to_vec());
    let mut forged = lists.clone();
    forged[3].signature = lists[2].signature.clone();
    refused(b, forged);
    assert_eq!(alice.machine().pinned_version(b).unwrap(), Some(1));
    alice.machine().take_lists(b, lists, now).unwrap();
    assert_eq!(alice.machine().pinned_version(b).unwrap(), Some(4));
}

#[test]
fn a_final_refusal_sends_an_empty_message_and_shows_it_failed() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "refused");
    alice.send(b, "after");
    let refused = |alice: &mut Phone, code: Code, after_ms| {
        let out = alice.machine().outgoing(conversation, 0, 1, usize::MAX);
        let out = out.unwrap().remove(0);
        let frame = pb::Refused {
            conversation: conversation.to_pb(),
            client_message_id: out.client_message_id.to_pb(),
            counter: out.counter,
            code: code.as_str().to_owned(),
            retry_after_ms: after_ms,
            ..Default::default()
        };
        let now = alice.now;
        alice.machine().refused(&frame, now).unwrap().0
    };
    let busy = refused(&mut alice, Code::Busy, 700);
    let wait = std::time::Duration::from_millis(700);
    assert_eq!(busy, AfterRefusal::Wait { wait, from: 2 });
    let gap = refused(&mut alice, Code::CounterGap, 0);
    assert_eq!(gap, AfterRefusal::Resend { from: 2 });
    let last = refused(&mut alice, Code::TooLarge, 0);
    assert_eq!(last, AfterRefusal::Resend { from: 2 });
    let want = ["> refused (too_large)", "> after (pending)"];
    let mut shown = alice.shown(b)[2..].to_vec();
    shown.sort();
    assert_eq!(shown, ["> after (pending)", "> refused (too_large)"]);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b)[2..], [want[0], "> after"]);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a)[2..], ["< after"]);
    assert_eq!(relay.last_seq(conversation), 4);
}

#[test]
fn a_cancelled_message_that_the_relay_had_is_sent_after_all() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    let now = alice.now;
    let first = alice.machine().send(b, "taken", now).unwrap();
    let out = alice.machine().outgoing(conversation, 0, 9, usize::MAX);
    relay.accept(&out.unwrap()[0].send).unwrap();
    let second = alice.machine().send(b, "gone", now).unwrap();
    for sent in [&first, &second] {
        let id = sent.client_message_id;
        alice.machine().cancel(conversation, id, now).unwrap();
    }
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(alice.shown(b)[2..], ["> taken", "> gone (cancelled)"]);
    assert_eq!(bob.shown(a)[2..], ["< taken"]);
}

#[test]
fn messages_wait_while_the_person_has_no_prekeys() {
    let mut relay = Relay::default();
    let mut alice = Phone::new("alice", &mut relay);
    let mut bob = Phone::without_prekeys("bob", &mut relay);
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "early");
    alice.sync(&mut relay, b);
    let now = alice.now;
    assert_eq!(alice.machine().needs(b, now).unwrap(), Need::Later);
    assert_eq!(alice.shown(b), ["> early (pending)"]);
    // Asked again after a second, then less and less often, but at least once a minute.
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        let now = alice.now + wait * 1000;
        assert_eq!(alice.machine().needs(b, now - 1).unwrap(), Need::Later);
        alice.now = now;
        assert!(matches!(
            alice.machine().needs(b, now),
            Ok(Need::Sessions(_))
        ));
        alice.sync(&mut relay, b);
    }
    bob.upload(&mut relay);
    alice.now += 60_000;
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a), ["< early"]);
}

#[test]
fn what_own_devices_say_is_never_given_up() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    super::contacts::look(&mut alice, &relay, a);
    let now = alice.now;
    alice.machine().block(b, true, now).unwrap();
    alice.prepare(&mut relay, a);
    let conversation = alice.conversation(a);
    let refused = |alice: &mut Phone| {
        let out = alice.machine().outgoing(conversation, 0, 1, usize::MAX);
        let out = out.unwrap().remove(0);
        let frame = pb::Refused {
            conversation: conversation.to_pb(),
            client_message_id: out.client_message_id.to_pb(),
            counter: out.counter,
            code: Code::TooLarge.as_str().to_owned(),
            ..Default::default()
        };
        alice.machine().refused(&frame, now).unwrap()
    };
    for _ in 0..2 {
        let (next, told) = refused(&mut alice);
        assert!(matches!(next, AfterRefusal::Wait { .. }), "{next:?}");
        assert!(
            matches!(&told[..], [Happening::RelayMisbehaved { .. }]),
            "{told:?}"
        );
    }
    alice.flush(&mut relay, a);
    tablet.sync(&mut relay, a);
    let decided = tablet.machine().store.read(|tx| tx.decision(b));
    assert!(decided.unwrap().blocked.what);
}
