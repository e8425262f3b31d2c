//! Whom the person trusts: what is held back, for whom, and what own devices tell each other of it.

use ed25519_dalek::{Signer, SigningKey};
use prost::Message;
use sordino_crypto::{
    keys::{IdentityKey, ListSigningKey},
    lists::{first_list, parse},
};
use sordino_protocol::{
    Code, DeviceId, UserId, pb,
    signed::{self, SignedType},
};

use super::{Phone, Relay, acquainted, lists::add_device};
use crate::machine::{Happening, Trust};

/// The person's list begins anew, with another identity key and this device's keys.
pub(super) fn reset(phone: &mut Phone, relay: &mut Relay) -> [u8; 32] {
    let before = parse(relay.lists[&phone.user].last().unwrap()).unwrap();
    let rng = &mut rand::rng();
    let (identity, lsk) = (IdentityKey::generate(rng), ListSigningKey::generate(rng));
    let account = phone.machine().store.read(|tx| tx.account()).unwrap();
    let keys = account.unwrap().keys;
    let (user, device, now) = (phone.user, phone.device, phone.now);
    let first = first_list(user, device, &identity, &lsk, &keys, None, now);
    let first = pb::DeviceListBody::decode(first.body).unwrap();
    let mut body = pb::DeviceListBody::decode(before.signed.body.clone()).unwrap();
    body.version = before.version + 1;
    body.prev_hash = before.hash.to_vec().into();
    body.lsk_certificate = Some(identity.certify(user, before.lsk_version + 1, &lsk.public()));
    body.devices = first.devices;
    let lists = relay.lists.get_mut(&user).unwrap();
    lists.push(signed_by(&lsk, &body));
    identity.public()
}

/// A list, whatever it says.
pub(super) fn signed_by(lsk: &ListSigningKey, body: &pb::DeviceListBody) -> pb::Signed {
    let body = body.encode_to_vec();
    let key = SigningKey::from_bytes(lsk.to_secret().expose());
    let signature = key.sign(&signed::input(SignedType::DeviceList, &body));
    pb::Signed {
        body: body.into(),
        signature: signature.to_bytes().to_vec().into(),
    }
}

/// Bob sees what the relay has of her lists.
pub(super) fn look(bob: &mut Phone, relay: &Relay, at: UserId) -> Vec<Happening> {
    let (lists, now) = (relay.lists[&at].clone(), bob.now);
    bob.machine().take_lists(at, lists, now).unwrap()
}

pub(super) fn verified(bob: &mut Phone, whom: UserId) {
    let now = bob.now;
    let (_, key) = bob.machine().safety_number(whom).unwrap().unwrap();
    bob.machine().verify(whom, key, now).unwrap();
}

fn trust(bob: &mut Phone, whom: UserId) -> Trust {
    bob.machine().trust(whom).unwrap()
}

/// The devices that the newest message is for.
fn targets(
    relay: &Relay,
    conversation: sordino_protocol::ConversationId,
) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let send = relay.conversations[&conversation].rows.last().unwrap();
    let wraps = send.wraps.iter().map(|wrap| wrap.device.to_vec());
    let withheld = send.withheld.iter().map(|id| id.to_vec());
    (wraps.collect(), withheld.collect())
}

#[test]
fn both_see_the_same_number() {
    let (_, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let (one, key) = alice.machine().safety_number(b).unwrap().unwrap();
    let (other, _) = bob.machine().safety_number(a).unwrap().unwrap();
    assert_eq!(one, other);
    // Of the one that is compared, and no other.
    let now = alice.now;
    let wrong = alice.machine().verify(b, [7; 32], now);
    assert_eq!(wrong.err().map(|e| e.code()), Some(Code::IdentityChanged));
    alice.machine().verify(b, key, now).unwrap();
    assert!(trust(&mut alice, b).verified);
    alice.machine().unverify(b, now).unwrap();
    assert!(!trust(&mut alice, b).verified);
    let oneself = alice.machine().verify(a, key, now);
    assert_eq!(oneself.err().map(|e| e.code()), Some(Code::BadRequest));
}

#[test]
fn who_was_there_once_is_not_nobody() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, nobody) = (alice.user, UserId::from_bytes([7; 16]));
    // To both, what is written waits.
    verified(&mut bob, a);
    reset(&mut alice, &mut relay);
    look(&mut bob, &relay, a);
    for user in [a, nobody] {
        bob.send(user, "are you there?");
        let told = bob.machine().nobody_is_there(user).unwrap();
        assert_eq!(told.map(|told| told.len()), (user == nobody).then_some(1));
    }
    // A relay that lost its data may get them back.
    assert_eq!(bob.shown(a).last().unwrap(), "> are you there? (pending)");
    let failed = "> are you there? (user_not_found)";
    assert_eq!(bob.shown(nobody), [failed]);
}

#[test]
fn to_a_verified_person_with_another_identity_key_nothing_goes_until_it_is_resolved() {
    for again in [true, false] {
        let (mut relay, mut alice, mut bob) = acquainted();
        let (a, b) = (alice.user, bob.user);
        let conversation = bob.conversation(a);
        verified(&mut bob, a);
        reset(&mut alice, &mut relay);
        let told = look(&mut bob, &relay, a);
        assert!(told.contains(&Happening::IdentityChanged(a)));
        assert!(trust(&mut bob, a).identity_changed && !trust(&mut bob, a).verified);
        bob.send(a, "for whoever you are");
        bob.sync(&mut relay, a);
        assert_eq!(
            bob.shown(a).last().unwrap(),
            "> for whoever you are (pending)"
        );
        let before = relay.last_seq(conversation);
        match again {
            true => verified(&mut bob, a),
            false => {
                let now = bob.now;
                bob.machine().unverify(a, now).unwrap();
            }
        }
        assert_eq!(trust(&mut bob, a).verified, again);
        bob.sync(&mut relay, a);
        assert!(relay.last_seq(conversation) > before, "it goes out now");
        let (to, withheld) = targets(&relay, conversation);
        assert!(to.contains(&alice.device.as_bytes().to_vec()));
        assert!(withheld.is_empty());
        assert_eq!(b, bob.user);
    }
}

#[test]
fn whoever_was_never_verified_is_sent_to_all_the_same() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    reset(&mut alice, &mut relay);
    look(&mut bob, &relay, a);
    assert_eq!(trust(&mut bob, a), Trust::default());
    let conversation = bob.conversation(a);
    let before = relay.last_seq(conversation);
    bob.send(a, "hello");
    bob.sync(&mut relay, a);
    assert!(relay.last_seq(conversation) > before);
}

#[test]
fn a_device_that_nobody_vouches_for_gets_nothing_until_it_is_accepted() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    let conversation = bob.conversation(a);
    verified(&mut bob, a);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    look(&mut bob, &relay, a);
    assert_eq!(trust(&mut bob, a).withheld, [tablet.device]);
    let id = |device: DeviceId| device.as_bytes().to_vec();
    bob.send(a, "for the phone");
    bob.sync(&mut relay, a);
    let (to, withheld) = targets(&relay, conversation);
    assert_eq!(
        (to, withheld),
        (vec![id(alice.device)], vec![id(tablet.device)])
    );
    // Comparing the number again says nothing of it.
    verified(&mut bob, a);
    assert_eq!(trust(&mut bob, a).withheld, [tablet.device]);
    let now = bob.now;
    bob.machine()
        .accept_devices(a, &[tablet.device], now)
        .unwrap();
    assert_eq!(trust(&mut bob, a).withheld, []);
    bob.send(a, "for both");
    bob.sync(&mut relay, a);
    let (mut to, withheld) = targets(&relay, conversation);
    let mut both = vec![id(alice.device), id(tablet.device)];
    to.sort();
    both.sort();
    assert_eq!((to, withheld), (both, vec![]));
}

#[test]
fn a_person_of_whom_only_such_devices_are_left_waits() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    verified(&mut bob, a);
    // Both devices, one after the other: the first is gone.
    let _tablet = add_device(&mut alice, &mut relay);
    let list = parse(relay.lists[&a].last().unwrap()).unwrap();
    let lsk = alice.machine().store.read(|tx| tx.list_signing_key());
    let next = sordino_crypto::lists::Change::of(&list, alice.now)
        .unwrap()
        .remove(alice.device)
        .sign(&lsk.unwrap().unwrap())
        .unwrap();
    relay.lists.get_mut(&a).unwrap().push(next.signed);
    look(&mut bob, &relay, a);
    let conversation = bob.conversation(a);
    let before = relay.last_seq(conversation);
    bob.send(a, "who is there?");
    bob.sync(&mut relay, a);
    assert_eq!(relay.last_seq(conversation), before);
}

#[test]
fn all_own_devices_learn_what_was_decided_and_seen() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    verified(&mut alice, b);
    let mut tablet = alice.join(&mut relay);
    look(&mut alice, &relay, a);
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    // It has no list of his yet, and knows which identity key it has to be.
    assert!(trust(&mut tablet, b).verified);
    look(&mut tablet, &relay, b);
    assert!(trust(&mut tablet, b).verified);

    // The later decision counts, on whichever device.
    let now = tablet.now + 5;
    tablet.machine().block(b, true, now).unwrap();
    tablet.sync(&mut relay, a);
    let told = alice.sync(&mut relay, a);
    assert!(told.contains(&Happening::TrustChanged(b)));
    assert!(trust(&mut alice, b).blocked && trust(&mut alice, b).verified);
    let now = alice.now;
    alice.machine().unverify(b, now).unwrap();
    alice.machine().block(b, false, now).unwrap();
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    assert_eq!(trust(&mut tablet, b), Trust::default());
}

#[test]
fn a_new_device_is_shown_nobody_else_under_a_name_that_others_have_seen() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    verified(&mut alice, b);
    let mut tablet = alice.join(&mut relay);
    look(&mut alice, &relay, a);
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    // The relay has made another identity for bob, for this device alone.
    reset(&mut bob, &mut relay);
    let newest = relay.lists[&b].last().unwrap().clone();
    let now = tablet.now;
    let told = tablet.machine().take_lists(b, vec![newest], now).unwrap();
    assert!(told.contains(&Happening::IdentityChanged(b)), "{told:?}");
    assert!(trust(&mut tablet, b).identity_changed);
}

#[test]
fn a_new_device_is_shown_no_older_list_than_others_have_seen() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let old = relay.lists[&b].clone();
    add_device(&mut bob, &mut relay);
    look(&mut alice, &relay, b);
    let mut tablet = alice.join(&mut relay);
    look(&mut alice, &relay, a);
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    let now = tablet.now;
    let shown = tablet.machine().take_lists(b, old, now);
    assert_eq!(shown.err().map(|e| e.code()), Some(Code::BadKeys));
    look(&mut tablet, &relay, b);
}

#[test]
fn what_a_blocked_person_writes_is_not_shown() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let now = bob.now;
    bob.machine().block(a, true, now).unwrap();
    alice.send(b, "buy this");
    alice.sync(&mut relay, b);
    let told = bob.sync(&mut relay, a);
    assert!(!told.iter().any(|h| matches!(h, Happening::Received(_))));
    assert_eq!(bob.shown(a).last().unwrap(), "> hello yourself");
    bob.machine().block(a, false, now).unwrap();
    alice.send(b, "sorry");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "< sorry");
}

/// A tablet that has heard what the phone knows, and has no list of anybody yet.
fn informed(alice: &mut Phone, relay: &mut Relay) -> Phone {
    let a = alice.user;
    let mut tablet = alice.join(relay);
    look(alice, relay, a);
    tablet.sync(relay, a);
    alice.sync(relay, a);
    tablet.sync(relay, a);
    tablet
}

#[test]
fn a_new_device_holds_back_what_the_others_hold_back() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    verified(&mut alice, b);
    let loud = add_device(&mut bob, &mut relay);
    look(&mut alice, &relay, b);
    assert_eq!(trust(&mut alice, b).withheld, [loud]);
    let mut tablet = informed(&mut alice, &mut relay);
    look(&mut tablet, &relay, b);
    assert_eq!(trust(&mut tablet, b).withheld, [loud]);
    // Nor does it let it in elsewhere by deciding something else.
    let now = tablet.now + 5;
    tablet.machine().block(b, true, now).unwrap();
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    assert!(trust(&mut alice, b).blocked);
    assert_eq!(trust(&mut alice, b).withheld, [loud]);
}

#[test]
fn another_identity_than_other_devices_have_seen_is_told_also_afterwards() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let honest = relay.lists[&b].clone();
    let mut tablet = alice.join(&mut relay);
    look(&mut alice, &relay, a);
    // The relay shows it somebody else before the phone has said anything.
    reset(&mut bob, &mut relay);
    let forged = relay.lists.insert(b, honest).unwrap().pop().unwrap();
    let now = tablet.now;
    tablet.machine().take_lists(b, vec![forged], now).unwrap();
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    let told = tablet.sync(&mut relay, a);
    assert!(told.contains(&Happening::IdentityChanged(b)), "{told:?}");
}

#[test]
fn one_that_met_a_person_before_it_heard_of_them_holds_back_what_the_others_do() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    verified(&mut alice, b);
    let loud = add_device(&mut bob, &mut relay);
    look(&mut alice, &relay, b);
    let mut tablet = alice.join(&mut relay);
    look(&mut alice, &relay, a);
    // The relay keeps back what the phone says until then.
    look(&mut tablet, &relay, b);
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    assert_eq!(trust(&mut tablet, b).withheld, [loud]);
    // What the user accepts on it then is accepted everywhere.
    let now = tablet.now;
    tablet.machine().accept_devices(b, &[loud], now).unwrap();
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    for phone in [&mut alice, &mut tablet] {
        assert_eq!(trust(phone, b).withheld, []);
    }
}

#[test]
fn of_what_a_blocked_person_writes_no_key_is_kept_and_nothing_comes_back() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let waiting = |bob: &mut Phone| bob.machine().backlog().unwrap().waiting;
    let before = waiting(&mut bob);
    let now = bob.now;
    bob.machine().block(a, true, now).unwrap();
    alice.send(b, "buy this");
    alice.send(b, "and that");
    alice.sync(&mut relay, b);
    let conversation = bob.conversation(a);
    let (reader, last) = ((bob.user, bob.device), relay.last_seq(conversation));
    let mut rows = relay.rows(conversation, reader, last - 1, last);
    // One that cannot be opened.
    let mut broken = rows[1].wrap.take().unwrap().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    rows[1].wrap = Some(broken.into());
    let told = bob.take(&relay, a, &rows);
    assert_eq!((told.cursor, told.happenings), (last, vec![]));
    assert_eq!(bob.shown(a), ["< hello", "> hello yourself"]);
    assert_eq!(
        waiting(&mut bob),
        before,
        "nothing of it goes into the backup"
    );
    let kept = bob.machine().store.read(|tx| tx.keys_to_back_up(100));
    let kept = kept.unwrap().into_iter();
    assert!(
        kept.filter(|key| key.conversation == conversation)
            .all(|key| key.seq < last - 1)
    );
    // What the user writes themselves is theirs.
    bob.send(a, "leave me alone");
    bob.sync(&mut relay, a);
    assert_eq!(waiting(&mut bob), before + 1);
    bob.machine().block(a, false, now).unwrap();
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "> leave me alone");
    assert_eq!(bob.shown(a).len(), 3);
}

#[test]
fn the_relay_is_told_of_each_decision_once_and_again_after_a_week() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    const WEEK: u64 = 7 * super::DAY;
    let to_tell = |phone: &mut Phone, now| phone.machine().block_to_tell(now).unwrap();
    let now = alice.now;
    assert_eq!(to_tell(&mut alice, now), None);
    alice.machine().block(b, true, now).unwrap();
    assert_eq!(to_tell(&mut alice, now), Some((b, true, now)));
    alice.crash();
    assert_eq!(to_tell(&mut alice, now), Some((b, true, now)));
    // While it is told another decision is made.
    alice.machine().block(b, false, now + 1).unwrap();
    alice.machine().block_told(b, now, now).unwrap();
    assert_eq!(to_tell(&mut alice, now), Some((b, false, now + 1)));
    alice.machine().block_told(b, now + 1, now).unwrap();
    assert_eq!(to_tell(&mut alice, now + WEEK), None);
    let again = Some((b, false, now + 1));
    assert_eq!(to_tell(&mut alice, now + WEEK + 1), again);
    assert_eq!(to_tell(&mut alice, now - 1), again, "the clock went back");
    // What was compared is none of its business; another own device says it, too.
    verified(&mut alice, b);
    assert_eq!(to_tell(&mut alice, now), None);
    let mut tablet = informed(&mut alice, &mut relay);
    assert_eq!(to_tell(&mut tablet, now), again);
    assert_eq!(a, tablet.user);
}

/// The person learns of her own reset.
fn take_own(phone: &mut Phone, relay: &Relay) {
    let (user, now) = (phone.user, phone.now);
    let lists = relay.lists[&user].clone();
    phone.machine().take_lists(user, lists, now).unwrap();
}

#[test]
fn what_came_on_a_session_of_before_a_reset_is_read_after_it() {
    let (mut relay, mut alice, mut bob) = super::two();
    let (a, b) = (alice.user, bob.user);
    bob.send(a, "to her before");
    bob.sync(&mut relay, a);
    reset(&mut alice, &mut relay);
    take_own(&mut alice, &relay);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b), ["< to her before"]);
}

#[test]
fn what_waited_on_a_session_of_before_a_reset_is_read_after_it() {
    let (mut relay, mut alice, mut bob) = super::two();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "to him before");
    alice.prepare(&mut relay, b);
    reset(&mut alice, &mut relay);
    take_own(&mut alice, &relay);
    alice.send(b, "and after");
    alice.sync(&mut relay, b);
    look(&mut bob, &relay, a);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a), ["< to him before", "< and after"]);
    bob.send(a, "hello");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "< hello");
}
