//! The store, as the checks of a row read it.

use sordino_crypto::{
    Secret,
    prekeys::Peer,
    receive::{Counters, Known, Listed, OwnedPrekeySecrets, View},
};
use sordino_protocol::{
    Code, ConversationId, DeviceId, SessionId, UserId, hash::Hash, list::DeviceList, pb,
    signed::SignedType,
};

use super::notes::Notes;
use crate::error::Error;
use crate::store::{StoredSession, Tx};

pub(super) struct StoreView<'a, 't> {
    pub(super) tx: &'a Tx<'t>,
    pub(super) notes: &'a Notes,
}

impl View for StoreView<'_, '_> {
    type Error = Error;

    fn counters(
        &self,
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
    ) -> Result<Option<Counters>, Error> {
        self.tx.counters(conversation, user, device).map(Some)
    }

    fn list(&self, user: UserId, version: u32) -> Result<Listed, Error> {
        if let Some(list) = self.notes.list(self.tx, user, version)? {
            return Ok(Listed::Held(list));
        }
        Ok(if version == 0 || self.notes.is_absent(user, version) {
            Listed::NoSuchVersion
        } else {
            Listed::NotHeld
        })
    }

    fn removed_since_ms(&self, device: &Peer) -> Result<Option<u64>, Error> {
        if is_listed(self.tx, self.notes, device)? {
            return Ok(None);
        }
        // The first list without it after the last one with it.
        let mut since = None;
        for (list, seen_ms) in self.tx.lists_after(device.user, 0)? {
            if holds(&list, device) {
                since = None;
            } else {
                since = since.or(Some(seen_ms));
            }
        }
        Ok(since)
    }

    fn session(&self, user: UserId, device: DeviceId, sid: SessionId) -> Result<Known, Error> {
        Ok(match self.tx.session(user, device, sid)? {
            Some(StoredSession::Held(session)) => Known::Held(session),
            Some(StoredSession::Retired) => Known::Retired,
            None => Known::Unknown,
        })
    }

    fn prekey_secrets(
        &self,
        handshake: &pb::Handshake,
    ) -> Result<Option<OwnedPrekeySecrets>, Error> {
        let pq_kind = match handshake.pq_kind {
            1 => SignedType::PqOneTimePrekey,
            2 => SignedType::PqLastResort,
            _ => return Ok(None),
        };
        let signed = self.secret(SignedType::SignedPrekey, handshake.spk_id)?;
        let pq = self.secret(pq_kind, handshake.pq_id)?;
        let (Some(signed), Some(pq)) = (signed, pq) else {
            return Ok(None);
        };
        let one_time = match handshake.opk_id {
            0 => None,
            id => match self.secret(SignedType::OneTimePrekey, id)? {
                Some(secret) => Some(secret),
                None => return Ok(None),
            },
        };
        Ok(Some(OwnedPrekeySecrets {
            signed,
            one_time,
            pq,
        }))
    }

    fn row_hash(&self, conversation: ConversationId, seq: u64) -> Result<Option<Hash>, Error> {
        Ok(self.tx.row_hash(conversation, seq)?.flatten())
    }
}

/// Whether the newest list that is held of its user names this device, with these keys.
pub(super) fn is_listed(tx: &Tx<'_>, notes: &Notes, device: &Peer) -> Result<bool, Error> {
    let newest = notes.newest_list(tx, device.user)?;
    Ok(newest.is_none_or(|list| holds(&list, device)))
}

/// An id may come back with new keys, and then is another device.
fn holds(list: &DeviceList, device: &Peer) -> bool {
    Peer::of(list, device.device).is_some_and(|listed| listed == *device)
}

impl StoreView<'_, '_> {
    fn secret<const L: usize>(
        &self,
        kind: SignedType,
        id: u32,
    ) -> Result<Option<Secret<L>>, Error> {
        let Some(bytes) = self.tx.prekey_secret(kind, id)? else {
            return Ok(None);
        };
        let bytes = <&[u8; L]>::try_from(bytes.as_slice())
            .map_err(|_| Error::new(Code::StoreDamaged, "a prekey"))?;
        Ok(Some(Secret::copy_of(bytes)))
    }
}
