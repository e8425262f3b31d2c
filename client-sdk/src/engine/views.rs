//! What apps look at: events, the list of conversations, timelines.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sordino_protocol::ConversationId;
use tokio::sync::{Notify, watch};

use crate::{
    error::Error,
    events::{ConnectionState, Event, Events, Teller, event},
    live::{LiveList, Source},
    machine::{Content, Happening, Machine, Position},
    types::{ConversationRow, TimelineItem},
};

/// Items that a new timeline begins with.
const FIRST_ITEMS: u32 = 50;

/// Everything that is shown. Changed while the machine is locked.
pub(crate) struct Views {
    teller: Teller,
    connection: watch::Sender<ConnectionState>,
    /// From when on somebody who can log in may give the account another identity.
    reset_ms: watch::Sender<Option<u64>>,
    conversations: Arc<Source<ConversationRow>>,
    /// The list of conversations is to be read again.
    pub(super) stale: Notify,
    /// A message may end sooner than was known.
    pub(super) timers: Notify,
    timelines: Mutex<HashMap<ConversationId, Arc<Source<TimelineItem>>>>,
}

impl Views {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            teller: Teller::new(),
            connection: watch::Sender::new(ConnectionState::Offline),
            reset_ms: watch::Sender::new(None),
            conversations: Source::new(),
            stale: Notify::new(),
            timers: Notify::new(),
            timelines: Mutex::default(),
        })
    }

    pub(crate) fn events(&self) -> Events {
        self.teller.listen()
    }

    pub(crate) fn connection(&self) -> ConnectionState {
        self.connection.borrow().clone()
    }

    pub(crate) fn set_connection(&self, state: ConnectionState) {
        let changed = self.connection.send_if_modified(|now| {
            let changed = *now != state;
            *now = state.clone();
            changed
        });
        if changed {
            self.teller.tell(Event::Connection(state));
        }
    }

    pub(crate) fn reset_ms(&self) -> Option<u64> {
        *self.reset_ms.borrow()
    }

    pub(super) fn set_reset(&self, ready_ms: Option<u64>) {
        if self.reset_ms.send_replace(ready_ms) != ready_ms {
            self.teller.tell(Event::ResetPending { ready_ms });
        }
    }

    pub(crate) fn conversations(&self) -> LiveList<ConversationRow> {
        let list = self.conversations.read();
        self.stale.notify_one();
        list
    }

    /// The name of a person was learnt; the list of conversations may show it.
    pub(crate) fn name_learnt(&self) {
        self.stale.notify_one();
    }

    /// Reads the list of conversations again, if anybody looks at it.
    pub(super) fn refresh(&self, machine: &Machine) -> Result<(), Error> {
        if self.conversations.is_read() {
            let rows = machine.conversations()?.into_iter().map(Into::into);
            self.conversations.set(rows.collect(), |row| row.id);
        }
        Ok(())
    }

    /// A timeline, and whether its items are still to be loaded.
    pub(crate) fn timeline(&self, id: ConversationId) -> (LiveList<TimelineItem>, bool) {
        let mut timelines = self.timelines();
        timelines.retain(|_, source| source.is_read());
        if let Some(source) = timelines.get(&id) {
            return (source.read(), false);
        }
        let source = Source::new();
        let list = source.read();
        timelines.insert(id, source);
        (list, true)
    }

    /// The first items of a timeline.
    pub(crate) fn load(&self, machine: &Machine, id: ConversationId) -> Result<(), Error> {
        let Some(source) = self.timelines().get(&id).cloned() else {
            return Ok(());
        };
        if source.is_loaded() {
            return Ok(());
        }
        source.set(first_items(machine, id)?, TimelineItem::at);
        Ok(())
    }

    /// Items came back from before: where few are shown, they are to be seen.
    pub(super) fn reload(&self, machine: &Machine, id: ConversationId) -> Result<(), Error> {
        let Some(source) = self.timelines().get(&id).cloned() else {
            return Ok(());
        };
        if source.is_loaded() && source.len() < FIRST_ITEMS as usize {
            source.set(first_items(machine, id)?, TimelineItem::at);
        }
        Ok(())
    }

    /// A timeline whose items cannot be read.
    pub(crate) fn give_up(&self, id: ConversationId) {
        if let Some(source) = self.timelines().remove(&id) {
            source.end();
        }
    }

    /// Whether a timeline begins at this place or before it.
    pub(crate) fn shows_from(
        &self,
        machine: &Machine,
        id: ConversationId,
        at: Position,
    ) -> Result<bool, Error> {
        self.load(machine, id)?;
        let first = self.timelines().get(&id).and_then(|source| source.first());
        Ok(first.is_some_and(|first| first.at() <= at))
    }

    /// So many older items of a timeline; how many there were.
    pub(crate) fn load_older(
        &self,
        machine: &Machine,
        id: ConversationId,
        limit: u32,
    ) -> Result<usize, Error> {
        self.load(machine, id)?;
        let Some(source) = self.timelines().get(&id).cloned() else {
            return Ok(0);
        };
        let before = source.first().map(|item| item.at());
        let items = machine.timeline(id, before, limit)?;
        let count = items.len();
        source.prepend(items.into_iter().map(Into::into).collect());
        Ok(count)
    }

    /// Tells it to those who listen.
    pub(super) fn say(&self, event: Event) {
        self.teller.tell(event);
    }

    /// Tells what happened.
    pub(super) fn tell(&self, happenings: &[Happening]) {
        for happening in happenings {
            if let Happening::Received(item)
            | Happening::Added(item)
            | Happening::Restored(item)
            | Happening::Changed(item)
            | Happening::Updated(item)
            | Happening::Placed(item) = happening
            {
                let source = self.timelines().get(&item.conversation).cloned();
                if let Some(source) = source {
                    let item = TimelineItem::from(item.clone());
                    let number = item.at().item;
                    source.place(
                        item,
                        |other| other.at().item == number,
                        |item| item.at().is_final(),
                        TimelineItem::at,
                    );
                }
            }
            if let Happening::Gone(conversation, at) = happening
                && let Some(source) = self.timelines().get(conversation).cloned()
            {
                source.remove(|other| other.at().item == at.item);
            }
            if let Some(event) = event(happening) {
                self.teller.tell(event);
            }
        }
        if !happenings.is_empty() {
            self.stale.notify_one();
        }
        if happenings.iter().any(may_end_sooner) {
            self.timers.notify_one();
        }
    }

    /// Nothing more will be shown.
    pub(crate) fn end(&self) {
        self.conversations.end();
        for source in self.timelines().values() {
            source.end();
        }
        self.teller.end();
    }

    fn timelines(&self) -> MutexGuard<'_, HashMap<ConversationId, Arc<Source<TimelineItem>>>> {
        self.timelines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the time of a message may have begun: it does not last and has come on, or something was read.
fn may_end_sooner(happening: &Happening) -> bool {
    match happening {
        Happening::Received(item)
        | Happening::Added(item)
        | Happening::Restored(item)
        | Happening::Changed(item)
        | Happening::Updated(item)
        | Happening::Placed(item) => {
            matches!(item.content, Content::Message { timer_s: 1.., .. })
        }
        Happening::ConversationChanged(_) => true,
        _ => false,
    }
}

/// What a timeline begins with.
fn first_items(machine: &Machine, id: ConversationId) -> Result<Vec<TimelineItem>, Error> {
    let mut items = machine.timeline(id, None, FIRST_ITEMS)?;
    // However many messages wait: what came last is to be seen before them.
    while let Some(first) = items.first().map(|item| item.position)
        && !first.is_final()
    {
        let older = machine.timeline(id, Some(first), FIRST_ITEMS)?;
        if older.is_empty() {
            break;
        }
        items.splice(0..0, older);
    }
    Ok(items.into_iter().map(Into::into).collect())
}
