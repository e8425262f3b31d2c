//! What waits for one connection. Filled by whoever publishes, emptied by the connection's task.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{close::Close, window::Window};
use crate::session::{Deliver, Event};

/// Places kept for the next events once all are written. More would be memory that an idle connection holds.
const KEPT: usize = 4;

/// Where a connection's events go.
#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    window: Window,
    list_changed: bool,
    moving: bool,
    close: Option<Close>,
    gone: bool,
}

/// What the connection does next.
#[derive(Debug)]
pub(super) enum Next {
    /// End.
    Close(Close),
    /// Tell the device to connect elsewhere.
    Moving,
    /// Look whether the device is still listed.
    ListChanged,
    /// Tell the device, then say [`Mailbox::written`].
    Tell(Event),
    /// Tell the device to look for itself.
    Sync,
}

impl Mailbox {
    /// Waits for something to do.
    pub(super) async fn next(&self) -> Next {
        loop {
            // `notify_one` keeps one permit: what comes between the look and the wait is not missed.
            if let Some(next) = self.take() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    /// What there is to do now.
    pub(super) fn take(&self) -> Option<Next> {
        let mut state = self.state();
        if let Some(close) = state.close {
            return Some(Next::Close(close));
        }
        if std::mem::take(&mut state.moving) {
            return Some(Next::Moving);
        }
        if std::mem::take(&mut state.list_changed) {
            return Some(Next::ListChanged);
        }
        if let Some(event) = state.events.pop_front() {
            if state.events.is_empty() {
                state.events.shrink_to(KEPT);
            }
            return Some(Next::Tell(event));
        }
        state.window.open().then_some(Next::Sync)
    }

    /// The event was handed to the socket.
    pub(super) fn written(&self, event: &Event) {
        self.state().window.written(size(event));
    }

    /// Asks the device to connect elsewhere; until it has, this connection serves it.
    pub(super) fn move_away(&self) {
        self.state().moving = true;
        self.changed.notify_one();
    }

    /// Ends the connection. The first reason stands.
    pub(super) fn close(&self, close: Close) {
        self.state().close.get_or_insert(close);
        self.changed.notify_one();
    }

    /// Nobody empties it any more.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.gone = true;
        state.events = VecDeque::new();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step below leaves the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deliver for Mailbox {
    fn deliver(&self, event: &Event) -> bool {
        let mut state = self.state();
        if state.gone {
            return false;
        }
        match event {
            Event::ListChanged => state.list_changed = true,
            Event::Sync => {
                state.list_changed = true;
                state.window.miss();
            }
            Event::Signal(_) => {
                if state.window.admit_passing(size(event)) {
                    state.events.push_back(event.clone());
                }
            }
            _ if state.window.admit(size(event)) => state.events.push_back(event.clone()),
            _ => metrics::counter!("sordino_chat_window_closed_total").increment(1),
        }
        drop(state);
        self.changed.notify_one();
        true
    }
}

/// What an event keeps in memory while it waits.
fn size(event: &Event) -> usize {
    match event {
        Event::Row { row, .. } => row.size(),
        Event::Signal(signal) => signal.size(),
        Event::Nudge { .. } | Event::Delivered { .. } | Event::ListChanged | Event::Sync => {
            size_of::<Event>()
        }
    }
}

#[cfg(test)]
mod tests {
    use sordino_protocol::ConversationId;

    use super::{super::window::FRAMES, *};

    fn nudge(last_seq: u64) -> Event {
        let conversation = ConversationId::from_bytes([1; 16]);
        Event::Nudge {
            conversation,
            last_seq,
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_becomes_one_sync() {
        let mailbox = Mailbox::default();
        for seq in 0..1000 {
            assert!(mailbox.deliver(&nudge(seq)));
        }
        for expected in 0..FRAMES as u64 {
            let Next::Tell(event) = mailbox.next().await else {
                panic!("not an event")
            };
            let Event::Nudge { last_seq, .. } = event else {
                panic!("not a nudge")
            };
            assert_eq!(last_seq, expected);
            mailbox.written(&event);
        }
        assert!(matches!(mailbox.next().await, Next::Sync));
        assert!(mailbox.take().is_none());
        assert!(mailbox.state().events.capacity() <= 2 * KEPT);
    }

    #[tokio::test]
    async fn a_sync_comes_once_and_behind_what_waits() {
        let mailbox = Mailbox::default();
        mailbox.deliver(&nudge(1));
        mailbox.deliver(&Event::Sync);
        mailbox.deliver(&Event::Sync);
        assert!(matches!(mailbox.next().await, Next::ListChanged));
        let Next::Tell(event) = mailbox.next().await else {
            panic!("not an event")
        };
        assert!(mailbox.take().is_none(), "not written yet");
        mailbox.written(&event);
        assert!(matches!(mailbox.next().await, Next::Sync));
        assert!(mailbox.take().is_none());
        mailbox.deliver(&Event::Sync);
        assert!(matches!(mailbox.next().await, Next::ListChanged));
        assert!(matches!(mailbox.next().await, Next::Sync));
        assert!(mailbox.take().is_none());
    }

    #[tokio::test]
    async fn a_taken_event_fills_the_window_until_it_is_written() {
        let mailbox = Mailbox::default();
        for seq in 0..FRAMES as u64 {
            mailbox.deliver(&nudge(seq));
        }
        let Next::Tell(_) = mailbox.next().await else {
            panic!("not an event")
        };
        mailbox.deliver(&nudge(99));
        assert_eq!(mailbox.state().events.len(), FRAMES - 1);
    }

    #[tokio::test]
    async fn signals_keep_no_row_out_and_are_never_made_up_for() {
        let mailbox = Mailbox::default();
        let signal = Event::Signal(std::sync::Arc::new(crate::session::Signal {
            sender: sordino_protocol::UserId::from_bytes([1; 16]),
            sender_device: sordino_protocol::DeviceId::from_bytes([2; 16]),
            sealed: Vec::new(),
        }));
        for _ in 0..1000 {
            assert!(mailbox.deliver(&signal));
        }
        mailbox.deliver(&nudge(1));
        let mut told = 0;
        while let Some(Next::Tell(event)) = mailbox.take() {
            mailbox.written(&event);
            told += 1;
            if matches!(event, Event::Nudge { .. }) {
                break;
            }
        }
        assert!((2..FRAMES).contains(&told), "{told}");
        assert!(mailbox.take().is_none(), "no sync");
    }

    #[tokio::test]
    async fn an_end_goes_before_everything_and_keeps_its_first_reason() {
        let mailbox = Mailbox::default();
        mailbox.deliver(&nudge(1));
        mailbox.deliver(&Event::ListChanged);
        mailbox.close(Close::Replaced);
        mailbox.close(Close::TooSlow);
        assert!(matches!(mailbox.next().await, Next::Close(Close::Replaced)));
        mailbox.leave();
        assert!(!mailbox.deliver(&nudge(2)));
        assert!(mailbox.state().events.is_empty());
    }
}
