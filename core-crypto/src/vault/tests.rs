#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use sordino_protocol::{frame, hash};

use super::*;

const USER: UserId = UserId::from_bytes([5; 16]);

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn recovery_key(n: u8) -> RecoveryKey {
    RecoveryKey::generate(&mut StdRng::seed_from_u64(n.into()))
}

fn by_key() -> OpenerSecret {
    OpenerSecret::recovery_key(&recovery_key(1), USER)
}

fn by_password() -> OpenerSecret {
    OpenerSecret::password(&Secret::from_bytes([9; 64]), USER)
}

fn contents(openers: Vec<Opener>) -> Contents {
    let head = |n| BackupHead {
        device: DeviceId::from_bytes([n; 16]),
        number: n.into(),
        hash: [n; 32],
    };
    let keys = |version, closed| BackupKeys {
        version,
        backup_key: Secret::from_bytes([version as u8; 32]),
        shared_key: Secret::from_bytes([0xA0 + version as u8; 32]),
        closed,
    };
    Contents {
        identity_key: IdentityKey::from_secret(&Secret::from_bytes([1; 32])),
        list_signing_key: ListSigningKey::from_secret(&Secret::from_bytes([2; 32])),
        list_signing_version: 3,
        openers,
        backup_keys: vec![keys(1, vec![head(7), head(8)]), keys(2, vec![])],
    }
}

fn id(identity_key: &[u8; 32]) -> VaultId<'_> {
    VaultId {
        user: USER,
        identity_key,
        version: 4,
        backup_version: 2,
    }
}

fn vault() -> (Contents, pb::Vault) {
    let contents = contents(vec![by_key().opener(), by_password().opener()]);
    let identity_key = contents.identity_key.public();
    let vault = id(&identity_key).write(&mut rng(), &contents).unwrap();
    (contents, vault)
}

#[test]
fn every_opener_finds_what_was_put_in_and_can_write_the_next_version() {
    let (contents, vault) = vault();
    let identity_key = contents.identity_key.public();
    for secret in [by_key(), by_password()] {
        let found = secret.open(id(&identity_key), &vault).unwrap();
        assert_eq!(found.encode(), contents.encode());
        // Without the other opener's secret.
        let next = VaultId {
            version: 5,
            ..id(&identity_key)
        };
        let written = next.write(&mut rng(), &found).unwrap();
        for secret in [by_key(), by_password()] {
            assert!(secret.open(next, &written).is_ok());
        }
    }
}

fn vector(file: &str) -> impl Fn(&str) -> Vec<u8> {
    let vector: serde_json::Value = serde_json::from_str(file).unwrap();
    move |name| hex::decode(vector[name].as_str().unwrap()).unwrap()
}

fn recovery_key_of_vectors() -> OpenerSecret {
    let text = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-HYTD";
    OpenerSecret::recovery_key(&RecoveryKey::parse(text).unwrap(), USER)
}

/// Computed by another implementation (`tests/vectors/generate.py`).
#[test]
fn openers_contents_and_seal_are_those_of_the_vector() {
    let vector = vector(include_str!("../../tests/vectors/vault.json"));
    let openers = [recovery_key_of_vectors(), by_password()].map(|secret| secret.opener());
    for (opener, name) in openers.iter().zip(["recovery", "password"]) {
        let public = hash::sha256(&opener.public_key);
        assert_eq!(public.as_slice(), vector(&format!("{name}_public_key")));
        assert_eq!(
            opener.psk.expose().as_slice(),
            vector(&format!("{name}_psk"))
        );
    }
    let mut contents = contents(openers.into());
    for (keys, n) in contents.backup_keys.iter_mut().zip([11, 13]) {
        keys.backup_key = Secret::from_bytes([n; 32]);
        keys.shared_key = Secret::from_bytes([n + 1; 32]);
    }
    assert_eq!(contents.encode().unwrap().as_slice(), vector("contents"));
    let identity_key = contents.identity_key.public();
    let sealed = id(&identity_key).seal(&Secret::from_bytes([7; 32]), &contents);
    assert_eq!(sealed.unwrap(), vector("sealed"));
}

/// Written by another implementation, its encapsulation included (`tests/vectors/sealed.py`).
#[test]
fn a_vault_that_another_implementation_wrote_opens() {
    let vector = vector(include_str!("../../tests/vectors/sealed.json"));
    let vault = frame::decode(vector("vault").into(), &frame::VAULT).unwrap();
    let identity_key = contents(Vec::new()).identity_key.public();
    let found = recovery_key_of_vectors().open(id(&identity_key), &vault);
    assert_eq!(found.unwrap().backup_keys[0].closed.len(), 2);
}

#[test]
fn who_is_no_opener_is_told_so() {
    let contents = contents(vec![by_key().opener()]);
    let identity_key = contents.identity_key.public();
    let id = id(&identity_key);
    let vault = id.write(&mut rng(), &contents).unwrap();
    let refused = |secret: OpenerSecret| secret.open(id, &vault).err();
    let other = OpenerSecret::recovery_key(&recovery_key(2), USER);
    assert_eq!(
        refused(other),
        Some(OpenError::Secret(OpenerKind::RecoveryKey))
    );
    assert_eq!(
        refused(by_password()),
        Some(OpenError::NotFor(OpenerKind::Password))
    );
    // The same key of another person is another key.
    let elsewhere = OpenerSecret::recovery_key(&recovery_key(1), UserId::from_bytes([6; 16]));
    assert_eq!(
        refused(elsewhere),
        Some(OpenError::Secret(OpenerKind::RecoveryKey))
    );
    let nobody = Contents {
        openers: Vec::new(),
        ..contents
    };
    assert_eq!(
        id.write(&mut rng(), &nobody).err(),
        Some(WriteError::NoOpener)
    );
}

/// What a relay could serve instead: another version, another person's, parts of two versions.
#[test]
fn no_vault_stands_in_for_another() {
    let (contents, vault) = vault();
    let identity_key = contents.identity_key.public();
    let right = id(&identity_key);
    let others = [
        VaultId {
            version: 5,
            ..right
        },
        VaultId {
            backup_version: 3,
            ..right
        },
        VaultId {
            user: UserId::from_bytes([6; 16]),
            ..right
        },
        VaultId {
            identity_key: &[8; 32],
            ..right
        },
    ];
    for other in others {
        assert!(by_key().open(other, &vault).is_err(), "{other:?}");
        let renamed = pb::Vault {
            version: other.version,
            backup_version: other.backup_version,
            ..vault.clone()
        };
        assert!(by_key().open(other, &renamed).is_err(), "{other:?}");
        let written = other.write(&mut rng(), &contents);
        let mut mixed = written.unwrap();
        (mixed.version, mixed.backup_version) = (right.version, right.backup_version);
        assert!(by_key().open(right, &mixed).is_err(), "{other:?}");
        mixed.wrapped_keys = vault.wrapped_keys.clone();
        assert_eq!(by_key().open(right, &mixed).err(), Some(OpenError::Changed));
    }
}

#[test]
fn the_relay_knows_public_keys_and_cannot_write_one() {
    let (contents, _) = vault();
    let forged = Opener {
        psk: Secret::from_bytes([0; 32]),
        ..by_key().opener()
    };
    let identity_key = contents.identity_key.public();
    let contents = Contents {
        openers: vec![forged],
        ..contents
    };
    let vault = id(&identity_key).write(&mut rng(), &contents).unwrap();
    let refused = by_key().open(id(&identity_key), &vault).err();
    assert_eq!(refused, Some(OpenError::Secret(OpenerKind::RecoveryKey)));
}

#[test]
fn a_vault_names_the_identity_that_its_list_does() {
    let contents = contents(vec![by_key().opener()]);
    let vault = id(&[8; 32]).write(&mut rng(), &contents).unwrap();
    assert_eq!(
        by_key().open(id(&[8; 32]), &vault).err(),
        Some(OpenError::Malformed)
    );
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_sealed() {
    let head = BackupHead {
        device: DeviceId::from_bytes([7; 16]),
        number: 1,
        hash: [1; 32],
    };
    let keys = |closed| BackupKeys {
        version: 1,
        backup_key: Secret::from_bytes([1; 32]),
        shared_key: Secret::from_bytes([2; 32]),
        closed: vec![head.clone(); closed],
    };
    let mut contents = contents(vec![by_key().opener(), by_password().opener()]);
    let identity_key = contents.identity_key.public();
    let id = id(&identity_key);
    contents.backup_keys = (0..64).map(|_| keys(limits::DEVICES)).collect();
    let vault = id.write(&mut rng(), &contents).unwrap();
    assert!(by_key().open(id, &vault).is_ok());
    contents.backup_keys = (0..80).map(|_| keys(limits::DEVICES)).collect();
    assert_eq!(
        id.write(&mut rng(), &contents).err(),
        Some(WriteError::TooLarge)
    );
    contents.backup_keys = vec![keys(256)];
    assert_eq!(
        id.write(&mut rng(), &contents).err(),
        Some(WriteError::TooLarge)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_bit_goes_unnoticed(at: prop::sample::Index, bit in 0..8_u8, part in 0..3_usize) {
        let (contents, mut vault) = vault();
        let identity_key = contents.identity_key.public();
        let flip = |bytes: &mut bytes::Bytes| {
            let mut changed = bytes.to_vec();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            *bytes = changed.into();
        };
        match part {
            0 => flip(&mut vault.sealed),
            1 => flip(&mut vault.wrapped_keys[0].encapsulated),
            _ => flip(&mut vault.wrapped_keys[0].sealed),
        }
        prop_assert!(by_key().open(id(&identity_key), &vault).is_err());
    }

    #[test]
    fn contents_are_read_as_they_are_written_or_not_at_all(cut: prop::sample::Index, more: bool) {
        let (contents, _) = vault();
        let mut encoded = contents.encode().unwrap().to_vec();
        match more {
            true => encoded.push(0),
            false => encoded.truncate(cut.index(encoded.len())),
        }
        prop_assert!(Contents::decode(&encoded).is_none());
    }
}
