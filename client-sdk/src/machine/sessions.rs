//! Ratchet sessions with other devices: begun, chosen, retired.

use sordino_crypto::{
    pqxdh,
    prekeys::{Peer, verify_bundle},
    sending::{self, Candidate},
    session::Session,
};
use sordino_protocol::{Code, DeviceId, UserId, http};

use super::encrypt::{missing_sessions, renewals_due};
use super::lists::{Lists, take};
use super::{Happening, Machine, begun};
use crate::error::Error;
use crate::store::{Durability, SessionState, Tx};

impl Machine {
    /// Takes claimed prekeys: begins a session with every device that needs one. A device that none were given for is
    /// left out for a minute.
    ///
    /// # Errors
    /// `NotRegistered`, `BadKeys` if the list that came along does not verify; those of the store.
    pub fn bundles(
        &mut self,
        user: UserId,
        claimed: http::Claimed,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let me = begun(self.account.as_ref())?;
        let notes = &mut self.notes;
        let mut happenings = Vec::new();
        let list = claimed.list.into();
        let result = self.store.transaction(Durability::Relaxed, |tx| {
            match take(
                tx,
                me.user,
                me.device,
                user,
                &[list],
                now_ms,
                &mut happenings,
            )? {
                Lists::Taken => {}
                Lists::Gap => {
                    notes.stale_lists.insert(user);
                    return Ok(());
                }
            }
            let own = notes.newest_list(tx, me.user)?;
            let me_peer = own
                .and_then(|list| Peer::of(&list, me.device))
                .ok_or_else(|| Error::new(Code::DeviceRevoked, ""))?;
            let Some(list) = notes.newest_list(tx, user)? else {
                return Ok(());
            };
            let mut wanted = missing_sessions(tx, me, &list, |_| false)?;
            wanted.extend(renewals_due(tx, me, &list, now_ms)?);
            for bundle in claimed.bundles {
                let device = bundle.device;
                let Some(at) = wanted.iter().position(|wanted| *wanted == device) else {
                    continue;
                };
                let bundle = match verify_bundle(&list, bundle, now_ms) {
                    Ok(bundle) => bundle,
                    Err(error) => {
                        happenings.push(Happening::RelayMisbehaved {
                            conversation: None,
                            evidence: error.to_string(),
                        });
                        continue;
                    }
                };
                let highest = tx.sessions(user, device)?.iter().map(|s| s.born).max();
                let born = sending::next_born(now_ms, highest);
                let begun = pqxdh::initiate(&mut rand::rng(), &me_peer, &me.keys, &bundle, born);
                let Ok(session) = begun else { continue };
                add_session(tx, &session, now_ms)?;
                wanted.swap_remove(at);
                notes.set_renewed(user, device, now_ms);
            }
            for device in wanted {
                notes.set_renewed(user, device, now_ms);
                if live_session(tx, user, device)?.is_none() {
                    notes.set_dormant(user, device, now_ms);
                }
            }
            Ok(())
        });
        if result.is_err() {
            notes.forget_lists();
        }
        result.map(|()| happenings)
    }
}

/// Keeps a new session; of those of its pair one goes on sending, the rule says which.
pub(super) fn add_session(tx: &Tx<'_>, session: &Session, now_ms: u64) -> Result<(), Error> {
    tx.put_session(session, now_ms)?;
    let (user, device) = (session.meta().peer.user, session.meta().peer.device);
    let candidates = candidates(tx, user, device)?;
    let sends = sending::sending(&candidates);
    for other in &candidates {
        if other.receive_only_since_ms.is_none() && Some(other.sid) != sends {
            let state = SessionState::ReceiveOnly;
            tx.set_session_state(user, device, other.sid, state, now_ms)?;
        }
    }
    retire_sessions(tx, user, device, now_ms)
}

/// Retires receive-only sessions past their time or their number.
pub(super) fn retire_sessions(
    tx: &Tx<'_>,
    user: UserId,
    device: DeviceId,
    now_ms: u64,
) -> Result<(), Error> {
    for sid in sending::to_retire(&candidates(tx, user, device)?, now_ms) {
        tx.set_session_state(user, device, sid, SessionState::Retired, now_ms)?;
    }
    Ok(())
}

/// The session that sends to a device, if there is one.
pub(super) fn live_session(
    tx: &Tx<'_>,
    user: UserId,
    device: DeviceId,
) -> Result<Option<sordino_protocol::SessionId>, Error> {
    Ok(sending::sending(&candidates(tx, user, device)?))
}

fn candidates(tx: &Tx<'_>, user: UserId, device: DeviceId) -> Result<Vec<Candidate>, Error> {
    let sessions = tx.sessions(user, device)?;
    Ok(sessions.iter().filter_map(|s| s.candidate()).collect())
}
