//! What the checks read of the store.

use std::sync::Arc;

use sordino_protocol::{
    ConversationId, DeviceId, SessionId, UserId, hash::Hash, list::DeviceList, pb,
};

use crate::{Secret, pqxdh::PrekeySecrets, session::Session};

/// Read access to the store. Its errors pass through: nothing was decided then.
pub trait View {
    /// What the store may fail with.
    type Error;

    /// The counter of the device's last row in this conversation that was stored, 0 before the first. `None`: this store
    /// begins in the middle of the conversation (a new device) and has seen no row of that device yet.
    fn last_counter(
        &self,
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
    ) -> Result<Option<u64>, Self::Error>;

    /// This version of a user's list, parsed and chained to the pin; of the own lists, too.
    fn list(&self, user: UserId, version: u32) -> Result<Listed, Self::Error>;

    /// When this device first saw a list of the user that does not hold the device with the keys it had before. `None`: the
    /// newest list known holds it.
    fn removed_since_ms(&self, user: UserId, device: DeviceId) -> Result<Option<u64>, Self::Error>;

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
