//! What own devices tell each other of the people whom the user trusts.

use std::collections::BTreeSet;

use sordino_protocol::{
    DeviceId, UserId,
    list::DeviceList,
    pb::{self, content::Body},
};

use super::Happening;
use super::contacts::{let_in, not_accepted, other_identity, quiet};
use super::notes::Notes;
use super::own_devices::tell;
use super::records::put_record;
use crate::error::Error;
use crate::store::{Accepted, Decided, Decision, Seen, StoredAccount, Tx};

/// People of one message: with ten devices each they fit into it.
pub(super) const PEOPLE: u32 = 24;

/// A decision of one's own, to the other own devices, and to those that come when all are lost.
pub(super) fn tell_others(
    tx: &Tx<'_>,
    me: &StoredAccount,
    (user, decision, accepted): (UserId, &Decision, &[Accepted]),
    now_ms: u64,
) -> Result<(), Error> {
    let decisions = vec![noted(tx, user, decision, accepted)?];
    put_record(tx, me, Body::Trust(pb::Trust { decisions }), now_ms)
}

/// What is known of people, and decided about them, for who loses every device.
pub(super) fn note(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    users: &[UserId],
    now_ms: u64,
) -> Result<(), Error> {
    let mut decisions = Vec::with_capacity(users.len());
    for user in users {
        let decision = tx.decision(*user)?;
        let accepted = let_in_here(tx, notes, *user, &decision)?;
        decisions.push(noted(tx, *user, &decision, &accepted)?);
    }
    put_record(tx, me, Body::Trust(pb::Trust { decisions }), now_ms)
}

/// A verified person has new devices, for which older ones vouch: who loses every device is not to hold them back.
pub(super) fn note_devices(
    tx: &Tx<'_>,
    me: &StoredAccount,
    list: &DeviceList,
    added: &[DeviceId],
    now_ms: u64,
) -> Result<(), Error> {
    let (user, decision) = (list.user, tx.decision(list.user)?);
    let Some((pin, loud)) = tx.pin(user)? else {
        return Ok(());
    };
    let is_in = |device: &DeviceId| !loud.contains(device);
    if decision.verified.what != Some(pin.identity_key) || !added.iter().any(is_in) {
        return Ok(());
    }
    let devices = quiet(list, &pin, &loud);
    // Else another own device was sooner.
    if tx.put_accepted(user, &devices)? {
        tell_others(tx, me, (user, &decision, &devices), now_ms)?;
    }
    Ok(())
}

/// What a record says of a person.
fn noted(
    tx: &Tx<'_>,
    user: UserId,
    decision: &Decision,
    accepted: &[Accepted],
) -> Result<pb::TrustDecision, Error> {
    if let Some((pin, _)) = tx.pin(user)? {
        tx.set_noted(user, pin.identity_key)?;
    }
    Ok(said(user, newest_known(tx, user)?, decision, accepted))
}

/// What this device has seen of a person's lists, or heard that another one has.
fn newest_known(tx: &Tx<'_>, user: UserId) -> Result<Option<Seen>, Error> {
    let heard = tx.seen(user)?;
    let Some((pin, _)) = tx.pin(user)? else {
        return Ok(heard);
    };
    let is_newer = |heard: &Seen| {
        heard.identity_key == pin.identity_key && heard.version > pin.version.max(pin.floor)
    };
    Ok(Some(heard.filter(is_newer).unwrap_or(Seen {
        identity_key: pin.identity_key,
        version: pin.version,
        hash: Some(pin.hash),
        floor: pin.floor,
    })))
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
    loop {
        let page = tx.contacts_after(after, PEOPLE)?;
        let Some((last, ..)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        let mut decisions = Vec::new();
        for (user, decision) in page.iter().filter(|(user, ..)| *user != me.user) {
            let accepted = let_in_here(tx, notes, *user, decision)?;
            let seen = newest_known(tx, *user)?;
            decisions.push(said(*user, seen, decision, &accepted));
        }
        if !decisions.is_empty() {
            let body = Body::Trust(pb::Trust { decisions });
            tell(tx, me, Some(to), body, now_ms)?;
        }
    }
}

/// The devices of a person that do not wait to be accepted. Who has not compared anything has accepted nobody either, only met them.
fn let_in_here(
    tx: &Tx<'_>,
    notes: &Notes,
    user: UserId,
    decision: &Decision,
) -> Result<Vec<Accepted>, Error> {
    if decision.verified.at_ms == 0 {
        return Ok(Vec::new());
    }
    match (tx.pin(user)?, notes.newest_list(tx, user)?) {
        (Some((pin, loud)), Some(list)) => Ok(quiet(&list, &pin, &loud)),
        _ => Ok(Vec::new()),
    }
}

fn said(
    user: UserId,
    seen: Option<Seen>,
    decision: &Decision,
    accepted: &[Accepted],
) -> pb::TrustDecision {
    let key = |key: [u8; 32]| key.to_vec().into();
    let by = accepted.first();
    pb::TrustDecision {
        user: user.to_pb(),
        seen_key: seen.map(|seen| key(seen.identity_key)).unwrap_or_default(),
        seen_version: seen.map_or(0, |seen| seen.version),
        seen_hash: seen.and_then(|seen| seen.hash).map(key).unwrap_or_default(),
        floor: seen.map_or(0, |seen| seen.floor),
        verified_key: decision.verified.what.map(key).unwrap_or_default(),
        verified_ms: decision.verified.at_ms,
        blocked: decision.blocked.what,
        blocked_ms: decision.blocked.at_ms,
        accepted_devices: accepted
            .iter()
            .map(|accepted| pb::AcceptedDevice {
                device: accepted.device.to_pb(),
                signing_key: key(accepted.signing_key),
            })
            .collect(),
        list_version: by.map_or(0, |by| by.list_version),
        list_hash: by.map(|by| key(by.list_hash)).unwrap_or_default(),
    }
}

/// What was heard stands in a record.
pub(super) fn is_noted(tx: &Tx<'_>, trust: &pb::Trust) -> Result<(), Error> {
    for said in &trust.decisions {
        if let Ok(user) = UserId::from_slice(&said.user)
            && let Some(seen) = tx.seen(user)?
            && said.seen_key == seen.identity_key[..]
        {
            tx.set_noted(user, seen.identity_key)?;
        }
    }
    Ok(())
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
        let mut heard_of = None;
        if let (Ok(identity_key), 1..) = (said.seen_key.as_ref().try_into(), said.seen_version) {
            let seen = Seen {
                identity_key,
                version: said.seen_version,
                hash: said.seen_hash.as_ref().try_into().ok(),
                floor: said.floor,
            };
            let before = tx.seen(user)?;
            let known = held.as_ref().is_none_or(|(pin, _)| {
                // What came back of before may be older than what it was followed by.
                let was_followed = before.is_some_and(|before| {
                    before.identity_key == pin.identity_key && before.version > seen.version
                });
                was_followed
                    || pin.identity_key == identity_key
                    || pin.retired.contains(&identity_key)
            });
            // Once: every device says it.
            let is_news = before.is_none_or(|seen| seen.identity_key != identity_key);
            if !known && is_news {
                other_identity(tx, me, user, now_ms, happenings)?;
            }
            heard_of = Some(seen);
        }
        let mut decision = tx.decision(user)?;
        let verified = decision.verified.hear(Decided {
            at_ms: said.verified_ms,
            what: said.verified_key.as_ref().try_into().ok(),
        });
        let blocked = decision.blocked.hear(Decided {
            at_ms: said.blocked_ms,
            what: said.blocked,
        });
        if verified || blocked {
            tx.decide(user, &decision)?;
        }
        if let Some(seen) = heard_of {
            tx.put_seen(user, &seen, decision.verified.what)?;
            raise_floor(tx, user, &seen)?;
        }
        let devices = said.accepted_devices.iter().filter_map(|accepted| {
            Some(Accepted {
                device: DeviceId::from_slice(&accepted.device).ok()?,
                signing_key: accepted.signing_key.as_ref().try_into().ok()?,
                list_version: said.list_version,
                list_hash: said.list_hash.as_ref().try_into().ok()?,
                floor: said.floor,
            })
        });
        let devices: Vec<_> = devices.collect();
        let accepted = tx.put_accepted(user, &devices)?;
        let held = tx.pin(user)?;
        // Where it was said whom the user has let in, nobody else is: one that met the person before it heard that has let everybody in.
        if let Some((pin, loud)) = &held
            && decision.verified.what == Some(pin.identity_key)
            && !tx.accepted_devices(user)?.is_empty()
            && let Some(list) = tx.list(user, pin.version)?
        {
            let mut waits = loud.clone();
            let others = not_accepted(tx, pin, &list)?.into_iter();
            waits.extend(others.filter(|device| !loud.contains(device)));
            tx.put_pin(pin, &waits)?;
        }
        let waits: BTreeSet<_> = let_in(tx, user)?.into_iter().collect();
        let before = held.into_iter().flat_map(|(_, loud)| loud);
        let others_wait = waits != before.collect();
        if verified || blocked || accepted || others_wait {
            happenings.push(Happening::TrustChanged(user));
        }
    }
    Ok(())
}

/// Lists that another own device has given up vouch for nobody here either.
fn raise_floor(tx: &Tx<'_>, user: UserId, heard: &Seen) -> Result<(), Error> {
    if let Some((mut pin, loud)) = tx.pin(user)?
        && pin.identity_key == heard.identity_key
        && pin.floor < heard.floor
    {
        pin.floor = heard.floor;
        tx.put_pin(&pin, &loud)?;
    }
    Ok(())
}
