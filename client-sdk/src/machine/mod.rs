//! Everything that the client knows and decides, over its store: synchronous, without network and clock.
//!
//! Every method that changes something is one transaction. What precedes a transmission is synced to the disk; what the
//! relay would give again is not.

mod account;
mod backup;
mod causes;
mod chains;
mod changes;
mod contacts;
mod conversations;
mod deletion;
mod encrypt;
mod expiry;
mod greetings;
mod happening;
mod kept;
mod late;
mod linking;
mod lists;
mod notes;
mod outbox;
mod own_devices;
mod own_rows;
mod pending;
mod prekeys;
mod receipts;
mod receive;
mod records;
mod restore;
mod rollback;
mod search;
mod send;
mod sessions;
mod settings;
mod signals;
#[cfg(test)]
mod tests;
mod timeline;
mod trust_news;
mod view;
mod written;

use sordino_protocol::{Code, ConversationId, UserId, hash};

use crate::error::Error;
use crate::store::{Store, StoredAccount};
use notes::Notes;
use signals::SignalNotes;

pub use account::{Account, NewDevice, SetPassword};
pub use backup::BatchToPut;
pub use contacts::Trust;
pub(crate) use contacts::compare;
pub use conversations::ConversationRow;
pub use encrypt::Need;
pub use greetings::check_device_name;
pub use happening::Happening;
pub(crate) use linking::{granted, must_have_room};
pub use outbox::AfterRefusal;
pub(crate) use own_devices::{refused, removing};
pub use receive::Taken;
pub use restore::NextRestore;
pub use search::Found;
pub use send::NewMessage;
pub use settings::{Defaults, Setting, Settings};
#[cfg(test)]
pub use signals::SignalPolicy;
pub use signals::{Heard, PresencePolicy, Said};
pub use timeline::{Content, Position, SendState, TimelineItem};

/// The client without its connections.
pub struct Machine {
    store: Store,
    account: Option<StoredAccount>,
    notes: Notes,
    defaults: Defaults,
    signal_notes: SignalNotes,
}

impl Machine {
    /// Over an open store.
    ///
    /// # Errors
    /// `StoreFailed`, `StoreDamaged`.
    pub fn open(store: Store) -> Result<Self, Error> {
        let account = store.read(|tx| tx.account())?;
        Ok(Self {
            store,
            account,
            notes: Notes::default(),
            defaults: Defaults::default(),
            signal_notes: SignalNotes::default(),
        })
    }

    /// The conversation with a person.
    ///
    /// # Errors
    /// `NotRegistered`.
    pub fn conversation_with(&self, peer: UserId) -> Result<ConversationId, Error> {
        let me = registered(self.account.as_ref())?;
        Ok(hash::conversation_id(me.user, peer))
    }
}

/// The account, once the relay has confirmed it.
fn registered(account: Option<&StoredAccount>) -> Result<&StoredAccount, Error> {
    let account = account.filter(|account| account.registered);
    account.ok_or_else(|| Error::new(Code::NotRegistered, ""))
}

/// The account, whether or not the relay has confirmed it.
fn begun(account: Option<&StoredAccount>) -> Result<&StoredAccount, Error> {
    account.ok_or_else(|| Error::new(Code::NotRegistered, ""))
}
