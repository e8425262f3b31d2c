//! A device's store: what [`View`] reads, and one transaction's writes.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::Arc,
};

use sordino_crypto::{
    Secret,
    prekeys::Peer,
    receive::{Counters, Known, Listed, OwnedPrekeySecrets, RowDecision, View},
    session::Session,
};
use sordino_protocol::{
    ConversationId, DeviceId, SessionId, UserId, hash::Hash, list::DeviceList, pb,
};

type SessionKey = (UserId, DeviceId, SessionId);

#[derive(Default, Clone)]
pub struct Store {
    pub lists: HashMap<(UserId, u32), Arc<DeviceList>>,
    pub no_such_list: HashSet<(UserId, u32)>,
    pub removed: HashMap<(UserId, DeviceId), u64>,
    pub counters: HashMap<(ConversationId, UserId, DeviceId), Counters>,
    pub rows: HashMap<(ConversationId, u64), Hash>,
    pub sessions: HashMap<SessionKey, Vec<u8>>,
    pub retired: HashSet<SessionKey>,
    pub spk: HashMap<u32, [u8; 32]>,
    pub opk: HashMap<u32, [u8; 32]>,
    pub pq_one_time: HashMap<u32, [u8; 64]>,
    pub pq_last_resort: HashMap<u32, [u8; 64]>,
}

impl Store {
    pub fn put_list(&mut self, list: &DeviceList) {
        self.lists
            .insert((list.user, list.version), Arc::new(list.clone()));
    }

    pub fn put_session(&mut self, session: &Session) {
        let meta = session.meta();
        let key = (meta.peer.user, meta.peer.device, meta.sid);
        self.sessions
            .insert(key, session.to_bytes().unwrap().to_vec());
    }

    pub fn load_session(&self, key: SessionKey) -> Option<Session> {
        self.sessions
            .get(&key)
            .map(|bytes| Session::from_bytes(bytes).unwrap())
    }

    /// One transaction.
    pub fn apply(&mut self, seq: u64, decision: &RowDecision) {
        if let Some(session) = &decision.session {
            self.put_session(session);
        }
        if let Some(used) = decision.used_prekeys {
            used.one_time.map(|id| self.opk.remove(&id));
            used.pq_one_time.map(|id| self.pq_one_time.remove(&id));
        }
        let Some(header) = &decision.header else {
            return;
        };
        self.rows
            .insert((header.conversation, seq), decision.env_hash);
        let key = (header.conversation, header.sender, header.sender_device);
        let counters = self.counters.entry(key).or_default();
        let raised = |now: u64, to: Option<u64>| now.max(to.unwrap_or(0));
        counters.shown = raised(counters.shown, decision.shown_counter);
        counters.proven = raised(counters.proven, decision.proven_counter);
    }
}

impl View for Store {
    type Error = Infallible;

    fn counters(
        &self,
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
    ) -> Result<Option<Counters>, Infallible> {
        let key = (conversation, user, device);
        Ok(Some(self.counters.get(&key).copied().unwrap_or_default()))
    }

    fn list(&self, user: UserId, version: u32) -> Result<Listed, Infallible> {
        Ok(match self.lists.get(&(user, version)) {
            Some(list) => Listed::Held(Arc::clone(list)),
            None if self.no_such_list.contains(&(user, version)) => Listed::NoSuchVersion,
            None => Listed::NotHeld,
        })
    }

    fn removed_since_ms(&self, device: &Peer) -> Result<Option<u64>, Infallible> {
        Ok(self.removed.get(&(device.user, device.device)).copied())
    }

    fn session(&self, user: UserId, device: DeviceId, sid: SessionId) -> Result<Known, Infallible> {
        let key = (user, device, sid);
        Ok(match self.load_session(key) {
            Some(session) => Known::Held(Box::new(session)),
            None if self.retired.contains(&key) => Known::Retired,
            None => Known::Unknown,
        })
    }

    fn prekey_secrets(
        &self,
        handshake: &pb::Handshake,
    ) -> Result<Option<OwnedPrekeySecrets>, Infallible> {
        let pq = match handshake.pq_kind {
            1 => self.pq_one_time.get(&handshake.pq_id),
            _ => self.pq_last_resort.get(&handshake.pq_id),
        };
        let opk = self.opk.get(&handshake.opk_id);
        let (Some(spk), Some(pq)) = (self.spk.get(&handshake.spk_id), pq) else {
            return Ok(None);
        };
        if handshake.opk_id != 0 && opk.is_none() {
            return Ok(None);
        }
        Ok(Some(OwnedPrekeySecrets {
            signed: Secret::from_bytes(*spk),
            one_time: opk.map(|secret| Secret::from_bytes(*secret)),
            pq: Secret::from_bytes(*pq),
        }))
    }

    fn row_hash(&self, conversation: ConversationId, seq: u64) -> Result<Option<Hash>, Infallible> {
        Ok(self.rows.get(&(conversation, seq)).copied())
    }
}
