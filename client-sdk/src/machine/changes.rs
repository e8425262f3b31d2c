//! What people say of messages: edits, reactions, erasures.
//!
//! An edit or a reaction is a message of class `message` as a text is one: it goes to all devices, and its key into the backup. It may
//! come before the message that it is of, for a backup is read from its end; then it waits. Of several the one with the highest seq
//! counts, on all devices the same.

use sordino_protocol::{
    Class, ClientMessageId, Code, ConversationId, DeviceId, Header, UserId, hash, limits,
    pb::{self, content::Body},
};

use super::deletion::must_be_there;
use super::outbox::give_up;
use super::receive::Taken;
use super::send::encrypt_waiting;
use super::timeline::{Reached, TimelineItem, add, message, show};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{
    Change, ChangeKind, Conversation, Durability, ItemKind, MessageRef, Progress, StoredAccount,
    StoredItem, Tx, UNPLACED,
};

/// Answers that show at once what became of the message that they quote.
const QUOTES: u32 = 64;

/// What a person wrote, in a row that was opened.
pub(super) struct Written<'a> {
    pub(super) conversation: ConversationId,
    pub(super) seq: u64,
    pub(super) header: &'a Header,
    pub(super) content: &'a pb::Content,
    /// When it came, or was written.
    pub(super) at_ms: u64,
    /// By a device that was removed: it may say something, and change nothing.
    pub(super) removed_sender: bool,
    /// By the user of this device, on another one.
    pub(super) mine: bool,
}

/// What is to be shown of it.
#[derive(Default)]
pub(super) struct Shown {
    /// A new item.
    pub(super) added: Option<TimelineItem>,
    /// Items that look otherwise now.
    pub(super) updated: Vec<TimelineItem>,
}

impl Machine {
    /// Gives an own message another text. One that is not on its way yet is simply another one.
    ///
    /// # Errors
    /// `NotRegistered`, `TextEmpty`, `TextTooLong`, `UnknownMessage`, `TwoCopies`, `UserDeleted`, `AccountDeleted`; those of the store.
    pub fn edit(
        &mut self,
        peer: UserId,
        id: ClientMessageId,
        text: &str,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        check_text(text)?;
        self.change(peer, now_ms, |tx, me, held| {
            must_be_there(tx, me.user, peer)?;
            let item = tx.message_called(held.id, id, true)?;
            match item.progress {
                Progress::Failed => return Err(Error::new(Code::UnknownMessage, "")),
                Progress::Held => tx.rewrite(item.item, text)?,
                Progress::Outbox | Progress::Accepted => {
                    say(tx, me, &item, ChangeKind::Edit, text, now_ms)?;
                }
            }
            item.name().ok_or_else(unknown)
        })
    }

    /// Says how the user likes a message; empty takes it back.
    ///
    /// # Errors
    /// `NotRegistered`, `BadReaction`, `UnknownMessage`, `TwoCopies`, `UserDeleted`, `AccountDeleted`; those of the store.
    pub fn react(
        &mut self,
        peer: UserId,
        id: ClientMessageId,
        emoji: &str,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        if !is_reaction(emoji) {
            return Err(Error::new(Code::BadReaction, ""));
        }
        self.change(peer, now_ms, |tx, me, held| {
            must_be_there(tx, me.user, peer)?;
            let item = tx.message_called(held.id, id, false)?;
            if item.progress == Progress::Failed {
                return Err(unknown());
            }
            let name = item.name().ok_or_else(unknown)?;
            let mine = |(user, given): &(UserId, String)| *user == me.user && given == emoji;
            let given = reactions(tx, held.id, name)?;
            let is_there = match emoji.is_empty() {
                true => !given.iter().any(|(user, _)| *user == me.user),
                false => given.iter().any(mine),
            };
            if !is_there {
                say(tx, me, &item, ChangeKind::Reaction, emoji, now_ms)?;
            }
            Ok(name)
        })
    }

    /// Erases an own message, and what was said of it, for everybody. What is not at the relay yet does not get there; what may be is
    /// erased there once it has its place.
    ///
    /// # Errors
    /// `NotRegistered`, `UnknownMessage`, `TwoCopies`; those of the store.
    pub fn erase(
        &mut self,
        peer: UserId,
        id: ClientMessageId,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let mut gone = None;
        let mut happenings = self.change(peer, now_ms, |tx, me, held| {
            let item = tx.message_called(held.id, id, true)?;
            let name = item.name().ok_or_else(unknown)?;
            let entry = match name.device == me.device {
                true => tx.outbox_named(held.id, id)?,
                false => None,
            };
            let never_sent = match item.progress {
                Progress::Held => true,
                Progress::Failed => entry.is_none(),
                Progress::Outbox | Progress::Accepted => false,
            };
            if never_sent {
                forget(tx, &item)?;
                tx.delete_item(item.item)?;
                gone = Some(Happening::Gone(held.id, position(&item)));
                return Ok(name);
            }
            if let Some(entry) = entry.filter(|entry| !entry.given_up) {
                give_up(tx, me, held, entry.counter, id, Code::Cancelled, now_ms)?;
            }
            take_back(tx, me, held, name, now_ms)?;
            say(tx, me, &item, ChangeKind::Erasure, "", now_ms)?;
            tx.blank_item(item.item)?;
            if item.place < UNPLACED {
                tx.forget_key(held.id, item.place)?;
            }
            Ok(name)
        })?;
        happenings.extend(gone);
        Ok(happenings)
    }

    fn change(
        &mut self,
        peer: UserId,
        now_ms: u64,
        work: impl FnOnce(&Tx<'_>, &StoredAccount, &Conversation) -> Result<MessageRef, Error>,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        let conversation = hash::conversation_id(me.user, peer);
        self.store.transaction(Durability::Synced, |tx| {
            if tx.rollback_state()?.stopped {
                return Err(Error::new(Code::TwoCopies, ""));
            }
            let held = tx.conversation(conversation)?.ok_or_else(unknown)?;
            let of = work(tx, me, &held)?;
            encrypt_waiting(tx, notes, me, conversation, now_ms)?;
            let updated = refreshed(tx, conversation, of)?;
            Ok(updated.into_iter().map(Happening::Updated).collect())
        })
    }
}

/// What was said of a message that is to be erased. Edits that are at the relay are still to be named; those on their way are given up,
/// and erased if they have got there.
fn take_back(
    tx: &Tx<'_>,
    me: &StoredAccount,
    held: &Conversation,
    of: MessageRef,
    now_ms: u64,
) -> Result<(), Error> {
    for reaction in tx.changes_of(held.id, of, ChangeKind::Reaction)? {
        if reaction.place < UNPLACED {
            tx.forget_key(held.id, reaction.place)?;
        }
        tx.delete_change(reaction.change)?;
    }
    for edit in tx.changes_of(held.id, of, ChangeKind::Edit)? {
        if edit.progress == Progress::Held {
            tx.delete_change(edit.change)?;
            continue;
        }
        tx.set_change_text(edit.change, "")?;
        if edit.place < UNPLACED {
            tx.forget_key(held.id, edit.place)?;
        } else if let Some(entry) = tx.outbox_named(held.id, edit.name.id)? {
            give_up(
                tx,
                me,
                held,
                entry.counter,
                edit.name.id,
                Code::Cancelled,
                now_ms,
            )?;
        }
    }
    Ok(())
}

pub(super) fn check_text(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::new(Code::TextEmpty, ""));
    }
    if text.len() > limits::TEXT_BYTES {
        return Err(Error::new(Code::TextTooLong, ""));
    }
    Ok(())
}

fn unknown() -> Error {
    Error::new(Code::UnknownMessage, "")
}

fn position(item: &StoredItem) -> super::Position {
    super::Position {
        place: item.place,
        item: item.item,
    }
}

/// Short, and one word: where it came from is no matter.
fn is_reaction(text: &str) -> bool {
    text.len() <= limits::REACTION_BYTES
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// An own change, held until it can be encrypted.
fn say(
    tx: &Tx<'_>,
    me: &StoredAccount,
    item: &StoredItem,
    kind: ChangeKind,
    text: &str,
    now_ms: u64,
) -> Result<(), Error> {
    tx.add_change(&Change {
        change: 0,
        conversation: item.conversation,
        place: UNPLACED,
        kind,
        name: MessageRef {
            author: me.user,
            device: me.device,
            id: ClientMessageId::from_bytes(rand::random()),
        },
        of: item.name().ok_or_else(unknown)?,
        text: text.to_owned(),
        sent_ms: now_ms,
        at_ms: now_ms,
        progress: Progress::Held,
    })?;
    Ok(())
}

/// What a change says to the other devices.
pub(super) fn body(tx: &Tx<'_>, change: &Change) -> Result<(Class, Body), Error> {
    let message = Some(to_pb(&change.of));
    let text = change.text.clone();
    Ok(match change.kind {
        ChangeKind::Edit => (Class::Message, Body::Edit(pb::Edit { message, text })),
        ChangeKind::Reaction => (
            Class::Message,
            Body::Reaction(pb::Reaction {
                message,
                emoji: text,
            }),
        ),
        ChangeKind::Erasure => {
            let seqs = seqs_to_erase(tx, change)?;
            (Class::Erase, Body::Erasure(pb::Erasure { seqs }))
        }
    })
}

/// The message and its edits; those of a later one where there are more.
fn seqs_to_erase(tx: &Tx<'_>, change: &Change) -> Result<Vec<u64>, Error> {
    if !change.text.is_empty() {
        let seqs = change.text.split(',').map(str::parse);
        return seqs
            .collect::<Result<_, _>>()
            .map_err(|_| Error::new(Code::StoreDamaged, "rows to be erased"));
    }
    let item = tx.item_named(change.conversation, change.of)?;
    let mut seqs: Vec<u64> = item.map(|item| item.place).into_iter().collect();
    for edit in tx.changes_of(change.conversation, change.of, ChangeKind::Edit)? {
        if edit.place < UNPLACED {
            seqs.push(edit.place);
            tx.delete_change(edit.change)?;
        }
    }
    let later = seqs.split_off(seqs.len().min(limits::ERASE_SEQS));
    for seqs in later.chunks(limits::ERASE_SEQS) {
        erase_later(tx, change, seqs)?;
    }
    tx.set_change_text(change.change, &list(&seqs))?;
    Ok(seqs)
}

fn list(seqs: &[u64]) -> String {
    let seqs: Vec<_> = seqs.iter().map(u64::to_string).collect();
    seqs.join(",")
}

fn erase_later(tx: &Tx<'_>, like: &Change, seqs: &[u64]) -> Result<(), Error> {
    let id = ClientMessageId::from_bytes(rand::random());
    tx.add_change(&Change {
        change: 0,
        place: UNPLACED,
        kind: ChangeKind::Erasure,
        name: MessageRef { id, ..like.name },
        text: list(seqs),
        progress: Progress::Held,
        ..like.clone()
    })?;
    Ok(())
}

/// An own change has its row; whether its key is worth keeping.
pub(super) fn placed(
    tx: &Tx<'_>,
    change: Change,
    seq: u64,
    given_up: bool,
    taken: &mut Taken,
) -> Result<bool, Error> {
    let (conversation, of) = (change.conversation, change.of);
    let mut keeps_key = !given_up;
    match (change.kind, given_up) {
        (ChangeKind::Erasure, _) => tx.delete_change(change.change)?,
        (_, true) => tx.delete_change(change.change)?,
        (ChangeKind::Edit | ChangeKind::Reaction, false) => {
            tx.update_change(change.change, seq, Progress::Accepted)?;
            if change.kind == ChangeKind::Reaction {
                tx.forget_superseded(&change)?;
            }
            let target = tx.item_named(conversation, of)?;
            let is_erased = target.is_some_and(|item| item.kind == ItemKind::Erased);
            if is_erased {
                // It was on its way when the message was erased.
                tx.delete_change(change.change)?;
                erase_later(tx, &change, &[seq])?;
                keeps_key = false;
                taken.answers = true;
            }
        }
    }
    let updated = refreshed(tx, conversation, of)?;
    taken
        .happenings
        .extend(updated.into_iter().map(Happening::Placed));
    Ok(keeps_key)
}

/// Puts what a person wrote into the timeline.
pub(super) fn written(tx: &Tx<'_>, from: &Written<'_>) -> Result<Shown, Error> {
    let (header, content) = (from.header, from.content);
    let mut shown = Shown::default();
    if from.mine && header.class == Class::Message {
        tx.set_answered(from.conversation)?;
    }
    match (header.class, &content.body) {
        (Class::Message, Some(Body::Text(text))) => {
            let mut item = blank(from, text.text.clone());
            item.reply_to = text.reply_to.as_ref().and_then(from_pb);
            item.timer_s = content.timer_s.min(limits::TIMER_S);
            if item.mine && item.timer_s > 0 {
                let lasts = 1000 * u64::from(item.timer_s);
                item.expires_ms = Some(from.at_ms.saturating_add(lasts));
            }
            let name = item.name();
            shown.added = add(tx, item)?;
            // What is said of it may have come before it, and what answers it.
            if let (Some(_), Some(name)) = (&shown.added, name) {
                if tx.is_changed(from.conversation, name)? {
                    shown.added = refreshed_one(tx, from.conversation, name)?;
                }
                shown.updated = answers(tx, from.conversation, name)?;
            }
        }
        (Class::Message, Some(Body::Timer(timer))) if !from.removed_sender => {
            let mut item = blank(from, String::new());
            item.kind = ItemKind::Timer;
            item.timer_s = timer.seconds.min(limits::TIMER_S);
            shown.added = add(tx, item)?;
        }
        (Class::Message, Some(Body::Edit(edit))) if !from.removed_sender => {
            let of = edit.message.as_ref().and_then(from_pb);
            let of = of.filter(|of| of.author == header.sender && check_text(&edit.text).is_ok());
            if let Some(of) = of {
                shown.updated = said(tx, from, ChangeKind::Edit, of, &edit.text)?;
            }
        }
        (Class::Message, Some(Body::Reaction(reaction))) if !from.removed_sender => {
            let of = reaction.message.as_ref().and_then(from_pb);
            if let Some(of) = of.filter(|_| is_reaction(&reaction.emoji)) {
                shown.updated = said(tx, from, ChangeKind::Reaction, of, &reaction.emoji)?;
            }
        }
        (Class::Erase, Some(Body::Erasure(_))) if !from.removed_sender => {
            for seq in header.erase.iter().filter(|seq| **seq < from.seq) {
                let erased = erased(tx, from.conversation, *seq, header.sender)?;
                shown.updated.extend(erased);
            }
        }
        _ => {}
    }
    Ok(shown)
}

fn blank(from: &Written<'_>, text: String) -> StoredItem {
    let header = from.header;
    let by = (
        header.sender,
        header.sender_device,
        header.client_message_id,
    );
    let sent_ms = from.content.sent_ms.min(UNPLACED);
    let mut item = message(
        from.conversation,
        from.seq,
        by,
        (text, sent_ms),
        from.at_ms,
        from.removed_sender,
    );
    item.mine = from.mine;
    item
}

fn said(
    tx: &Tx<'_>,
    from: &Written<'_>,
    kind: ChangeKind,
    of: MessageRef,
    text: &str,
) -> Result<Vec<TimelineItem>, Error> {
    let target = tx.item_named(from.conversation, of)?;
    if target.is_some_and(|target| target.kind != ItemKind::Message) {
        return Ok(Vec::new());
    }
    let header = from.header;
    let change = Change {
        change: 0,
        conversation: from.conversation,
        place: from.seq,
        kind,
        name: MessageRef {
            author: header.sender,
            device: header.sender_device,
            id: header.client_message_id,
        },
        of,
        text: text.to_owned(),
        sent_ms: from.content.sent_ms.min(UNPLACED),
        at_ms: from.at_ms,
        progress: Progress::Accepted,
    };
    if !tx.add_change(&change)? {
        return Ok(Vec::new());
    }
    // Own edits are kept: whoever erases the message has to name them.
    if kind == ChangeKind::Reaction || !from.mine {
        tx.forget_superseded(&change)?;
    }
    refreshed(tx, from.conversation, of)
}

/// The author of the row at `seq` wants it gone.
fn erased(
    tx: &Tx<'_>,
    conversation: ConversationId,
    seq: u64,
    by: UserId,
) -> Result<Vec<TimelineItem>, Error> {
    if let Some(item) = tx.written_at(conversation, seq)?
        && item.author == Some(by)
    {
        tx.forget_key(conversation, seq)?;
        forget(tx, &item)?;
        tx.blank_item(item.item)?;
        return match item.name() {
            Some(name) => refreshed(tx, conversation, name),
            None => {
                let held = tx.conversation(conversation)?;
                let reached = Reached::of(held.as_ref());
                let item = tx.item_numbered(item.item)?;
                let shown = item.map(|item| show(tx, item, reached));
                shown.into_iter().collect()
            }
        };
    }
    match tx.change_at(conversation, seq)? {
        Some(change) if change.name.author == by => {
            tx.forget_key(conversation, seq)?;
            tx.delete_change(change.change)?;
            refreshed(tx, conversation, change.of)
        }
        _ => Ok(Vec::new()),
    }
}

/// Nothing that was said of an item stays, nor what opens it.
pub(super) fn forget(tx: &Tx<'_>, item: &StoredItem) -> Result<(), Error> {
    let Some(name) = item.name() else {
        return Ok(());
    };
    for change in tx.forget_changes(item.conversation, name)? {
        if change.place < UNPLACED {
            tx.forget_key(item.conversation, change.place)?;
        }
    }
    Ok(())
}

/// A message as it looks with all that is said of it, and what quotes it.
pub(super) fn refreshed(
    tx: &Tx<'_>,
    conversation: ConversationId,
    of: MessageRef,
) -> Result<Vec<TimelineItem>, Error> {
    let mut items: Vec<_> = refreshed_one(tx, conversation, of)?.into_iter().collect();
    items.extend(answers(tx, conversation, of)?);
    Ok(items)
}

/// What quotes a message.
fn answers(
    tx: &Tx<'_>,
    conversation: ConversationId,
    of: MessageRef,
) -> Result<Vec<TimelineItem>, Error> {
    let answers = tx.answers_to(conversation, of, QUOTES)?;
    if answers.is_empty() {
        return Ok(Vec::new());
    }
    let held = tx.conversation(conversation)?;
    let reached = Reached::of(held.as_ref());
    let shown = answers.into_iter().map(|answer| show(tx, answer, reached));
    shown.collect()
}

fn refreshed_one(
    tx: &Tx<'_>,
    conversation: ConversationId,
    of: MessageRef,
) -> Result<Option<TimelineItem>, Error> {
    let Some(item) = tx.item_named(conversation, of)? else {
        return Ok(None);
    };
    if item.kind == ItemKind::Message && item.progress != Progress::Held {
        let edits = tx.changes_of(conversation, of, ChangeKind::Edit)?;
        tx.set_text(item.item, edits.last().map(|edit| edit.text.as_str()))?;
    }
    let item = tx.item_named(conversation, of)?;
    let held = tx.conversation(conversation)?;
    item.map(|item| show(tx, item, Reached::of(held.as_ref())))
        .transpose()
}

/// How people like a message: the last one of each.
pub(super) fn reactions(
    tx: &Tx<'_>,
    conversation: ConversationId,
    of: MessageRef,
) -> Result<Vec<(UserId, String)>, Error> {
    let mut given: Vec<(UserId, String)> = Vec::new();
    for change in tx.changes_of(conversation, of, ChangeKind::Reaction)? {
        given.retain(|(user, _)| *user != change.name.author);
        if !change.text.is_empty() {
            given.push((change.name.author, change.text));
        }
    }
    Ok(given)
}

pub(super) fn to_pb(name: &MessageRef) -> pb::MessageRef {
    pb::MessageRef {
        author: name.author.to_pb(),
        author_device: name.device.to_pb(),
        client_message_id: name.id.to_pb(),
    }
}

fn from_pb(name: &pb::MessageRef) -> Option<MessageRef> {
    Some(MessageRef {
        author: UserId::from_slice(&name.author).ok()?,
        device: DeviceId::from_slice(&name.author_device).ok()?,
        id: ClientMessageId::from_slice(&name.client_message_id).ok()?,
    })
}
