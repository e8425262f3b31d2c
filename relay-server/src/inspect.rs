//! What a stopped relay holds of the messages, for whoever wants to see it: addresses, times and sizes, and ciphertext.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde::Serialize;
use sordino_protocol::{Class, ConversationId, Header, UserId};

use crate::history::{
    StoredRow,
    embedded::{Store, StoreError, StoreOptions},
};

/// Bytes of ciphertext that are shown of a row.
const SHOWN: usize = 16;

/// Why the rows cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A relay has the data directory.
    #[error("a relay uses this data directory: stop it first")]
    Locked,
    /// There is no relay's data.
    #[error("there is no relay's data in this directory")]
    Absent,
    /// The store does not open, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files, or the output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A row, a line of JSON.
#[derive(Serialize)]
struct Shown {
    conversation: ConversationId,
    seq: u64,
    message_id: String,
    class: &'static str,
    sender: UserId,
    recipient: UserId,
    /// Of ciphertext and wraps.
    bytes: usize,
    /// The first bytes of the content, hex.
    ciphertext: String,
}

/// Writes every row in the data directory of a stopped relay, conversation by conversation, a line of JSON each.
pub fn rows(data: &Path, out: &mut impl Write) -> Result<(), InspectError> {
    let lock = data.join("lock");
    if !lock.exists() {
        return Err(InspectError::Absent);
    }
    let lock = File::open(lock)?;
    lock.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => InspectError::Locked,
        std::fs::TryLockError::Error(error) => error.into(),
    })?;
    let store = Store::open(StoreOptions::new(crate::stores::messages(data)))?;
    for row in store.every_row() {
        let row = row?;
        // Chat takes in no row whose header does not parse.
        let Ok(header) = Header::parse(&row.header) else {
            continue;
        };
        serde_json::to_writer(&mut *out, &shown(&row, &header)).map_err(io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}

fn shown(row: &StoredRow, header: &Header) -> Shown {
    let content = row.content.as_deref().unwrap_or_default();
    Shown {
        conversation: header.conversation,
        seq: row.seq,
        message_id: row.message_id.to_string(),
        class: match header.class {
            Class::Message => "message",
            Class::Control => "control",
            Class::Erase => "erase",
        },
        sender: header.sender,
        recipient: header.recipient,
        bytes: content.len() + row.wraps.as_ref().map_or(0, bytes::Bytes::len),
        ciphertext: hex::encode(content.get(..SHOWN).unwrap_or(content)),
    }
}
