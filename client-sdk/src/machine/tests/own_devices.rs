//! Keys that the devices of one person share: asked for, believed, and never lost on the way.

use sordino_crypto::{
    Secret,
    keys::ListSigningKey,
    lists::{Change, parse},
    recovery::RecoveryKey,
};
use sordino_protocol::{Code, list::DeviceList, pb};

use super::{NOW, phone::Phone, relay::Relay};
use crate::machine::own_devices::recovery_opener;
use crate::store::{NextKeys, SharedKeys, VaultOpeners};

const HOUR: u64 = 60 * 60 * 1000;

fn one() -> (Relay, Phone) {
    let mut relay = Relay::default();
    let alice = Phone::new("alice", &mut relay);
    (relay, alice)
}

/// The list that follows with this LSK, as whoever opened the vault makes it.
fn renewed(
    alice: &mut Phone,
    relay: &Relay,
    list: &DeviceList,
    lsk: &ListSigningKey,
) -> DeviceList {
    let identity_key = alice.vault(relay).identity_key;
    let change = Change::of(list, NOW).unwrap();
    let change = change.renew_lsk(&identity_key, lsk).unwrap();
    change.sign(lsk).unwrap()
}

fn key(digit: u8) -> ListSigningKey {
    ListSigningKey::from_secret(&Secret::from_bytes([digit; 32]))
}

fn next_keys(alice: &mut Phone, relay: &Relay, digit: u8, version: u32) -> (NextKeys, String) {
    let recovery_key = RecoveryKey::generate(&mut rand::rng());
    let written = recovery_key.text().to_string();
    let keys = alice.vault(relay).backup_keys;
    let next = NextKeys {
        list_version: version,
        shared: SharedKeys {
            list_signing_key: key(digit),
            backup: Some(keys[0].sealer(alice.user)),
        },
        openers: VaultOpeners {
            by_password: false,
            recovery: recovery_opener(&recovery_key, alice.user),
        },
        recovery_key: Some(recovery_key),
    };
    (next, written)
}

fn take(alice: &mut Phone, list: &DeviceList) {
    let (user, signed): (_, pb::Signed) = (alice.user, list.signed.clone());
    alice.machine().take_lists(user, vec![signed], NOW).unwrap();
}

/// The person has written down what is shown.
fn keep(alice: &mut Phone) {
    let key = alice.machine().recovery_key().unwrap().unwrap();
    alice.machine().recovery_key_kept(&key).unwrap();
}

fn shown(alice: &mut Phone) -> Option<String> {
    let key = alice.machine().recovery_key().unwrap();
    key.map(|key| key.text().to_string())
}

#[test]
fn of_two_attempts_the_one_that_the_relay_took_counts() {
    let (relay, mut alice) = one();
    let list = alice.machine().own_list().unwrap();
    let (first, written) = next_keys(&mut alice, &relay, 1, 2);
    let (second, _) = next_keys(&mut alice, &relay, 2, 2);
    let of_relay = renewed(&mut alice, &relay, &list, &key(1));
    let vault = alice.vault(&relay);
    keep(&mut alice);
    // The answer to the first was lost, and the person tried again: then it turns out that it was taken.
    alice.machine().begin_new_keys(&first).unwrap();
    alice.machine().begin_new_keys(&second).unwrap();
    assert!(alice.machine().own_list_is_awaited().unwrap());
    alice.crash();
    take(&mut alice, &of_relay);
    assert_eq!(shown(&mut alice), Some(written));
    assert!(!alice.machine().own_list_is_awaited().unwrap());
    assert!(alice.machine().same_devices(&of_relay, NOW).is_ok());
    drop(vault);
}

#[test]
fn a_recovery_key_is_kept_also_where_another_device_was_next() {
    let (relay, mut alice) = one();
    let list = alice.machine().own_list().unwrap();
    let (mine, written) = next_keys(&mut alice, &relay, 1, 2);
    let second = renewed(&mut alice, &relay, &list, &key(1));
    let third = renewed(&mut alice, &relay, &second, &key(7));
    keep(&mut alice);
    alice.machine().begin_new_keys(&mine).unwrap();
    let lists = [&second, &third].map(|list| list.signed.clone()).to_vec();
    let user = alice.user;
    alice.machine().take_lists(user, lists, NOW).unwrap();
    assert_eq!(shown(&mut alice), Some(written));
    // The keys are the other's, and this device waits for them.
    let refused = alice.machine().same_devices(&third, NOW);
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::KeysMissing));
}

#[test]
fn keys_that_are_lacking_are_asked_for_once_an_hour_and_anew_for_another_list() {
    let (mut relay, mut alice) = one();
    let tablet = alice.join(&mut relay);
    let joined = parse(relay.lists[&alice.user].last().unwrap()).unwrap();
    take(&mut alice, &joined);
    assert!(
        !alice.machine().ask_for_keys(NOW).unwrap(),
        "none is lacking"
    );
    let renewed_once = renewed(&mut alice, &relay, &joined, &key(1));
    take(&mut alice, &renewed_once);
    let user = alice.user;
    let waits = |alice: &mut Phone| {
        let waiting = alice.machine().waiting().unwrap();
        waiting.iter().any(|(_, peer)| *peer == user)
    };
    assert!(!waits(&mut alice));
    alice.machine().caught_up(NOW).unwrap();
    assert!(waits(&mut alice));
    assert!(!alice.machine().ask_for_keys(NOW + HOUR - 1).unwrap());
    assert!(alice.machine().ask_for_keys(NOW + HOUR).unwrap());
    let again = renewed(&mut alice, &relay, &renewed_once, &key(2));
    take(&mut alice, &again);
    assert!(alice.machine().ask_for_keys(NOW + HOUR + 1).unwrap());
    assert_eq!(alice.machine().devices().unwrap().len(), 2);
    drop(tablet);
}

#[test]
fn a_device_that_had_no_prekeys_yet_is_answered_at_once() {
    let (mut relay, mut alice) = one();
    alice.machine().name_device("Phone", NOW).unwrap();
    let mut tablet = alice.join(&mut relay);
    let user = alice.user;
    let joined = parse(relay.lists[&user].last().unwrap()).unwrap();
    take(&mut alice, &joined);
    // It is asked for some before it has them on the relay, and is left out for a while.
    alice.machine().greet(NOW).unwrap();
    alice.prepare(&mut relay, user);
    tablet.sync(&mut relay, user);
    alice.sync(&mut relay, user);
    tablet.sync(&mut relay, user);
    let devices = tablet.machine().devices().unwrap();
    let names: Vec<_> = devices.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["Phone", "tablet"]);
}
