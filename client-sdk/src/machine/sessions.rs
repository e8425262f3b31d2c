//! Ratchet sessions with other devices: begun, chosen, retired.

use prost::Message;
use sordino_crypto::{
    pqxdh,
    prekeys::{Peer, verify_bundle},
    session::Session,
    sessions::Book,
};
use sordino_protocol::{Class, ClientMessageId, Code, DeviceId, SessionId, UserId, hash, http, pb};

use super::encrypt::{missing_sessions, renewals_due};
use super::late;
use super::lists::take;
use super::send::content;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Conversation, Durability, Entry, StoredAccount, Tx};

impl Machine {
    /// Takes claimed prekeys: begins a session with every device that needs one. A device that none were given for is
    /// left out for a second, then for twice as long each time, up to a minute.
    ///
    /// # Errors
    /// `NotRegistered`, `BadKeys` if the list that came along does not verify; those of the store.
    pub fn bundles(
        &mut self,
        user: UserId,
        claimed: http::Claimed,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &mut self.notes;
        let mut happenings = Vec::new();
        let list = claimed.list.into();
        let result = self.store.transaction(Durability::Relaxed, |tx| {
            let taken = take(
                tx,
                me.user,
                me.device,
                user,
                &[list],
                now_ms,
                &mut happenings,
            )?;
            taken.refresh(notes);
            if !taken.are_held() {
                // What is held may be of no use to the relay; the next fetch says so.
                notes.stale_lists.insert(user);
                // Nothing may wait that would fetch it: not again at once.
                for bundle in &claimed.bundles {
                    notes.set_renewed(user, bundle.device, now_ms);
                }
                return Ok(());
            }
            let own = notes.newest_list(tx, me.user)?;
            let me_peer = own
                .and_then(|list| Peer::of(&list, me.device))
                .ok_or_else(|| Error::new(Code::DeviceRevoked, ""))?;
            let Some(list) = notes.newest_list(tx, user)? else {
                return Ok(());
            };
            let mut wanted = missing_sessions(tx, me, &list)?;
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
                let book = tx.book(user, device)?;
                let born = book.next_born(now_ms);
                let begun = pqxdh::initiate(&mut rand::rng(), &me_peer, &me.keys, &bundle, born);
                let Ok(session) = begun else { continue };
                begun_session(tx, me, &session, book, now_ms)?;
                wanted.swap_remove(at);
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

/// No session with a device sends any more; a new one is due, and tells the device.
pub(super) fn stop_sending(
    tx: &Tx<'_>,
    user: UserId,
    device: DeviceId,
    now_ms: u64,
) -> Result<(), Error> {
    let mut book = tx.book(user, device)?;
    book.stop_sending(now_ms);
    tx.put_book((user, device), &book, &[])
}

/// Gives up sessions past their time.
pub(super) fn expire_sessions(tx: &Tx<'_>, now_ms: u64) -> Result<(), Error> {
    for (user, device) in tx.book_pairs(false)? {
        let mut book = tx.book(user, device)?;
        let retired = book.expire(now_ms);
        if !retired.is_empty() {
            tx.put_book((user, device), &book, &retired)?;
        }
    }
    tx.forget_sessions()
}

/// The session that sends to a device, if there is one.
pub(super) fn live_session(
    tx: &Tx<'_>,
    user: UserId,
    device: DeviceId,
) -> Result<Option<SessionId>, Error> {
    Ok(tx.book(user, device)?.sending())
}

/// Enters a session that this device began. What it tells the other side waits in the outbox, after what has its counter
/// already.
fn begun_session(
    tx: &Tx<'_>,
    me: &StoredAccount,
    session: &Session,
    mut book: Book,
    now_ms: u64,
) -> Result<(), Error> {
    let peer = session.meta().peer;
    let begun = book.begun(session.meta(), now_ms);
    tx.put_session(session)?;
    tx.put_book((peer.user, peer.device), &book, &begun.retired)?;
    let id = hash::conversation_id(me.user, peer.user);
    let Some(conversation) = tx.conversation(id)? else {
        return Ok(());
    };
    if !begun.dead.is_empty() {
        let body = pb::content::Body::DeadSessions(pb::DeadSessions {
            sessions: begun.dead.iter().map(|sid| sid.to_pb()).collect(),
        });
        put_control(tx, me, &conversation, Some(peer.device), body, now_ms)?;
    }
    let with = (peer.user, peer.device);
    late::ask(tx, me, Some(with), now_ms).map(drop)
}

/// Puts a message between devices into the outbox, for one of them or for all; it is encrypted with what waits there.
pub(super) fn put_control(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: &Conversation,
    target: Option<DeviceId>,
    body: pb::content::Body,
    now_ms: u64,
) -> Result<Entry, Error> {
    let what = (Class::Control, target);
    put_between_devices(tx, me, conversation, what, body, now_ms)
}

/// The same of another class.
pub(super) fn put_between_devices(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: &Conversation,
    (class, target): (Class, Option<DeviceId>),
    body: pb::content::Body,
    now_ms: u64,
) -> Result<Entry, Error> {
    let content = content(tx, me, conversation, now_ms, body)?;
    let entry = Entry {
        counter: tx.take_counter(conversation.id)?,
        client_message_id: ClientMessageId::from_bytes(rand::random()),
        class: class as u8,
        target,
        content: content.encode_to_vec(),
        given_up: false,
    };
    tx.outbox_put(conversation.id, &entry)?;
    Ok(entry)
}
