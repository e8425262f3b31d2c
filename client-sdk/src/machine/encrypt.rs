//! Encrypting for a conversation: which devices, with which sessions, and what is missing before it can be done.

use std::sync::Arc;

use prost::Message;
use sordino_crypto::{
    message::{seal, wrap_payload},
    session::Session,
};
use sordino_protocol::{
    Class, Code, DeviceId, Header, SessionId, UserId, hash, list::DeviceList, pb,
};

use super::contacts::{Trust, accepted_since, seen_elsewhere, trust};
use super::notes::Notes;
use super::sessions::{live_session, stop_sending};
use crate::error::Error;
use crate::store::{Conversation, Entry, Envelope, StoredAccount, StoredSession, Tx};

/// What has to be fetched before a conversation's messages can be encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Nothing, or nothing waits.
    Nothing,
    /// The newest lists of these users, from [`super::Machine::pinned_version`] on.
    Lists(Vec<UserId>),
    /// Prekeys of these devices, to be given to [`super::Machine::bundles`].
    Sessions(Vec<(UserId, DeviceId)>),
    /// None of the person's devices can receive at the moment: ask again after a second, then after twice as long each time,
    /// up to a minute.
    Later,
    /// The person was verified, and their identity key is another by now, or all of their devices wait to be accepted: nothing until
    /// the user has decided.
    Verification,
}

/// Lists and sessions to encrypt with.
pub(super) struct Ready {
    own: Arc<DeviceList>,
    peer: Arc<DeviceList>,
    sessions: Vec<Target>,
    /// Devices of the other person that wait to be accepted.
    withheld: Vec<DeviceId>,
}

struct Target {
    user: UserId,
    device: DeviceId,
    session: Session,
    /// Else it had no prekeys when it was last asked for some. What is for it alone reaches it all the same: it may have come
    /// just now, and be waiting for an answer.
    awake: bool,
    sent: u32,
}

/// Finds everything that is needed, or says what is missing.
pub(super) fn ready(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    peer: UserId,
    now_ms: u64,
) -> Result<Result<Ready, Need>, Error> {
    let mut unknown = Vec::new();
    let own = notes.newest_list(tx, me.user)?;
    let list = notes.newest_list(tx, peer)?;
    if own.is_none() || notes.stale_lists.contains(&me.user) {
        unknown.push(me.user);
    }
    // A contradiction is looked into before anything goes by what is held.
    if peer != me.user
        && (list.is_none()
            || notes.stale_lists.contains(&peer)
            || tx.contradiction(peer)?.is_some()
            || lacks_lists(tx, peer)?)
    {
        unknown.push(peer);
    }
    let (Some(own), Some(list), true) = (own, list, unknown.is_empty()) else {
        return Ok(Err(Need::Lists(unknown)));
    };
    let Trust {
        identity_changed,
        withheld,
        ..
    } = trust(tx, peer)?;
    if identity_changed {
        return Ok(Err(Need::Verification));
    }
    // Nobody is left who could be sent to.
    if !withheld.is_empty() && list.devices.iter().all(|d| withheld.contains(&d.device)) {
        return Ok(Err(Need::Verification));
    }
    let awake = |user, device| !notes.is_dormant(user, device, now_ms);
    let theirs = list.devices.iter().map(|listed| (peer, listed.device));
    let theirs = theirs.filter(|(_, device)| !withheld.contains(device));
    let mine = own.devices.iter().map(|listed| (me.user, listed.device));
    let mut targets: Vec<_> = mine.filter(|(_, device)| *device != me.device).collect();
    if peer != me.user {
        targets.extend(theirs);
    }
    let reached = |(user, device): &(UserId, DeviceId)| *user == peer && awake(*user, *device);
    if peer != me.user && !targets.iter().any(reached) {
        return Ok(Err(Need::Later));
    }
    let mut missing = Vec::new();
    let mut sessions = Vec::new();
    for (user, device) in targets {
        let found = match live_session(tx, user, device)? {
            Some(sid) => tx.session(user, device, sid)?,
            None => None,
        };
        match found {
            Some(StoredSession::Held(session)) => sessions.push(Target {
                user,
                device,
                session: *session,
                awake: awake(user, device),
                sent: 0,
            }),
            Some(StoredSession::Retired) | None if awake(user, device) => {
                missing.push((user, device));
            }
            Some(StoredSession::Retired) | None => {}
        }
    }
    if !missing.is_empty() {
        return Ok(Err(Need::Sessions(missing)));
    }
    Ok(Ok(Ready {
        own,
        peer: list,
        sessions,
        withheld,
    }))
}

/// Whether other own devices know of lists that this one lacks.
fn lacks_lists(tx: &Tx<'_>, user: UserId) -> Result<bool, Error> {
    let Some((pin, _)) = tx.pin(user)? else {
        return Ok(true);
    };
    Ok(seen_elsewhere(tx, &pin, &[])?.is_some() || accepted_since(tx, user)?.is_some())
}

/// Devices of a list without a live session.
pub(super) fn missing_sessions(
    tx: &Tx<'_>,
    me: &StoredAccount,
    list: &DeviceList,
) -> Result<Vec<DeviceId>, Error> {
    let mut missing = Vec::new();
    for listed in &list.devices {
        let own = (list.user, listed.device) == (me.user, me.device);
        if !own && live_session(tx, list.user, listed.device)?.is_none() {
            missing.push(listed.device);
        }
    }
    Ok(missing)
}

/// Devices of a list with a sending session, and one to be begun beside it: to renew it, or to repair another.
pub(super) fn renewals_due(
    tx: &Tx<'_>,
    me: &StoredAccount,
    list: &DeviceList,
    now_ms: u64,
) -> Result<Vec<DeviceId>, Error> {
    let mut due = Vec::new();
    for listed in &list.devices {
        if (list.user, listed.device) == (me.user, me.device) {
            continue;
        }
        let plan = tx.book(list.user, listed.device)?.plan(now_ms);
        if plan.current.is_some() && plan.begin.is_some() {
            due.push(listed.device);
        }
    }
    Ok(due)
}

impl Ready {
    /// Encrypts a message of the outbox. `false` if a session cannot: then it sends no more, and nothing was stored.
    pub(super) fn encrypt(
        &mut self,
        tx: &Tx<'_>,
        me: &StoredAccount,
        conversation: &Conversation,
        entry: &Entry,
        now_ms: u64,
    ) -> Result<bool, Error> {
        let content = entry.decode()?;
        let header = Header {
            class: match entry.class {
                1 => Class::Message,
                2 => Class::Control,
                3 => Class::Erase,
                _ => return Err(Error::new(Code::StoreDamaged, "a class of the outbox")),
            },
            conversation: conversation.id,
            counter: entry.counter,
            client_message_id: entry.client_message_id,
            sender: me.user,
            sender_device: me.device,
            recipient: conversation.peer,
            sender_list: self.own.version,
            recipient_list: self.peer.version,
            list_digest: hash::list_digest(
                (self.own.version, &self.own.hash),
                (self.peer.version, &self.peer.hash),
            ),
            erase: match &content.body {
                Some(pb::content::Body::Erasure(erasure)) => erasure.seqs.clone(),
                _ => Vec::new(),
            },
            commit: [0; 32],
        };
        let sealed_class = header.class;
        let sealed = seal(&mut rand::rng(), header, &content)
            .map_err(|_| Error::new(Code::TextTooLong, ""))?;
        let payload = wrap_payload(&sealed.content_key, &sealed.env_hash);
        let mut wraps = Vec::with_capacity(self.sessions.len());
        for target in &mut self.sessions {
            let is_meant = match entry.target {
                Some(only) => only == target.device,
                None => target.awake,
            };
            if !is_meant {
                continue;
            }
            let Ok(wrap) = target.session.encrypt(payload.expose()) else {
                stop_sending(tx, target.user, target.device, now_ms)?;
                return Ok(false);
            };
            target.sent += 1;
            wraps.push(pb::Wrap {
                user: target.user.to_pb(),
                device: target.device.to_pb(),
                payload: wrap.encode_to_vec().into(),
            });
        }
        let send = pb::Send {
            header: sealed.header.into(),
            content: sealed.content.into(),
            wraps,
            withheld: match sealed_class {
                Class::Message => self.withheld.iter().map(|id| id.to_pb()).collect(),
                _ => Vec::new(),
            },
        };
        let of_people = sealed_class == Class::Message && !entry.given_up && content.timer_s == 0;
        let envelope = Envelope {
            env_hash: sealed.env_hash,
            envelope: send.encode_to_vec(),
            content_key: of_people.then_some(sealed.content_key),
        };
        tx.outbox_encrypted(conversation.id, entry.counter, entry.given_up, &envelope)?;
        Ok(true)
    }

    /// Whether there is a session with a device of the other person, or another own one in the conversation with oneself.
    pub(super) fn reaches(&self, device: DeviceId) -> bool {
        let peer = self.peer.user;
        let mut targets = self.sessions.iter();
        targets.any(|target| (target.user, target.device) == (peer, device))
    }

    /// A device that is owed a reply and was sent nothing yet.
    pub(super) fn unanswered(&self, tx: &Tx<'_>) -> Result<Vec<(DeviceId, SessionId)>, Error> {
        let mut found = Vec::new();
        for target in self.sessions.iter().filter(|target| target.sent == 0) {
            if tx.wants_attention(target.user, target.device)? {
                let owed = tx.book(target.user, target.device)?.replies_owed();
                found.extend(owed.last().map(|sid| (target.device, *sid)));
            }
        }
        Ok(found)
    }

    /// Stores the ratchets: before the transaction ends.
    pub(super) fn finish(self, tx: &Tx<'_>) -> Result<(), Error> {
        for target in self.sessions.iter().filter(|target| target.sent > 0) {
            let pair = (target.user, target.device);
            let mut book = tx.book(pair.0, pair.1)?;
            for _ in 0..target.sent {
                book.sent(target.session.meta().sid);
            }
            // Whatever was sent answers the device.
            for sid in book.replies_owed() {
                book.replied(sid);
            }
            tx.put_session(&target.session)?;
            tx.put_book(pair, &book, &[])?;
        }
        Ok(())
    }
}
