use super::*;
use crate::{
    keys::{IdentityKey, ListSigningKey},
    lists,
};

const USER: UserId = UserId::from_bytes([1; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([2; 16]);
const NOW: u64 = 1_000_000;

fn keys() -> DeviceKeys {
    DeviceKeys::from_secret(&Secret::from_bytes([3; 32]), &Secret::from_bytes([4; 32]))
}

fn list(created_ms: u64) -> DeviceList {
    let uik = IdentityKey::from_secret(&Secret::from_bytes([5; 32]));
    let lsk = ListSigningKey::from_secret(&Secret::from_bytes([6; 32]));
    lists::parse(&lists::first_list(
        USER,
        DEVICE,
        &uik,
        &lsk,
        &keys(),
        None,
        created_ms,
    ))
    .unwrap()
}

fn bundle(list: &DeviceList, device: DeviceId, keys: &DeviceKeys) -> Bundle {
    let mut rng = rand::rng();
    let owner = Owner { list, device, keys };
    Bundle {
        device,
        signed: owner.signed_prekey(&mut rng, 1, NOW).public.into(),
        one_time: Some(owner.one_time(&mut rng, 2, NOW).public.into()),
        pq: owner.pq_one_time(&mut rng, 3, NOW).public.into(),
        pq_one_time: true,
    }
}

fn good() -> Bundle {
    bundle(&list(NOW), DEVICE, &keys())
}

fn error(bundle: Bundle, now_ms: u64) -> Option<BundleError> {
    verify_bundle(&list(NOW), bundle, now_ms).err()
}

#[test]
fn accepts_what_the_device_signed() {
    let verified = verify_bundle(&list(NOW), good(), NOW).ok().unwrap();
    assert_eq!(verified.spk.0, 1);
    assert_eq!(verified.opk.unwrap().0, 2);
    assert_eq!((verified.pq.0, verified.pq.1), (3, PqKind::OneTime));
    assert_eq!(verified.peer.identity_key, keys().public().identity_key);
}

#[test]
fn a_prekey_of_another_kind_is_refused() {
    let one = good();
    let swapped = Bundle {
        signed: one.one_time.clone().unwrap(),
        ..one.clone()
    };
    assert_eq!(error(swapped, NOW), Some(BundleError::Signature));
    let swapped = Bundle {
        one_time: Some(one.signed.clone()),
        ..one.clone()
    };
    assert_eq!(error(swapped, NOW), Some(BundleError::Signature));
    // A one-time key served as last resort, which the owner would delete after its first use.
    let relabelled = Bundle {
        pq_one_time: false,
        ..one
    };
    assert_eq!(error(relabelled, NOW), Some(BundleError::Signature));
}

#[test]
fn an_expired_prekey_is_refused() {
    assert_eq!(error(good(), NOW + LIFETIME_MS - 1), None);
    assert_eq!(error(good(), NOW + LIFETIME_MS), Some(BundleError::Expired));
}

#[test]
fn an_unlisted_device_and_anothers_keys_are_refused() {
    let other = DeviceId::from_bytes([9; 16]);
    assert_eq!(
        error(bundle(&list(NOW), other, &keys()), NOW),
        Some(BundleError::Unlisted)
    );
    let owner = bundle(&list(NOW), other, &keys());
    let posed = Bundle {
        device: DEVICE,
        ..owner
    };
    assert_eq!(error(posed, NOW), Some(BundleError::Owner));
    let stranger = DeviceKeys::generate(&mut rand::rng());
    assert_eq!(
        error(bundle(&list(NOW), DEVICE, &stranger), NOW),
        Some(BundleError::Signature)
    );
}

#[test]
fn a_list_older_than_the_device_knew_is_noticed() {
    let mut newer = list(NOW);
    newer.version = 2;
    assert_eq!(
        error(bundle(&newer, DEVICE, &keys()), NOW),
        Some(BundleError::ListWithheld)
    );
    let forked = list(NOW + 1);
    assert_eq!(
        error(bundle(&forked, DEVICE, &keys()), NOW),
        Some(BundleError::ListWithheld)
    );
}

#[test]
fn a_pq_key_that_is_none_is_refused() {
    let list = list(NOW);
    let keys = keys();
    let owner = Owner {
        list: &list,
        device: DEVICE,
        keys: &keys,
    };
    let bad = owner.sign(SignedType::PqOneTimePrekey, 3, NOW, &[0xFF; mlkem::PUBLIC]);
    assert_eq!(
        error(
            Bundle {
                pq: bad.into(),
                ..good()
            },
            NOW
        ),
        Some(BundleError::Malformed)
    );
    let short = owner.sign(SignedType::SignedPrekey, 1, NOW, &[1; 31]);
    assert_eq!(
        error(
            Bundle {
                signed: short.into(),
                ..good()
            },
            NOW
        ),
        Some(BundleError::Malformed)
    );
    let no_id = owner.sign(SignedType::OneTimePrekey, 0, NOW, &[1; 32]);
    assert_eq!(
        error(
            Bundle {
                one_time: Some(no_id.into()),
                ..good()
            },
            NOW
        ),
        Some(BundleError::Malformed)
    );
}
