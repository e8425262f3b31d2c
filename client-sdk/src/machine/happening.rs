//! What a change means to the outside: events, and updates of what is shown.

use sordino_protocol::{ConversationId, DeviceId, UserId};

use super::timeline::{Position, TimelineItem};
use crate::store::RestoreProgress;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A message of somebody else; its item is new.
    Received(TimelineItem),
    /// Another new item: an own message, a gap, an unreadable row, changed keys.
    Added(TimelineItem),
    /// A message of before came back from the backup.
    Restored(TimelineItem),
    /// How far reading the backup has come.
    Restoring(RestoreProgress),
    /// The backup is read to its end.
    RestoredAll {
        /// Messages that came back.
        messages: u64,
    },
    /// The device that has linked this one left the account before it had given all keys of what was before: no more come.
    HistoryCutOff,
    /// The state of an own message changed, and with it perhaps where it stands.
    Changed(TimelineItem),
    /// A message says something else, was erased, or somebody likes it.
    Updated(TimelineItem),
    /// An item is there no more.
    Gone(ConversationId, Position),
    /// An own message got its place, or the time of another's began; its state is what it was.
    Placed(TimelineItem),
    /// A row of the list of conversations changed besides its newest item: its marks.
    ConversationChanged(ConversationId),
    /// A person's identity key changed.
    IdentityChanged(UserId),
    /// It was decided, here or on another own device, how far a person is trusted.
    TrustChanged(UserId),
    /// Another own device has changed what the user has set, or it came back from the backup.
    SettingsChanged,
    /// A person has a new device; `loud` if no older device of theirs vouches for it.
    DeviceAdded {
        /// Whose.
        user: UserId,
        /// Which.
        device: DeviceId,
        /// Nobody vouches for it.
        loud: bool,
    },
    /// Another recovery key opens the vault, and waits to be written down.
    NewRecoveryKey,
    /// This device is no longer on its owner's list.
    OwnDeviceRemoved,
    /// The relay showed something that it should not have; the words say what, for an operator.
    RelayMisbehaved {
        /// Where, if in a conversation.
        conversation: Option<ConversationId>,
        /// What.
        evidence: String,
    },
    /// The two people of a conversation were shown different ones. Told once.
    ViewsDiffer {
        /// Where.
        conversation: ConversationId,
        /// The first place found.
        seq: u64,
    },
    /// The store is an old copy of itself: what was sent since is not in it.
    RolledBack,
    /// Two copies of the store are in use: nothing is sent any more.
    TwoCopies,
}
