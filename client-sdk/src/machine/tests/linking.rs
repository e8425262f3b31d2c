//! A phone that another one has linked: what it is owed comes, all of it, or it is told that it does not.

use sordino_crypto::{keys::DeviceKeys, lists::listed};
use sordino_protocol::{DeviceId, list::DeviceList};

use super::{NOW, Phone, Relay, acquainted};
use crate::machine::{Happening, NewDevice, granted};
use crate::store::StoredAccount;

const MINUTE: u64 = 60_000;

/// Another phone, which `phone` has linked.
fn link(phone: &mut Phone, relay: &mut Relay) -> Phone {
    let list = phone.machine().own_list().unwrap();
    let (keys, device) = (
        DeviceKeys::generate(&mut rand::rng()),
        DeviceId::from_bytes(rand::random()),
    );
    let entry = listed(phone.user, &list.identity_key, device, &keys, NOW);
    let (next, grant) = phone.machine().begin_linking(&list, entry, NOW).unwrap();
    put(phone, relay, &next);
    let (shared, openers) = granted(&next, &grant.keys.unwrap()).unwrap();
    let joins = NewDevice {
        account: StoredAccount {
            user: phone.user,
            device,
            username: "same".to_owned(),
            registered: false,
            keys,
        },
        shared,
        backup_keys: Vec::new(),
        openers,
        recovery_key: None,
        list: next,
    };
    Phone::joined(joins, NOW)
}

/// The same, and each has heard of the other.
fn linked(phone: &mut Phone, relay: &mut Relay) -> Phone {
    let user = phone.user;
    let mut tablet = link(phone, relay);
    tablet.upload(relay);
    phone.sync(relay, user);
    tablet.sync(relay, user);
    tablet
}

fn put(phone: &mut Phone, relay: &mut Relay, list: &DeviceList) -> Vec<Happening> {
    let user = phone.user;
    let lists = relay.lists.get_mut(&user).unwrap();
    lists.push(list.signed.clone());
    let lists = vec![list.signed.clone()];
    phone.machine().take_lists(user, lists, NOW).unwrap()
}

/// How many keys the tablet has of messages of before, after the phone has given it what it may.
fn given(phone: &mut Phone, tablet: &mut Phone, relay: &mut Relay) -> u64 {
    let (user, now) = (phone.user, phone.now);
    for _ in 0..3 {
        phone.machine().share_history(now).unwrap();
        phone.sync(relay, user);
        tablet.sync(relay, user);
    }
    tablet.machine().restore_progress().unwrap().read
}

#[test]
fn what_the_phone_itself_restores_meanwhile_the_new_one_gets_however_old_it_is() {
    let (mut relay, mut alice, bob) = acquainted();
    let mut tablet = linked(&mut alice, &mut relay);
    assert_eq!(given(&mut alice, &mut tablet, &mut relay), 2);
    // As from the backup: written long ago, and new here.
    let conversation = alice.conversation(bob.user);
    restored(&mut alice, conversation, NOW - 1_000 * MINUTE);
    assert_eq!(
        given(&mut alice, &mut tablet, &mut relay),
        2,
        "not before its time"
    );
    assert!(alice.machine().owes_history().unwrap());
    alice.now += MINUTE;
    assert_eq!(given(&mut alice, &mut tablet, &mut relay), 3);
    // Each once, and then it is over.
    assert!(!alice.machine().owes_history().unwrap());
}

/// A row that has a key, and an item that was written at this time.
fn restored(phone: &mut Phone, conversation: sordino_protocol::ConversationId, at_ms: u64) {
    use crate::machine::timeline::{add, message};
    use crate::store::{Durability, Row, RowKind};
    let user = phone.user;
    let put = phone
        .machine()
        .store
        .transaction(Durability::Relaxed, |tx| {
            let key = sordino_crypto::Secret::from_bytes([3; 32]);
            let seq = tx.cursor(conversation)? + 1;
            tx.record_row(
                conversation,
                &Row {
                    seq,
                    kind: RowKind::Message,
                    env_hash: Some([9; 32]),
                    content_key: Some(&key),
                    pending: None,
                },
            )?;
            let by = (
                user,
                DeviceId::from_bytes([8; 16]),
                rand::random::<[u8; 16]>(),
            );
            let by = (
                by.0,
                by.1,
                sordino_protocol::ClientMessageId::from_bytes(by.2),
            );
            let item = message(
                conversation,
                seq,
                by,
                ("old".to_owned(), at_ms),
                at_ms,
                false,
            );
            add(tx, item).map(drop)
        });
    put.unwrap();
}

#[test]
fn a_phone_whose_linking_one_leaves_is_told_that_no_more_comes() {
    let (mut relay, mut alice, _bob) = acquainted();
    let mut tablet = linked(&mut alice, &mut relay);
    let (phone, own) = (alice.device, tablet.device);
    // Both know what would be missed.
    let missed = |at: &mut Phone, device| at.machine().would_be_missed(device).unwrap();
    assert!(missed(&mut alice, phone) && missed(&mut tablet, phone));
    assert!(!missed(&mut alice, own) && !missed(&mut tablet, own));

    assert!(tablet.machine().restore_progress().unwrap().begun);
    let list = tablet.machine().own_list().unwrap();
    let next = tablet.machine().without_device(&list, phone, NOW).unwrap();
    let told = put(&mut tablet, &mut relay, &next);
    assert!(told.contains(&Happening::HistoryCutOff), "{told:?}");
    let progress = tablet.machine().restore_progress().unwrap();
    assert!(!progress.begun && !progress.reading);
    assert!(!missed(&mut tablet, phone));
}

#[test]
fn where_everything_has_come_nobody_is_told_anything() {
    let (mut relay, mut alice, _bob) = acquainted();
    let mut tablet = linked(&mut alice, &mut relay);
    given(&mut alice, &mut tablet, &mut relay);
    alice.now += MINUTE;
    given(&mut alice, &mut tablet, &mut relay);
    let phone = alice.device;
    assert!(!alice.machine().would_be_missed(phone).unwrap());
    assert!(!tablet.machine().would_be_missed(phone).unwrap());
    let list = tablet.machine().own_list().unwrap();
    let next = tablet.machine().without_device(&list, phone, NOW).unwrap();
    let told = put(&mut tablet, &mut relay, &next);
    assert!(!told.contains(&Happening::HistoryCutOff), "{told:?}");
}

#[test]
fn a_device_that_could_not_be_asked_is_asked_until_it_has_answered() {
    let mut relay = Relay::default();
    // The relay shows no prekeys of the phone just then.
    let mut alice = Phone::without_prekeys("alice", &mut relay);
    let mut bob = Phone::new("bob", &mut relay);
    let (a, b) = (alice.user, bob.user);
    let theirs = relay.lists[&b].clone();
    alice.machine().take_lists(b, theirs, NOW).unwrap();
    let (_, key) = alice.machine().safety_number(b).unwrap().unwrap();
    alice.machine().verify(b, key, NOW).unwrap();
    let mut tablet = alice.join(&mut relay);
    let own = relay.lists[&a].clone();
    alice.machine().take_lists(a, own, NOW).unwrap();
    tablet.sync(&mut relay, a);
    assert!(tablet.machine().awaits_answers().unwrap());
    // Later it does, and the tablet is no longer left out of it.
    alice.upload(&mut relay);
    tablet.now += 2 * MINUTE;
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    assert!(!tablet.machine().awaits_answers().unwrap());
    let theirs = relay.lists[&b].clone();
    tablet.machine().take_lists(b, theirs, NOW).unwrap();
    assert!(tablet.machine().trust(b).unwrap().verified);
    assert_eq!(bob.machine().trust(a).unwrap(), Default::default());
}

#[test]
fn one_that_does_not_answer_is_asked_seldom_and_one_that_left_no_more() {
    let (mut relay, mut alice, _bob) = acquainted();
    let a = alice.user;
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    let own = tablet.conversation(a);
    let asked = |tablet: &mut Phone, relay: &mut Relay, after: u64| {
        let before = relay.last_seq(own);
        tablet.now += after;
        tablet.sync(relay, a);
        relay.last_seq(own) - before
    };
    // What a device that joins makes known, and the question.
    assert_eq!(asked(&mut tablet, &mut relay, 0), 2);
    let hour = 60 * MINUTE;
    for (after, times) in [
        (hour - 1, 0),
        (1, 1),
        (hour, 0),
        (hour, 1),
        (3 * hour, 0),
        (hour, 1),
    ] {
        assert_eq!(asked(&mut tablet, &mut relay, after), times);
    }
    let (list, phone) = (tablet.machine().own_list().unwrap(), alice.device);
    let next = tablet.machine().without_device(&list, phone, NOW).unwrap();
    put(&mut tablet, &mut relay, &next);
    assert!(!tablet.machine().awaits_answers().unwrap());
    assert_eq!(asked(&mut tablet, &mut relay, 100 * hour), 0);
}
