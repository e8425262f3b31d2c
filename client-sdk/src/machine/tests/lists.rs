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

/// Alice's second list twice: one that Bob is shown, and one that the relay goes on with, to a third that names a tablet.
fn contradicted() -> (Relay, Phone, Phone, Phone) {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    super::chains::add_nothing(&mut alice, &mut relay);
    let shown = relay.lists.get_mut(&a).unwrap().pop().unwrap();
    let now = bob.now;
    bob.machine().take_lists(a, vec![shown], now).unwrap();
    alice.now += 1;
    super::chains::add_nothing(&mut alice, &mut relay);
    super::contacts::look(&mut alice, &relay, a);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    super::contacts::look(&mut alice, &relay, a);
    (relay, alice, tablet, bob)
}

#[test]
fn lists_that_contradict_those_of_before_are_taken_once_the_number_is_compared() {
    // From the first one on, from the version that is held, and what would follow that.
    for from in 0..3 {
        let (relay, alice, _, mut bob) = contradicted();
        let (a, now) = (alice.user, bob.now);
        let lists = relay.lists[&a][from..].to_vec();
        let error = bob.machine().take_lists(a, lists, now).unwrap_err();
        assert_eq!(error.code(), Code::BadKeys);
        assert!(bob.machine().trust(a).unwrap().lists_contradict, "{from}");
    }
    let (mut relay, mut alice, mut tablet, mut bob) = contradicted();
    let (a, b) = (alice.user, bob.user);
    let lists = relay.lists[&a].clone();
    let (trust, now) = (|bob: &mut Phone| bob.machine().trust(a).unwrap(), bob.now);
    let refused = bob.machine().take_lists(a, lists.clone(), now);
    refused.unwrap_err();
    // Nothing goes by what is held, and nothing else is taken.
    bob.send(a, "waits");
    bob.crash();
    assert!(trust(&mut bob).lists_contradict);
    let error = bob.machine().take_lists(a, lists, now).unwrap_err();
    assert_eq!(error.code(), Code::BadKeys);
    assert_eq!(bob.machine().pinned_version(a).unwrap(), Some(2));

    super::contacts::verified(&mut bob, a);
    bob.crash();
    assert!(!trust(&mut bob).lists_contradict);
    bob.sync(&mut relay, a);
    assert_eq!(bob.machine().pinned_version(a).unwrap(), Some(3));
    assert_eq!(trust(&mut bob).withheld, [tablet.device]);
    assert!(trust(&mut bob).verified);
    alice.sync(&mut relay, b);
    tablet.pull(&relay, b);
    assert_eq!(alice.shown(b)[2..], ["< waits"]);
    assert_eq!(tablet.shown(b), [] as [&str; 0]);
    let (device, now) = (tablet.device, bob.now);
    let accepted = bob.machine().accept_devices(a, &[device], now);
    accepted.unwrap();
    bob.send(a, "for both");
    bob.sync(&mut relay, a);
    tablet.pull(&relay, b);
    assert_eq!(tablet.shown(b), ["< for both"]);
}

#[test]
fn what_was_accepted_of_lists_says_nothing_of_those_that_contradict_them() {
    let (mut relay, mut alice, _, mut bob) = contradicted();
    let a = alice.user;
    super::contacts::verified(&mut bob, a);
    let (device, now) = (alice.device, bob.now);
    let accepted = bob.machine().accept_devices(a, &[device], now);
    accepted.unwrap();
    // The device that was accepted has other keys there.
    replace_keys(&mut alice, &mut relay);
    let lists = relay.lists[&a].clone();
    bob.machine().take_lists(a, lists.clone(), now).unwrap_err();
    super::contacts::verified(&mut bob, a);
    bob.machine().take_lists(a, lists, now).unwrap();
    let trust = bob.machine().trust(a).unwrap();
    assert!(trust.withheld.contains(&device), "{trust:?}");
}

#[test]
fn another_identity_key_in_lists_that_contradict_holds_everything_back() {
    let (mut relay, mut alice, _, mut bob) = contradicted();
    let (a, b) = (alice.user, bob.user);
    let now = bob.now;
    let lists = relay.lists[&a].clone();
    bob.machine().take_lists(a, lists, now).unwrap_err();
    super::contacts::verified(&mut bob, a);
    super::contacts::reset(&mut alice, &mut relay);
    let lists = relay.lists[&a].clone();
    let told = bob.machine().take_lists(a, lists, now).unwrap();
    assert!(told.contains(&Happening::IdentityChanged(a)), "{told:?}");
    let trust = bob.machine().trust(a).unwrap();
    assert!(trust.identity_changed && !trust.verified);
    bob.send(a, "waits");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert_eq!(bob.shown(a).last().unwrap(), "> waits (pending)");
}

#[test]
fn who_compares_may_go_back_but_older_lists_vouch_for_nobody() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, now) = (alice.user, bob.now);
    super::contacts::look(&mut alice, &relay, a);
    let tablet = alice.join(&mut relay).device;
    super::contacts::look(&mut alice, &relay, a);
    let joined = relay.lists[&a].clone();
    super::decisions::put_list(&mut alice, &mut relay, |change| change.remove(tablet));
    super::contacts::look(&mut bob, &relay, a);
    super::contacts::verified(&mut bob, a);
    let trust = |bob: &mut Phone| bob.machine().trust(a).unwrap();
    assert_eq!(trust(&mut bob).withheld, []);

    // The relay is an old copy, from before the removal.
    let told = bob.machine().lists_went_back(a).unwrap();
    assert_eq!(told, [Happening::TrustChanged(a)]);
    assert!(trust(&mut bob).lists_contradict);
    super::contacts::verified(&mut bob, a);
    let told = bob.machine().take_lists(a, joined[..1].to_vec(), now);
    assert!(told.unwrap().contains(&Happening::TrustChanged(a)));
    assert_eq!(bob.machine().pinned_version(a).unwrap(), Some(1));
    assert_eq!(trust(&mut bob).withheld, []);
    bob.crash();
    // It was genuine when it came, and vouched for.
    bob.machine().take_lists(a, joined.clone(), now).unwrap();
    assert_eq!(trust(&mut bob).withheld, [tablet]);
    // What another own device had decided of it before it was removed says nothing.
    let list = parse(&joined[1]).unwrap();
    super::decisions::hear_accepted(&mut bob, &list, tablet);
    assert_eq!(trust(&mut bob).withheld, [tablet]);
    // What is decided now does.
    let accepted = bob.machine().accept_devices(a, &[tablet], now);
    accepted.unwrap();
    assert_eq!(trust(&mut bob).withheld, []);
}

#[test]
fn an_identity_key_of_before_is_not_taken_whatever_was_compared() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, now) = (alice.user, bob.now);
    let before = relay.lists[&a].clone();
    super::contacts::reset(&mut alice, &mut relay);
    super::contacts::look(&mut bob, &relay, a);
    bob.machine().lists_went_back(a).unwrap();
    super::contacts::verified(&mut bob, a);
    let error = bob.machine().take_lists(a, before, now).unwrap_err();
    assert_eq!(error.code(), Code::BadKeys);
    // The user is asked again, and what is held stays.
    assert!(bob.machine().trust(a).unwrap().lists_contradict);
    assert_eq!(bob.machine().pinned_version(a).unwrap(), Some(2));
}

#[test]
fn lists_that_fit_again_are_told() {
    let (relay, alice, _, mut bob) = contradicted();
    let (a, now) = (alice.user, bob.now);
    let held = bob.machine().store.read(|tx| tx.list(a, 2)).unwrap();
    let lists = relay.lists[&a].clone();
    bob.machine().take_lists(a, lists.clone(), now).unwrap_err();
    let held = vec![held.unwrap().signed];
    let told = bob.machine().take_lists(a, held.clone(), now).unwrap();
    assert_eq!(told, [Happening::TrustChanged(a)]);
    assert!(!bob.machine().trust(a).unwrap().lists_contradict);
    assert_eq!(bob.machine().take_lists(a, held, now).unwrap(), []);
}

#[test]
fn a_device_that_is_new_has_a_way_out_of_older_lists_too() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    super::contacts::look(&mut alice, &relay, a);
    let mut shown = relay.lists[&a].clone();
    super::chains::add_nothing(&mut alice, &mut relay);
    super::contacts::look(&mut bob, &relay, a);
    super::contacts::verified(&mut bob, a);
    let mut tablet = bob.join(&mut relay);
    let known = bob.machine().store.read(|tx| tx.list(a, 2));
    let known = known.unwrap().unwrap();
    let said = pb::TrustDecision {
        user: a.to_pb(),
        seen_key: known.identity_key.to_vec().into(),
        seen_version: 2,
        verified_key: known.identity_key.to_vec().into(),
        verified_ms: 1,
        accepted_devices: vec![super::decisions::accepted_by(&known, alice.device)],
        ..Default::default()
    };
    super::decisions::hear(&mut tablet, &said);
    let trust = |tablet: &mut Phone| tablet.machine().trust(a).unwrap();
    let now = tablet.now;
    // It asks for what the other one has seen.
    assert_eq!(tablet.machine().newest_from(a).unwrap(), Some(2));
    let refused = tablet.machine().take_lists(a, shown.clone(), now);
    assert_eq!(refused.unwrap_err().code(), Code::BadKeys);
    assert!(trust(&mut tablet).lists_contradict);
    // What the other has seen can be compared.
    super::contacts::verified(&mut tablet, a);
    assert!(!trust(&mut tablet).lists_contradict);
    assert_eq!(tablet.machine().newest_from(a).unwrap(), None);
    let told = tablet.machine().take_lists(a, shown.clone(), now).unwrap();
    assert_eq!(told, [Happening::TrustChanged(a)]);
    // Whose devices these lists name nobody has said.
    assert!(trust(&mut tablet).verified);
    assert_eq!(trust(&mut tablet).withheld, [alice.device]);
    let accepted = tablet.machine().accept_devices(a, &[alice.device], now);
    accepted.unwrap();
    relay.lists.insert(a, shown.clone());
    super::decisions::put_list(&mut alice, &mut relay, |change| change);
    shown.clone_from(&relay.lists[&a]);
    tablet.machine().take_lists(a, shown, now).unwrap();
    assert_eq!(trust(&mut tablet).withheld, []);
}
