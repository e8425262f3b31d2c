use proptest::prelude::*;

use super::*;
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

/// A device of the next version: its id, its keys, who co-signs.
type Entry = (u8, u8, Option<u8>);

fn next_body(before: &DeviceList, uik: &IdentityKey, devices: &[Entry]) -> pb::DeviceListBody {
    let version = before.version + 1;
    let devices = devices.iter().map(|&(device, key, by)| {
        let public = keys(key).public();
        let mut entry = listed(USER, &uik.public(), id(device), &keys(key), 1000);
        if let Some(by) = by {
            let body = signed::co_body(
                USER,
                &uik.public(),
                id(device),
                &public.signing_key,
                &public.identity_key,
                version,
            );
            entry.co_signer = id(by).to_pb();
            entry.co_signature = keys(by)
                .sign(SignedType::CoStatement, &body)
                .to_vec()
                .into();
        }
        entry
    });
    pb::DeviceListBody {
        user: USER.to_pb(),
        version,
        prev_hash: before.hash.to_vec().into(),
        created_ms: 1000,
        lsk_certificate: Some(uik.certify(USER, 1, &lsk(60).public())),
        devices: devices.collect(),
        ..Default::default()
    }
}

fn next(before: &DeviceList, devices: &[Entry]) -> DeviceList {
    parse(&sign_list(&next_body(before, &uik(50), devices), &lsk(60))).unwrap()
}

fn moved(advance: Result<Advance, PinError>) -> Moved {
    match advance {
        Ok(Advance::Moved(moved)) => moved,
        other => panic!("expected a newer list, got {other:?}"),
    }
}

#[test]
fn the_first_list_parses() {
    let list = first();
    assert_eq!((list.user, list.version), (USER, 1));
    assert_eq!(list.identity_key, uik(50).public());
    assert_eq!(list.device(id(1)).unwrap().added_ms, 1000);
}

#[test]
fn every_flipped_bit_of_a_list_is_refused() {
    let good = first_list(USER, id(1), &uik(50), &lsk(60), &keys(1), None, 1000);
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes.into()
    };
    for bit in 0..good.body.len() * 8 {
        let bad = pb::Signed {
            body: flipped(&good.body, bit),
            signature: good.signature.clone(),
        };
        assert!(parse(&bad).is_err(), "bit {bit} of the body");
    }
    for bit in 0..good.signature.len() * 8 {
        let bad = pb::Signed {
            body: good.body.clone(),
            signature: flipped(&good.signature, bit),
        };
        assert!(parse(&bad).is_err(), "bit {bit} of the signature");
    }
}

#[test]
fn the_pinned_list_changes_nothing() {
    let list = first();
    assert_eq!(Pin::first(&list).advance(&[list], &[]), Ok(Advance::Same));
}

#[test]
fn a_linked_device_is_added_quietly_and_an_unvouched_one_loudly() {
    let one = first();
    let linked = next(&one, &[(1, 1, None), (2, 2, Some(1))]);
    let got = moved(Pin::first(&one).advance(&[one.clone(), linked], &[]));
    assert_eq!((got.added, got.loud), (vec![id(2)], vec![]));
    let recovered = next(&one, &[(1, 1, None), (2, 2, None)]);
    let got = moved(Pin::first(&one).advance(&[one.clone(), recovered.clone()], &[]));
    assert_eq!((got.added, got.loud), (vec![id(2)], vec![id(2)]));
    assert_eq!((got.pin.version, got.pin.hash), (2, recovered.hash));
    assert!(!got.identity_reset);
}

#[test]
fn who_is_not_vouched_for_cannot_vouch() {
    let one = first();
    let two = next(&one, &[(1, 1, None), (2, 2, None)]);
    let three = next(&two, &[(1, 1, None), (2, 2, None), (3, 3, Some(2))]);
    let got = moved(Pin::first(&one).advance(&[one, two, three], &[]));
    assert_eq!(got.loud, [id(2), id(3)]);
}

#[test]
fn who_was_not_vouched_for_before_cannot_vouch_later() {
    let one = first();
    let two = next(&one, &[(1, 1, None), (2, 2, None)]);
    let three = next(&two, &[(1, 1, None), (2, 2, None), (3, 3, Some(2))]);
    let loud = moved(Pin::first(&one).advance(&[one, two.clone()], &[])).loud;
    let got = moved(Pin::first(&two).advance(&[two.clone(), three.clone()], &loud));
    assert_eq!((got.added, got.loud), (vec![id(3)], vec![id(2), id(3)]));
    // Once the second is accepted, it can.
    let got = moved(Pin::first(&two).advance(&[two, three], &[]));
    assert_eq!((got.added, got.loud), (vec![id(3)], vec![]));
}

#[test]
fn a_device_that_left_and_came_back_is_new() {
    let one = next(&first(), &[(1, 1, None), (2, 2, Some(1))]);
    let two = next(&one, &[(1, 1, None)]);
    for (by, loud) in [(None, vec![id(2)]), (Some(1), vec![])] {
        let three = next(&two, &[(1, 1, None), (2, 2, by)]);
        let lists = [one.clone(), two.clone(), three];
        let got = moved(Pin::first(&one).advance(&lists, &[]));
        assert_eq!((got.added, got.loud), (vec![id(2)], loud));
    }
}

/// What becomes of devices 1 to 4 in a version: in or out, with which keys, and who co-signs. The first device stays.
fn any_version() -> impl Strategy<Value = Vec<(bool, bool, u8)>> {
    prop::collection::vec(
        (prop::bool::weighted(0.7), prop::bool::weighted(0.1), 0..5u8),
        4,
    )
}

fn chain(versions: &[Vec<(bool, bool, u8)>]) -> Vec<DeviceList> {
    let mut lists = vec![first()];
    for devices in versions {
        let before = lists.last().unwrap();
        let mut entries = Vec::new();
        for (device, &(present, rekeyed, by)) in (1u8..).zip(devices) {
            let key = before.device(id(device)).map_or(device, |known| {
                [device, device + 4]
                    .into_iter()
                    .find(|key| keys(*key).public().signing_key == known.signing_key)
                    .unwrap()
            });
            let key = if rekeyed && device > 1 {
                (key + 3) % 8 + 1
            } else {
                key
            };
            // Only who is listed with the keys that it signs with can co-sign.
            let by = (1..=4).contains(&by).then_some(by).filter(|by| {
                before
                    .device(id(*by))
                    .is_some_and(|known| known.signing_key == keys(*by).public().signing_key)
            });
            if present || device == 1 {
                entries.push((device, key, by));
            }
        }
        lists.push(next(before, &entries));
    }
    lists
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lists_mean_the_same_together_and_one_by_one(
        versions in prop::collection::vec(any_version(), 1..6),
    ) {
        let lists = chain(&versions);
        let together = moved(Pin::first(&lists[0]).advance(&lists, &[]));
        let mut pin = Pin::first(&lists[0]);
        let mut loud = Vec::new();
        let mut added = HashSet::new();
        for step in lists.windows(2) {
            let got = moved(pin.advance(step, &loud));
            added.extend(got.added);
            (pin, loud) = (got.pin, got.loud);
        }
        let newest = lists.last().unwrap();
        added.retain(|id| newest.device(*id).is_some());
        prop_assert_eq!(&together.pin, &pin);
        prop_assert_eq!(&together.loud, &loud);
        let added_together: HashSet<_> = together.added.into_iter().collect();
        prop_assert!(together.loud.iter().all(|id| added_together.contains(id)));
        prop_assert_eq!(added_together, added);
    }
}

#[test]
fn an_old_id_with_new_keys_is_another_device() {
    let one = first();
    let two = next(&one, &[(1, 9, Some(1))]);
    let got = moved(Pin::first(&one).advance(&[one, two], &[]));
    assert_eq!((got.added, got.removed), (vec![id(1)], vec![id(1)]));
    assert_eq!(got.loud, [id(1)]);
}

#[test]
fn a_removed_device_is_named() {
    let one = first();
    let two = next(&one, &[(1, 1, None), (2, 2, Some(1))]);
    let three = next(&two, &[(2, 2, None)]);
    let got = moved(Pin::first(&two).advance(&[two, three], &[]));
    assert_eq!((got.added, got.removed), (vec![], vec![id(1)]));
    assert!(got.loud.is_empty());
}

#[test]
fn rollback_fork_and_gap_are_refused() {
    let one = first();
    let two = next(&one, &[(1, 1, None), (2, 2, Some(1))]);
    let other_two = next(&one, &[(1, 1, None), (3, 3, Some(1))]);
    let three = next(&two, &[(1, 1, None)]);
    let pin = Pin::first(&two);
    assert_eq!(
        pin.advance(std::slice::from_ref(&one), &[]),
        Err(PinError::Rollback {
            pinned: 2,
            offered: 1
        })
    );
    assert_eq!(
        pin.advance(std::slice::from_ref(&other_two), &[]),
        Err(PinError::Fork(2))
    );
    assert_eq!(pin.advance(&[], &[]), Err(PinError::Gap(2)));
    assert_eq!(
        pin.advance(std::slice::from_ref(&three), &[]),
        Err(PinError::Gap(2))
    );
    // A chain whose middle is another list of the same version.
    assert_eq!(
        Pin::first(&one).advance(&[one, other_two, three], &[]),
        Err(PinError::List(ListError::Chain))
    );
}

#[test]
fn a_forged_co_signature_is_refused() {
    let one = first();
    let mut body = next_body(&one, &uik(50), &[(1, 1, None), (2, 2, Some(1))]);
    // Device 3, which is not listed, signs in the name of device 1.
    let public = keys(2).public();
    let statement = signed::co_body(
        USER,
        &uik(50).public(),
        id(2),
        &public.signing_key,
        &public.identity_key,
        2,
    );
    body.devices[1].co_signature = keys(3)
        .sign(SignedType::CoStatement, &statement)
        .to_vec()
        .into();
    let two = parse(&sign_list(&body, &lsk(60))).unwrap();
    assert_eq!(
        Pin::first(&one).advance(&[one, two], &[]),
        Err(PinError::List(ListError::Signature))
    );
}

#[test]
fn a_list_under_an_uncertified_key_is_refused() {
    let one = first();
    let body = next_body(&one, &uik(50), &[(1, 1, None)]);
    assert_eq!(
        parse(&sign_list(&body, &lsk(61))),
        Err(ListError::Signature)
    );
}

#[test]
fn an_identity_reset_is_told_and_the_old_identity_never_returns() {
    let one = first();
    let two = parse(&sign_list(
        &next_body(&one, &uik(51), &[(1, 1, Some(1))]),
        &lsk(60),
    ))
    .unwrap();
    let got = moved(Pin::first(&one).advance(&[one, two.clone()], &[]));
    assert!(got.identity_reset);
    assert_eq!(got.loud, [id(1)]);
    assert_eq!(got.pin.identity_key, uik(51).public());
    let three = next(&two, &[(1, 1, None)]);
    assert_eq!(
        got.pin.advance(&[two, three], &[]),
        Err(PinError::RetiredIdentity(3))
    );
}

#[test]
fn another_users_list_is_refused() {
    let one = first();
    let pin = Pin {
        user: UserId::from_bytes([2; 16]),
        ..Pin::first(&one)
    };
    assert_eq!(
        pin.advance(&[one], &[]),
        Err(PinError::List(ListError::User))
    );
}

/// Device 2 joined in the second list and has left in the third, by one chain; by another one the third adds a device that it vouches for.
fn two_chains() -> [DeviceList; 4] {
    let one = first();
    let two = next(&one, &[(1, 1, None), (2, 2, Some(1))]);
    let left = next(&two, &[(1, 1, None)]);
    let stays = next(&two, &[(1, 1, None), (2, 2, Some(1)), (3, 3, Some(2))]);
    [one, two, left, stays]
}

fn pinned(lists: &[DeviceList]) -> Pin {
    let pin = Pin::first(&lists[0]);
    moved(pin.advance(lists, &[])).pin
}

#[test]
fn who_is_not_in_the_list_before_is_loud_in_the_one_that_replaces_it() {
    let [one, two, left, stays] = two_chains();
    let pin = pinned(&[one, two, left.clone()]);
    let got = pin.replaced(&left, &stays, &[]);
    assert_eq!(got.loud, [id(2), id(3)]);
    assert_eq!(got.added, [id(2), id(3)]);
    assert_eq!((got.removed, got.identity_reset), (vec![], false));
    assert_eq!((got.pin.version, got.pin.floor), (3, 3));
    assert_eq!(got.pin.hash, stays.hash);
    // Who was loud there is so here; who is missing here has left.
    let back = pinned(&[first(), two_chains()[1].clone(), stays.clone()]);
    let got = back.replaced(&stays, &left, &[id(1), id(3)]);
    assert_eq!((got.loud, got.removed), (vec![id(1)], vec![id(2), id(3)]));
    assert_eq!(got.added, []);
}

#[test]
fn nobody_vouches_for_anybody_up_to_the_version_that_was_replaced() {
    let [one, two, left, stays] = two_chains();
    let pin = pinned(&[one.clone(), two.clone(), left.clone()]);
    let back = pin.replaced(&left, &one, &[]);
    assert_eq!((back.loud.len(), back.pin.floor), (0, 3));
    // All of it genuine, with signatures by whom there is no doubt about.
    let again = [one, two, stays.clone()];
    let got = moved(back.pin.advance(&again, &back.loud));
    assert_eq!(got.loud, [id(2), id(3)]);
    // Not even in two steps.
    let between = moved(back.pin.advance(&again[..2], &back.loud));
    let got = moved(between.pin.advance(&again[1..], &between.loud));
    assert_eq!(got.loud, [id(2), id(3)]);
    // Beyond it they do, who are not loud themselves.
    let mut devices = vec![(1, 1, None), (2, 2, Some(1)), (3, 3, Some(2))];
    let four = next(&stays, &[&devices[..], &[(4, 4, Some(1))]].concat());
    let got = moved(got.pin.advance(&[stays, four.clone()], &got.loud));
    assert_eq!(got.loud, [id(2), id(3)]);
    devices.extend([(4, 4, Some(1)), (5, 5, Some(2))]);
    let five = next(&four, &devices);
    let got = moved(got.pin.advance(&[four, five], &got.loud));
    assert_eq!(got.loud, [id(2), id(3), id(5)]);
    // It stays when there is another one of which less was seen.
    let less = got.pin.replaced(&left, &two_chains()[0], &[]);
    assert_eq!(less.pin.floor, 5);
}

#[test]
fn a_list_that_replaces_another_may_be_of_another_identity_also_of_one_of_before() {
    let [one, two, left, _] = two_chains();
    let pin = pinned(&[one, two.clone(), left.clone()]);
    let body = next_body(&two, &uik(51), &[(1, 1, Some(1))]);
    let reset = parse(&sign_list(&body, &lsk(60))).unwrap();
    let got = pin.replaced(&left, &reset, &[]);
    assert!(got.identity_reset);
    assert_eq!(
        (got.loud, got.removed, got.pin.retired.clone()),
        (vec![id(1)], vec![id(1)], vec![uik(50).public()])
    );
    // Who replaced it may have been the relay, and the user has compared the first one.
    let got = got.pin.replaced(&reset, &left, &[]);
    assert!(got.identity_reset);
    assert_eq!(got.loud, [id(1)]);
    assert_eq!(got.pin.retired, [uik(51).public()]);
}
