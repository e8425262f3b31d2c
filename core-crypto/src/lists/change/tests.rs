use sordino_protocol::{UserId, limits};

use super::{
    super::{Advance, Moved, Pin, PinError, first_list, listed},
    *,
};
use crate::Secret;

const USER: UserId = UserId::from_bytes([1; 16]);

fn id(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}

fn keys(n: u8) -> DeviceKeys {
    DeviceKeys::from_secret(
        &Secret::from_bytes([n; 32]),
        &Secret::from_bytes([n + 100; 32]),
    )
}

fn uik(n: u8) -> IdentityKey {
    IdentityKey::from_secret(&Secret::from_bytes([n; 32]))
}

fn lsk(n: u8) -> ListSigningKey {
    ListSigningKey::from_secret(&Secret::from_bytes([n; 32]))
}

fn entry(n: u8) -> pb::ListedDevice {
    listed(USER, &uik(50).public(), id(n), &keys(n), 2000)
}

fn first() -> DeviceList {
    parse(&first_list(
        USER,
        id(1),
        &uik(50),
        &lsk(60),
        &keys(1),
        None,
        1000,
    ))
    .unwrap()
}

fn change(before: &DeviceList) -> Change<'_> {
    Change::of(before, 2000).unwrap()
}

fn linked(before: &DeviceList, n: u8, by: u8) -> Result<DeviceList, ListError> {
    change(before)
        .link(entry(n), id(by), &keys(by))?
        .sign(&lsk(60))
}

fn moved(lists: &[&DeviceList]) -> Moved {
    let lists: Vec<_> = lists.iter().map(|list| (*list).clone()).collect();
    match Pin::first(&lists[0]).advance(&lists, &[]) {
        Ok(Advance::Moved(moved)) => moved,
        other => panic!("expected a newer list, got {other:?}"),
    }
}

#[test]
fn linking_is_quiet_and_keeps_what_was_there() {
    let one = first();
    let two = linked(&one, 2, 1).unwrap();
    assert_eq!((two.version, two.prev_hash), (2, one.hash));
    assert_eq!((two.created_ms, two.lsk_version), (2000, 1));
    assert_eq!(two.device(id(1)), one.device(id(1)));
    assert_eq!(two.device(id(2)).unwrap().co_signer, Some(id(1)));
    let three = linked(&two, 3, 2).unwrap();
    let got = moved(&[&one, &two, &three]);
    assert_eq!((got.added, got.loud), (vec![id(2), id(3)], vec![]));
}

#[test]
fn a_device_that_nobody_vouches_for_is_loud() {
    let one = first();
    let two = change(&one).add_unvouched(entry(2)).sign(&lsk(60)).unwrap();
    assert_eq!(two.device(id(2)).unwrap().co_signer, None);
    assert_eq!(moved(&[&one, &two]).loud, [id(2)]);
}

#[test]
fn a_removed_device_is_gone_and_vouches_for_nobody() {
    let one = first();
    let two = linked(&one, 2, 1).unwrap();
    let three = change(&two).remove(id(1)).sign(&lsk(60)).unwrap();
    assert_eq!(three.devices.len(), 1);
    assert_eq!(moved(&[&two, &three]).removed, [id(1)]);
    assert_eq!(linked(&three, 3, 1), Err(ListError::Signature));
    let none_left = change(&one).remove(id(1)).sign(&lsk(60));
    assert_eq!(none_left, Err(ListError::Devices));
}

#[test]
fn a_renewed_list_signing_key_ends_the_old_one() {
    let one = first();
    let renewed = || change(&one).renew_lsk(&uik(50), &lsk(61)).unwrap();
    let two = renewed().sign(&lsk(61)).unwrap();
    assert_eq!((two.lsk_version, two.lsk), (2, lsk(61).public()));
    assert_eq!(renewed().sign(&lsk(60)), Err(ListError::Signature));
    // A stolen device knows the old key and its certificate: with both it signs what follows version 1 only.
    assert_eq!(
        change(&two).sign(&lsk(60)).err(),
        Some(ListError::Signature)
    );
    let mut stolen = change(&two);
    stolen.body.lsk_certificate = change(&one).body.lsk_certificate;
    assert_eq!(stolen.sign(&lsk(60)).err(), Some(ListError::LskVersion));
    let got = moved(&[&one, &two]);
    assert!(!got.identity_reset && got.added.is_empty() && got.removed.is_empty());
}

#[test]
fn a_change_is_no_identity_reset() {
    let one = first();
    let mut other = change(&one).renew_lsk(&uik(51), &lsk(61)).unwrap();
    other.body.devices = vec![listed(USER, &uik(51).public(), id(1), &keys(1), 2000)];
    assert_eq!(other.sign(&lsk(61)), Err(ListError::Signature));
}

#[test]
fn a_reset_begins_again_with_one_device_that_nobody_vouches_for() {
    let one = first();
    let two = linked(&one, 2, 1).unwrap();
    let anew = listed(USER, &uik(51).public(), id(1), &keys(1), 2000);
    let reset = || change(&two).reset(anew.clone());
    let three = reset().renew_lsk(&uik(51), &lsk(61)).unwrap();
    let three = three.sign(&lsk(61)).unwrap();
    assert_eq!(
        (three.identity_key, three.lsk_version, three.devices.len()),
        (uik(51).public(), 2, 1)
    );
    let got = moved(&[&two, &three]);
    assert!(got.identity_reset);
    assert_eq!((got.added, got.loud), (vec![id(1)], vec![id(1)]));
    assert_eq!(got.removed, [id(1), id(2)]);
    // It has to be another identity, and the device's own word for it.
    let same = reset().renew_lsk(&uik(50), &lsk(61)).unwrap();
    assert_eq!(same.sign(&lsk(61)), Err(ListError::Signature));
    let unchanged = change(&two).reset(entry(1)).renew_lsk(&uik(50), &lsk(61));
    assert_eq!(unchanged.unwrap().sign(&lsk(61)), Err(ListError::Signature));
}

#[test]
fn what_a_reader_would_refuse_is_not_signed() {
    let one = first();
    // Device 3 is not listed, device 1 did not sign.
    let unlisted = change(&one).link(entry(2), id(3), &keys(3)).unwrap();
    assert_eq!(unlisted.sign(&lsk(60)), Err(ListError::Signature));
    let forged = change(&one).link(entry(2), id(1), &keys(3)).unwrap();
    assert_eq!(forged.sign(&lsk(60)), Err(ListError::Signature));
    assert_eq!(linked(&one, 1, 1), Err(ListError::Devices));
    // The device has to sign for itself.
    let mut unsigned = entry(2);
    unsigned.self_signature = entry(3).self_signature;
    let unsigned = change(&one).add_unvouched(unsigned).sign(&lsk(60));
    assert_eq!(unsigned, Err(ListError::Signature));
    let mut short = entry(2);
    short.signing_key = vec![1; 31].into();
    let short = change(&one).link(short, id(1), &keys(1));
    assert_eq!(short.err(), Some(ListError::Malformed));
}

#[test]
fn ten_devices_and_not_one_more() {
    let mut list = first();
    for n in 2..=u8::try_from(limits::DEVICES).unwrap() {
        list = linked(&list, n, 1).unwrap();
    }
    assert!(matches!(
        linked(&list, 11, 1),
        Err(ListError::Malformed | ListError::Devices)
    ));
}

#[test]
fn rollback_fork_and_a_withheld_version_are_seen() {
    let one = first();
    let two = linked(&one, 2, 1).unwrap();
    let fork = linked(&one, 3, 1).unwrap();
    let three = linked(&two, 4, 2).unwrap();
    let pin = moved(&[&one, &two]).pin;
    let advance = |lists: &[&DeviceList]| {
        let lists: Vec<_> = lists.iter().map(|list| (*list).clone()).collect();
        pin.advance(&lists, &[])
    };
    assert_eq!(
        advance(&[&one]),
        Err(PinError::Rollback {
            pinned: 2,
            offered: 1
        })
    );
    assert_eq!(advance(&[&fork]), Err(PinError::Fork(2)));
    assert_eq!(advance(&[&three]), Err(PinError::Gap(2)));
    let four = linked(&three, 5, 2).unwrap();
    let withheld = advance(&[&two, &four]);
    assert_eq!(withheld, Err(PinError::List(ListError::Chain)));
    assert!(matches!(
        advance(&[&two, &three, &four]),
        Ok(Advance::Moved(_))
    ));
}
