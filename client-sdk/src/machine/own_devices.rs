//! The devices of the account: what they are called, what they tell each other, and the keys that all of them keep.
//!
//! They write to each other in the conversation of the user with themselves. Whoever makes new keys sends them there; who finds
//! that it lacks those which the newest list names asks. Keys are believed where that list names them, whoever brought them.

use std::sync::Arc;

use sordino_crypto::{
    Secret, backup::BackupSealer, keys::ListSigningKey, lists::Change, recovery::RecoveryKey,
    vault::OpenerSecret,
};
use sordino_protocol::{
    Class, Code, ConversationId, DeviceId, Header, UserId, hash,
    list::{Device, DeviceList, ListError},
    pb::{self, content::Body},
};

use super::backup::backup_anew;
use super::greetings::{Asks, check_device_name, hello, named};
use super::late;
use super::linking;
use super::notes::Notes;
use super::receive::{Receiver, Taken};
use super::sessions::{put_control, stop_sending};
use super::settings;
use super::trust_news;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{
    Conversation, Durability, NextKeys, SharedKeys, StoredAccount, Tx, VaultOpeners,
};

/// Between two questions for the same keys.
const ASK_AGAIN_MS: u64 = 60 * 60 * 1000;

/// Own lists that are looked through for devices that have left: each costs the verification of all its signatures.
const LOOK_BACK: u32 = 256;

/// Answers to one device that may wait to be sent.
pub(super) const ANSWERS: u64 = 4;

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDevice {
    /// Its id.
    pub device: DeviceId,
    /// What the person calls it; empty where that has not come.
    pub name: String,
    /// By its own clock.
    pub added_ms: u64,
    /// This one.
    pub is_this: bool,
}

impl Machine {
    /// The devices of the newest list that is held.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn devices(&self) -> Result<Vec<OwnDevice>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let list = own_list(self, tx, me)?;
            let devices = list.devices.iter().map(|listed| {
                Ok(OwnDevice {
                    device: listed.device,
                    name: tx.device_name(listed.device)?,
                    added_ms: listed.added_ms,
                    is_this: listed.device == me.device,
                })
            });
            devices.collect()
        })
    }

    /// Whether a device that is on the account no more knows keys that are still in use: nobody opened the vault when it left.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn renewal_is_due(&self) -> Result<bool, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let newest = own_list(self, tx, me)?;
            let is_there = |device: &Device| {
                let mut keys = newest.devices.iter().map(|device| device.signing_key);
                keys.any(|key| key == device.signing_key)
            };
            let from = newest.version.saturating_sub(LOOK_BACK);
            let lists = tx.lists_after(me.user, from)?;
            let knew = lists.iter().filter(|(list, _)| list.lsk == newest.lsk);
            let mut knew = knew.flat_map(|(list, _)| &list.devices);
            Ok(knew.any(|device| !is_there(device)))
        })
    }

    /// The list that follows `list` and names no `device` any more.
    ///
    /// # Errors
    /// `BadRequest` if it names none, or no other; `KeysMissing`; `NotRegistered`; those of the store.
    pub fn without_device(
        &self,
        list: &DeviceList,
        device: DeviceId,
        now_ms: u64,
    ) -> Result<DeviceList, Error> {
        self.next_list(list, now_ms, |change| removing(change, list, device))
    }

    /// The list that follows `list` and says the same.
    ///
    /// # Errors
    /// `KeysMissing`; `NotRegistered`; those of the store.
    pub fn same_devices(&self, list: &DeviceList, now_ms: u64) -> Result<DeviceList, Error> {
        self.next_list(list, now_ms, Ok)
    }

    fn next_list<'a>(
        &self,
        list: &'a DeviceList,
        now_ms: u64,
        change: impl FnOnce(Change<'a>) -> Result<Change<'a>, Error>,
    ) -> Result<DeviceList, Error> {
        registered(self.account.as_ref())?;
        let shared = self.store.read(|tx| keys_of(tx, list))?;
        let shared = shared.ok_or_else(|| Error::new(Code::KeysMissing, ""))?;
        let next = change(Change::of(list, now_ms).map_err(refused)?)?;
        next.sign(&shared.list_signing_key).map_err(refused)
    }

    /// Asks the other devices for keys that this one lacks. Whether there is something to send.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn ask_for_keys(&mut self, now_ms: u64) -> Result<bool, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            match notes.newest_list(tx, me.user)? {
                Some(list) => ask_for_keys(tx, me, &list, now_ms),
                None => Ok(false),
            }
        })
    }

    /// Whether the own list is to be fetched: it may name keys that were asked for, or this device lacks some.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn own_list_is_awaited(&self) -> Result<bool, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let lacks = newest_keys(tx, &self.notes, me)?.is_none();
            Ok(lacks || !tx.next_keys()?.is_empty())
        })
    }

    /// Whether the password is known to open the vault.
    ///
    /// # Errors
    /// Those of the store.
    pub fn vault_is_opened_by_password(&self) -> Result<bool, Error> {
        let openers = self.store.read(|tx| tx.vault_openers())?;
        Ok(openers.is_some_and(|openers| openers.by_password))
    }

    /// Keeps keys before the relay is asked for a list that names them.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn begin_new_keys(&mut self, next: &NextKeys) -> Result<(), Error> {
        registered(self.account.as_ref())?;
        self.store
            .transaction(Durability::Synced, |tx| tx.put_next_keys(next))
    }
}

/// What is wrong with a list that was to be the next.
pub(crate) fn refused(error: ListError) -> Error {
    Error::new(Code::BadKeys, format!("the account's device list: {error}"))
}

/// Takes a device from a list that names it, and another.
///
/// # Errors
/// `BadRequest`.
pub(crate) fn removing<'a>(
    change: Change<'a>,
    list: &DeviceList,
    device: DeviceId,
) -> Result<Change<'a>, Error> {
    let none = "there is no such device on the account";
    let last = "an account keeps one device at least";
    match (list.device(device), list.devices.len()) {
        (None, _) => Err(Error::new(Code::BadRequest, none)),
        (Some(_), 0..=1) => Err(Error::new(Code::BadRequest, last)),
        (Some(_), _) => Ok(change.remove(device)),
    }
}

/// The account is on the relay: the other devices, if there are any, are told who is new, and the keys that came with it.
pub(super) fn joined(
    tx: &Tx<'_>,
    me: &StoredAccount,
    name: &str,
    list: &DeviceList,
    now_ms: u64,
) -> Result<(), Error> {
    if !name.is_empty() {
        tx.put_device_name(me.device, name)?;
    }
    if list.devices.len() < 2 {
        return Ok(());
    }
    if let Some(shared) = tx.shared_keys()? {
        tell(
            tx,
            me,
            None,
            Body::SharedKeys(shared_keys(tx, &shared)?),
            now_ms,
        )?;
    }
    // Each of them is asked what it knows until it has answered: of whoever is not heard, the relay could show somebody else.
    tx.ensure_conversation(among_own(me.user), me.user)?;
    for listed in &list.devices {
        if listed.device != me.device {
            tx.put_greeted(listed.device)?;
        }
    }
    Ok(())
}

/// The own list has moved on, by these lists: keys that wait for one of them are the account's, or will never be.
pub(super) fn lists_moved(
    tx: &Tx<'_>,
    lists: &[DeviceList],
    reset: bool,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let (Some(newest), Some(me)) = (lists.last(), tx.account()?) else {
        return Ok(());
    };
    if reset {
        // Nobody opens what is in the key backup: it begins with all that this device has, and still reads of before.
        backup_anew(tx)?;
        // A session that nobody has answered yet is begun anew with every message, and was bound to the identity key of before.
        for (user, device) in tx.book_pairs(false)? {
            stop_sending(tx, user, device, now_ms)?;
        }
    }
    // Other keys, another question.
    tx.set_asked_keys_ms(None)?;
    if let Some(by) = tx.linked_by()?
        && newest.device(by.device).is_none()
    {
        tx.set_linked_by(None)?;
        if !by.ended {
            happenings.push(Happening::HistoryCutOff);
        }
    }
    for greeted in tx.greeted()? {
        if newest.device(greeted.device).is_none() {
            tx.forget_greeted(greeted.device)?;
        }
    }
    for next in tx.next_keys()? {
        let lsk = next.shared.list_signing_key.public();
        if !lists.iter().any(|list| list.lsk == lsk) {
            continue;
        }
        // Also where another list has followed already. Whether that came with another recovery key its maker says.
        if let Some(key) = &next.recovery_key {
            tx.put_recovery_key(key)?;
            happenings.push(Happening::NewRecoveryKey);
        }
        if are_named(&next.shared, newest) {
            tx.set_shared_keys(&next.shared)?;
            opened_by(tx, me.user, next.openers)?;
            tell(
                tx,
                &me,
                None,
                Body::SharedKeys(shared_keys(tx, &next.shared)?),
                now_ms,
            )?;
        }
    }
    tx.forget_next_keys(newest.version)
}

/// This opens the vault from now on. A recovery key that still waits to be written down, and is another, is worth nothing.
fn opened_by(tx: &Tx<'_>, user: UserId, openers: VaultOpeners) -> Result<(), Error> {
    tx.set_vault_openers(openers)?;
    match waiting_opener(tx, user)? {
        Some(waits) if waits != openers.recovery => tx.forget_recovery_key(),
        _ => Ok(()),
    }
}

/// [`recovery_opener`] of the key that waits to be written down.
pub(super) fn waiting_opener(tx: &Tx<'_>, user: UserId) -> Result<Option<[u8; 32]>, Error> {
    let waits = tx.unsettled()?.and_then(|unsettled| unsettled.recovery_key);
    Ok(waits.map(|key| recovery_opener(&key, user)))
}

/// Names what a recovery key opens the vault with.
pub(super) fn recovery_opener(key: &RecoveryKey, user: UserId) -> [u8; 32] {
    OpenerSecret::recovery_key(key, user).opener().fingerprint()
}

/// Keys that the newest list names and this device has not are asked for, once an hour.
pub(super) fn ask_for_keys(
    tx: &Tx<'_>,
    me: &StoredAccount,
    list: &DeviceList,
    now_ms: u64,
) -> Result<bool, Error> {
    if list.devices.len() < 2 || keys_of(tx, list)?.is_some() {
        return Ok(false);
    }
    let asked = tx.asked_keys_ms()?;
    if asked.is_some_and(|at| now_ms.saturating_sub(at) < ASK_AGAIN_MS) {
        return Ok(false);
    }
    tx.set_asked_keys_ms(Some(now_ms))?;
    let asks = Asks {
        keys: true,
        ..Asks::default()
    };
    tell(tx, me, None, hello(tx, me, asks)?, now_ms)?;
    Ok(true)
}

/// Another device of this user says something.
pub(super) fn heard(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    header: &Header,
    body: &Body,
    taken: &mut Taken,
) -> Result<(), Error> {
    let (me, from) = (receiver.me, header.sender_device);
    // Whoever has left has no more to say, and is told nothing.
    let Some(list) = list_with(receiver, tx, from)? else {
        return Ok(());
    };
    match body {
        Body::SharedKeys(keys) => {
            if let Some(shared) = read_keys(me.user, keys)
                && are_named(&shared, &list)
            {
                tx.set_shared_keys(&shared)?;
                if let Ok(recovery) = keys.recovery_opener.as_ref().try_into() {
                    let by_password = keys.password_opens_vault;
                    let openers = VaultOpeners {
                        by_password,
                        recovery,
                    };
                    opened_by(tx, me.user, openers)?;
                }
            }
        }
        Body::DeviceHello(said) => {
            if !said.name.is_empty() && check_device_name(&said.name).is_ok() {
                tx.put_device_name(from, &said.name)?;
            }
            if said.answers {
                tx.forget_greeted(from)?;
            }
            taken.fills_backup |= said.asks_names;
            if said.asks_history && linking::asked(tx, from, receiver.now_ms)? {
                taken.shares_history = true;
            }
            // However often it asks: what it was told last is on its way.
            if tx.outbox_for(among_own(me.user), from)? >= ANSWERS {
                return Ok(());
            }
            if said.asks_names {
                trust_news::tell_new_device(tx, receiver.notes, me, from, receiver.now_ms)?;
                settings::tell_new_device(tx, me, from, receiver.now_ms)?;
                // Last: with it the other one has heard everything.
                let answer = pb::DeviceHello {
                    answers: true,
                    ..named(tx, me)?
                };
                let answer = Body::DeviceHello(answer);
                tell(tx, me, Some(from), answer, receiver.now_ms)?;
            }
            if said.asks_keys
                && let Some(shared) = keys_of(tx, &list)?
            {
                tell(
                    tx,
                    me,
                    Some(from),
                    Body::SharedKeys(shared_keys(tx, &shared)?),
                    receiver.now_ms,
                )?;
            }
            taken.answers |= said.asks_names || said.asks_keys;
        }
        Body::Trust(trust) => {
            trust_news::heard(tx, me.user, trust, receiver.now_ms, &mut taken.happenings)?;
            if header.class == Class::Message {
                trust_news::is_noted(tx, trust)?;
            }
        }
        Body::Settings(said) => settings::heard(tx, said, &mut taken.happenings)?,
        Body::HistoryKeys(keys) => taken.restores |= linking::came(tx, from, keys)?,
        Body::Retry(retry) => {
            taken.answers |= late::asked_by_own(receiver, tx, from, retry)?;
        }
        Body::Rewrap(rewrap) => taken.late |= late::came_from_own(tx, from, rewrap)?,
        _ => {}
    }
    Ok(())
}

/// The newest list of the account, if it names this device.
pub(super) fn list_with(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    device: DeviceId,
) -> Result<Option<Arc<DeviceList>>, Error> {
    let list = receiver.notes.newest_list(tx, receiver.me.user)?;
    Ok(list.filter(|list| list.device(device).is_some()))
}

/// The conversation in which a user's devices write to each other.
pub(super) fn among_own(me: UserId) -> ConversationId {
    hash::conversation_id(me, me)
}

pub(super) fn shared_keys(tx: &Tx<'_>, shared: &SharedKeys) -> Result<pb::SharedKeys, Error> {
    let backup = shared.backup.as_ref();
    let secret = |key: &Secret<32>| key.expose().to_vec().into();
    let openers = tx.vault_openers()?;
    Ok(pb::SharedKeys {
        list_signing_key: secret(&shared.list_signing_key.to_secret()),
        backup_version: backup.map_or(0, BackupSealer::version),
        backup_public_key: backup
            .map(|backup| backup.public_key().to_vec().into())
            .unwrap_or_default(),
        backup_shared_key: backup
            .map(|backup| secret(backup.shared_key()))
            .unwrap_or_default(),
        password_opens_vault: openers.is_some_and(|openers| openers.by_password),
        recovery_opener: openers
            .map(|openers| openers.recovery.to_vec().into())
            .unwrap_or_default(),
    })
}

pub(super) fn read_keys(user: UserId, keys: &pb::SharedKeys) -> Option<SharedKeys> {
    let secret = |bytes: &[u8]| Some(Secret::copy_of(bytes.try_into().ok()?));
    let backup = match keys.backup_version {
        0 => None,
        version => Some(BackupSealer::new(
            user,
            version,
            keys.backup_public_key.to_vec(),
            secret(&keys.backup_shared_key)?,
        )),
    };
    Some(SharedKeys {
        list_signing_key: ListSigningKey::from_secret(&secret(&keys.list_signing_key)?),
        backup,
    })
}

pub(super) fn are_named(shared: &SharedKeys, list: &DeviceList) -> bool {
    let backup = shared.backup.as_ref().map(BackupSealer::listed);
    (shared.list_signing_key.public(), backup) == (list.lsk, list.backup)
}

/// The shared keys, if they are those that this list names.
pub(super) fn keys_of(tx: &Tx<'_>, list: &DeviceList) -> Result<Option<SharedKeys>, Error> {
    let shared = tx.shared_keys()?;
    Ok(shared.filter(|shared| are_named(shared, list)))
}

/// The same of the newest list.
pub(super) fn newest_keys(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
) -> Result<Option<SharedKeys>, Error> {
    match notes.newest_list(tx, me.user)? {
        Some(list) => keys_of(tx, &list),
        None => Ok(None),
    }
}

fn own_list(machine: &Machine, tx: &Tx<'_>, me: &StoredAccount) -> Result<Arc<DeviceList>, Error> {
    let list = machine.notes.newest_list(tx, me.user)?;
    list.ok_or_else(|| Error::new(Code::StoreDamaged, "the own device list"))
}

/// Puts something for one own device, or for all others, into the outbox.
pub(super) fn tell(
    tx: &Tx<'_>,
    me: &StoredAccount,
    target: Option<DeviceId>,
    body: Body,
    now_ms: u64,
) -> Result<(), Error> {
    let id = among_own(me.user);
    tx.ensure_conversation(id, me.user)?;
    let conversation: Option<Conversation> = tx.conversation(id)?;
    if let Some(conversation) = conversation {
        put_control(tx, me, &conversation, target, body, now_ms)?;
    }
    Ok(())
}
