//! Whom the person trusts, and how far: compared identity keys, devices that wait to be accepted, people who are blocked.
//!
//! A contact is *verified* while the identity key that the person has compared is the one of the newest list. If it becomes another,
//! nothing more is encrypted for them until the person has compared again, or goes on without. What is decided on one device, all of
//! the person's devices learn, the later decision going before the earlier; and a new one learns which identity keys the others have seen,
//! or the relay could show it somebody else under every name.

use sordino_crypto::{
    lists::Pin,
    safety::{Person, SafetyNumber, Scanned},
};
use sordino_protocol::{
    Code, DeviceId, UserId, hash, limits,
    list::DeviceList,
    pb::{self, content::Body},
};

use super::notes::Notes;
use super::own_devices::tell;
use super::timeline::key_changed;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Decision, Durability, Seen, StoredAccount, Tx};

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
}

impl Machine {
    /// How far a person is trusted.
    ///
    /// # Errors
    /// Those of the store.
    pub fn trust(&self, user: UserId) -> Result<Trust, Error> {
        self.store.read(|tx| trust(tx, user))
    }

    /// The safety number with a person, and their identity key in it; `None` until a list of theirs is held.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn safety_number(&self, user: UserId) -> Result<Option<(SafetyNumber, [u8; 32])>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let (Some((own, _)), Some((theirs, _))) = (tx.pin(me.user)?, tx.pin(user)?) else {
                return Ok(None);
            };
            let person = |pin: &Pin| (pin.user, pin.identity_key);
            let (own, theirs) = (person(&own), person(&theirs));
            let number = SafetyNumber::of(
                Person {
                    user: own.0,
                    identity_key: &own.1,
                },
                Person {
                    user: theirs.0,
                    identity_key: &theirs.1,
                },
            );
            Ok(Some((number, theirs.1)))
        })
    }

    /// The user has compared this identity key: it is the person's.
    ///
    /// # Errors
    /// `IdentityChanged` if they have another one by now; `NotRegistered`; those of the store.
    pub fn verify(
        &mut self,
        user: UserId,
        identity_key: [u8; 32],
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        self.decide(user, now_ms, |tx, decision| {
            let Some((pin, _)) = tx.pin(user)? else {
                return Err(Error::new(Code::NoDevices, ""));
            };
            if pin.identity_key != identity_key {
                return Err(Error::new(Code::IdentityChanged, ""));
            }
            // The number says nothing of devices: one that came since it was last compared goes on waiting.
            if decision.verified != Some(identity_key) {
                tx.put_pin(&pin, &[])?;
            }
            decision.verified = Some(identity_key);
            Ok(())
        })
    }

    /// The user goes on without having compared: whatever waits goes out.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn unverify(&mut self, user: UserId, now_ms: u64) -> Result<Vec<Happening>, Error> {
        self.decide(user, now_ms, |_, decision| {
            decision.verified = None;
            Ok(())
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
        self.decide(user, now_ms, |tx, _| accept(tx, user, devices))
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
            decision.blocked = blocked;
            Ok(())
        })
    }

    fn decide(
        &mut self,
        user: UserId,
        now_ms: u64,
        change: impl FnOnce(&Tx<'_>, &mut Decision) -> Result<(), Error>,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        if user == me.user {
            return Err(Error::new(Code::BadRequest, "that is oneself"));
        }
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            let mut decision = tx.decision(user)?;
            change(tx, &mut decision)?;
            // A clock that went back must not make this one the earlier.
            decision.decided_ms = now_ms.max(decision.decided_ms.saturating_add(1));
            tx.decide(user, &decision)?;
            tell_others(tx, notes, me, user, &decision, now_ms)?;
            Ok(vec![Happening::TrustChanged(user)])
        })
    }
}

/// [`Machine::trust`] within a transaction.
pub(super) fn trust(tx: &Tx<'_>, user: UserId) -> Result<Trust, Error> {
    let Decision {
        verified, blocked, ..
    } = tx.decision(user)?;
    let mut trust = Trust {
        blocked,
        ..Trust::default()
    };
    let (Some(verified), Some((pin, loud))) = (verified, tx.pin(user)?) else {
        return Ok(trust);
    };
    match verified == pin.identity_key {
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

/// The first list of a person that this device sees: what its owner's other devices have seen of them goes before it.
pub(super) fn first_pin(
    tx: &Tx<'_>,
    me: UserId,
    list: &DeviceList,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(Pin, Vec<DeviceId>), Error> {
    let mut pin = Pin::first(list);
    // Of a person whom the user has verified, no device is let in that was not let in elsewhere.
    let mut loud = Vec::new();
    if tx.decision(list.user)?.verified == Some(list.identity_key) {
        let accepted = tx.accepted_elsewhere(list.user)?;
        let devices = list.devices.iter().map(|device| device.device);
        loud.extend(devices.filter(|device| !accepted.contains(device)));
    }
    let Some(seen) = tx.seen(list.user)? else {
        return Ok((pin, loud));
    };
    if list.version < seen.version {
        let detail = format!(
            "the newest list offered is version {}, but another device has seen version {}",
            list.version, seen.version
        );
        return Err(Error::new(Code::BadKeys, detail));
    }
    if list.identity_key != seen.identity_key {
        pin.retired.push(seen.identity_key);
        other_identity(tx, me, list.user, now_ms, happenings)?;
    }
    Ok((pin, loud))
}

/// A person has shown two identity keys, to this device or to another own one.
fn other_identity(
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

fn accept(tx: &Tx<'_>, user: UserId, devices: &[DeviceId]) -> Result<(), Error> {
    if let Some((pin, mut loud)) = tx.pin(user)? {
        loud.retain(|device| !devices.contains(device));
        tx.put_pin(&pin, &loud)?;
    }
    Ok(())
}

/// A decision of one's own, to the other own devices.
fn tell_others(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    user: UserId,
    decision: &Decision,
    now_ms: u64,
) -> Result<(), Error> {
    let own = notes.newest_list(tx, me.user)?;
    if own.is_none_or(|list| list.devices.len() < 2) {
        return Ok(());
    }
    let seen = tx.pin(user)?.map(|(pin, _)| Seen {
        identity_key: pin.identity_key,
        version: pin.version,
    });
    let said = said(tx, notes, user, seen, decision)?;
    let decisions = vec![said];
    let body = Body::Trust(pb::Trust { decisions });
    tell(tx, me, None, body, now_ms)
}

/// Everything that this device knows, to one that is new.
pub(super) fn tell_new_device(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    to: DeviceId,
    now_ms: u64,
) -> Result<(), Error> {
    let mut after = None;
    let limit = u32::try_from(limits::TRUST_DECISIONS).unwrap_or(u32::MAX);
    loop {
        let page = tx.contacts_after(after, limit)?;
        let Some((last, ..)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        let others = page.iter().filter(|(user, ..)| *user != me.user);
        let decisions: Result<Vec<_>, Error> = others
            .map(|(user, seen, decision)| said(tx, notes, *user, *seen, decision))
            .collect();
        let decisions = decisions?;
        if !decisions.is_empty() {
            let body = Body::Trust(pb::Trust { decisions });
            tell(tx, me, Some(to), body, now_ms)?;
        }
    }
}

fn said(
    tx: &Tx<'_>,
    notes: &Notes,
    user: UserId,
    seen: Option<Seen>,
    decision: &Decision,
) -> Result<pb::TrustDecision, Error> {
    let key = |key: [u8; 32]| key.to_vec().into();
    let loud = tx.pin(user)?.map(|(_, loud)| loud).unwrap_or_default();
    let list = notes.newest_list(tx, user)?;
    let devices = list.iter().flat_map(|list| &list.devices);
    let accepted = devices.filter(|device| !loud.contains(&device.device));
    Ok(pb::TrustDecision {
        user: user.to_pb(),
        seen_key: seen.map(|seen| key(seen.identity_key)).unwrap_or_default(),
        seen_version: seen.map_or(0, |seen| seen.version),
        verified_key: decision.verified.map(key).unwrap_or_default(),
        blocked: decision.blocked,
        decided_ms: decision.decided_ms,
        accepted_devices: accepted.map(|device| device.device.to_pb()).collect(),
    })
}

/// Another own device has decided something, or says what it has seen.
pub(super) fn heard(
    tx: &Tx<'_>,
    me: UserId,
    trust: &pb::Trust,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    for said in &trust.decisions {
        let Ok(user) = UserId::from_slice(&said.user) else {
            continue;
        };
        if user == me {
            continue;
        }
        let held = tx.pin(user)?;
        if let (Ok(identity_key), 1..) = (said.seen_key.as_ref().try_into(), said.seen_version) {
            let seen = Seen {
                identity_key,
                version: said.seen_version,
            };
            let known = held.as_ref().is_none_or(|(pin, _)| {
                pin.identity_key == identity_key || pin.retired.contains(&identity_key)
            });
            // Once: every device says it.
            let is_news = tx
                .seen(user)?
                .is_none_or(|seen| seen.identity_key != identity_key);
            if !known && is_news {
                other_identity(tx, me, user, now_ms, happenings)?;
            }
            tx.put_seen(user, &seen)?;
        }
        let before = tx.decision(user)?;
        // What a store cannot keep is no time.
        if said.decided_ms <= before.decided_ms || i64::try_from(said.decided_ms).is_err() {
            continue;
        }
        let decision = Decision {
            verified: said.verified_key.as_ref().try_into().ok(),
            blocked: said.blocked,
            decided_ms: said.decided_ms,
        };
        tx.decide(user, &decision)?;
        let devices = said.accepted_devices.iter();
        let devices: Vec<_> = devices
            .filter_map(|id| DeviceId::from_slice(id).ok())
            .collect();
        match held {
            Some(_) => accept(tx, user, &devices)?,
            None => tx.put_accepted_elsewhere(user, &devices)?,
        }
        happenings.push(Happening::TrustChanged(user));
    }
    Ok(())
}
