//! What own devices tell each other of the people whom the user trusts.

use sordino_protocol::{
    DeviceId, UserId, limits,
    pb::{self, content::Body},
};

use super::Happening;
use super::contacts::{let_in, not_accepted, other_identity};
use super::notes::Notes;
use super::own_devices::tell;
use crate::error::Error;
use crate::store::{Decided, Decision, Seen, StoredAccount, Tx};

/// A decision of one's own, to the other own devices.
pub(super) fn tell_others(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    (user, decision, accepted): (UserId, &Decision, &[DeviceId]),
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
    let decisions = vec![said(user, seen, decision, accepted)];
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
        let mut decisions = Vec::new();
        for (user, seen, decision) in page.iter().filter(|(user, ..)| *user != me.user) {
            // Who has not compared anything has accepted nobody either, only met them.
            let accepted = match decision.verified.at_ms {
                0 => Vec::new(),
                _ => not_held_back(tx, notes, *user)?,
            };
            decisions.push(said(*user, *seen, decision, &accepted));
        }
        if !decisions.is_empty() {
            let body = Body::Trust(pb::Trust { decisions });
            tell(tx, me, Some(to), body, now_ms)?;
        }
    }
}

/// The devices of a person that do not wait to be accepted.
fn not_held_back(tx: &Tx<'_>, notes: &Notes, user: UserId) -> Result<Vec<DeviceId>, Error> {
    let loud = tx.pin(user)?.map(|(_, loud)| loud).unwrap_or_default();
    let list = notes.newest_list(tx, user)?;
    let devices = list.iter().flat_map(|list| &list.devices);
    let devices = devices.map(|device| device.device);
    Ok(devices.filter(|device| !loud.contains(device)).collect())
}

fn said(
    user: UserId,
    seen: Option<Seen>,
    decision: &Decision,
    accepted: &[DeviceId],
) -> pb::TrustDecision {
    let key = |key: [u8; 32]| key.to_vec().into();
    pb::TrustDecision {
        user: user.to_pb(),
        seen_key: seen.map(|seen| key(seen.identity_key)).unwrap_or_default(),
        seen_version: seen.map_or(0, |seen| seen.version),
        verified_key: decision.verified.what.map(key).unwrap_or_default(),
        verified_ms: decision.verified.at_ms,
        blocked: decision.blocked.what,
        blocked_ms: decision.blocked.at_ms,
        accepted_devices: accepted.iter().map(|device| device.to_pb()).collect(),
    }
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
        let devices = said.accepted_devices.iter();
        let devices: Vec<_> = devices
            .filter_map(|id| DeviceId::from_slice(id).ok())
            .collect();
        let accepted = tx.put_accepted(user, &devices, said.seen_version)?;
        // One that is new and met the person before the others said what they know has let everybody in.
        if !devices.is_empty()
            && let Some((pin, loud)) = &held
            && decision.verified.what == Some(pin.identity_key)
            && tx.awaits_answers()?
            && let Some(list) = tx.list(user, pin.version)?
        {
            let mut waits = loud.clone();
            waits.extend(
                not_accepted(tx, &list)?
                    .into_iter()
                    .filter(|device| !loud.contains(device)),
            );
            tx.put_pin(pin, &waits)?;
        }
        let_in(tx, user)?;
        if verified || blocked || accepted {
            happenings.push(Happening::TrustChanged(user));
        }
    }
    Ok(())
}
