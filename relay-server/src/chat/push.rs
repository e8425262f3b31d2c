//! What was stored, as one device is told of it.

use prost::bytes::Bytes;
use sordino_protocol::pb::{self, relay_frame::Frame};

use super::identity::Identity;
use crate::{history::StoredRow, session::Event};

/// The frame for an event; `None` for what is not for the device but for its connection.
pub(super) fn frame(event: &Event, reader: &Identity) -> Option<Frame> {
    Some(match event {
        Event::Row { row, .. } => Frame::Deliver(pb::Deliver {
            row: Some(self::row(row, reader)),
        }),
        Event::Nudge {
            conversation,
            last_seq,
        } => Frame::Nudge(pb::Nudge {
            conversation: conversation.to_pb(),
            last_seq: *last_seq,
        }),
        Event::Delivered { conversation, seq } => Frame::Delivered(pb::Delivered {
            conversation: conversation.to_pb(),
            seq: *seq,
        }),
        Event::Signal(signal) => Frame::Signalled(pb::Signalled {
            sender: signal.sender.to_pb(),
            sender_device: signal.sender_device.to_pb(),
            payload: signal.sealed_for(reader.device)?.clone(),
        }),
        Event::ListChanged | Event::Sync => return None,
    })
}

/// A row as this device reads it.
pub(super) fn row(row: &StoredRow, reader: &Identity) -> pb::Row {
    let (content, wrap) = row.read_by(reader.user, reader.device);
    pb::Row {
        seq: row.seq,
        message_id: row.message_id.0,
        header: row.header.clone(),
        content_hash: Bytes::copy_from_slice(&row.content_hash),
        content,
        wrap,
    }
}
