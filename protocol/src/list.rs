//! Device lists: parsing, and the rules that one version must keep towards the one before.
//!
//! Relay and clients check the same rules. Neither this crate nor the relay links the crypto core, so the signature check
//! is handed in as `verify(public key, signed bytes, signature)`; it MUST be Ed25519 strict verification.

use bytes::Bytes;
use prost::Message;

use crate::{
    DeviceId, UserId,
    frame::{self, DEVICE_LIST, LSK_CERTIFICATE, SIGNED},
    hash::{self, Hash},
    limits, pb,
    signed::{self, SignedType},
};

/// Why a list is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The bytes, a length or a count are out of bounds.
    #[error("the device list cannot be read")]
    Malformed,
    /// Certificate, list, self or co-signature does not verify.
    #[error("a signature of the device list does not verify")]
    Signature,
    /// A device or a key stands twice, or no device stands.
    #[error("the device list names no device, or one twice")]
    Devices,
    /// Not the version after the one before it, or its hash is another.
    #[error("the device list does not follow the one before it")]
    Chain,
    /// For another user than asked for.
    #[error("the device list is another user's")]
    User,
    /// The version of the vault or of the key backup is neither the one before nor the next.
    #[error("the device list names a vault or a key backup that does not follow the one before it")]
    Vault,
    /// The certificate's version fell.
    #[error("the device list is signed with a list-signing key that was replaced")]
    LskVersion,
}

/// One device of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device: DeviceId,
    /// DSK, Ed25519.
    pub signing_key: [u8; 32],
    /// DIK, X25519.
    pub identity_key: [u8; 32],
    /// By its owner's clock.
    pub added_ms: u64,
    /// The device of the version before that vouched for it, if one did.
    pub co_signer: Option<DeviceId>,
    self_signature: [u8; 64],
    co_signature: Option<[u8; 64]>,
}

/// A list whose own signatures verify. How it relates to another version: [`DeviceList::check_successor`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    /// The bytes as received: what is stored, hashed and served.
    pub signed: pb::Signed,
    /// Whose list it is.
    pub user: UserId,
    /// From 1, dense.
    pub version: u32,
    /// [`hash::list_hash`] of the version before.
    pub prev_hash: Hash,
    /// [`hash::list_hash`] of this version.
    pub hash: Hash,
    /// By its owner's clock.
    pub created_ms: u64,
    /// UIK, Ed25519.
    pub identity_key: [u8; 32],
    /// Version of the list-signing key.
    pub lsk_version: u32,
    /// LSK, Ed25519.
    pub lsk: [u8; 32],
    /// 1 to 10 devices, in the owner's order.
    pub devices: Vec<Device>,
    /// Of the vault that belongs to this version; 0: none.
    pub vault_version: u32,
    /// The key backup that goes on from this version.
    pub backup: Option<Backup>,
}

/// A version of the key backup, as a list names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// From 1, dense.
    pub version: u32,
    /// Hash of its public key.
    pub key_hash: Hash,
    /// Hash of BPSK.
    pub psk_hash: Hash,
}

/// Parses a list and checks every signature that stands in it, except co-signatures: those need the version before.
pub fn parse(
    signed: &pb::Signed,
    verify: impl Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool,
) -> Result<DeviceList, ListError> {
    let body: pb::DeviceListBody =
        frame::decode(signed.body.clone(), &DEVICE_LIST).map_err(|_| ListError::Malformed)?;
    let certificate = body.lsk_certificate.ok_or(ListError::Malformed)?;
    let lsk_body: pb::LskCertificateBody =
        frame::decode(certificate.body.clone(), &LSK_CERTIFICATE)
            .map_err(|_| ListError::Malformed)?;
    let user = UserId::from_slice(&body.user).map_err(|_| ListError::Malformed)?;
    if UserId::from_slice(&lsk_body.user) != Ok(user) {
        return Err(ListError::User);
    }
    let identity_key = array::<32>(&lsk_body.identity_key)?;
    let lsk = array::<32>(&lsk_body.list_signing_key)?;
    let certificate_input = signed::input(SignedType::LskCertificate, &certificate.body);
    let list_input = signed::input(SignedType::DeviceList, &signed.body);
    if !verify(
        &identity_key,
        &certificate_input,
        &array(&certificate.signature)?,
    ) || !verify(&lsk, &list_input, &array(&signed.signature)?)
    {
        return Err(ListError::Signature);
    }
    if body.version == 0 || (body.version == 1) != (body.prev_hash.iter().all(|b| *b == 0)) {
        return Err(ListError::Chain);
    }
    // With its exact size: a relay keeps the lists of all who are connected.
    let mut devices = Vec::with_capacity(body.devices.len());
    for listed in &body.devices {
        devices.push(device(listed)?);
    }
    if devices.is_empty() || devices.len() > limits::DEVICES {
        return Err(ListError::Devices);
    }
    for (at, device) in devices.iter().enumerate() {
        // One key under two ids would let a device stand twice among the targets.
        let twice = |other: &Device| {
            other.device == device.device
                || other.signing_key == device.signing_key
                || other.identity_key == device.identity_key
        };
        if devices.iter().skip(at + 1).any(twice) {
            return Err(ListError::Devices);
        }
        let statement = signed::self_body(user, &identity_key, device.device, &device.identity_key);
        let input = signed::input(SignedType::SelfStatement, &statement);
        if !verify(&device.signing_key, &input, &device.self_signature) {
            return Err(ListError::Signature);
        }
    }
    // The first vault and the first backup have the number 1.
    if body.version == 1 && body.vault_version.max(body.backup_version) > 1 {
        return Err(ListError::Vault);
    }
    Ok(DeviceList {
        hash: hash::list_hash(&signed.body),
        signed: signed.clone(),
        user,
        version: body.version,
        prev_hash: array(&body.prev_hash)?,
        created_ms: body.created_ms,
        identity_key,
        lsk_version: lsk_body.version,
        lsk,
        devices,
        vault_version: body.vault_version,
        backup: match body.backup_version {
            0 if body.backup_key_hash.is_empty() && body.bpsk_hash.is_empty() => None,
            0 => return Err(ListError::Malformed),
            version => Some(Backup {
                version,
                key_hash: array(&body.backup_key_hash)?,
                psk_hash: array(&body.bpsk_hash)?,
            }),
        },
    })
}

impl DeviceList {
    /// The device with this id.
    pub fn device(&self, device: DeviceId) -> Option<&Device> {
        self.devices.iter().find(|d| d.device == device)
    }

    /// Whether `next` may follow `self`: version + 1, this version's hash, LSK never older, co-signatures by devices of
    /// this version. A changed identity key is allowed here (an identity reset): what it means is the caller's.
    pub fn check_successor(
        &self,
        next: &Self,
        verify: impl Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool,
    ) -> Result<(), ListError> {
        if next.user != self.user {
            return Err(ListError::User);
        }
        if self.version.checked_add(1) != Some(next.version) || next.prev_hash != self.hash {
            return Err(ListError::Chain);
        }
        if next.identity_key == self.identity_key {
            // The same LSK version with another key would be two keys under one number.
            let same = next.lsk_version == self.lsk_version && next.lsk == self.lsk;
            if next.lsk_version <= self.lsk_version && !same {
                return Err(ListError::LskVersion);
            }
        }
        if next.vault_version != self.vault_version
            && self.vault_version.checked_add(1) != Some(next.vault_version)
        {
            return Err(ListError::Vault);
        }
        let (version, next_version) = (backup_version(self), backup_version(next));
        let kept = next.backup == self.backup;
        if !kept && version.checked_add(1) != Some(next_version) {
            return Err(ListError::Vault);
        }
        for device in &next.devices {
            if self.device(device.device).is_some() {
                continue;
            }
            let (Some(signer), Some(signature)) = (device.co_signer, &device.co_signature) else {
                continue;
            };
            let signer = self.device(signer).ok_or(ListError::Signature)?;
            let statement = signed::co_body(
                next.user,
                &next.identity_key,
                device.device,
                &device.signing_key,
                &device.identity_key,
                next.version,
            );
            if !verify(
                &signer.signing_key,
                &signed::input(SignedType::CoStatement, &statement),
                signature,
            ) {
                return Err(ListError::Signature);
            }
        }
        Ok(())
    }
}

/// 0: there is none.
fn backup_version(list: &DeviceList) -> u32 {
    list.backup.map_or(0, |backup| backup.version)
}

/// The stored or transmitted form of a signed object, bounded.
pub fn decode_signed(bytes: Bytes) -> Result<pb::Signed, ListError> {
    frame::decode(bytes, &SIGNED).map_err(|_| ListError::Malformed)
}

/// The stored form of a signed object.
pub fn encode_signed(signed: &pb::Signed) -> Vec<u8> {
    signed.encode_to_vec()
}

fn device(listed: &pb::ListedDevice) -> Result<Device, ListError> {
    let (co_signer, co_signature) =
        match (listed.co_signer.is_empty(), listed.co_signature.is_empty()) {
            (true, true) => (None, None),
            (false, false) => (
                Some(DeviceId::from_slice(&listed.co_signer).map_err(|_| ListError::Malformed)?),
                Some(array(&listed.co_signature)?),
            ),
            _ => return Err(ListError::Malformed),
        };
    Ok(Device {
        device: DeviceId::from_slice(&listed.device).map_err(|_| ListError::Malformed)?,
        signing_key: array(&listed.signing_key)?,
        identity_key: array(&listed.identity_key)?,
        added_ms: listed.added_ms,
        self_signature: array(&listed.self_signature)?,
        co_signer,
        co_signature,
    })
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ListError> {
    bytes.try_into().map_err(|_| ListError::Malformed)
}
