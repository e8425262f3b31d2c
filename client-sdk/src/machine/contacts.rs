//! Whom the person trusts, and how far: compared identity keys, devices that wait to be accepted, people who are blocked.
//!
//! A contact is *verified* while the identity key that the person has compared is the one of the newest list. If it becomes another,
//! nothing more is encrypted for them until the person has compared again, or goes on without. What is decided on one device, all of
//! the person's devices learn, and end with the same in whatever order they hear it: of two decisions of one kind the later goes before
//! the earlier, and devices once accepted stay so. A new one learns which identity keys the others have seen, or the relay could show it
//! somebody else under every name.

use sordino_crypto::{
    lists::{Pin, PinError},
    safety::{Person, SafetyNumber, Scanned},
};
use sordino_protocol::{
    Code, DeviceId, UserId, hash,
    list::{Device, DeviceList},
};

use super::timeline::key_changed;
use super::trust_news::tell_others;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Accepted, Decision, Durability, Seen, Tx};

/// Lists that are looked through for one device: each costs the verification of all its signatures.
const LOOK_BACK: u32 = 256;

/// Before the relay is told again who is blocked.
const TELL_AGAIN_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How far a person is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// The user has compared their identity key.
    pub verified: bool,
    /// They have another identity key than the one that was compared: nothing goes out to them until that is resolved.
    pub identity_changed: bool,
    /// Devices of a verified person that no older device of theirs vouches for: they get nothing until they are accepted.
    pub withheld: Vec<DeviceId>,
    /// What they write is not shown.
    pub blocked: bool,
    /// The relay shows device lists of theirs that contradict those that were seen before, or older ones: nothing reaches them until the user
    /// has compared the safety number (again), that of what the relay shows.
    pub lists_contradict: bool,
    /// Their account is gone, by the relay's word: nothing reaches them any more.
    pub deleted: bool,
}

impl Machine {
    /// How far a person is trusted.
    ///
    /// # Errors
    /// Those of the store.
    pub fn trust(&self, user: UserId) -> Result<Trust, Error> {
        self.store.read(|tx| trust(tx, user))
    }

    /// The safety number with a person, and their identity key in it; `None` until a list of theirs is held, or the relay shows none but
    /// older ones than another own device has seen.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn safety_number(&self, user: UserId) -> Result<Option<(SafetyNumber, [u8; 32])>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let (Some((own, _)), Some(theirs)) = (tx.pin(me.user)?, to_compare(tx, user)?) else {
                return Ok(None);
            };
            let number = SafetyNumber::of(
                Person {
                    user: me.user,
                    identity_key: &own.identity_key,
                },
                Person {
                    user,
                    identity_key: &theirs,
                },
            );
            Ok(Some((number, theirs)))
        })
    }

    /// The user has compared this identity key: it is the person's.
    ///
    /// # Errors
    /// `IdentityChanged` if they have another one by now; `NoDevices` if nothing is known of them; `NotRegistered`; those of the store.
    pub fn verify(
        &mut self,
        user: UserId,
        identity_key: [u8; 32],
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        self.decide(user, now_ms, |tx, decision| {
            let held = to_compare(tx, user)?.ok_or_else(|| Error::new(Code::NoDevices, ""))?;
            if held != identity_key {
                return Err(Error::new(Code::IdentityChanged, ""));
            }
            tx.contradiction_compared(user)?;
            let before = decision.verified.what;
            decision.verified.decide(Some(identity_key), now_ms);
            // The number says nothing of devices: one that came since it was last compared goes on waiting.
            let is_held = tx
                .pin(user)?
                .is_some_and(|(pin, _)| pin.identity_key == identity_key);
            // Where there is a contradiction, it is not yet known of which list.
            let is_settled = is_held && tx.contradiction(user)?.is_none();
            match is_settled && before != Some(identity_key) {
                true => accept(tx, user, |_| true),
                false => Ok(Vec::new()),
            }
        })
    }

    /// Whether the relay shows lists of a person that contradict those that were seen, compared or not.
    ///
    /// # Errors
    /// Those of the store.
    pub fn is_contradicted(&self, user: UserId) -> Result<bool, Error> {
        let found = self.store.read(|tx| tx.contradiction(user))?;
        Ok(found.is_some())
    }

    /// The user goes on without having compared: whatever waits goes out.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn unverify(&mut self, user: UserId, now_ms: u64) -> Result<Vec<Happening>, Error> {
        self.decide(user, now_ms, |_, decision| {
            decision.verified.decide(None, now_ms);
            Ok(Vec::new())
        })
    }

    /// These devices of a verified person are theirs.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn accept_devices(
        &mut self,
        user: UserId,
        devices: &[DeviceId],
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        self.decide(user, now_ms, |tx, _| {
            accept(tx, user, |device| devices.contains(&device.device))
        })
    }

    /// What the person writes is shown, or not.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn block(
        &mut self,
        user: UserId,
        blocked: bool,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        self.decide(user, now_ms, |_, decision| {
            decision.blocked.decide(blocked, now_ms);
            Ok(Vec::new())
        })
    }

    /// Somebody about whom the relay is to be told whether they are blocked, and when that was decided. Again after a week: a relay that
    /// went back to a copy of before would drop what people send who are blocked no more, and nobody would know.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn block_to_tell(&self, now_ms: u64) -> Result<Option<(UserId, bool, u64)>, Error> {
        registered(self.account.as_ref())?;
        let since = now_ms.saturating_sub(TELL_AGAIN_MS);
        let found = self.store.read(|tx| tx.block_to_tell(since, now_ms))?;
        Ok(found.map(|(user, decided)| (user, decided.what, decided.at_ms)))
    }

    /// The relay has been told what was decided then.
    ///
    /// # Errors
    /// Those of the store.
    pub fn block_told(&mut self, user: UserId, decided_ms: u64, now_ms: u64) -> Result<(), Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            tx.block_told(user, decided_ms, now_ms)
        })
    }

    /// `change` says which devices are accepted by it.
    fn decide(
        &mut self,
        user: UserId,
        now_ms: u64,
        change: impl FnOnce(&Tx<'_>, &mut Decision) -> Result<Vec<Accepted>, Error>,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        if user == me.user {
            return Err(Error::new(Code::BadRequest, "that is oneself"));
        }
        self.store.transaction(Durability::Synced, |tx| {
            let mut decision = tx.decision(user)?;
            let accepted = change(tx, &mut decision)?;
            tx.decide(user, &decision)?;
            tell_others(tx, me, (user, &decision, &accepted), now_ms)?;
            Ok(vec![Happening::TrustChanged(user)])
        })
    }
}

/// [`Machine::trust`] within a transaction.
pub(super) fn trust(tx: &Tx<'_>, user: UserId) -> Result<Trust, Error> {
    let Decision { verified, blocked } = tx.decision(user)?;
    let mut trust = Trust {
        blocked: blocked.what,
        deleted: tx.is_deleted(user)?,
        lists_contradict: tx
            .contradiction(user)?
            .is_some_and(|found| !found.is_compared),
        ..Trust::default()
    };
    let Some(verified) = verified.what else {
        return Ok(trust);
    };
    // A device that comes later may hold no list yet, and has heard of one.
    let (key, loud) = match (tx.pin(user)?, tx.seen(user)?) {
        (Some((pin, loud)), _) => (pin.identity_key, loud),
        (None, Some(seen)) => (seen.identity_key, Vec::new()),
        (None, None) => return Ok(trust),
    };
    match verified == key {
        true => {
            trust.verified = true;
            trust.withheld = loud;
        }
        false => trust.identity_changed = true,
    }
    Ok(trust)
}

/// What was scanned, compared with a number.
pub(crate) fn compare(number: &SafetyNumber, scanned: &str) -> Option<bool> {
    match number.compare(scanned) {
        Scanned::Same => Some(true),
        Scanned::Different => Some(false),
        Scanned::NotOne => None,
    }
}

/// The identity key that the user is to compare: of what the relay shows, where that contradicts what was seen; else of the newest list that
/// is held, or of which another own device has seen.
fn to_compare(tx: &Tx<'_>, user: UserId) -> Result<Option<[u8; 32]>, Error> {
    let contradiction = tx.contradiction(user)?;
    if let Some(offered) = contradiction.and_then(|found| found.offered) {
        return Ok(Some(offered));
    }
    if let Some((pin, _)) = tx.pin(user)? {
        return Ok(Some(pin.identity_key));
    }
    match contradiction {
        Some(_) => Ok(tx.seen(user)?.map(|seen| seen.identity_key)),
        None => Ok(None),
    }
}

/// The identity key that was compared for what contradicts what was seen: lists under it may take the place of that.
pub(super) fn compared(tx: &Tx<'_>, user: UserId) -> Result<Option<[u8; 32]>, Error> {
    match tx.contradiction(user)? {
        Some(found) if found.is_compared => to_compare(tx, user),
        _ => Ok(None),
    }
}

/// The version of a person's list that other own devices have seen, and that this one lacks, or holds otherwise; of lists that it has given
/// up none. `shown` is what the relay has just given.
pub(super) fn seen_elsewhere(
    tx: &Tx<'_>,
    pin: &Pin,
    shown: &[DeviceList],
) -> Result<Option<u32>, Error> {
    // Of another identity key that is told, and which is theirs the user says.
    let counts = |seen: &Seen| seen.identity_key == pin.identity_key && seen.version > pin.floor;
    let Some(seen) = tx.seen(pin.user)?.filter(counts) else {
        return Ok(None);
    };
    let given = shown.iter().find(|list| list.version == seen.version);
    let here = match given {
        Some(list) => Some(list.hash),
        None => tx.list(pin.user, seen.version)?.map(|list| list.hash),
    };
    let differs = match here {
        Some(hash) => seen.hash.is_some_and(|seen| seen != hash),
        None => seen.version > pin.version,
    };
    Ok(differs.then_some(seen.version))
}

/// The first list of a person that this device sees: what its owner's other devices have seen of them goes before it. The lists up to it
/// that the relay has given are held.
///
/// # Errors
/// `Err` inside: an older one than they have seen, or another one of that version, and the user has not compared the safety number for it.
pub(super) fn first_pin(
    tx: &Tx<'_>,
    me: UserId,
    list: &DeviceList,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<Result<(Pin, Vec<DeviceId>), PinError>, Error> {
    let mut pin = Pin::first(list);
    if let Some(seen) = tx.seen(list.user)? {
        let is_same = list.identity_key == seen.identity_key;
        let here = tx.list(list.user, seen.version)?;
        let forks = here.is_some_and(|here| seen.hash.is_some_and(|seen| seen != here.hash));
        let why = if list.version < seen.version {
            Some(PinError::Rollback {
                pinned: seen.version,
                offered: list.version,
            })
        } else {
            (is_same && forks).then_some(PinError::Fork(seen.version))
        };
        if is_same {
            pin.floor = seen.floor;
        }
        if let Some(why) = why {
            if compared(tx, list.user)? != Some(list.identity_key) {
                return Ok(Err(why));
            }
            if is_same {
                pin.floor = pin.floor.max(seen.version);
            }
        }
        if !is_same {
            pin.retired.push(seen.identity_key);
            other_identity(tx, me, list.user, now_ms, happenings)?;
        }
    }
    // Of a person whom the user has verified, no device is let in that was not let in elsewhere.
    let loud = match tx.decision(list.user)?.verified.what == Some(list.identity_key) {
        true => not_accepted(tx, &pin, list)?,
        false => Vec::new(),
    };
    Ok(Ok((pin, loud)))
}

/// The oldest version of the lists by which devices that wait were accepted elsewhere, where that list is not held: whether they have been
/// there since only the lists since then say.
pub(super) fn accepted_since(tx: &Tx<'_>, user: UserId) -> Result<Option<u32>, Error> {
    let newest = match (tx.pin(user)?, tx.seen(user)?) {
        (Some((pin, loud)), _) if !loud.is_empty() => {
            let list = tx.list(user, pin.version)?;
            Some((pin.version, pin.floor, list.map(|list| (list, loud))))
        }
        (None, Some(seen)) => Some((seen.version, seen.floor, None)),
        _ => None,
    };
    let Some((newest, floor, waits)) = newest else {
        return Ok(None);
    };
    let mut since = None;
    for known in tx.accepted_devices(user)? {
        let is_meant = waits.as_ref().is_none_or(|(list, loud)| {
            let device = list.device(known.device);
            loud.contains(&known.device) && device.is_some_and(|device| known.is_of(device))
        });
        let is_near = newest.saturating_sub(known.list_version) <= LOOK_BACK;
        if is_meant
            && is_near
            && known.counts(floor)
            && known.list_version <= newest
            && tx.list(user, known.list_version)?.is_none()
        {
            let version = known.list_version;
            since = Some(since.map_or(version, |since: u32| since.min(version)));
        }
    }
    Ok(since)
}

/// A person has shown two identity keys, to this device or to another own one.
pub(super) fn other_identity(
    tx: &Tx<'_>,
    me: UserId,
    user: UserId,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    happenings.push(Happening::IdentityChanged(user));
    let conversation = hash::conversation_id(me, user);
    let item = key_changed(tx, conversation, user, true, now_ms)?;
    happenings.extend(item.map(Happening::Added));
    Ok(())
}

/// The devices of the newest list that were accepted nowhere.
pub(super) fn not_accepted(
    tx: &Tx<'_>,
    pin: &Pin,
    list: &DeviceList,
) -> Result<Vec<DeviceId>, Error> {
    unaccepted(tx, pin, list.devices.iter())
}

/// Those of these devices of the newest list that were accepted nowhere.
fn unaccepted<'a>(
    tx: &Tx<'_>,
    pin: &Pin,
    devices: impl Iterator<Item = &'a Device>,
) -> Result<Vec<DeviceId>, Error> {
    let accepted = tx.accepted_devices(pin.user)?;
    let mut waits = Vec::new();
    for device in devices {
        if !is_accepted(tx, pin, device, &accepted)? {
            waits.push(device.device);
        }
    }
    Ok(waits)
}

/// The devices of the newest list that do not wait, as accepted by it.
pub(super) fn quiet(list: &DeviceList, pin: &Pin, loud: &[DeviceId]) -> Vec<Accepted> {
    let devices = list.devices.iter();
    let devices = devices.filter(|device| !loud.contains(&device.device));
    devices
        .map(|device| Accepted::of(list, device, pin.floor))
        .collect()
}

/// The user accepts these devices of the newest list.
fn accept(
    tx: &Tx<'_>,
    user: UserId,
    is_meant: impl Fn(&Device) -> bool,
) -> Result<Vec<Accepted>, Error> {
    let Some((pin, mut loud)) = tx.pin(user)? else {
        return Ok(Vec::new());
    };
    let list = tx.list(user, pin.version)?;
    let list = list.ok_or_else(|| Error::new(Code::StoreDamaged, "a pinned list is not held"))?;
    let devices = list.devices.iter().filter(|device| is_meant(device));
    let accepted: Vec<_> = devices
        .map(|device| Accepted::of(&list, device, pin.floor))
        .collect();
    tx.put_accepted(user, &accepted)?;
    loud.retain(|device| accepted.iter().all(|known| known.device != *device));
    tx.put_pin(&pin, &loud)?;
    Ok(accepted)
}

/// What was accepted waits no more. Whatever came first, the list or the word of another own device: after either. Who waits then.
pub(super) fn let_in(tx: &Tx<'_>, user: UserId) -> Result<Vec<DeviceId>, Error> {
    let Some((pin, loud)) = tx.pin(user)? else {
        return Ok(Vec::new());
    };
    let list = match loud.is_empty() {
        true => None,
        false => tx.list(user, pin.version)?,
    };
    let Some(list) = list else { return Ok(loud) };
    let devices = list.devices.iter();
    let waits = unaccepted(
        tx,
        &pin,
        devices.filter(|device| loud.contains(&device.device)),
    )?;
    if waits != loud {
        tx.put_pin(&pin, &waits)?;
    }
    Ok(waits)
}

/// Whether a device of the newest list was accepted, with the keys that it has there.
fn is_accepted(
    tx: &Tx<'_>,
    pin: &Pin,
    device: &Device,
    accepted: &[Accepted],
) -> Result<bool, Error> {
    for known in accepted.iter().filter(|known| known.is_of(device)) {
        if known.counts(pin.floor) && is_there_since(tx, pin, known)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the list by which a device was accepted is held, and every one since names it with the same keys. If it has left meanwhile, and
/// come back, what was decided before that says nothing of it.
fn is_there_since(tx: &Tx<'_>, pin: &Pin, accepted: &Accepted) -> Result<bool, Error> {
    if pin.version.saturating_sub(accepted.list_version) > LOOK_BACK {
        return Ok(false);
    }
    let mut keys = None;
    for version in accepted.list_version..=pin.version {
        let list = tx.list(pin.user, version)?;
        let list = list
            .filter(|list| list.version > accepted.list_version || list.hash == accepted.list_hash);
        let named = list.and_then(|list| {
            let device = list.device(accepted.device)?;
            Some((list.identity_key, device.signing_key, device.identity_key))
        });
        if named.is_none() || keys.is_some_and(|keys| named != Some(keys)) {
            return Ok(false);
        }
        keys = named;
    }
    // A list that this device has not seen yet says it when it comes.
    Ok(keys.is_some())
}
