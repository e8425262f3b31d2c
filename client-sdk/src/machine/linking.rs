//! Linking: one device of the account puts another on its list, and gives it the keys of what was before it.
//!
//! The keys of the account go over the link itself, those of messages afterwards in messages between the two devices: there may
//! be many, and whichever of the two is stopped in between, it goes on.

use sordino_crypto::{backup::Entry, lists::Change};
use sordino_protocol::{
    Code, ConversationId, DeviceId, limits,
    list::DeviceList,
    pb::{self, content::Body},
};

use super::own_devices::{among_own, are_named, keys_of, read_keys, refused, shared_keys, tell};
use super::sessions::live_session;
use super::{Machine, registered};
use crate::error::Error;
use crate::store::{Durability, Linked, SharedKeys, StoredAccount, Tx, VaultOpeners};

/// Messages with keys that may wait to be sent to one device.
const WINDOW: u64 = 8;
/// After it was noted which keys a device is to get: what was accepted for fewer devices may still be on its way to this one.
const SECOND_LOOK_MS: u64 = 60 * 1000;
const LOOKS: u32 = 2;

impl Machine {
    /// The list that follows `list` and names a device that this one vouches for, and what that device is to have of the account's
    /// keys.
    ///
    /// # Errors
    /// `DeviceLimit`; `KeysMissing`; `BadKeys` for an entry that does not verify; `NotRegistered`; those of the store.
    pub fn begin_linking(
        &mut self,
        list: &DeviceList,
        entry: pb::ListedDevice,
        now_ms: u64,
    ) -> Result<(DeviceList, pb::LinkGrant), Error> {
        let me = registered(self.account.as_ref())?;
        must_have_room(list)?;
        let device = DeviceId::from_slice(&entry.device)
            .map_err(|error| Error::new(Code::BadKeys, error.to_string()))?;
        self.store.transaction(Durability::Synced, |tx| {
            let shared = keys_of(tx, list)?.ok_or_else(|| Error::new(Code::KeysMissing, ""))?;
            let next = Change::of(list, now_ms)
                .and_then(|change| change.link(entry, me.device, &me.keys))
                .and_then(|change| change.sign(&shared.list_signing_key))
                .map_err(refused)?;
            // Before the relay is asked: what the device is owed is not forgotten, whatever happens in between.
            tx.put_linked(device, next.version)?;
            let grant = pb::LinkGrant {
                list: Some(next.signed.clone()),
                keys: Some(shared_keys(tx, &shared)?),
            };
            Ok((next, grant))
        })
    }

    /// Puts keys into the outbox for the devices that this one has linked, as many as may wait there. Whether it put any.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn share_history(&mut self, now_ms: u64) -> Result<bool, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            let mut any = false;
            for linked in tx.linked()? {
                let Some(list) = notes.newest_list(tx, me.user)? else {
                    break;
                };
                if list.device(linked.device).is_some() {
                    any |= share(tx, me, &linked, now_ms)?;
                } else if list.version >= linked.list_version {
                    // Else it may be about to be listed.
                    tx.forget_linked(linked.device)?;
                }
            }
            Ok(any)
        })
    }

    /// Whether another device would miss keys of what was before it, if this one of the account left now; as far as this device knows.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn would_be_missed(&self, device: DeviceId) -> Result<bool, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let by = tx.linked_by()?;
            if by.is_some_and(|by| by.device == device && !by.ended) {
                return Ok(true);
            }
            let list = self.notes.newest_list(tx, me.user)?;
            let is_listed = |linked: &Linked| {
                let list = list.as_ref();
                list.is_some_and(|list| list.device(linked.device).is_some())
            };
            Ok(device == me.device && tx.linked()?.iter().any(is_listed))
        })
    }

    /// Whether a device that this one has linked has asked for keys and has not got all of them.
    ///
    /// # Errors
    /// Those of the store.
    pub fn owes_history(&self) -> Result<bool, Error> {
        let linked = self.store.read(|tx| tx.linked())?;
        Ok(linked.iter().any(|linked| linked.noted > 0))
    }
}

/// Whether an account may have one device more.
///
/// # Errors
/// `DeviceLimit`.
pub(crate) fn must_have_room(list: &DeviceList) -> Result<(), Error> {
    match list.devices.len() < limits::DEVICES {
        true => Ok(()),
        false => Err(Error::new(Code::DeviceLimit, "")),
    }
}

/// What a device that links this one has granted, if it fits together: the keys that the list names.
pub(crate) fn granted(
    list: &DeviceList,
    keys: &pb::SharedKeys,
) -> Option<(SharedKeys, VaultOpeners)> {
    let shared = read_keys(list.user, keys).filter(|shared| are_named(shared, list))?;
    let openers = VaultOpeners {
        by_password: keys.password_opens_vault,
        recovery: keys.recovery_opener.as_ref().try_into().ok()?,
    };
    Some((shared, openers))
}

/// A device asks for the keys of what was before it. Whether it is one that this device has linked.
pub(super) fn asked(tx: &Tx<'_>, from: DeviceId, now_ms: u64) -> Result<bool, Error> {
    let linked = tx.linked()?;
    let Some(linked) = linked.iter().find(|linked| linked.device == from) else {
        return Ok(false);
    };
    if linked.noted == 0 {
        tx.owe_history(from, now_ms)?;
    }
    Ok(true)
}

/// Keys have come. Whether they are from the device that has linked this one.
pub(super) fn came(tx: &Tx<'_>, from: DeviceId, keys: &pb::HistoryKeys) -> Result<bool, Error> {
    let by = tx.linked_by()?;
    if by.is_none_or(|by| by.device != from || by.ended) {
        return Ok(false);
    }
    let mut count = 0;
    for of in &keys.conversations {
        let Ok(conversation) = ConversationId::from_slice(&of.conversation) else {
            continue;
        };
        for key in &of.keys {
            count += 1;
            if let Some(entry) = entry(conversation, key) {
                tx.put_restored_key(&entry)?;
            }
        }
    }
    tx.linked_keys_came(count, keys.left.min(MOST), keys.is_last)?;
    Ok(true)
}

/// More than any store has rows.
const MOST: u64 = 1 << 40;

pub(super) fn entry(conversation: ConversationId, key: &pb::RewrappedKey) -> Option<Entry> {
    let content_key: &[u8; 32] = key.content_key.as_ref().try_into().ok()?;
    let fits = i64::try_from(key.seq).is_ok_and(|seq| seq > 0);
    Some(Entry {
        conversation,
        seq: key.seq,
        env_hash: key.env_hash.as_ref().try_into().ok()?,
        content_key: sordino_crypto::Secret::copy_of(content_key),
    })
    .filter(|_| fits)
}

fn share(tx: &Tx<'_>, me: &StoredAccount, to: &Linked, now_ms: u64) -> Result<bool, Error> {
    let mut any = false;
    // It has not asked yet, or could not be told: what is taken from what is owed must reach it.
    let Some(noted_ms) = to.noted_ms else {
        return Ok(any);
    };
    if live_session(tx, me.user, to.device)?.is_none() {
        return Ok(any);
    }
    while tx.outbox_for(among_own(me.user), to.device)? < WINDOW {
        let entries = tx.take_owed(to.device, limits::HISTORY_KEYS)?;
        let left = tx.count_owed(to.device)?;
        if !entries.is_empty() || left > 0 {
            let keys = message(&entries, left, false);
            tell(tx, me, Some(to.device), keys, now_ms)?;
            any = true;
            continue;
        }
        // What this device still reads of before, the other one is to have, too; and what came since the last look.
        if to.noted >= LOOKS && !tx.restore_progress()?.reading {
            if tx.owe_history(to.device, now_ms)? {
                continue;
            }
            tell(tx, me, Some(to.device), message(&[], 0, true), now_ms)?;
            tx.forget_linked(to.device)?;
            return Ok(true);
        }
        // A clock that has gone back makes it sooner.
        if noted_ms > now_ms || now_ms - noted_ms >= SECOND_LOOK_MS {
            tx.owe_history(to.device, now_ms)?;
        }
        // What is noted now goes in the next round.
        break;
    }
    Ok(any)
}

/// A key as another device gets it: what [`entry`] reads.
pub(super) fn rewrapped(entry: &Entry) -> pb::RewrappedKey {
    pb::RewrappedKey {
        seq: entry.seq,
        env_hash: entry.env_hash.to_vec().into(),
        content_key: entry.content_key.expose().to_vec().into(),
    }
}

/// `entries` are ordered by conversation.
fn message(entries: &[Entry], left: u64, is_last: bool) -> Body {
    let of_one = entries.chunk_by(|one, next| one.conversation == next.conversation);
    let conversations = of_one.filter_map(|entries| {
        Some(pb::ConversationKeys {
            conversation: entries.first()?.conversation.to_pb(),
            keys: entries.iter().map(rewrapped).collect(),
        })
    });
    Body::HistoryKeys(pb::HistoryKeys {
        conversations: conversations.collect(),
        left,
        is_last,
    })
}
