//! The next version of a list.

use prost::Message;
use sordino_protocol::{
    DeviceId,
    list::{Backup, DeviceList, ListError},
    pb,
    signed::{self, SignedType},
};

use super::{parse, sign_list};
use crate::keys::{DeviceKeys, IdentityKey, ListSigningKey, verify_strict};

/// A change of the own list. Its parts apply in the order of the calls; [`Change::sign`] checks the result as every reader
/// will.
pub struct Change<'a> {
    before: &'a DeviceList,
    body: pb::DeviceListBody,
    resets: bool,
}

impl<'a> Change<'a> {
    /// Begins with what the list holds. `before` is the newest version, else the relay refuses the change.
    pub fn of(before: &'a DeviceList, now_ms: u64) -> Result<Self, ListError> {
        let mut body = pb::DeviceListBody::decode(before.signed.body.clone())
            .map_err(|_| ListError::Malformed)?;
        body.version = before.version.checked_add(1).ok_or(ListError::Chain)?;
        body.prev_hash = before.hash.to_vec().into();
        body.created_ms = now_ms;
        Ok(Self {
            before,
            body,
            resets: false,
        })
    }

    /// Adds a device that `by`, a device of the list, vouches for after the person has compared the codes.
    pub fn link(
        mut self,
        mut entry: pb::ListedDevice,
        by: DeviceId,
        keys: &DeviceKeys,
    ) -> Result<Self, ListError> {
        let statement = signed::co_body(
            self.before.user,
            &self.before.identity_key,
            DeviceId::from_slice(&entry.device).map_err(|_| ListError::Malformed)?,
            &key(&entry.signing_key)?,
            &key(&entry.identity_key)?,
            self.body.version,
        );
        let signature = keys.sign(SignedType::CoStatement, &statement);
        entry.co_signature = signature.to_vec().into();
        entry.co_signer = by.to_pb();
        self.body.devices.push(entry);
        Ok(self)
    }

    /// Adds a device that nobody vouches for (recovery key, password). Contacts see a loud notice.
    pub fn add_unvouched(mut self, entry: pb::ListedDevice) -> Self {
        self.body.devices.push(entry);
        self
    }

    /// Removes a device.
    pub fn remove(mut self, device: DeviceId) -> Self {
        self.body.devices.retain(|d| d.device != device.to_pb());
        self
    }

    /// Begins again with this device alone, whose entry was signed for another identity key; [`Change::renew_lsk`] names it. Contacts see
    /// an identity reset.
    pub fn reset(mut self, entry: pb::ListedDevice) -> Self {
        self.body.devices = vec![entry];
        self.resets = true;
        self
    }

    /// Replaces the list-signing key: what a stolen device knows of it signs nothing any more. Sign with the new one.
    pub fn renew_lsk(
        mut self,
        identity_key: &IdentityKey,
        list_signing_key: &ListSigningKey,
    ) -> Result<Self, ListError> {
        let version = self.before.lsk_version.checked_add(1);
        self.body.lsk_certificate = Some(identity_key.certify(
            self.before.user,
            version.ok_or(ListError::LskVersion)?,
            &list_signing_key.public(),
        ));
        Ok(self)
    }

    /// Names the next vault, which comes with the list.
    pub fn vault(mut self, version: u32) -> Self {
        self.body.vault_version = version;
        self
    }

    /// Names the next version of the key backup.
    pub fn backup(mut self, backup: Backup) -> Self {
        self.body.backup_version = backup.version;
        self.body.backup_key_hash = backup.key_hash.to_vec().into();
        self.body.bpsk_hash = backup.psk_hash.to_vec().into();
        self
    }

    /// Signs the list. An error means that a reader would refuse it.
    pub fn sign(self, list_signing_key: &ListSigningKey) -> Result<DeviceList, ListError> {
        let next = parse(&sign_list(&self.body, list_signing_key))?;
        self.before.check_successor(&next, verify_strict)?;
        // Readers allow another one, as an identity reset: it has to be meant.
        if (next.identity_key != self.before.identity_key) != self.resets {
            return Err(ListError::Signature);
        }
        Ok(next)
    }
}

fn key(bytes: &[u8]) -> Result<[u8; 32], ListError> {
    bytes.try_into().map_err(|_| ListError::Malformed)
}

#[cfg(test)]
mod tests;
