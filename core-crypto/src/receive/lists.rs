//! The sender's device by the list that its message names.

use sordino_protocol::{Header, UserId, hash};

use super::{
    Bad, Context,
    view::{Listed, View},
};
use crate::prekeys::Peer;

/// How long after a device's removal was first seen its late rows are still shown: 31 days.
pub const REMOVED_GRACE_MS: u64 = 31 * 24 * 60 * 60 * 1000;

pub(super) enum Sender {
    Needs(UserId, u32),
    Refused(Bad),
    Listed(Checked),
}

pub(super) struct Checked {
    /// Its keys come from here, never from the row.
    pub(super) peer: Peer,
    pub(super) removed: bool,
    pub(super) digest_fits: bool,
}

pub(super) fn check<V: View>(
    view: &V,
    context: &Context<'_>,
    header: &Header,
) -> Result<Sender, V::Error> {
    // Nobody else's list is worth a request: the relay could name users that do not exist, and the row would wait for ever.
    let takes_part = |user: UserId| {
        let me = context.me.user;
        user == me || hash::conversation_id(me, user) == context.conversation
    };
    let sender_list = match view.list(header.sender, header.sender_list)? {
        Listed::Held(list) => list,
        Listed::NotHeld if !takes_part(header.sender) => {
            return Ok(Sender::Refused(Bad::Elsewhere));
        }
        Listed::NotHeld => return Ok(Sender::Needs(header.sender, header.sender_list)),
        Listed::NoSuchVersion => return Ok(Sender::Refused(Bad::NoSuchList)),
    };
    let Some(peer) = Peer::of(&sender_list, header.sender_device) else {
        return Ok(Sender::Refused(Bad::Unlisted));
    };
    let removed_ms = view.removed_since_ms(&peer)?;
    if removed_ms.is_some_and(|since| context.now_ms.saturating_sub(since) >= REMOVED_GRACE_MS) {
        return Ok(Sender::Refused(Bad::Removed));
    }
    let digest_fits = match view.list(header.recipient, header.recipient_list)? {
        Listed::NotHeld if !takes_part(header.recipient) => false,
        Listed::NotHeld => return Ok(Sender::Needs(header.recipient, header.recipient_list)),
        Listed::NoSuchVersion => false,
        Listed::Held(list) => {
            let sender = (header.sender_list, &sender_list.hash);
            let recipient = (header.recipient_list, &list.hash);
            header.list_digest == hash::list_digest(sender, recipient)
        }
    };
    Ok(Sender::Listed(Checked {
        peer,
        removed: removed_ms.is_some(),
        digest_fits,
    }))
}
