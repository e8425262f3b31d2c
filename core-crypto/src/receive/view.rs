//! What the checks read of the store.

use std::sync::Arc;

use sordino_protocol::{
    ConversationId, DeviceId, SessionId, UserId, hash::Hash, list::DeviceList, pb,
};

use crate::{Secret, pqxdh::PrekeySecrets, prekeys::Peer, session::Session};

/// Read access to the store. Its errors pass through: nothing was decided then.
pub trait View {
    /// What the store may fail with.
    type Error;

    /// The counters of the device's rows in this conversation that were stored. `None`: this store begins in the middle of
    /// the conversation (a new device) and has seen no row of that device yet.
    fn counters(
        &self,
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
    ) -> Result<Option<Counters>, Self::Error>;

    /// This version of a user's list, parsed and chained to the pin; of the own lists, too.
    fn list(&self, user: UserId, version: u32) -> Result<Listed, Self::Error>;

    /// When this device first saw a list of the user that does not hold the device with these keys. `None`: the newest
    /// list known holds it.
    fn removed_since_ms(&self, device: &Peer) -> Result<Option<u64>, Self::Error>;

    /// The session of this name with the device.
    fn session(&self, user: UserId, device: DeviceId, sid: SessionId)
    -> Result<Known, Self::Error>;

    /// The own prekey secrets that a handshake names. `None` if one of them is gone.
    fn prekey_secrets(
        &self,
        handshake: &pb::Handshake,
    ) -> Result<Option<OwnedPrekeySecrets>, Self::Error>;

    /// What was stored as [`super::RowDecision::env_hash`] at this place, if anything.
    fn row_hash(&self, conversation: ConversationId, seq: u64)
    -> Result<Option<Hash>, Self::Error>;
}

/// What the rows of a device named. Both are 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// The highest that headers named one after the other. The relay can forge a header.
    pub shown: u64,
    /// The highest of a message that proved genuine.
    pub proven: u64,
}

/// Whether a version of a list is held.
pub enum Listed {
    /// It is.
    Held(Arc<DeviceList>),
    /// It has to be fetched first.
    NotHeld,
    /// It was asked for, and the answer was that there is none. A fetch that failed is [`Listed::NotHeld`].
    NoSuchVersion,
}

/// What is known of a session.
pub enum Known {
    /// It is kept, to send or to receive only.
    Held(Box<Session>),
    /// It was retired: its name is remembered so that its handshake cannot begin it anew.
    Retired,
    /// Never seen.
    Unknown,
}

/// The own secrets that a handshake names.
pub struct OwnedPrekeySecrets {
    /// Of `spk_id`.
    pub signed: Secret<32>,
    /// Of `opk_id`, unless that is 0.
    pub one_time: Option<Secret<32>>,
    /// Of `pq_id`, from the store of the kind that `pq_kind` names: 1 one-time, 2 last resort.
    pub pq: Secret<64>,
}

impl OwnedPrekeySecrets {
    pub(super) fn borrow(&self) -> PrekeySecrets<'_> {
        PrekeySecrets {
            signed: &self.signed,
            one_time: self.one_time.as_ref(),
            pq: &self.pq,
        }
    }
}
