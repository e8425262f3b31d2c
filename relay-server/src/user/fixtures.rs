//! Users who sign lists and prekeys, for tests.

use ed25519_dalek::{Signer, SigningKey};
use prost::{Message, bytes::Bytes};
use sordino_protocol::{
    DeviceId, UserId,
    list::{self, DeviceList},
    pb,
    signed::{self, SignedType},
};

use super::{Prekey, PrekeyKind, verify::verify};

/// A user with all its keys, derived from one byte.
pub(crate) struct Person {
    pub(crate) user: UserId,
    seed: u8,
}

impl Person {
    pub(crate) fn new(seed: u8) -> Self {
        let user = UserId::from_bytes([seed; 16]);
        Self { user, seed }
    }

    /// A list of these devices after `before`.
    pub(crate) fn list(&self, before: Option<&DeviceList>, devices: &[u8]) -> DeviceList {
        let keyed: Vec<_> = devices.iter().map(|device| (*device, *device)).collect();
        self.list_with_keys(before, &keyed)
    }

    /// A list of devices, each with the number of its key.
    pub(crate) fn list_with_keys(
        &self,
        before: Option<&DeviceList>,
        devices: &[(u8, u8)],
    ) -> DeviceList {
        let vault_version = before.map_or(0, |list| list.vault_version);
        self.list_with_vault(before, devices, vault_version)
    }

    /// The same with a vault of this version.
    pub(crate) fn list_with_vault(
        &self,
        before: Option<&DeviceList>,
        devices: &[(u8, u8)],
        vault_version: u32,
    ) -> DeviceList {
        let backup = before.and_then(|list| list.backup);
        let backup_version = backup.map_or(0, |backup| backup.version);
        let lsk_version = before.map_or(1, |list| list.lsk_version);
        let versions = (vault_version, backup_version);
        self.list_by((1, lsk_version), before, devices, versions)
    }

    /// The same with a vault and a key backup of this version.
    pub(crate) fn list_with_backup(
        &self,
        before: Option<&DeviceList>,
        devices: &[u8],
        version: u32,
    ) -> DeviceList {
        let devices: Vec<_> = devices.iter().map(|device| (*device, *device)).collect();
        let lsk_version = before.map_or(1, |list| list.lsk_version);
        self.list_by((1, lsk_version), before, &devices, (version, version))
    }

    /// The next list, by another identity key.
    pub(crate) fn reset(
        &self,
        before: &DeviceList,
        devices: &[(u8, u8)],
        vault_version: u32,
    ) -> DeviceList {
        let backup_version = before.backup.map_or(0, |backup| backup.version + 1);
        let versions = (before.lsk_version + 1, backup_version);
        self.half_reset(before, devices, vault_version, versions)
    }

    /// The same with these versions of the list-signing key and of the key backup.
    pub(crate) fn half_reset(
        &self,
        before: &DeviceList,
        devices: &[(u8, u8)],
        vault_version: u32,
        (lsk_version, backup_version): (u32, u32),
    ) -> DeviceList {
        let versions = (vault_version, backup_version);
        self.list_by((3, lsk_version), Some(before), devices, versions)
    }

    /// By which identity key, and which version of the list-signing key.
    fn list_by(
        &self,
        (identity, lsk_version): (u8, u32),
        before: Option<&DeviceList>,
        devices: &[(u8, u8)],
        (vault_version, backup_version): (u32, u32),
    ) -> DeviceList {
        let backup_key = match backup_version {
            0 => Bytes::new(),
            version => vec![version.to_be_bytes()[3]; 32].into(),
        };
        let identity = self.key(identity);
        let lsk = self.key(2);
        let certificate = pb::LskCertificateBody {
            user: self.user.to_pb(),
            identity_key: public(&identity),
            version: lsk_version,
            list_signing_key: public(&lsk),
        };
        let devices = devices
            .iter()
            .map(|(device, key)| self.listed(&identity, *device, *key));
        let body = pb::DeviceListBody {
            user: self.user.to_pb(),
            version: before.map_or(1, |list| list.version + 1),
            prev_hash: before.map_or([0; 32], |list| list.hash).to_vec().into(),
            created_ms: 1,
            lsk_certificate: Some(sign(&identity, SignedType::LskCertificate, &certificate)),
            devices: devices.collect(),
            vault_version,
            backup_version,
            backup_key_hash: backup_key.clone(),
            bpsk_hash: backup_key,
        };
        list::parse(&sign(&lsk, SignedType::DeviceList, &body), verify).expect("a list that holds")
    }

    /// UIK.
    pub(crate) fn identity_key(&self) -> SigningKey {
        self.key(1)
    }

    /// LSK.
    pub(crate) fn list_key(&self) -> SigningKey {
        self.key(2)
    }

    /// The signing key of the device with this number.
    pub(crate) fn device_key(&self, device: u8) -> SigningKey {
        self.key(100 + device)
    }

    /// A prekey as it is uploaded, with a key of this length.
    pub(crate) fn prekey(
        &self,
        device: u8,
        kind: SignedType,
        id: u32,
        len: usize,
        expires_ms: u64,
    ) -> pb::Signed {
        let body = pb::PrekeyBody {
            user: self.user.to_pb(),
            device: device_id(device).to_pb(),
            key_id: id,
            created_ms: 1,
            expires_ms,
            key: vec![7; len].into(),
            ..Default::default()
        };
        sign(&self.device_key(device), kind, &body)
    }

    fn listed(&self, identity: &SigningKey, device: u8, key: u8) -> pb::ListedDevice {
        let signing = self.device_key(key);
        let dik = [key; 32];
        let statement = signed::self_body(
            self.user,
            identity.verifying_key().as_bytes(),
            device_id(device),
            &dik,
        );
        let input = signed::input(SignedType::SelfStatement, &statement);
        pb::ListedDevice {
            device: device_id(device).to_pb(),
            signing_key: public(&signing),
            identity_key: dik.to_vec().into(),
            added_ms: 1,
            self_signature: signing.sign(&input).to_bytes().to_vec().into(),
            ..Default::default()
        }
    }

    fn key(&self, purpose: u8) -> SigningKey {
        let mut seed = [self.seed; 32];
        seed[0] = purpose;
        SigningKey::from_bytes(&seed)
    }
}

pub(crate) fn device_id(device: u8) -> DeviceId {
    DeviceId::from_bytes([device; 16])
}

/// A prekey as the store sees it: it was checked, so its bytes only have to differ.
pub(crate) fn prekey(kind: PrekeyKind, id: u32, expires_ms: u64) -> Prekey {
    let signed = pb::Signed {
        body: format!("{kind:?} {id}").into(),
        signature: vec![0; 64].into(),
    };
    Prekey {
        kind,
        id,
        expires_ms,
        signed,
    }
}

fn sign(key: &SigningKey, kind: SignedType, body: &impl Message) -> pb::Signed {
    let body = body.encode_to_vec();
    let signature = key.sign(&signed::input(kind, &body)).to_bytes();
    pb::Signed {
        body: body.into(),
        signature: signature.to_vec().into(),
    }
}

fn public(key: &SigningKey) -> prost::bytes::Bytes {
    key.verifying_key().to_bytes().to_vec().into()
}
