//! Device lists, and what a client remembers of another user's.

use std::collections::HashSet;

use prost::Message;
use sordino_protocol::{
    DeviceId, UserId,
    hash::Hash,
    list::{self, Device, DeviceList, ListError},
    pb,
    signed::{self, SignedType},
};

use crate::{
    backup::BackupSealer,
    keys::{DeviceKeys, IdentityKey, ListSigningKey, verify_strict},
};

mod change;

pub use change::Change;

/// The first list of a user: one device, the first list-signing key. With a backup, the first vault too, which holds its keys.
pub fn first_list(
    user: UserId,
    device: DeviceId,
    identity_key: &IdentityKey,
    list_signing_key: &ListSigningKey,
    keys: &DeviceKeys,
    backup: Option<&BackupSealer>,
    now_ms: u64,
) -> pb::Signed {
    let mut body = pb::DeviceListBody {
        user: user.to_pb(),
        version: 1,
        prev_hash: vec![0; 32].into(),
        created_ms: now_ms,
        lsk_certificate: Some(identity_key.certify(user, 1, &list_signing_key.public())),
        devices: vec![listed(user, &identity_key.public(), device, keys, now_ms)],
        ..Default::default()
    };
    if let Some(backup) = backup.map(BackupSealer::listed) {
        body.vault_version = 1;
        body.backup_version = backup.version;
        body.backup_key_hash = backup.key_hash.to_vec().into();
        body.bpsk_hash = backup.psk_hash.to_vec().into();
    }
    sign_list(&body, list_signing_key)
}

/// Parses a list and verifies every signature that stands in it.
pub fn parse(signed: &pb::Signed) -> Result<DeviceList, ListError> {
    list::parse(signed, verify_strict)
}

/// A device's own entry, vouched for by nobody else: made and signed on the device.
pub fn listed(
    user: UserId,
    identity_key: &[u8; 32],
    device: DeviceId,
    keys: &DeviceKeys,
    now_ms: u64,
) -> pb::ListedDevice {
    let public = keys.public();
    let statement = signed::self_body(user, identity_key, device, &public.identity_key);
    pb::ListedDevice {
        device: device.to_pb(),
        signing_key: public.signing_key.to_vec().into(),
        identity_key: public.identity_key.to_vec().into(),
        added_ms: now_ms,
        self_signature: keys
            .sign(SignedType::SelfStatement, &statement)
            .to_vec()
            .into(),
        ..Default::default()
    }
}

pub(crate) fn sign_list(body: &pb::DeviceListBody, key: &ListSigningKey) -> pb::Signed {
    let body = body.encode_to_vec();
    let signature = key.sign(SignedType::DeviceList, &body);
    pb::Signed {
        body: body.into(),
        signature: signature.to_vec().into(),
    }
}

/// What a client remembers of a user's lists. It moves forward only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Whose lists.
    pub user: UserId,
    /// UIK.
    pub identity_key: [u8; 32],
    /// Of the newest list seen.
    pub version: u32,
    /// Of the newest list seen.
    pub hash: Hash,
    /// Identity keys that were replaced. They never return.
    pub retired: Vec<[u8; 32]>,
    /// Up to this version nobody vouches for anybody: the newest of lists whose place those of the pin took ([`Self::replaced`]). Who
    /// goes on to lists of before could otherwise be led by genuine ones to a device that has left since. 0: none.
    pub floor: u32,
}

/// What newer lists mean for a [`Pin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance {
    /// The newest list is the pinned one.
    Same,
    /// There is a newer one.
    Moved(Moved),
}

/// From the pinned list to the newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// To be stored in place of the old pin.
    pub pin: Pin,
    /// Devices of the newest list that are new, or have new keys, since the pinned one; also those that left in between and
    /// came back.
    pub added: Vec<DeviceId>,
    /// Devices of the pinned list that the newest one does not hold with the same keys.
    pub removed: Vec<DeviceId>,
    /// Every device of the newest list that is *loud*, in place of those known before: it came, or got new keys, without
    /// the co-signature of a device that was not loud itself. Shown loudly, and withheld from where the contact was
    /// verified, until accepted.
    pub loud: Vec<DeviceId>,
    /// The identity key changed: the contact has to be verified again.
    pub identity_reset: bool,
}

/// Why lists are refused. The pin stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The lists are older than the pin.
    #[error("the newest list offered is version {offered}, but version {pinned} was seen before")]
    Rollback {
        /// Seen before.
        pinned: u32,
        /// Offered now.
        offered: u32,
    },
    /// Another list of the pinned version.
    #[error("two different lists of version {0} exist")]
    Fork(u32),
    /// The lists do not begin with the pinned version.
    #[error("the lists do not begin with version {0}, the newest seen before")]
    Gap(u32),
    /// A replaced identity key came back.
    #[error("version {0} returns to an identity key that was replaced")]
    RetiredIdentity(u32),
    /// One list does not follow the one before it.
    #[error(transparent)]
    List(#[from] ListError),
}

impl Pin {
    /// Trust on first use: the newest list suffices.
    pub fn first(list: &DeviceList) -> Self {
        Self {
            user: list.user,
            identity_key: list.identity_key,
            version: list.version,
            hash: list.hash,
            retired: Vec::new(),
            floor: 0,
        }
    }

    /// Follows `lists`, which run from the pinned version, it included, to the newest. Every list comes from [`parse`].
    /// `known_loud` are the loud devices of the pinned list ([`Moved::loud`], less those that were accepted since): whether
    /// lists come together or one by one makes no difference.
    pub fn advance(
        &self,
        lists: &[DeviceList],
        known_loud: &[DeviceId],
    ) -> Result<Advance, PinError> {
        let (Some(first), Some(last)) = (lists.first(), lists.last()) else {
            return Err(PinError::Gap(self.version));
        };
        if lists.iter().any(|list| list.user != self.user) {
            return Err(ListError::User.into());
        }
        if last.version < self.version {
            return Err(PinError::Rollback {
                pinned: self.version,
                offered: last.version,
            });
        }
        if first.version != self.version {
            return Err(PinError::Gap(self.version));
        }
        if first.hash != self.hash {
            return Err(PinError::Fork(self.version));
        }
        let mut pin = self.clone();
        let mut identity_reset = false;
        let mut added = HashSet::new();
        let mut loud = known_loud.iter().copied().collect();
        for (before, next) in lists.iter().zip(lists.iter().skip(1)) {
            before.check_successor(next, verify_strict)?;
            if next.identity_key != before.identity_key {
                if pin.retired.contains(&next.identity_key) {
                    return Err(PinError::RetiredIdentity(next.version));
                }
                pin.retired.push(before.identity_key);
                pin.identity_key = next.identity_key;
                identity_reset = true;
            }
            note_new(before, next, self.floor, &mut added, &mut loud);
            pin.version = next.version;
            pin.hash = next.hash;
        }
        if pin.version == self.version {
            return Ok(Advance::Same);
        }
        let listed = |noted: &HashSet<DeviceId>| {
            let ids = last.devices.iter().map(|device| device.device);
            ids.filter(|id| noted.contains(id)).collect()
        };
        Ok(Advance::Moved(Moved {
            removed: missing_from(last, first),
            added: listed(&added),
            loud: listed(&loud),
            pin,
            identity_reset,
        }))
    }

    /// Goes over to a list that contradicts the pinned one, `before`, or is older: where the user has compared its identity key, which may
    /// be one that was replaced before, for whoever replaced it may have been the relay. It may undo what the pinned one says: every device
    /// with other keys than there is loud, and so is whoever comes up to that version.
    #[must_use]
    pub fn replaced(
        &self,
        before: &DeviceList,
        list: &DeviceList,
        known_loud: &[DeviceId],
    ) -> Moved {
        let identity_reset = list.identity_key != self.identity_key;
        let mut pin = Self::first(list);
        // Versions of another identity say nothing of this one's: whoever made them up may have counted as far as they liked.
        pin.floor = match identity_reset {
            true => self.floor,
            false => self.floor.max(self.version),
        };
        let retired = self.retired.iter().chain([&self.identity_key]);
        let retired = retired.filter(|key| **key != list.identity_key);
        pin.retired = retired.copied().collect();
        let added = missing_from(before, list);
        let is_loud = |device: &DeviceId| added.contains(device) || known_loud.contains(device);
        let devices = list.devices.iter().map(|device| device.device);
        Moved {
            loud: devices.filter(is_loud).collect(),
            removed: missing_from(list, before),
            added,
            pin,
            identity_reset,
        }
    }
}

fn note_new(
    before: &DeviceList,
    next: &DeviceList,
    floor: u32,
    added: &mut HashSet<DeviceId>,
    loud: &mut HashSet<DeviceId>,
) {
    // A new identity key makes every device new, and a co-signature by the old identity's devices says nothing about it.
    let reset = next.identity_key != before.identity_key;
    let known_loud = loud.clone();
    for device in &next.devices {
        if !reset && same_keys(before.device(device.device), device) {
            continue;
        }
        added.insert(device.device);
        // `check_successor` verifies co-signatures of new ids only: an old id with new keys has none that counts. And
        // whoever is not trusted cannot vouch for another.
        let vouched = !reset
            && next.version > floor
            && before.device(device.device).is_none()
            && device.co_signer.is_some_and(|by| !known_loud.contains(&by));
        if vouched {
            loud.remove(&device.device);
        } else {
            loud.insert(device.device);
        }
    }
    // Whoever left is judged anew if it comes back.
    for noted in [added, loud] {
        noted.retain(|id| next.device(*id).is_some());
    }
}

fn missing_from(list: &DeviceList, other: &DeviceList) -> Vec<DeviceId> {
    let reset = list.identity_key != other.identity_key;
    other
        .devices
        .iter()
        .filter(|d| reset || !same_keys(list.device(d.device), d))
        .map(|d| d.device)
        .collect()
}

fn same_keys(known: Option<&Device>, device: &Device) -> bool {
    known.is_some_and(|known| {
        known.signing_key == device.signing_key && known.identity_key == device.identity_key
    })
}

#[cfg(test)]
mod tests;
