//! What people say of messages, from who says it: edits, reactions, erasures, on their way to all devices.
//!
//! An edit or a reaction is a message of class `message` as a text is one: it goes to all devices, and its key into the backup. How it
//! shows is in [`super::written`].

use sordino_protocol::{
    Class, ClientMessageId, Code, UserId, hash, limits,
    pb::{self, content::Body},
};

use super::deletion::must_be_there;
use super::outbox::give_up;
use super::receive::Taken;
use super::rollback::must_not_be_stopped;
use super::send::encrypt_waiting;
use super::written::{forget, is_reaction, reactions, refreshed, to_pb};
use super::{Happening, Machine, Position, registered};
use crate::error::Error;
use crate::store::{
    Change, ChangeKind, Conversation, Durability, ItemKind, MessageRef, Progress, StoredAccount,
    StoredItem, Tx, UNPLACED,
};

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
                gone = Some(Happening::Gone(held.id, Position::of(&item)));
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
            must_not_be_stopped(tx)?;
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
    let target = tx.item_named(conversation, of)?;
    let is_erased = target.is_some_and(|item| item.kind == ItemKind::Erased);
    if given_up || change.kind == ChangeKind::Erasure {
        tx.delete_change(change.change)?;
    } else if is_erased {
        // It was on its way when the message was erased.
        tx.delete_change(change.change)?;
        erase_later(tx, &change, &[seq])?;
        taken.answers = true;
    } else {
        tx.update_change(change.change, seq, Progress::Accepted)?;
        if change.kind == ChangeKind::Reaction {
            tx.forget_superseded(&change)?;
        }
    }
    let keeps_key = !given_up && !is_erased;
    let updated = refreshed(tx, conversation, of)?;
    taken
        .happenings
        .extend(updated.into_iter().map(Happening::Placed));
    Ok(keeps_key)
}
