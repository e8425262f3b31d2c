//! Lists of a person that contradict those that were seen, and whom they vouch for.

use prost::Message as _;
use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists::{first_list, listed, parse},
};
use sordino_protocol::{Code, DeviceId, UserId, list::DeviceList, pb};

use super::chains::add_nothing;
use super::contacts::{look, reset, signed_by, verified};
use super::decisions::{entry, hear, hear_accepted, put_list, seen_by};
use super::lists::{add_device, replace_keys};
use super::{NOW, Phone, Relay, acquainted, two};
use crate::machine::{Happening, Need};

const NOBODY: [DeviceId; 0] = [];

fn withheld(phone: &mut Phone, of: UserId) -> Vec<DeviceId> {
    phone.machine().trust(of).unwrap().withheld
}

fn contradicts(phone: &mut Phone, of: UserId) -> bool {
    phone.machine().trust(of).unwrap().lists_contradict
}

fn pinned(phone: &mut Phone, of: UserId) -> Option<u32> {
    phone.machine().pinned_version(of).unwrap()
}

/// The relay shows these lists as the newest, and none that was seen.
fn goes_back(phone: &mut Phone, of: UserId, shown: &[pb::Signed]) -> Vec<Happening> {
    let told = phone.machine().lists_went_back(of, shown.last());
    told.unwrap()
}

/// A device of this id, for which the person's first one vouches.
fn vouched(phone: &mut Phone, relay: &mut Relay, device: DeviceId) {
    let list = parse(relay.lists[&phone.user].last().unwrap()).unwrap();
    let account = phone.machine().store.read(|tx| tx.account()).unwrap();
    let (user, keys) = (phone.user, DeviceKeys::generate(&mut rand::rng()));
    let entry = listed(user, &list.identity_key, device, &keys, NOW);
    let (by, keys) = (phone.device, account.unwrap().keys);
    put_list(phone, relay, |change| {
        change.link(entry, by, &keys).unwrap()
    });
}

/// A list of another identity, as a relay can make it without anybody's keys.
fn made_up_reset(before: &DeviceList) -> pb::Signed {
    let rng = &mut rand::rng();
    let (identity, lsk) = (IdentityKey::generate(rng), ListSigningKey::generate(rng));
    let device = DeviceId::from_bytes([3; 16]);
    let keys = DeviceKeys::generate(rng);
    let first = first_list(before.user, device, &identity, &lsk, &keys, None, NOW);
    let first = pb::DeviceListBody::decode(first.body).unwrap();
    let mut body = pb::DeviceListBody::decode(before.signed.body.clone()).unwrap();
    body.version = before.version + 1;
    body.prev_hash = before.hash.to_vec().into();
    let version = before.lsk_version + 1;
    body.lsk_certificate = Some(identity.certify(before.user, version, &lsk.public()));
    body.devices = first.devices;
    signed_by(&lsk, &body)
}

/// Alice's second list twice: one that Bob is shown, and one that the relay goes on with, to a third that names a tablet.
fn contradicted() -> (Relay, Phone, Phone, Phone) {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    add_nothing(&mut alice, &mut relay);
    let shown = relay.lists.get_mut(&a).unwrap().pop().unwrap();
    let now = bob.now;
    bob.machine().take_lists(a, vec![shown], now).unwrap();
    alice.now += 1;
    add_nothing(&mut alice, &mut relay);
    look(&mut alice, &relay, a);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    look(&mut alice, &relay, a);
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

    verified(&mut bob, a);
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
    verified(&mut bob, a);
    let (device, now) = (alice.device, bob.now);
    let accepted = bob.machine().accept_devices(a, &[device], now);
    accepted.unwrap();
    // The device that was accepted has other keys there.
    replace_keys(&mut alice, &mut relay);
    let lists = relay.lists[&a].clone();
    bob.machine().take_lists(a, lists.clone(), now).unwrap_err();
    verified(&mut bob, a);
    bob.machine().take_lists(a, lists, now).unwrap();
    let trust = bob.machine().trust(a).unwrap();
    assert!(trust.withheld.contains(&device), "{trust:?}");
}

#[test]
fn another_identity_key_in_lists_that_contradict_is_compared_first() {
    let (mut relay, mut alice, _, mut bob) = contradicted();
    let (a, b) = (alice.user, bob.user);
    let now = bob.now;
    let lists = relay.lists[&a].clone();
    bob.machine().take_lists(a, lists, now).unwrap_err();
    verified(&mut bob, a);
    reset(&mut alice, &mut relay);
    let lists = relay.lists[&a].clone();
    bob.machine().take_lists(a, lists.clone(), now).unwrap_err();
    assert!(contradicts(&mut bob, a));
    bob.send(a, "waits");
    let need = bob.machine().needs(a, now).unwrap();
    assert_eq!(need, Need::Lists(vec![a]));
    // It is that key that is compared.
    verified(&mut bob, a);
    assert!(bob.machine().trust(a).unwrap().identity_changed);
    let told = bob.machine().take_lists(a, lists, now).unwrap();
    assert!(told.contains(&Happening::IdentityChanged(a)), "{told:?}");
    let trust = bob.machine().trust(a).unwrap();
    assert!(trust.verified && !trust.identity_changed);
    // Whose devices they are the number does not say.
    assert_eq!(trust.withheld, [alice.device]);
    let accepted = bob.machine().accept_devices(a, &[alice.device], now);
    accepted.unwrap();
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "< waits");
}

#[test]
fn who_compares_may_go_back_but_older_lists_vouch_for_nobody() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, now) = (alice.user, bob.now);
    let lost = DeviceId::from_bytes([9; 16]);
    vouched(&mut alice, &mut relay, lost);
    let joined = relay.lists[&a].clone();
    put_list(&mut alice, &mut relay, |change| change.remove(lost));
    look(&mut bob, &relay, a);
    verified(&mut bob, a);
    assert_eq!(withheld(&mut bob, a), NOBODY);

    // The relay is an old copy, from before the removal.
    let told = goes_back(&mut bob, a, &joined[..1]);
    assert_eq!(told, [Happening::TrustChanged(a)]);
    assert!(contradicts(&mut bob, a));
    assert_eq!(goes_back(&mut bob, a, &joined[..1]), [], "once");
    verified(&mut bob, a);
    // What was on its way takes nothing back.
    assert_eq!(goes_back(&mut bob, a, &joined[..1]), []);
    assert!(!contradicts(&mut bob, a));
    let told = bob.machine().take_lists(a, joined[..1].to_vec(), now);
    assert!(told.unwrap().contains(&Happening::TrustChanged(a)));
    assert_eq!(pinned(&mut bob, a), Some(1));
    assert_eq!(withheld(&mut bob, a), NOBODY);
    bob.crash();
    // It was genuine when it came, and vouched for.
    bob.machine().take_lists(a, joined.clone(), now).unwrap();
    assert_eq!(withheld(&mut bob, a), [lost]);
    // What another own device had decided of it before it was removed says nothing.
    hear_accepted(&mut bob, &parse(&joined[1]).unwrap(), lost);
    assert_eq!(withheld(&mut bob, a), [lost]);
    // What is decided now does.
    bob.machine().accept_devices(a, &[lost], now).unwrap();
    assert_eq!(withheld(&mut bob, a), NOBODY);
}

#[test]
fn a_device_that_comes_later_is_told_of_what_was_given_up() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b, now) = (alice.user, bob.user, bob.now);
    let lost = DeviceId::from_bytes([9; 16]);
    vouched(&mut alice, &mut relay, lost);
    put_list(&mut alice, &mut relay, |change| change.remove(lost));
    look(&mut bob, &relay, a);
    verified(&mut bob, a);
    let lists = relay.lists[&a].clone();
    goes_back(&mut bob, a, &lists[..1]);
    verified(&mut bob, a);
    let taken = bob.machine().take_lists(a, lists[..1].to_vec(), now);
    taken.unwrap();
    relay.lists.insert(a, lists[..1].to_vec());
    bob.sync(&mut relay, b);
    let mut tablet = bob.join(&mut relay);
    tablet.upload(&mut relay);
    look(&mut bob, &relay, b);
    for _ in 0..3 {
        tablet.sync(&mut relay, b);
        bob.sync(&mut relay, b);
    }
    for upto in 1..=2 {
        let taken = tablet.machine().take_lists(a, lists[..upto].to_vec(), now);
        taken.unwrap();
    }
    assert_eq!(withheld(&mut tablet, a), [lost]);
}

#[test]
fn a_reset_that_a_relay_has_made_up_is_no_dead_end() {
    let (relay, alice, mut bob) = acquainted();
    let (a, now) = (alice.user, bob.now);
    verified(&mut bob, a);
    let genuine = relay.lists[&a].clone();
    let before = parse(&genuine[0]).unwrap();
    let lists = vec![genuine[0].clone(), made_up_reset(&before)];
    bob.machine().take_lists(a, lists, now).unwrap();
    assert!(bob.machine().trust(a).unwrap().identity_changed);
    // It is honest again. The number is hers once more, whatever was shown meanwhile.
    goes_back(&mut bob, a, &genuine);
    assert!(contradicts(&mut bob, a));
    let (_, key) = bob.machine().safety_number(a).unwrap().unwrap();
    assert_eq!(key, before.identity_key);
    bob.machine().verify(a, key, now).unwrap();
    bob.machine().take_lists(a, genuine, now).unwrap();
    let trust = bob.machine().trust(a).unwrap();
    assert!(trust.verified && !trust.identity_changed && !trust.lists_contradict);
    assert_eq!(trust.withheld, [alice.device]);
}

#[test]
fn a_person_who_was_made_up_at_first_contact_is_found_out_by_their_number() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, now) = (alice.user, bob.now);
    add_nothing(&mut alice, &mut relay);
    let genuine = relay.lists[&a].clone();
    let rng = &mut rand::rng();
    let (identity, lsk) = (IdentityKey::generate(rng), ListSigningKey::generate(rng));
    let (device, keys) = (DeviceId::from_bytes([6; 16]), DeviceKeys::generate(rng));
    let fake = first_list(a, device, &identity, &lsk, &keys, None, NOW);
    bob.machine().take_lists(a, vec![fake], now).unwrap();
    bob.machine()
        .take_lists(a, genuine.clone(), now)
        .unwrap_err();
    let theirs = parse(&genuine[0]).unwrap().identity_key;
    let (_, key) = bob.machine().safety_number(a).unwrap().unwrap();
    assert_eq!(key, theirs);
    let false_one = bob.machine().verify(a, identity.public(), now);
    assert_eq!(false_one.unwrap_err().code(), Code::IdentityChanged);
    bob.machine().verify(a, theirs, now).unwrap();
    bob.machine().take_lists(a, genuine, now).unwrap();
    assert!(bob.machine().trust(a).unwrap().verified);
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
fn a_relay_that_was_put_back_is_asked_what_it_has_and_nothing_is_encrypted_in_vain() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    add_nothing(&mut alice, &mut relay);
    look(&mut bob, &relay, a);
    relay.lists.get_mut(&a).unwrap().truncate(1);
    bob.send(a, "waits");
    bob.prepare(&mut relay, a);
    let conversation = bob.conversation(a);
    let out = bob.machine().outgoing(conversation, 0, 1, usize::MAX);
    let out = out.unwrap().remove(0);
    let code = relay.accept(&out.send).unwrap_err();
    let newest = |user: &UserId| relay.lists[user].last().cloned();
    let frame = pb::Refused {
        conversation: conversation.to_pb(),
        client_message_id: out.client_message_id.to_pb(),
        counter: out.counter,
        code: code.as_str().to_owned(),
        sender_list: newest(&bob.user),
        recipient_list: newest(&a),
        ..Default::default()
    };
    let now = bob.now;
    bob.machine().refused(&frame, now).unwrap();
    // It shows what is held, and not the newest of it.
    assert_eq!(bob.machine().needs(a, now).unwrap(), Need::Lists(vec![a]));
    assert_eq!(bob.machine().newest_from(a).unwrap(), Some(2));
    assert_eq!(bob.machine().newest_seen(a).unwrap(), 2);
    goes_back(&mut bob, a, &relay.lists[&a]);
    assert!(contradicts(&mut bob, a));
    assert_eq!(bob.machine().needs(a, now).unwrap(), Need::Lists(vec![a]));
    verified(&mut bob, a);
    assert_eq!(bob.machine().newest_seen(a).unwrap(), 0);
    look(&mut bob, &relay, a);
    bob.sync(&mut relay, a);
    let b = bob.user;
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "< waits");
}

#[test]
fn what_is_noted_holds_messages_back_after_a_restart_too() {
    let (mut relay, alice, mut bob) = acquainted();
    let a = alice.user;
    verified(&mut bob, a);
    goes_back(&mut bob, a, &[]);
    bob.crash();
    bob.send(a, "waits");
    let now = bob.now;
    assert_eq!(bob.machine().needs(a, now).unwrap(), Need::Lists(vec![a]));
    // The relay shows what is held: it is over, and said.
    let told = look(&mut bob, &relay, a);
    assert_eq!(told, [Happening::TrustChanged(a)]);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "> waits");
    // The same where it was compared meanwhile: nothing stays open.
    goes_back(&mut bob, a, &[]);
    verified(&mut bob, a);
    bob.crash();
    look(&mut bob, &relay, a);
    assert!(!bob.machine().is_contradicted(a).unwrap());
}

#[test]
fn a_device_that_is_new_has_a_way_out_of_older_lists_too() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    let shown = relay.lists[&a].clone();
    add_nothing(&mut alice, &mut relay);
    let known = parse(relay.lists[&a].last().unwrap()).unwrap();
    let said = seen_by(&known, true, &[alice.device]);
    let mut tablet = bob.join(&mut relay);
    hear(&mut tablet, &said);
    let now = tablet.now;
    // It asks for what the other one has seen.
    assert_eq!(tablet.machine().newest_from(a).unwrap(), Some(2));
    let refused = tablet.machine().take_lists(a, shown.clone(), now);
    assert_eq!(refused.unwrap_err().code(), Code::BadKeys);
    assert!(contradicts(&mut tablet, a));
    verified(&mut tablet, a);
    assert!(!contradicts(&mut tablet, a));
    assert_eq!(tablet.machine().newest_from(a).unwrap(), None);
    let told = tablet.machine().take_lists(a, shown.clone(), now).unwrap();
    assert_eq!(told, [Happening::TrustChanged(a)]);
    // Whose devices these lists name nobody has said.
    assert!(tablet.machine().trust(a).unwrap().verified);
    assert_eq!(withheld(&mut tablet, a), [alice.device]);
    let accepted = tablet.machine().accept_devices(a, &[alice.device], now);
    accepted.unwrap();
    // What the others say of lists that it has given up takes nothing back.
    assert_eq!(hear(&mut tablet, &said), []);
    assert_eq!(withheld(&mut tablet, a), NOBODY);
    relay.lists.insert(a, shown);
    put_list(&mut alice, &mut relay, |change| change);
    look(&mut tablet, &relay, a);
    assert_eq!(withheld(&mut tablet, a), NOBODY);
}

/// Bob with a phone and a tablet; both on list 2. The tablet is removed by list 3, and put back by a thief in list 4.
fn returned() -> (Relay, Phone, Phone, Phone) {
    let (mut relay, alice, mut bob) = acquainted();
    let b = bob.user;
    look(&mut bob, &relay, b);
    let tablet = bob.join(&mut relay);
    look(&mut bob, &relay, b);
    let two = parse(relay.lists[&b].last().unwrap()).unwrap();
    put_list(&mut bob, &mut relay, |change| change.remove(tablet.device));
    let back = entry(&two, tablet.device);
    put_list(&mut bob, &mut relay, |change| change.add_unvouched(back));
    (relay, alice, bob, tablet)
}

#[test]
fn what_was_accepted_before_a_device_left_says_nothing_to_devices_that_come_later() {
    for old_first in [true, false] {
        for pinned_before in [true, false] {
            let (mut relay, mut alice, bob, tablet) = returned();
            let (a, b) = (alice.user, bob.user);
            look(&mut alice, &relay, a);
            let lists = relay.lists[&b].clone();
            let parsed: Vec<_> = lists.iter().map(|list| parse(list).unwrap()).collect();
            let mut new = alice.join(&mut relay);
            // A record of when the tablet was there; and what the phone says now: list 3, without it.
            let old = seen_by(&parsed[1], true, &[bob.device, tablet.device]);
            let now_said = seen_by(&parsed[2], true, &[bob.device]);
            let take = |new: &mut Phone| {
                let from = new.machine().newest_from(b).unwrap().unwrap_or(3) as usize;
                let now = new.now;
                let taken = new.machine().take_lists(b, lists[from - 1..].to_vec(), now);
                taken.unwrap();
            };
            if pinned_before {
                take(&mut new);
            }
            for said in match old_first {
                true => [&old, &now_said],
                false => [&now_said, &old],
            } {
                hear(&mut new, said);
            }
            if !pinned_before {
                take(&mut new);
            }
            let trust = new.machine().trust(b).unwrap();
            assert!(trust.verified);
            let case = format!("old first: {old_first}, pinned before: {pinned_before}");
            assert_eq!(trust.withheld, [tablet.device], "{case}");
        }
    }
}

#[test]
fn what_was_accepted_by_another_chain_lets_nobody_in() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    look(&mut alice, &relay, a);
    look(&mut bob, &relay, b);
    let mut tablet = bob.join(&mut relay);
    tablet.upload(&mut relay);
    look(&mut bob, &relay, b);
    // Alice's phone and her tablet have seen list 2, and have compared.
    look(&mut alice, &relay, b);
    verified(&mut alice, b);
    let mut other = alice.join(&mut relay);
    other.upload(&mut relay);
    look(&mut alice, &relay, a);
    look(&mut other, &relay, b);
    for _ in 0..3 {
        alice.sync(&mut relay, a);
        other.sync(&mut relay, a);
    }
    verified(&mut other, b);
    let with_tablet = relay.lists[&b].clone();
    let two = parse(with_tablet.last().unwrap()).unwrap();
    // Genuine: the tablet is removed. The phone sees it.
    put_list(&mut bob, &mut relay, |change| change.remove(tablet.device));
    look(&mut alice, &relay, b);
    let genuine = relay.lists[&b].clone();
    // The thief of the tablet and of the key for lists, and the relay: another chain for the other device.
    relay.lists.insert(b, with_tablet);
    put_list(&mut bob, &mut relay, |change| change);
    let account = tablet.machine().store.read(|tx| tx.account()).unwrap();
    let keys = DeviceKeys::generate(&mut rand::rng());
    let third = DeviceId::from_bytes([9; 16]);
    let third = listed(b, &two.identity_key, third, &keys, NOW);
    let by = account.unwrap().keys;
    put_list(&mut bob, &mut relay, |change| {
        change.link(third, tablet.device, &by).unwrap()
    });
    look(&mut other, &relay, b);
    // To the phone the tablet comes back in the same version.
    relay.lists.insert(b, genuine);
    let back = entry(&two, tablet.device);
    put_list(&mut bob, &mut relay, |change| change.add_unvouched(back));
    look(&mut alice, &relay, b);
    assert_eq!(withheld(&mut alice, b), [tablet.device]);
    other.prepare(&mut relay, a);
    other.flush(&mut relay, a);
    alice.pull(&relay, a);
    assert_eq!(withheld(&mut alice, b), [tablet.device]);
    // And that there are two chains is found out before anything is encrypted.
    let now = alice.now;
    assert_eq!(
        alice.machine().needs(b, now).unwrap(),
        Need::Nothing,
        "nothing waits"
    );
    alice.send(b, "secret");
    let need = alice.machine().needs(b, now).unwrap();
    assert_eq!(need, Need::Lists(vec![b]));
    let lists = relay.lists[&b][3..].to_vec();
    let refused = alice.machine().take_lists(b, lists, now);
    assert_eq!(refused.unwrap_err().code(), Code::BadKeys);
    assert!(contradicts(&mut alice, b));
}

/// A list of a made-up person, of any version.
fn made_up(user: UserId, version: u32) -> pb::Signed {
    let rng = &mut rand::rng();
    let (identity, lsk) = (IdentityKey::generate(rng), ListSigningKey::generate(rng));
    let (device, keys) = (DeviceId::from_bytes([6; 16]), DeviceKeys::generate(rng));
    let first = first_list(user, device, &identity, &lsk, &keys, None, NOW);
    let mut body = pb::DeviceListBody::decode(first.body).unwrap();
    body.version = version;
    body.prev_hash = vec![1; 32].into();
    signed_by(&lsk, &body)
}

/// A thief's device is removed by list 3; the relay shows a device that comes later another third list, by the key of before. `went_back`:
/// the phone has gone over to that one.
fn shown_a_fork(went_back: bool) {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b, now) = (alice.user, bob.user, alice.now);
    let thief = DeviceId::from_bytes([9; 16]);
    vouched(&mut bob, &mut relay, thief);
    look(&mut alice, &relay, a);
    look(&mut alice, &relay, b);
    verified(&mut alice, b);
    let two = parse(&relay.lists[&b][1]).unwrap();
    let before = relay.lists[&b].clone();
    put_list(&mut bob, &mut relay, |change| change.remove(thief));
    look(&mut alice, &relay, b);
    let three = parse(&relay.lists[&b][2]).unwrap();
    relay.lists.insert(b, before);
    add_nothing(&mut bob, &mut relay);
    let mut phone_says = seen_by(&three, true, &[bob.device]);
    if went_back {
        let fork = relay.lists[&b].clone();
        let refused = alice.machine().take_lists(b, fork.clone(), now);
        refused.unwrap_err();
        verified(&mut alice, b);
        look(&mut alice, &relay, b);
        put_list(&mut bob, &mut relay, |change| change);
        look(&mut alice, &relay, b);
        assert_eq!(withheld(&mut alice, b), [thief]);
        let four = parse(&relay.lists[&b][3]).unwrap();
        phone_says = seen_by(&four, true, &[bob.device]);
        phone_says.floor = 3;
    }
    for old_first in [true, false] {
        let mut new = alice.join(&mut relay);
        let old = seen_by(&two, true, &[bob.device, thief]);
        let mut said = [&old, &phone_says];
        if !old_first {
            said.reverse();
        }
        for said in said {
            hear(&mut new, said);
        }
        let from = new.machine().newest_from(b).unwrap().unwrap() as usize;
        let lists = relay.lists[&b][from - 1..].to_vec();
        let taken = new.machine().take_lists(b, lists.clone(), now);
        if went_back {
            taken.unwrap();
            assert_eq!(withheld(&mut new, b), [thief]);
            continue;
        }
        assert_eq!(taken.unwrap_err().code(), Code::BadKeys);
        assert!(contradicts(&mut new, b));
        // Who compares and goes on knows of no device whether the other one names it.
        verified(&mut new, b);
        new.machine().take_lists(b, lists, now).unwrap();
        assert!(withheld(&mut new, b).contains(&thief));
    }
}

#[test]
fn a_device_that_comes_later_is_not_led_past_a_removal() {
    shown_a_fork(false);
}

#[test]
fn nor_past_one_that_the_others_have_given_up() {
    shown_a_fork(true);
}

#[test]
fn what_is_said_of_another_identity_holds_nothing_up_and_leaves_nothing_behind() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    verified(&mut alice, b);
    // By a device that was shown somebody else, of a version that no list reaches.
    let mut said = seen_by(&parse(&made_up(b, u32::MAX)).unwrap(), false, &[]);
    said.floor = u32::MAX;
    hear(&mut alice, &said);
    alice.send(b, "goes");
    let now = alice.now;
    assert_eq!(alice.machine().newest_seen(b).unwrap(), 1);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "> goes");
    // Nor where it was this device that was shown it.
    let mut met = Phone::without_prekeys("same", &mut Relay::default());
    let taken = met.machine().take_lists(b, vec![made_up(b, u32::MAX)], now);
    taken.unwrap();
    let genuine = relay.lists[&b].clone();
    goes_back(&mut met, b, &genuine);
    verified(&mut met, b);
    look(&mut met, &relay, b);
    let accepted = met.machine().accept_devices(b, &[bob.device], now);
    accepted.unwrap();
    vouched(&mut bob, &mut relay, DeviceId::from_bytes([9; 16]));
    look(&mut met, &relay, b);
    assert_eq!(withheld(&mut met, b), NOBODY);
}

#[test]
fn devices_of_both_lists_stay_let_in_whatever_others_say_of_the_one_before() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (b, now) = (bob.user, alice.now);
    vouched(&mut bob, &mut relay, DeviceId::from_bytes([9; 16]));
    add_nothing(&mut bob, &mut relay);
    let lists = relay.lists[&b].clone();
    look(&mut alice, &relay, b);
    verified(&mut alice, b);
    goes_back(&mut alice, b, &lists[..2]);
    verified(&mut alice, b);
    let taken = alice.machine().take_lists(b, lists[..2].to_vec(), now);
    taken.unwrap();
    assert_eq!(withheld(&mut alice, b), NOBODY);
    let mut said = seen_by(&parse(&lists[2]).unwrap(), true, &[bob.device]);
    said.verified_ms = 1 << 50;
    hear(&mut alice, &said);
    assert_eq!(withheld(&mut alice, b), NOBODY);
}

#[test]
fn a_word_by_an_older_list_counts_once_the_lists_since_are_here() {
    let (mut relay, _, mut bob) = acquainted();
    let b = bob.user;
    add_nothing(&mut bob, &mut relay);
    let two = parse(relay.lists[&b].last().unwrap()).unwrap();
    add_nothing(&mut bob, &mut relay);
    let lists = relay.lists[&b].clone();
    let mut phone = Phone::without_prekeys("same", &mut Relay::default());
    let now = phone.now;
    let taken = phone.machine().take_lists(b, lists[2..].to_vec(), now);
    taken.unwrap();
    hear(&mut phone, &seen_by(&two, true, &[bob.device]));
    assert_eq!(withheld(&mut phone, b), [bob.device]);
    assert_eq!(phone.machine().newest_from(b).unwrap(), Some(2));
    phone.send(b, "waits");
    let need = phone.machine().needs(b, now).unwrap();
    let Need::Lists(users) = need else {
        panic!("{need:?}")
    };
    assert!(users.contains(&b));
    let told = phone.machine().take_lists(b, lists[1..].to_vec(), now);
    assert_eq!(told.unwrap(), [Happening::TrustChanged(b)]);
    assert_eq!(withheld(&mut phone, b), NOBODY);
    assert_eq!(phone.machine().newest_from(b).unwrap(), Some(3));
}

#[test]
fn who_compares_while_a_node_lags_goes_on_with_what_follows() {
    for elsewhere in [true, false] {
        let (mut relay, mut alice, mut bob) = acquainted();
        let (b, now) = (bob.user, alice.now);
        add_nothing(&mut bob, &mut relay);
        look(&mut alice, &relay, b);
        verified(&mut alice, b);
        let lag = relay.lists[&b][..1 + usize::from(elsewhere)].to_vec();
        let new = DeviceId::from_bytes([9; 16]);
        vouched(&mut bob, &mut relay, new);
        add_nothing(&mut bob, &mut relay);
        let four = parse(relay.lists[&b].last().unwrap()).unwrap();
        if elsewhere {
            hear(&mut alice, &seen_by(&four, true, &[bob.device, new]));
        }
        goes_back(&mut alice, b, &lag);
        verified(&mut alice, b);
        assert_eq!(alice.machine().newest_from(b).unwrap(), Some(2));
        let lists = relay.lists[&b][1..].to_vec();
        alice.machine().take_lists(b, lists, now).unwrap();
        assert_eq!(withheld(&mut alice, b), NOBODY);
        assert!(!alice.machine().is_contradicted(b).unwrap());
        let pin = alice.machine().store.read(|tx| tx.pin(b)).unwrap();
        assert_eq!(pin.unwrap().0.floor, 0);
    }
}

#[test]
fn a_relay_that_shows_nothing_once_more_does_not_change_the_number() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, now) = (alice.user, bob.now);
    add_nothing(&mut alice, &mut relay);
    let genuine = relay.lists[&a].clone();
    let taken = bob.machine().take_lists(a, vec![made_up(a, 9)], now);
    taken.unwrap();
    let theirs = parse(&genuine[0]).unwrap().identity_key;
    for (shown, told) in [(&genuine[..], 1), (&[], 0), (&genuine[..], 0)] {
        assert_eq!(goes_back(&mut bob, a, shown).len(), told);
        let number = bob.machine().safety_number(a).unwrap();
        assert_eq!(number.unwrap().1, theirs);
    }
}

#[test]
fn a_word_that_names_nobody_leaves_it_to_the_one_that_does() {
    let (mut relay, _, mut bob) = acquainted();
    let b = bob.user;
    let one = parse(&relay.lists[&b][0]).unwrap();
    let thief = add_device(&mut bob, &mut relay);
    let mut phone = Phone::without_prekeys("same", &mut Relay::default());
    look(&mut phone, &relay, b);
    let mut block = seen_by(&one, true, &[]);
    block.blocked_ms = 7;
    hear(&mut phone, &block);
    hear(&mut phone, &seen_by(&one, true, &[bob.device]));
    assert_eq!(withheld(&mut phone, b), [thief]);
}

#[test]
fn what_was_heard_is_passed_on() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    for _ in 0..3 {
        add_nothing(&mut bob, &mut relay);
    }
    let four = parse(relay.lists[&b].last().unwrap()).unwrap();
    hear(&mut alice, &seen_by(&four, true, &[bob.device]));
    look(&mut alice, &relay, a);
    let mut new = alice.join(&mut relay);
    new.upload(&mut relay);
    look(&mut alice, &relay, a);
    for _ in 0..3 {
        new.sync(&mut relay, a);
        alice.sync(&mut relay, a);
    }
    assert_eq!(new.machine().newest_seen(b).unwrap(), 4);
}

#[test]
fn a_renewal_for_somebody_whose_lists_are_ahead_is_not_tried_again_and_again() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    alice.send(b, "unanswered");
    alice.sync(&mut relay, b);
    alice.now += 20 * super::DAY;
    for _ in 0..3 {
        add_nothing(&mut bob, &mut relay);
    }
    let now = alice.now;
    let mut claims = 0;
    for _ in 0..4 {
        if let Need::Sessions(devices) = alice.machine().needs(b, now).unwrap() {
            claims += 1;
            let ids: Vec<_> = devices.iter().map(|(_, device)| *device).collect();
            let claimed = relay.claim(b, &ids);
            alice.machine().bundles(b, claimed, now).unwrap();
        }
    }
    assert_eq!(claims, 1);
}

#[test]
fn who_is_let_in_already_is_no_loud_news() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    look(&mut alice, &relay, b);
    verified(&mut alice, b);
    let new = add_device(&mut bob, &mut relay);
    let two = parse(relay.lists[&b].last().unwrap()).unwrap();
    hear(&mut alice, &seen_by(&two, true, &[new]));
    let told = look(&mut alice, &relay, b);
    let quiet = Happening::DeviceAdded {
        user: b,
        device: new,
        loud: false,
    };
    assert!(told.contains(&quiet), "{told:?}");
    assert_eq!(withheld(&mut alice, b), NOBODY);
}

#[test]
fn a_device_that_met_the_person_before_it_heard_that_they_were_verified_holds_back_whom_nobody_names()
 {
    let (mut relay, _, mut bob) = acquainted();
    let b = bob.user;
    let one = parse(&relay.lists[&b][0]).unwrap();
    let thief = add_device(&mut bob, &mut relay);
    let mut phone = Phone::without_prekeys("same", &mut Relay::default());
    look(&mut phone, &relay, b);
    let told = hear(&mut phone, &seen_by(&one, true, &[bob.device]));
    assert_eq!(told, [Happening::TrustChanged(b)]);
    assert_eq!(withheld(&mut phone, b), [thief]);
}

#[test]
fn what_another_own_device_has_seen_is_asked_for_before_anything_is_encrypted() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    let lost = add_device(&mut bob, &mut relay);
    look(&mut alice, &relay, b);
    verified(&mut alice, b);
    let before = relay.lists[&b].clone();
    put_list(&mut bob, &mut relay, |change| change.remove(lost));
    let three = parse(relay.lists[&b].last().unwrap()).unwrap();
    hear(&mut alice, &seen_by(&three, true, &[bob.device]));
    alice.send(b, "waits");
    let now = alice.now;
    let need = alice.machine().needs(b, now).unwrap();
    assert_eq!(need, Need::Lists(vec![b]));
    assert_eq!(alice.machine().newest_seen(b).unwrap(), 3);
    // What is held is no answer.
    alice.machine().take_lists(b, before.clone(), now).unwrap();
    let need = alice.machine().needs(b, now).unwrap();
    assert_eq!(need, Need::Lists(vec![b]));
    goes_back(&mut alice, b, &before);
    assert!(contradicts(&mut alice, b));
    // Who compares and goes on knows of no device whether that list names it.
    verified(&mut alice, b);
    alice.machine().take_lists(b, before, now).unwrap();
    assert_eq!(withheld(&mut alice, b).len(), 2);
    let need = alice.machine().needs(b, now).unwrap();
    assert_eq!(need, Need::Verification);
    look(&mut alice, &relay, b);
    assert_eq!(withheld(&mut alice, b), [bob.device]);
}

#[test]
fn a_list_that_stays_was_seen_when_it_was() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, seen) = (alice.user, bob.now);
    add_nothing(&mut alice, &mut relay);
    look(&mut bob, &relay, a);
    let lists = relay.lists[&a].clone();
    goes_back(&mut bob, a, &lists[..1]);
    verified(&mut bob, a);
    bob.now += 1_000;
    let now = bob.now;
    let taken = bob.machine().take_lists(a, lists[..1].to_vec(), now);
    taken.unwrap();
    let held = bob.machine().store.read(|tx| tx.list_seen_ms(a, 1));
    assert!(held.unwrap().unwrap() <= seen);
}
