#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use sordino_protocol::DeviceId;

use super::*;

const USER: UserId = UserId::from_bytes([5; 16]);
const PLACE: Place = Place {
    device: DeviceId::from_bytes([6; 16]),
    number: 3,
    previous: [7; 32],
};

fn keys(version: u32) -> BackupKeys {
    BackupKeys {
        version,
        backup_key: Secret::from_bytes([1; 32]),
        shared_key: Secret::from_bytes([2; 32]),
        closed: Vec::new(),
    }
}

fn entry(n: u64) -> Entry {
    Entry {
        conversation: ConversationId::from_bytes([(n / 3) as u8; 16]),
        seq: n,
        env_hash: [n as u8; 32],
        content_key: Secret::from_bytes([0xA0 ^ n as u8; 32]),
    }
}

fn seal(sealer: &BackupSealer, count: usize) -> Vec<u8> {
    let entries: Vec<_> = (0..count as u64).map(entry).collect();
    sealer
        .seal(&mut StdRng::seed_from_u64(1), PLACE, &entries)
        .unwrap()
}

#[test]
fn what_a_device_sealed_comes_back_in_its_order() {
    let keys = keys(2);
    for count in [1, 10, limits::BATCH_ENTRIES] {
        let batch = seal(&keys.sealer(USER), count);
        assert!(batch.len() <= limits::BATCH_BYTES, "{}", batch.len());
        let (place, entries) = keys.open(USER, &batch).unwrap();
        assert_eq!((place, entries.len()), (PLACE, count));
        for (found, n) in entries.iter().zip(0..) {
            let wanted = entry(n);
            assert_eq!((found.conversation, found.seq), (wanted.conversation, n));
            assert_eq!(found.env_hash, wanted.env_hash);
            assert!(found.content_key == wanted.content_key);
        }
    }
}

/// Sealed by another implementation (`tests/vectors/sealed.py`).
#[test]
fn a_batch_that_another_implementation_sealed_opens() {
    let vector: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/sealed.json")).unwrap();
    let bytes = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
    let batch = bytes("batch");
    assert_eq!(batch_hash(&batch).as_slice(), bytes("batch_hash"));
    let (place, entries) = keys(2).open(USER, &batch).unwrap();
    assert_eq!(place, PLACE);
    let [first, second] = entries.as_slice() else {
        panic!("two entries");
    };
    assert_eq!(
        (first.conversation, first.seq),
        (ConversationId::from_bytes([1; 16]), 1)
    );
    assert_eq!(
        (first.env_hash, second.env_hash, second.seq),
        ([2; 32], [4; 32], 2)
    );
    assert_eq!(*second.content_key.expose(), [5; 32]);
}

#[test]
fn no_batch_stands_in_for_another_persons_or_versions() {
    let keys = keys(2);
    let batch = seal(&keys.sealer(USER), 1);
    let refused = |keys: &BackupKeys, user| keys.open(user, &batch).err();
    assert_eq!(
        refused(&keys, UserId::from_bytes([9; 16])),
        Some(OpenError::Changed)
    );
    assert_eq!(refused(&self::keys(3), USER), Some(OpenError::Changed));
}

/// It has the public key from nobody, but suppose it had: history is not for it to invent.
#[test]
fn who_lacks_the_shared_key_makes_no_batch() {
    let keys = keys(2);
    let forger = BackupSealer {
        shared_key: Secret::from_bytes([0; 32]),
        ..keys.sealer(USER)
    };
    assert_eq!(
        keys.open(USER, &seal(&forger, 1)).err(),
        Some(OpenError::Changed)
    );
}

#[test]
fn a_batch_has_some_entries_and_not_too_many() {
    let sealer = keys(1).sealer(USER);
    for count in [0, limits::BATCH_ENTRIES + 1] {
        let entries: Vec<_> = (0..count as u64).map(entry).collect();
        let refused = sealer.seal(&mut StdRng::seed_from_u64(1), PLACE, &entries);
        assert_eq!(refused.err(), Some(SealError::Count));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_bit_and_no_missing_byte_goes_unnoticed(at: prop::sample::Index, bit in 0..8_u8) {
        let keys = keys(2);
        let mut batch = seal(&keys.sealer(USER), 2);
        let at = at.index(batch.len());
        prop_assert!(keys.open(USER, &batch[..at]).is_err());
        batch[at] ^= 1 << bit;
        prop_assert!(keys.open(USER, &batch).is_err());
    }
}
