//! What a row of a conversation is to this device: every check between a row as the relay gave it and a message to be
//! shown, in the order that the protocol demands.
//!
//! Nothing is stored here. [`receive`] reads the store through a [`View`] and answers with everything that is to be written
//! in one transaction, together with the cursor. Whatever a row holds, there is an answer that moves the cursor: one
//! poisoned message must not stall a conversation.

mod envelope;
mod lists;
mod order;
mod view;
mod wrap;

use bytes::Bytes;
use rand::CryptoRng;
use sordino_protocol::{
    Class, ConversationId, Header, SessionId, UserId,
    hash::{self, Hash},
    list::DeviceList,
    pb,
};

use crate::{
    keys::DeviceKeys,
    prekeys::Peer,
    session::{Position, Session},
};

use order::Order;

pub use envelope::{Bad, Opened};
pub use lists::REMOVED_GRACE_MS;
pub use view::{Counters, Known, Listed, OwnedPrekeySecrets, View};
pub use wrap::{Undecryptable, UsedPrekeys};

/// The highest counter, and the highest place in a chain, that a row may name. No device gets near it; a store that keeps
/// numbers signed can keep it, and count on from it.
pub const HIGHEST_NUMBER: u64 = 1 << 62;

/// When a row is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Some conversation is still behind: own devices' messages may come out of their order.
    CatchingUp,
    /// Every conversation has caught up.
    Live,
    /// The row was [`Outcome::Pending`] before; its counter was judged then.
    Again,
}

/// Who receives, and where.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// This device, from its own list.
    pub me: &'a Peer,
    /// Its keys.
    pub keys: &'a DeviceKeys,
    /// The conversation that the row was asked for in.
    pub conversation: ConversationId,
    /// When it is looked at.
    pub pass: Pass,
    /// The own clock.
    pub now_ms: u64,
}

/// What to do with a row.
pub enum Decision {
    /// Fetch the lists of this user, who takes part in the conversation, up to this version and try again. Nothing was
    /// decided: the cursor stays.
    NeedsList {
        /// Whose.
        user: UserId,
        /// Which.
        version: u32,
    },
    /// Store this, and move the cursor.
    Row(Box<RowDecision>),
}

/// Everything that a row changes, to be written in one transaction.
pub struct RowDecision {
    /// Absent only where the bytes are no header.
    pub header: Option<Header>,
    /// Names the row, for the `after` of the next own message and for those of others.
    pub env_hash: Hash,
    /// What the row is.
    pub outcome: Outcome,
    /// To be stored, whatever `outcome` is. Absent: the stored sessions stay as they are.
    pub session: Option<Session>,
    /// Secrets to be deleted: the session was set up with them.
    pub used_prekeys: Option<UsedPrekeys>,
    /// Raises [`Counters::shown`] of the sending device in this conversation.
    pub shown_counter: Option<u64>,
    /// Raises [`Counters::proven`].
    pub proven_counter: Option<u64>,
    /// What the person or the operator should hear of.
    pub alarms: Vec<Alarm>,
}

/// What a row is to this device.
pub enum Outcome {
    /// This device sent it. Whether the store knows it: [`crate::rollback::judge`].
    Own,
    /// It holds no wrap for this device.
    NotForMe,
    /// Its content was erased or has expired.
    NoContent,
    /// By another own device, and not the next of its chain, which may lie in a conversation that is still behind. Once all
    /// have caught up, try every pending row in the order of session and position with [`Pass::Again`].
    Pending(Position),
    /// A message that passed every check.
    Message(Box<Message>),
    /// It is not what a sender makes: shown as such, no receipt.
    Bad(Bad),
    /// The wrap does not open: shown as a placeholder.
    Undecryptable {
        /// Why. See [`Undecryptable::breaks_session`].
        cause: Undecryptable,
        /// The session that the wrap names, if it names one: for [`crate::sessions::Book::broken`].
        session: Option<SessionId>,
    },
}

/// A message that passed every check.
pub struct Message {
    /// Content and keys.
    pub opened: Opened,
    /// Its device was removed from the sender's list meanwhile: shown with a mark, no receipt.
    pub removed_sender: bool,
}

/// What a row says about the relay or the sender, besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The counter was there before.
    Replay {
        /// The last one before.
        last: u64,
        /// This row's.
        counter: u64,
    },
    /// Counters between were never shown.
    Withheld {
        /// The last one before.
        last: u64,
        /// This row's.
        counter: u64,
    },
    /// The sender was shown other device lists than this device.
    ListDigest,
    /// The sender applied another row at this place than this device: the two were shown different conversations.
    ViewsDiffer {
        /// The place.
        seq: u64,
    },
}

/// Judges one row. Ask for the rows of a conversation in the order of `seq`, each after the one before was stored.
pub fn receive<V: View>(
    rng: &mut impl CryptoRng,
    view: &V,
    context: &Context<'_>,
    row: &pb::Row,
) -> Result<Decision, V::Error> {
    let env_hash = env_hash(row);
    let mut found = RowDecision {
        header: None,
        env_hash,
        outcome: Outcome::NotForMe,
        session: None,
        used_prekeys: None,
        shown_counter: None,
        proven_counter: None,
        alarms: Vec::new(),
    };
    let header = match Header::parse(&row.header) {
        Ok(header) => found.header.insert(header).clone(),
        Err(error) => return Ok(found.ends(Outcome::Bad(Bad::Header(error)))),
    };
    if header.counter > HIGHEST_NUMBER {
        return Ok(found.ends(Outcome::Bad(Bad::Counter)));
    }
    // Before anything is decrypted: a row shown in the wrong place, or again, must not use up the key of the genuine one.
    if header.conversation != context.conversation {
        return Ok(found.ends(Outcome::Bad(Bad::Elsewhere)));
    }
    if context.pass != Pass::Again {
        let before = view.counters(header.conversation, header.sender, header.sender_device)?;
        let order = Order::judge(before, header.counter);
        found.alarms.extend(order.alarm(header.counter));
        match order {
            Order::Replay { .. } => return Ok(found.ends(Outcome::Bad(Bad::Replay))),
            Order::Next => found.shown_counter = Some(header.counter),
            // A header alone proves nothing: one forged with a huge counter would make every later row a replay, and one
            // forged with the next counter would keep the genuine row out.
            Order::Withheld { .. } | Order::Contested { .. } => {}
        }
    }
    let own = header.sender == context.me.user;
    if own && header.sender_device == context.me.device {
        found.settle(header.counter);
        return Ok(found.ends(Outcome::Own));
    }
    let Some(content) = row.content.as_deref() else {
        return Ok(found.ends(Outcome::NoContent));
    };
    let Some(wrapped) = row.wrap.as_ref() else {
        return Ok(found.ends(Outcome::NotForMe));
    };
    let sender = match lists::check(view, context, &header)? {
        lists::Sender::Needs(user, version) => return Ok(Decision::NeedsList { user, version }),
        lists::Sender::Refused(bad) => return Ok(found.ends(Outcome::Bad(bad))),
        lists::Sender::Listed(sender) => sender,
    };
    if !sender.digest_fits {
        found.alarms.push(Alarm::ListDigest);
    }
    let chain_order = own && context.pass == Pass::CatchingUp;
    let decrypted = match wrap::open(rng, view, context, &sender.peer, wrapped, chain_order)? {
        wrap::Wrap::Pending(position) => return Ok(found.ends(Outcome::Pending(position))),
        wrap::Wrap::Refused { cause, session } => {
            return Ok(found.ends(Outcome::Undecryptable { cause, session }));
        }
        wrap::Wrap::Opened(decrypted) => decrypted,
    };
    let sid = decrypted.session.meta().sid;
    let payload = (decrypted.session, decrypted.plaintext);
    let received = match envelope::open(payload, context.me, &header, &row.header, content) {
        Ok(received) => received,
        Err(envelope::WrongEnvelope) => {
            return Ok(found.ends(Outcome::Undecryptable {
                cause: Undecryptable::Envelope,
                session: Some(sid),
            }));
        }
    };
    found.session = Some(received.session);
    found.used_prekeys = decrypted.used;
    let opened = match received.content {
        Ok(opened) => opened,
        Err(bad) => return Ok(found.ends(Outcome::Bad(bad))),
    };
    found.settle(header.counter);
    match compare_after(view, header.conversation, row.seq, &opened.content)? {
        Ok(alarm) => found.alarms.extend(alarm),
        Err(bad) => return Ok(found.ends(Outcome::Bad(bad))),
    }
    Ok(found.ends(Outcome::Message(Box::new(Message {
        opened,
        removed_sender: sender.removed,
    }))))
}

/// The encoded lists that a row brings, one that names a list of which the relay says that there is none: a message between
/// devices, opened with the keys that `held` has of its device, the newest list of the sender's that is held. Nothing of it is to
/// be stored: once the lists are taken, the row is judged from the start.
pub fn brought_lists<V: View>(
    rng: &mut impl CryptoRng,
    view: &V,
    context: &Context<'_>,
    row: &pb::Row,
    held: &DeviceList,
) -> Result<Vec<Bytes>, V::Error> {
    let none = Ok(Vec::new());
    let (Ok(header), Some(content), Some(wrapped)) =
        (Header::parse(&row.header), &row.content, &row.wrap)
    else {
        return none;
    };
    let is_meant = header.class == Class::Control
        && header.sender == held.user
        && header.conversation == context.conversation;
    let (true, Some(peer)) = (is_meant, Peer::of(held, header.sender_device)) else {
        return none;
    };
    let wrap::Wrap::Opened(decrypted) = wrap::open(rng, view, context, &peer, wrapped, false)?
    else {
        return none;
    };
    let payload = (decrypted.session, decrypted.plaintext);
    let received = envelope::open(payload, context.me, &header, &row.header, content);
    Ok(match received.map(|received| received.content) {
        Ok(Ok(opened)) => match opened.content.body {
            Some(pb::content::Body::ListChain(chain)) => chain.lists,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    })
}

impl RowDecision {
    fn settle(&mut self, counter: u64) {
        self.shown_counter = Some(counter);
        self.proven_counter = Some(counter);
    }

    fn ends(mut self, outcome: Outcome) -> Decision {
        self.outcome = outcome;
        Decision::Row(Box::new(self))
    }
}

/// Names a row, by what was shown of it: the hash that the relay gives counts only where it gives no content.
#[must_use]
pub fn env_hash(row: &pb::Row) -> Hash {
    let stated = || Hash::try_from(row.content_hash.as_ref()).unwrap_or_default();
    let content_hash = row.content.as_deref().map_or_else(stated, hash::sha256);
    hash::env_hash(&row.header, &content_hash)
}

/// What the sender had applied before, against what this device holds at that place.
fn compare_after<V: View>(
    view: &V,
    conversation: ConversationId,
    seq: u64,
    content: &pb::Content,
) -> Result<Result<Option<Alarm>, Bad>, V::Error> {
    let Some(after) = &content.after else {
        return Ok(Ok(None));
    };
    let (1.., Ok(theirs)) = (after.seq, Hash::try_from(after.env_hash.as_ref())) else {
        return Ok(Err(Bad::After));
    };
    if after.seq >= seq {
        return Ok(Err(Bad::After));
    }
    let ours = view.row_hash(conversation, after.seq)?;
    let differ = ours.is_some_and(|ours| ours != theirs);
    Ok(Ok(differ.then_some(Alarm::ViewsDiffer { seq: after.seq })))
}
