//! What people have written, and how it shows: texts, what answers them, what is said of them.
//!
//! What is said of a message may come before it, for a backup is read from its end; then it waits. Of several the one with the highest
//! seq counts, on all devices the same.

use prost::Message as _;
use sordino_protocol::{
    Class, ClientMessageId, ConversationId, DeviceId, Header, UserId, limits,
    pb::{self, content::Body},
};

use super::Happening;
use super::changes::check_text;
use super::records::is_record;
use super::settings::is_display_name;
use super::timeline::{Reached, TimelineItem, add, message, show};
use crate::error::Error;
use crate::store::{
    Change, ChangeKind, ItemKind, MessageRef, Progress, RowKind, StoredItem, Tx, UNPLACED,
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

impl Shown {
    /// What happened. Of what the user wrote on another device nobody is to be told.
    pub(super) fn told(self, mine: bool) -> impl Iterator<Item = Happening> {
        let told = match mine {
            true => Happening::Added,
            false => Happening::Received,
        };
        let updated = self.updated.into_iter().map(Happening::Updated);
        self.added.map(told).into_iter().chain(updated)
    }
}

/// Short, and one word: where it came from is no matter.
pub(super) fn is_reaction(text: &str) -> bool {
    text.len() <= limits::REACTION_BYTES
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// Puts what a person wrote into the timeline.
pub(super) fn written(tx: &Tx<'_>, from: &Written<'_>) -> Result<Shown, Error> {
    let (header, content) = (from.header, from.content);
    let mut shown = Shown::default();
    if let (Class::Message, Some(body)) = (header.class, &content.body)
        && is_by_a_person(body)
        && !from.mine
        && !from.removed_sender
        && is_display_name(&content.sender_name)
    {
        tx.put_display_name(header.sender, &content.sender_name, from.seq)?;
    }
    if from.mine && header.class == Class::Message && !is_record(content) {
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

/// What carries the name of who wrote it; not what was given up, nor what devices say.
const fn is_by_a_person(body: &Body) -> bool {
    matches!(
        body,
        Body::Text(_) | Body::Edit(_) | Body::Reaction(_) | Body::Timer(_)
    )
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
    forget_pending(tx, conversation, seq, by)?;
    if let Some(item) = tx.written_at(conversation, seq, by)? {
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

/// A row of this author that waits to be opened is not opened any more.
fn forget_pending(
    tx: &Tx<'_>,
    conversation: ConversationId,
    seq: u64,
    by: UserId,
) -> Result<(), Error> {
    let Some(row) = tx.pending_row(conversation, seq)? else {
        return Ok(());
    };
    let row = pb::Row::decode(row.as_slice()).ok();
    let header = row.and_then(|row| Header::parse(&row.header).ok());
    match header {
        Some(header) if header.sender == by => {
            tx.settle_pending(conversation, seq, RowKind::NotForMe, None)
        }
        _ => Ok(()),
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
