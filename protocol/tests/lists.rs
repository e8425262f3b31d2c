#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! The rules of device lists, with real signatures.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use prost::Message;
use sordino_protocol::{
    DeviceId, UserId,
    list::{self, DeviceList, ListError},
    pb,
    signed::{self, SignedType},
};

fn verify(key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|k| {
        k.verify_strict(bytes, &Signature::from_bytes(signature))
            .is_ok()
    })
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn sign(seed: u8, kind: SignedType, body: &[u8]) -> [u8; 64] {
    key(seed).sign(&signed::input(kind, body)).to_bytes()
}

/// What a list is made of; the fields are seeds.
#[derive(Clone)]
struct Plan {
    user: u8,
    certified_user: u8,
    version: u32,
    prev_hash: [u8; 32],
    uik: u8,
    certifier: u8,
    lsk: u8,
    lsk_version: u32,
    list_signer: u8,
    devices: Vec<Entry>,
    vault_version: u32,
    backup_version: u32,
    /// What stands for both hashes; `None`: nothing.
    backup: Option<u8>,
}

/// A device: its id, its DSK, its DIK, who really signs for it, and who vouches for it with which key.
#[derive(Clone, Copy)]
struct Entry {
    id: u8,
    dsk: u8,
    dik: u8,
    self_signer: u8,
    co: Option<(u8, u8)>,
}

fn entry(n: u8) -> Entry {
    Entry {
        id: n,
        dsk: n,
        dik: n,
        self_signer: n,
        co: None,
    }
}

const UIK: u8 = 100;
const LSK: u8 = 110;

fn first() -> Plan {
    Plan {
        user: 1,
        certified_user: 1,
        version: 1,
        prev_hash: [0; 32],
        uik: UIK,
        certifier: UIK,
        lsk: LSK,
        lsk_version: 2,
        list_signer: LSK,
        devices: vec![entry(1), entry(2)],
        vault_version: 1,
        backup_version: 1,
        backup: Some(9),
    }
}

/// The list after `list`, with a third device for which the first vouches.
fn after(list: &DeviceList) -> Plan {
    let mut plan = first();
    plan.version = 2;
    plan.prev_hash = list.hash;
    plan.devices.push(Entry {
        co: Some((1, 1)),
        ..entry(3)
    });
    plan
}

impl Plan {
    fn parse(&self) -> Result<DeviceList, ListError> {
        let user = UserId::from_bytes([self.user; 16]);
        let uik = public(self.uik);
        let certificate = pb::LskCertificateBody {
            user: vec![self.certified_user; 16].into(),
            identity_key: uik.to_vec().into(),
            version: self.lsk_version,
            list_signing_key: public(self.lsk).to_vec().into(),
        }
        .encode_to_vec();
        let listed = |e: &Entry| {
            let device = DeviceId::from_bytes([e.id; 16]);
            let (dsk, dik) = (public(e.dsk), [e.dik; 32]);
            let own = signed::self_body(user, &uik, device, &dik);
            let vouched = signed::co_body(user, &uik, device, &dsk, &dik, self.version);
            pb::ListedDevice {
                device: vec![e.id; 16].into(),
                signing_key: dsk.to_vec().into(),
                identity_key: dik.to_vec().into(),
                added_ms: 1,
                self_signature: sign(e.self_signer, SignedType::SelfStatement, &own)
                    .to_vec()
                    .into(),
                co_signer: e.co.map_or(vec![], |(id, _)| vec![id; 16]).into(),
                co_signature: e
                    .co
                    .map_or(vec![], |(_, by)| {
                        sign(by, SignedType::CoStatement, &vouched).to_vec()
                    })
                    .into(),
            }
        };
        let body = pb::DeviceListBody {
            user: vec![self.user; 16].into(),
            version: self.version,
            prev_hash: self.prev_hash.to_vec().into(),
            created_ms: 1,
            lsk_certificate: Some(pb::Signed {
                signature: sign(self.certifier, SignedType::LskCertificate, &certificate)
                    .to_vec()
                    .into(),
                body: certificate.into(),
            }),
            devices: self.devices.iter().map(listed).collect(),
            vault_version: self.vault_version,
            backup_version: self.backup_version,
            backup_key_hash: self.backup.map_or(vec![], |hash| vec![hash; 32]).into(),
            bpsk_hash: self.backup.map_or(vec![], |hash| vec![hash; 32]).into(),
        }
        .encode_to_vec();
        let signed = pb::Signed {
            signature: sign(self.list_signer, SignedType::DeviceList, &body)
                .to_vec()
                .into(),
            body: body.into(),
        };
        list::parse(&signed, verify)
    }
}

/// What becomes of the second list when `change` is made to it.
fn second(change: impl FnOnce(&mut Plan)) -> Result<(), ListError> {
    let old = first().parse().unwrap();
    let mut plan = after(&old);
    change(&mut plan);
    // A list that does not even parse would hide which rule refuses it.
    old.check_successor(&plan.parse().unwrap(), verify)
}

/// What becomes of the first list, by itself, when `change` is made to it.
fn alone(change: impl FnOnce(&mut Plan)) -> Result<DeviceList, ListError> {
    let mut plan = first();
    change(&mut plan);
    plan.parse()
}

#[test]
fn a_valid_successor_follows() {
    assert_eq!(second(|_| ()), Ok(()));
    assert_eq!(
        second(|p| (p.lsk, p.list_signer, p.lsk_version) = (111, 111, 3)),
        Ok(())
    );
}

#[test]
fn the_chain_neither_breaks_nor_skips() {
    assert_eq!(second(|p| p.prev_hash = [9; 32]), Err(ListError::Chain));
    assert_eq!(second(|p| p.version = 3), Err(ListError::Chain));
    assert_eq!(alone(|p| p.version = 0), Err(ListError::Chain));
    assert_eq!(alone(|p| p.version = 2), Err(ListError::Chain));
    assert_eq!(alone(|p| p.prev_hash = [9; 32]), Err(ListError::Chain));
}

#[test]
fn no_device_and_no_key_stands_twice() {
    assert_eq!(alone(|p| p.devices[1].id = 1), Err(ListError::Devices));
    assert_eq!(
        alone(|p| (p.devices[1].dsk, p.devices[1].self_signer) = (1, 1)),
        Err(ListError::Devices)
    );
    assert_eq!(alone(|p| p.devices[1].dik = 1), Err(ListError::Devices));
    assert_eq!(alone(|p| p.devices.clear()), Err(ListError::Devices));
}

#[test]
fn forged_signatures_are_refused() {
    assert_eq!(
        alone(|p| p.devices[1].self_signer = 1),
        Err(ListError::Signature)
    );
    assert_eq!(alone(|p| p.list_signer = UIK), Err(ListError::Signature));
    assert_eq!(
        second(|p| p.devices[2].co = Some((1, 2))),
        Err(ListError::Signature)
    );
    assert_eq!(
        second(|p| p.devices[2].co = Some((3, 3))),
        Err(ListError::Signature),
        "a device does not vouch for itself"
    );
}

#[test]
fn a_certificate_by_another_identity_key_is_refused() {
    assert_eq!(alone(|p| p.certifier = 101), Err(ListError::Signature));
}

#[test]
fn the_list_signing_key_never_falls_back() {
    assert_eq!(second(|p| p.lsk_version = 1), Err(ListError::LskVersion));
    assert_eq!(
        second(|p| (p.lsk, p.list_signer) = (111, 111)),
        Err(ListError::LskVersion),
        "two keys under one version"
    );
}

#[test]
fn vault_and_backup_stay_or_are_the_next() {
    assert_eq!(second(|p| p.vault_version = 2), Ok(()));
    assert_eq!(
        second(|p| (p.backup_version, p.backup) = (2, Some(8))),
        Ok(())
    );
    for version in [0, 3, u32::MAX] {
        assert_eq!(
            second(|p| p.vault_version = version),
            Err(ListError::Vault),
            "{version}"
        );
    }
    for (version, backup) in [(1, Some(8)), (3, Some(8)), (u32::MAX, Some(8)), (0, None)] {
        assert_eq!(
            second(|p| (p.backup_version, p.backup) = (version, backup)),
            Err(ListError::Vault),
            "{version}"
        );
    }
}

#[test]
fn the_first_vault_and_the_first_backup_are_version_1() {
    assert_eq!(alone(|p| p.vault_version = 2), Err(ListError::Vault));
    assert_eq!(alone(|p| p.backup_version = 2), Err(ListError::Vault));
}

#[test]
fn a_backup_has_a_version_and_its_hashes_or_neither() {
    let none = alone(|p| (p.backup_version, p.backup) = (0, None)).unwrap();
    assert_eq!(none.backup, None);
    for (version, backup) in [(0, Some(9)), (1, None)] {
        assert_eq!(
            alone(|p| (p.backup_version, p.backup) = (version, backup)),
            Err(ListError::Malformed)
        );
    }
}

#[test]
fn another_users_list_is_refused() {
    assert_eq!(
        second(|p| (p.user, p.certified_user) = (2, 2)),
        Err(ListError::User)
    );
    assert_eq!(alone(|p| p.certified_user = 2), Err(ListError::User));
}
