//! What the two servers say, in one vocabulary.

use std::time::Duration;

use bytes::Bytes;
use sordino_protocol::{
    DeviceId, Header, frame,
    pb::{Row, client_frame, relay_frame},
};

use super::{Error, Result};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The relay.
    Sordino,
    /// The bare one: answers `Accepted`, forwards `Send` as it came.
    Raw,
}

/// Something that arrived.
pub(super) enum Incoming {
    Accepted {
        counter: u64,
    },
    Refused {
        code: String,
        detail: String,
        after: Duration,
    },
    /// A message the bare server forwarded.
    Forwarded {
        counter: u64,
    },
    Row(Place),
    Pulled(Vec<Place>),
    /// Conversations, and how far each has grown.
    Reached(Vec<(Bytes, u64)>),
    /// Rows, or what has grown, cannot be said now.
    Unanswered {
        after: Duration,
    },
    /// Ask what has grown.
    Sync,
    /// Connect once more, and use that.
    Moving,
    Other,
}

/// A row, as far as it matters here.
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) sender: DeviceId,
    pub(super) counter: u64,
}

pub(super) fn read(dialect: Dialect, bytes: Bytes) -> Result<Incoming> {
    // A forwarded `Send` is field 1 of its message; what the relay itself says is not, `Welcome` excepted.
    if dialect == Dialect::Raw && bytes.first() == Some(&0x0a) {
        let client_frame::Frame::Send(send) = frame::decode_client(bytes).map_err(broken)? else {
            return Err(Error::Broken("an unknown frame was forwarded".to_owned()));
        };
        let counter = Header::parse(&send.header).map_err(broken)?.counter;
        return Ok(Incoming::Forwarded { counter });
    }
    Ok(match frame::decode_relay(bytes).map_err(broken)? {
        relay_frame::Frame::Accepted(accepted) => Incoming::Accepted {
            counter: accepted.counter,
        },
        relay_frame::Frame::Refused(refused) => Incoming::Refused {
            code: refused.code,
            detail: refused.detail,
            after: Duration::from_millis(refused.retry_after_ms.into()),
        },
        relay_frame::Frame::Deliver(deliver) => Incoming::Row(place(deliver.row)?),
        relay_frame::Frame::Pulled(pulled) => {
            let rows = pulled.rows.into_iter().map(|row| place(Some(row)));
            Incoming::Pulled(rows.collect::<Result<_>>()?)
        }
        relay_frame::Frame::Nudge(nudge) => {
            Incoming::Reached(vec![(nudge.conversation, nudge.last_seq)])
        }
        relay_frame::Frame::Conversations(page) => {
            // A generated user has few.
            let marks = page.marks.into_iter();
            Incoming::Reached(
                marks
                    .map(|mark| (mark.conversation, mark.last_seq))
                    .collect(),
            )
        }
        relay_frame::Frame::Sync(_) => Incoming::Sync,
        relay_frame::Frame::Moving(_) => Incoming::Moving,
        relay_frame::Frame::Problem(problem) => {
            let (code, detail) = (problem.code, problem.detail);
            // What a client asks again, too; anything else is a mistake of ours.
            if !matches!(code.as_str(), "internal" | "busy" | "rate_limited") {
                return Err(Error::Broken(format!(
                    "the relay answered {code}: {detail}"
                )));
            }
            let after = Duration::from_millis(problem.retry_after_ms.into());
            Incoming::Unanswered { after }
        }
        _ => Incoming::Other,
    })
}

fn place(row: Option<Row>) -> Result<Place> {
    let row = row.ok_or_else(|| Error::Broken("a delivery without a row".to_owned()))?;
    let header = Header::parse(&row.header).map_err(broken)?;
    Ok(Place {
        seq: row.seq,
        sender: header.sender_device,
        counter: header.counter,
    })
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Broken(format!("a frame that cannot be read: {error}"))
}
