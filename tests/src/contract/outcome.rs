//! What is known at the end: the clients' notes, and the relay's rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use sordino::{ConversationId, MessageId, UserId};
#[cfg(feature = "cluster")]
use sordino_protocol::hash;
use sordino_protocol::{Class, Header};
#[cfg(feature = "cluster")]
use sordino_relay::history::{History as _, cassandra};
use sordino_relay::history::{
    StoredRow,
    embedded::{Store, StoreError, StoreOptions},
};

use super::note::{Item, Note};

/// Everything that the checker compares.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Everybody.
    pub people: BTreeMap<UserId, Person>,
    /// What the relay holds, by seq. Empty if that was not read: then the people are compared with each other alone.
    pub rows: Rows,
}

/// The rows of conversations, by seq.
pub type Rows = BTreeMap<ConversationId, Vec<Row>>;

/// What one person's client wrote down, over all its lives.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// The user name.
    pub name: String,
    /// What `send` returned for, in that order.
    pub sent: Vec<Sent>,
    /// Own messages that were seen as accepted.
    pub accepted: BTreeSet<(UserId, MessageId)>,
    /// Every conversation at the end.
    pub timelines: BTreeMap<UserId, Vec<Item>>,
    /// What it noticed and should not have.
    pub alarms: Vec<String>,
}

/// A message whose `send` returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// To whom.
    pub peer: UserId,
    /// Its name.
    pub id: MessageId,
    /// What it says.
    pub text: String,
}

/// A row of the relay's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub seq: u64,
    /// The sender's name for it.
    pub id: MessageId,
    /// Who sent it.
    pub sender: UserId,
    /// Something that is shown, not a control message.
    pub message: bool,
}

impl Person {
    /// Takes a note in.
    pub fn take(&mut self, note: Note) {
        match note {
            Note::Began { .. } | Note::Heard { .. } | Note::Done => {}
            Note::Sent { peer, id, text } => self.sent.push(Sent { peer, id, text }),
            Note::Accepted { peer, id } => drop(self.accepted.insert((peer, id))),
            Note::Alarm { what } => self.alarms.push(what),
            Note::Timeline { peer, items } => drop(self.timelines.insert(peer, items)),
        }
    }
}

/// What the data directory of a relay that was stopped or killed holds.
pub fn rows(data: &Path) -> Result<Rows, StoreError> {
    let store = Store::open(StoreOptions::new(data.join("messages")))?;
    sorted(store.every_row())
}

/// What a cluster's history holds of what these people said to each other.
///
/// # Errors
/// Cassandra cannot be read, or a row is damaged.
#[cfg(feature = "cluster")]
pub async fn rows_of_cluster(
    options: &cassandra::Options,
    people: &[UserId],
) -> Result<Rows, Box<dyn std::error::Error + Send + Sync>> {
    let history = cassandra::Cassandra::connect(options).await?;
    let mut all = Vec::new();
    for (at, one) in people.iter().enumerate() {
        for other in people.iter().skip(at + 1) {
            let conversation = hash::conversation_id(*one, *other);
            let read = history.rows(conversation, 1, u64::MAX, usize::MAX, usize::MAX);
            all.extend(read.await?.rows.into_iter().map(Ok));
        }
    }
    Ok(sorted(all)?)
}

/// The rows that a relay's history holds.
fn sorted(
    stored: impl IntoIterator<Item = Result<StoredRow, StoreError>>,
) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    for row in stored {
        let row = row?;
        let header = Header::parse(&row.header)
            .map_err(|_| StoreError::Damaged(format!("the header of row {}", row.seq)))?;
        // What people note for their own devices is shown nowhere.
        if header.sender == header.recipient {
            continue;
        }
        rows.entry(header.conversation).or_default().push(Row {
            seq: row.seq,
            id: header.client_message_id,
            sender: header.sender,
            message: header.class == Class::Message,
        });
    }
    for rows in rows.values_mut() {
        rows.sort_by_key(|row: &Row| row.seq);
    }
    Ok(rows)
}
