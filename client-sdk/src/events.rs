//! What happens, told to whoever listens.

use std::time::Duration;

use sordino_protocol::{Code, ConversationId, DeviceId, UserId};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    error::Error,
    machine::Happening,
    types::{Message, MessageId, Presence, Restoring, SendState, TimelineItem},
};

/// Events that wait for one listener. One that falls further behind is told how many it missed.
const WAITING: usize = 1024;

/// The connection to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not wanted.
    Offline,
    /// Being made.
    Connecting,
    /// Made; what came meanwhile is being fetched.
    CatchingUp {
        /// Conversations that are not up to date.
        left: usize,
    },
    /// Everything is here, and what comes is told at once.
    Live,
    /// Made, but the relay does not do at present what it is asked for: messages wait here, or there. Everything is asked for
    /// again by itself.
    Degraded {
        /// What it answers.
        why: Code,
    },
    /// Gone, or not made; it is made again by itself.
    Lost {
        /// When.
        retry_in: Duration,
        /// [`Code::Unreachable`] where nothing was reached, otherwise what the relay, or what stands before it, answered.
        why: Code,
    },
    /// Given up: it would fail again.
    Stopped {
        /// Why.
        why: Error,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection changed.
    Connection(ConnectionState),
    /// A message of somebody else. It is stored: it is told once.
    Received(Message),
    /// An own message has come further, or was given up: told once for each state that it reaches.
    StateChanged {
        /// Where.
        conversation: ConversationId,
        /// Which.
        id: MessageId,
        /// How far.
        state: SendState,
    },
    /// A message was edited or erased, or somebody likes it: what it is now. Also what quotes it. Not told of what this device shows
    /// otherwise only because of its own edit's way to the relay.
    Updated(TimelineItem),
    /// A person's identity key changed: show it, and let the user compare.
    IdentityChanged(UserId),
    /// The user has decided how far to trust a person, here or on another device: look at [`Contact::trust`](crate::Contact::trust).
    TrustChanged(UserId),
    /// Another device has changed the user's settings, or they have come back from before: look at
    /// [`Client::settings`](crate::Client::settings).
    SettingsChanged,
    /// A person types to the user, or does not any more: their message has come, or nothing has for eight seconds.
    Typing {
        /// Who.
        user: UserId,
        /// Whether they do.
        on: bool,
    },
    /// Of a person whom the app watches ([`Client::watch`](crate::Client::watch)): whether they are there.
    Presence {
        /// Who.
        user: UserId,
        /// Whether they are.
        presence: Presence,
    },
    /// A person has a new device.
    DeviceAdded {
        /// Whose.
        user: UserId,
        /// Which.
        device: DeviceId,
        /// No older device of theirs vouches for it: show it.
        loud: bool,
    },
    /// A new device reads what was before it: so far it has come. What came back is in the timelines.
    Restoring(Restoring),
    /// It has read everything.
    Restored {
        /// Messages that came back.
        messages: u64,
    },
    /// The device that has linked this one left the account before it had given it everything that was said before. What is missing
    /// comes no more: only a device that logs in with the recovery key reads it from the key backup.
    HistoryCutOff,
    /// Another recovery key opens the account's vault: show it. Also where [`new_recovery_key`](crate::Client::new_recovery_key) failed,
    /// and the relay had taken it all the same.
    NewRecoveryKey,
    /// Somebody who can log in, but has no device of the account and cannot open its vault, wants another identity for it: show it, and let
    /// the person [refuse](crate::Client::refuse_reset) who did not ask for that. `None`: it was withdrawn, or is done.
    ResetPending {
        /// From when on they get it, in Unix milliseconds.
        ready_ms: Option<u64>,
    },
    /// This device was removed from the account.
    SignedOut,
    /// The relay showed something that it should not have.
    RelayMisbehaved {
        /// Where, if in a conversation.
        conversation: Option<ConversationId>,
        /// What, for its operator.
        evidence: String,
    },
    /// The two people of a conversation were shown different ones. Told once for each conversation.
    ViewsDiffer {
        /// Where.
        conversation: ConversationId,
        /// The first place found.
        seq: u64,
    },
    /// The store is an old copy of itself; it was healed, and what was sent since is not shown.
    RolledBack,
    /// Two copies of the store are in use: nothing is sent any more.
    TwoCopies,
    /// This listener was too slow.
    Lagged {
        /// So many events are gone. What they told is in the lists.
        missed: u64,
    },
}

/// Events from now on. A slow listener costs bounded memory and is told what it missed; nothing else ends the stream
/// but the end of the client.
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next event; `None` once the client is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The side that tells.
pub(crate) struct Teller(std::sync::Mutex<Option<broadcast::Sender<Event>>>);

impl Teller {
    pub(crate) fn new() -> Self {
        Self(std::sync::Mutex::new(Some(broadcast::Sender::new(WAITING))))
    }

    /// A new listener.
    pub(crate) fn listen(&self) -> Events {
        let sender = self.lock();
        match sender.as_ref() {
            Some(sender) => Events(sender.subscribe()),
            // Of a sender that is gone at once.
            None => Events(broadcast::Sender::new(1).subscribe()),
        }
    }

    /// Tells it to those who listen.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(sender) = self.lock().as_ref() {
            // No listener is no error.
            let _ = sender.send(event);
        }
    }

    /// There will be no more events.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<broadcast::Sender<Event>>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What a happening tells an app, if it is an event at all.
pub(crate) fn event(happening: &Happening) -> Option<Event> {
    Some(match happening {
        Happening::Received(item) => match item.clone().into() {
            TimelineItem::Message(message) => Event::Received(message),
            _ => return None,
        },
        Happening::Changed(item) => match item.clone().into() {
            TimelineItem::Message(message) => Event::StateChanged {
                conversation: message.conversation,
                id: message.id,
                state: message.state,
            },
            _ => return None,
        },
        Happening::IdentityChanged(user) => Event::IdentityChanged(*user),
        Happening::DeviceAdded { user, device, loud } => Event::DeviceAdded {
            user: *user,
            device: *device,
            loud: *loud,
        },
        Happening::TrustChanged(user) => Event::TrustChanged(*user),
        Happening::SettingsChanged => Event::SettingsChanged,
        Happening::HistoryCutOff => Event::HistoryCutOff,
        Happening::NewRecoveryKey => Event::NewRecoveryKey,
        Happening::OwnDeviceRemoved => Event::SignedOut,
        Happening::RelayMisbehaved {
            conversation,
            evidence,
        } => Event::RelayMisbehaved {
            conversation: *conversation,
            evidence: evidence.clone(),
        },
        Happening::ViewsDiffer { conversation, seq } => Event::ViewsDiffer {
            conversation: *conversation,
            seq: *seq,
        },
        Happening::RolledBack => Event::RolledBack,
        Happening::TwoCopies => Event::TwoCopies,
        Happening::Restoring(progress) => Event::Restoring(Restoring {
            read: progress.read,
            total: progress.total,
            messages: progress.messages,
        }),
        Happening::RestoredAll { messages } => Event::Restored {
            messages: *messages,
        },
        Happening::Restored(_) => return None,
        Happening::Updated(item) => Event::Updated(item.clone().into()),
        Happening::Added(_)
        | Happening::Placed(_)
        | Happening::Gone(..)
        | Happening::ConversationChanged(_) => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_listener_is_told_what_it_missed_and_goes_on() {
        let teller = Teller::new();
        let mut events = teller.listen();
        for _ in 0..WAITING + 10 {
            teller.tell(Event::RolledBack);
        }
        assert_eq!(events.next().await, Some(Event::Lagged { missed: 10 }));
        assert_eq!(events.next().await, Some(Event::RolledBack));
        let mut late = teller.listen();
        teller.tell(Event::TwoCopies);
        assert_eq!(late.next().await, Some(Event::TwoCopies));
        teller.end();
        assert_eq!(late.next().await, None);
        assert_eq!(teller.listen().next().await, None);
    }
}
