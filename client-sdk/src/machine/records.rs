//! What outlives every device of a person: whom they write to, what they have decided of whom, what they have set.
//!
//! It is written in the conversation of the user with themselves, as class `message`, so that its key goes into the backup as that of a
//! text does. The other own devices hear of it by the same row. No person wrote it, and it shows nowhere.

use sordino_protocol::{
    Class, Header, UserId, hash,
    pb::{self, content::Body},
};

use super::notes::Notes;
use super::own_devices::{among_own, list_with};
use super::receive::Receiver;
use super::sessions::put_between_devices;
use super::settings;
use super::trust_news;
use super::written::Written;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{Durability, StoredAccount, Tx};

impl Machine {
    /// Notes the identity key of a person to whom the user writes, if no record has it. Whether something is to be encrypted for the
    /// other own devices, or for those that come when all are lost.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn note_contact(&mut self, peer: UserId, now_ms: u64) -> Result<bool, Error> {
        let me = registered(self.account.as_ref())?;
        if self.store.read(|tx| is_due(tx, me, peer))? {
            self.store.transaction(Durability::Relaxed, |tx| {
                trust_news::note(tx, &self.notes, me, &[peer], now_ms)
            })?;
        }
        let own = among_own(me.user);
        self.store.read(|tx| Ok(!tx.stale(own, 1)?.is_empty()))
    }
}

fn is_due(tx: &Tx<'_>, me: &StoredAccount, peer: UserId) -> Result<bool, Error> {
    if peer == me.user || !tx.is_answered(hash::conversation_id(me.user, peer))? {
        return Ok(false);
    }
    let Some((pin, _)) = tx.pin(peer)? else {
        return Ok(false);
    };
    Ok(tx.noted(peer)? != Some(pin.identity_key))
}

/// Everybody who was not noted when it was due: because the device was stopped before, or an earlier version did not know of records.
pub(super) fn note_all(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    now_ms: u64,
) -> Result<(), Error> {
    // They may be noted in what is about to be read.
    if tx.restore_progress()?.begun {
        return Ok(());
    }
    loop {
        let users = tx.not_noted(me.user, trust_news::PEOPLE)?;
        if users.is_empty() {
            return Ok(());
        }
        trust_news::note(tx, notes, me, &users, now_ms)?;
    }
}

/// Whether a content is a record, if its class is `message`.
pub(super) const fn is_record(content: &pb::Content) -> bool {
    matches!(content.body, Some(Body::Trust(_) | Body::Settings(_)))
}

/// Writes a record.
pub(super) fn put_record(
    tx: &Tx<'_>,
    me: &StoredAccount,
    body: Body,
    now_ms: u64,
) -> Result<(), Error> {
    let id = among_own(me.user);
    tx.ensure_conversation(id, me.user)?;
    if let Some(conversation) = tx.conversation(id)? {
        let to_all = (Class::Message, None);
        put_between_devices(tx, me, &conversation, to_all, body, now_ms)?;
    }
    Ok(())
}

/// Whether the key of a record may go into the backup: who reads it there does as it says, so it must be one that counts here, too.
pub(super) fn counts(receiver: &Receiver<'_>, tx: &Tx<'_>, header: &Header) -> Result<bool, Error> {
    let is_own = receiver.peer == receiver.me.user;
    Ok(is_own && list_with(receiver, tx, header.sender_device)?.is_some())
}

/// A row of before was opened: if it is a record, it is as if another own device had said it now.
pub(super) fn restored(
    tx: &Tx<'_>,
    me: &StoredAccount,
    from: &Written<'_>,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let is_own = from.conversation == among_own(me.user) && from.mine;
    if !is_own || from.header.class != Class::Message {
        return Ok(());
    }
    match &from.content.body {
        Some(Body::Trust(trust)) => {
            trust_news::heard(tx, me.user, trust, now_ms, happenings)?;
            trust_news::is_noted(tx, trust)
        }
        Some(Body::Settings(said)) => settings::heard(tx, said, happenings),
        _ => Ok(()),
    }
}
