//! The conversation as the store has it, and the file that mirrors the other person's part.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use sordino::{ListDiff, Message, SendState, TimelineItem};

use crate::Say;

/// What is kept of a conversation.
pub(crate) struct Transcript {
    items: Vec<TimelineItem>,
    file: File,
    /// Messages of the other person that stand in the file.
    written: usize,
    accepted: usize,
    delivered: usize,
}

/// One message, for the transcript on standard output.
#[derive(Serialize)]
pub(crate) struct Item<'a> {
    mine: bool,
    text: &'a str,
    state: &'static str,
}

impl Transcript {
    /// Begins the file anew: the store knows everything that stood in it.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            items: Vec::new(),
            file: File::create(path)?,
            written: 0,
            accepted: 0,
            delivered: 0,
        })
    }

    /// What was there at the start.
    pub(crate) fn resume(
        &mut self,
        whole: Option<ListDiff<TimelineItem>>,
        total: usize,
    ) -> io::Result<()> {
        if let Some(whole) = whole {
            whole.apply(&mut self.items);
        }
        let theirs: Vec<_> = self.messages().filter(|message| !message.mine).collect();
        let text: String = theirs.iter().map(|message| message.text.as_str()).collect();
        let received = theirs.len();
        self.file.write_all(text.as_bytes())?;
        self.written = received;
        let sent = self.sent();
        Say::Resumed {
            sent,
            received,
            total,
        }
        .tell();
        self.count();
        Ok(())
    }

    /// A change: what is new is written down and told.
    pub(crate) fn take(&mut self, diff: ListDiff<TimelineItem>) -> io::Result<()> {
        diff.apply(&mut self.items);
        let new = self.messages().filter(|message| !message.mine);
        let mut file = &self.file;
        let mut n = self.written;
        for message in new.skip(self.written) {
            file.write_all(message.text.as_bytes())?;
            n += 1;
            Say::Received {
                n,
                text: &message.text,
                sent_ms: message.sent_ms,
                at_ms: now_ms(),
            }
            .tell();
        }
        self.written = n;
        self.count();
        Ok(())
    }

    /// Own messages.
    pub(crate) fn sent(&self) -> usize {
        self.messages().filter(|message| message.mine).count()
    }

    /// Tells the whole conversation.
    pub(crate) fn tell(&self) {
        let items = self.messages().map(|message| Item {
            mine: message.mine,
            text: &message.text,
            state: state(message.state),
        });
        Say::Timeline {
            items: items.collect(),
        }
        .tell();
    }

    fn count(&mut self) {
        let (mut accepted, mut delivered) = (0, 0);
        for message in self.messages().filter(|message| message.mine) {
            let is_delivered = matches!(message.state, SendState::Delivered | SendState::Read);
            delivered += usize::from(is_delivered);
            accepted += usize::from(is_delivered || message.state == SendState::Accepted);
        }
        if accepted != self.accepted {
            self.accepted = accepted;
            Say::Accepted { n: accepted }.tell();
        }
        if delivered != self.delivered {
            self.delivered = delivered;
            Say::Delivered { n: delivered }.tell();
        }
    }

    fn messages(&self) -> impl Iterator<Item = &Message> {
        self.items.iter().filter_map(TimelineItem::message)
    }
}

fn state(state: SendState) -> &'static str {
    match state {
        SendState::Pending => "pending",
        SendState::Accepted => "accepted",
        SendState::Delivered => "delivered",
        SendState::Read => "read",
        _ => "failed",
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
