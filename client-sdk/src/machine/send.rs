//! Sending: stored at once, encrypted at once where that can be done, else held.

use prost::Message;
use sordino_protocol::{Class, ClientMessageId, Code, ConversationId, UserId, hash, pb};

use super::changes::{self, check_text};
use super::deletion::must_be_there;
use super::encrypt::{Need, ready, renewals_due};
use super::greetings::{greeting, to_greet};
use super::notes::Notes;
use super::rollback::must_not_be_stopped;
use super::sessions::put_control;
use super::timeline::{Reached, TimelineItem, show};
use super::written::{refreshed, to_pb};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{
    Change, Conversation, Durability, Entry, ItemKind, MessageRef, Progress, StoredAccount,
    StoredItem, Tx, UNPLACED,
};

/// Messages that one transaction encrypts.
const BATCH: u32 = 256;

/// A message to send.
#[derive(Clone, Copy)]
pub struct NewMessage<'a> {
    /// To whom.
    pub peer: UserId,
    /// What it says.
    pub text: &'a str,
    /// The message that it answers.
    pub reply_to: Option<ClientMessageId>,
}

impl<'a> NewMessage<'a> {
    /// One that answers none.
    #[cfg(test)]
    pub fn new(peer: UserId, text: &'a str) -> Self {
        Self {
            peer,
            text,
            reply_to: None,
        }
    }
}

/// A message that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its name.
    pub client_message_id: ClientMessageId,
    /// As it is shown.
    pub item: TimelineItem,
    /// It is in the outbox. Else see [`Machine::needs`].
    pub encrypted: bool,
}

impl Machine {
    /// Sends several texts in one transaction: a commit that survives a power loss takes longer than an encryption.
    /// All of them or none.
    ///
    /// # Errors
    /// `NotRegistered`, `TwoCopies`, `TextEmpty`, `TextTooLong`, `UnknownMessage` where one answers a message that is not here,
    /// `UserDeleted`, `AccountDeleted`; those of the store.
    pub fn send_many(
        &mut self,
        drafts: &[NewMessage<'_>],
        now_ms: u64,
    ) -> Result<Vec<Sent>, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        for draft in drafts {
            check_text(draft.text)?;
        }
        self.store.transaction(Durability::Synced, |tx| {
            must_not_be_stopped(tx)?;
            let mut conversations = Vec::new();
            let mut names = Vec::new();
            for draft in drafts {
                let conversation = hash::conversation_id(me.user, draft.peer);
                tx.ensure_conversation(conversation, draft.peer)?;
                let reply_to = match draft.reply_to {
                    Some(id) => tx.message_called(conversation, id, false)?.name(),
                    None => None,
                };
                let held = Held {
                    kind: ItemKind::Message,
                    text: draft.text,
                    reply_to,
                    timer_s: tx.timer(conversation)?,
                };
                names.push((conversation, hold(tx, me, conversation, held, now_ms)?));
                if !conversations.contains(&conversation) {
                    conversations.push(conversation);
                }
            }
            for conversation in conversations {
                encrypt_waiting(tx, notes, me, conversation, now_ms)?;
            }
            names
                .into_iter()
                .map(|(conversation, client_message_id)| {
                    let item = tx
                        .own_item(conversation, client_message_id)?
                        .ok_or_else(|| Error::new(Code::Internal, "the message is gone"))?;
                    Ok(Sent {
                        conversation,
                        client_message_id,
                        encrypted: item.progress == Progress::Outbox,
                        item: show(tx, item, Reached::default())?,
                    })
                })
                .collect()
        })
    }

    /// What is missing before waiting messages of the conversation with `peer` can be encrypted, or a session with one
    /// of their devices renewed.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn needs(&self, peer: UserId, now_ms: u64) -> Result<Need, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let conversation = hash::conversation_id(me.user, peer);
            let waits = !tx.held(conversation, 1)?.is_empty()
                || !tx.stale(conversation, 1)?.is_empty()
                || !tx.held_changes(conversation, 1)?.is_empty();
            // Nobody gives keys of somebody who is gone; what waits goes by the sessions that there are, or stays.
            if !may_encrypt(tx)? || tx.is_deleted(peer)? {
                return Ok(Need::Nothing);
            }
            let accepted = match tx.conversation(conversation)? {
                Some(held) => tx.is_accepted(me.user, &held)?,
                None => false,
            };
            let waits = waits
                || (accepted && wants_attention(tx, &self.notes, peer)?)
                || (peer == me.user && !to_greet(tx, now_ms)?.is_empty());
            if waits && let Err(need) = ready(tx, &self.notes, me, peer, now_ms)? {
                return Ok(need);
            }
            let mut due = Vec::new();
            for user in [peer, me.user] {
                if let Some(list) = self.notes.newest_list(tx, user)? {
                    due.extend(
                        renewals_due(tx, me, &list, now_ms)?
                            .into_iter()
                            .filter(|device| self.notes.may_renew(user, *device, now_ms))
                            .map(|device| (user, device)),
                    );
                }
            }
            Ok(if due.is_empty() {
                Need::Nothing
            } else {
                Need::Sessions(due)
            })
        })
    }

    /// Encrypts what waits for `peer`, if everything is there; how many messages. Call it until it says 0.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn encrypt_held(&mut self, peer: UserId, now_ms: u64) -> Result<usize, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        let conversation = hash::conversation_id(me.user, peer);
        self.store.transaction(Durability::Synced, |tx| {
            encrypt_waiting(tx, notes, me, conversation, now_ms)
        })
    }
}

/// Nothing is encrypted between the discovery of a rollback and the end of the catch-up: further own rows may come.
pub(super) fn may_encrypt(tx: &Tx<'_>) -> Result<bool, Error> {
    let state = tx.rollback_state()?;
    Ok(!state.recovering && !state.stopped)
}

/// What the user says, before it is encrypted.
pub(super) struct Held<'a> {
    pub(super) kind: ItemKind,
    pub(super) text: &'a str,
    pub(super) reply_to: Option<MessageRef>,
    pub(super) timer_s: u32,
}

pub(super) fn hold(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: ConversationId,
    held: Held<'_>,
    now_ms: u64,
) -> Result<ClientMessageId, Error> {
    if let Some(with) = tx.conversation(conversation)? {
        must_be_there(tx, me.user, with.peer)?;
    }
    let id = ClientMessageId::from_bytes(rand::random());
    tx.set_answered(conversation)?;
    tx.add_item(&StoredItem {
        item: 0,
        conversation,
        place: UNPLACED,
        kind: held.kind,
        author: Some(me.user),
        author_device: Some(me.device),
        client_message_id: Some(id),
        mine: true,
        text: held.text.to_owned(),
        sent_ms: now_ms,
        at_ms: now_ms,
        progress: Progress::Held,
        code: String::new(),
        reply_to: held.reply_to,
        edited: false,
        timer_s: held.timer_s,
        expires_ms: None,
    })?;
    Ok(id)
}

/// Encrypts what is stale, then what is held, in order; how many.
pub(super) fn encrypt_waiting(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    id: ConversationId,
    now_ms: u64,
) -> Result<usize, Error> {
    let Some(conversation) = tx.conversation(id)? else {
        return Ok(0);
    };
    let stale = tx.stale(id, BATCH)?;
    let held = if stale.is_empty() {
        tx.held(id, BATCH)?
    } else {
        Vec::new()
    };
    let accepted = tx.is_accepted(me.user, &conversation)?;
    let answers = accepted && wants_attention(tx, notes, conversation.peer)?;
    let to_greet = match conversation.peer == me.user {
        true => to_greet(tx, now_ms)?,
        false => Vec::new(),
    };
    let waits = !stale.is_empty() || !held.is_empty() || answers || !to_greet.is_empty();
    let nothing = !waits && tx.held_changes(id, 1)?.is_empty();
    if nothing || !may_encrypt(tx)? {
        return Ok(0);
    }
    let Ok(mut ready) = ready(tx, notes, me, conversation.peer, now_ms)? else {
        return Ok(0);
    };
    let name = tx.settings()?.display_name.what;
    let mut done = 0;
    for entry in &stale {
        if !ready.encrypt(tx, me, &conversation, entry, now_ms)? {
            break;
        }
        done += 1;
    }
    let mut fails = false;
    for item in &held {
        let entry = text_entry(tx, me, &conversation, item, &name)?;
        tx.outbox_put(id, &entry)?;
        tx.update_item(item.item, UNPLACED, Progress::Outbox, "")?;
        // Where a session fails, the message has its counter and waits as a stale one.
        fails = !ready.encrypt(tx, me, &conversation, &entry, now_ms)?;
        if fails {
            break;
        }
        done += 1;
    }
    // After the messages that they are of.
    let changes = match stale.is_empty() && !fails {
        true => tx.held_changes(id, BATCH)?,
        false => Vec::new(),
    };
    for change in &changes {
        let entry = change_entry(tx, me, &conversation, change, &name)?;
        tx.outbox_put(id, &entry)?;
        tx.update_change(change.change, UNPLACED, Progress::Outbox)?;
        if !ready.encrypt(tx, me, &conversation, &entry, now_ms)? {
            break;
        }
        done += 1;
    }
    for device in to_greet {
        // What reaches nobody is not said: it is said once there is a session.
        if !ready.reaches(device) {
            continue;
        }
        let body = greeting(tx, me, device)?;
        let entry = put_control(tx, me, &conversation, Some(device), body, now_ms)?;
        tx.has_greeted(device, now_ms)?;
        if !ready.encrypt(tx, me, &conversation, &entry, now_ms)? {
            break;
        }
        done += 1;
    }
    if accepted {
        for (device, sid) in ready.unanswered(tx)? {
            let reply = pb::SessionReply {
                session: sid.to_pb(),
            };
            let body = pb::content::Body::SessionReply(reply);
            let entry = put_control(tx, me, &conversation, Some(device), body, now_ms)?;
            if !ready.encrypt(tx, me, &conversation, &entry, now_ms)? {
                break;
            }
            done += 1;
        }
    }
    ready.finish(tx)?;
    Ok(done)
}

/// Whether a session with a device of `peer` is to be answered or repaired.
pub(super) fn wants_attention(tx: &Tx<'_>, notes: &Notes, peer: UserId) -> Result<bool, Error> {
    let Some(list) = notes.newest_list(tx, peer)? else {
        return Ok(false);
    };
    for listed in &list.devices {
        if tx.wants_attention(peer, listed.device)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A held message takes its counter: only now that it is encrypted for transmission.
fn text_entry(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: &Conversation,
    item: &StoredItem,
    name: &str,
) -> Result<Entry, Error> {
    let client_message_id = item
        .client_message_id
        .ok_or_else(|| Error::new(Code::StoreDamaged, "a held message without a name"))?;
    let body = match item.kind {
        ItemKind::Timer => pb::content::Body::Timer(pb::Timer {
            seconds: item.timer_s,
        }),
        _ => pb::content::Body::Text(pb::Text {
            text: item.text.clone(),
            reply_to: item.reply_to.as_ref().map(to_pb),
        }),
    };
    let mut content = content(tx, me, conversation, item.sent_ms, body)?;
    name.clone_into(&mut content.sender_name);
    if item.kind == ItemKind::Message {
        content.timer_s = item.timer_s;
    }
    Ok(Entry {
        counter: tx.take_counter(conversation.id)?,
        client_message_id,
        class: Class::Message as u8,
        target: None,
        content: content.encode_to_vec(),
        given_up: false,
    })
}

/// What is said of a message takes its counter; it lasts as long as that.
fn change_entry(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: &Conversation,
    change: &Change,
    name: &str,
) -> Result<Entry, Error> {
    let (class, body) = changes::body(tx, change)?;
    let mut content = content(tx, me, conversation, change.sent_ms, body)?;
    if class == Class::Message {
        name.clone_into(&mut content.sender_name);
    }
    let of = tx.item_named(conversation.id, change.of)?;
    content.timer_s = of.map_or(0, |of| of.timer_s);
    Ok(Entry {
        counter: tx.take_counter(conversation.id)?,
        client_message_id: change.name.id,
        class: class as u8,
        target: None,
        content: content.encode_to_vec(),
        given_up: false,
    })
}

/// A content of this device, after the last row that it has applied.
pub(super) fn content(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: &Conversation,
    sent_ms: u64,
    body: pb::content::Body,
) -> Result<pb::Content, Error> {
    let last = tx.row_hash(conversation.id, conversation.cursor)?.flatten();
    Ok(pb::Content {
        sent_ms,
        sender: me.user.to_pb(),
        sender_device: me.device.to_pb(),
        after: last.map(|env_hash| pb::After {
            seq: conversation.cursor,
            env_hash: env_hash.to_vec().into(),
        }),
        timer_s: 0,
        sender_name: String::new(),
        body: Some(body),
    })
}

/// An own message as it is shown now, or the one of which it says something.
pub(super) fn changed(
    tx: &Tx<'_>,
    conversation: ConversationId,
    id: ClientMessageId,
) -> Result<Vec<Happening>, Error> {
    let Some(item) = tx.own_item(conversation, id)? else {
        let Some(change) = tx.own_change(conversation, id)? else {
            return Ok(Vec::new());
        };
        let items = refreshed(tx, conversation, change.of)?;
        return Ok(items.into_iter().map(Happening::Updated).collect());
    };
    let reached = Reached::of(tx.conversation(conversation)?.as_ref());
    Ok(vec![Happening::Changed(show(tx, item, reached)?)])
}
