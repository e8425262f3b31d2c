//! What goes out, and what the relay answers.

use std::time::Duration;

use prost::Message;
use sordino_protocol::{ClientMessageId, Code, ConversationId, Retry, UserId, hash, limits, pb};

use super::deletion::deleted;
use super::lists::{Lists, take};
use super::notes::Notes;
use super::rollback::must_not_be_stopped;
use super::send::{Held, changed, content, encrypt_waiting, hold};
use super::timeline::{Position, Reached, show};
use super::written::forget;
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{
    Conversation, Durability, ItemKind, Outgoing, Progress, StoredAccount, Tx, UNPLACED,
};

/// How long to wait after a refusal whose code is of a later protocol.
const UNKNOWN_CODE_WAIT: Duration = Duration::from_secs(30);

/// Encryptions of one message after which the relay and this device seem not to agree on lists: then it goes slowly.
const ENCRYPTIONS: usize = 8;
const DISAGREEMENT_WAIT: Duration = Duration::from_secs(60);

/// What to do after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRefusal {
    /// Send again from this counter on.
    Resend {
        /// The first one.
        from: u64,
    },
    /// Fetch what [`Machine::needs`] names, call [`Machine::encrypt_held`], then send again from this counter on.
    Prepare {
        /// The first one.
        from: u64,
    },
    /// Send again from this counter on, after a while.
    Wait {
        /// How long.
        wait: Duration,
        /// The first one.
        from: u64,
    },
    /// The relay takes nothing more in this conversation, not even an empty message: its person or device is gone.
    Blocked(Code),
    /// It answers no message that is under way.
    Nothing,
}

impl Machine {
    /// Messages to send after a counter (0: from the first), in order, at most `limit` and about `max_bytes`, and none
    /// that would be the 65th without a row. Only for a conversation that has caught up.
    ///
    /// # Errors
    /// Those of the store.
    pub fn outgoing(
        &self,
        conversation: ConversationId,
        after_counter: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Outgoing>, Error> {
        self.store.read(|tx| {
            let state = tx.rollback_state()?;
            let Some(first) = tx.first_counter(conversation)? else {
                return Ok(Vec::new());
            };
            if state.recovering || state.stopped {
                return Ok(Vec::new());
            }
            let in_flight = after_counter.saturating_sub(first.saturating_sub(1));
            let in_flight = usize::try_from(in_flight).unwrap_or(limits::IN_FLIGHT);
            let limit = limit.min(limits::IN_FLIGHT.saturating_sub(in_flight));
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let mut found = tx.outgoing(conversation, after_counter, limit)?;
            let mut bytes = 0;
            let fits = found
                .iter()
                .take_while(|out| {
                    bytes += out.send.len();
                    bytes <= max_bytes
                })
                .count();
            // A message larger than the allowance goes alone.
            found.truncate(fits.max(1));
            Ok(found)
        })
    }

    /// Conversations with messages to send or to encrypt, and with whom they are.
    ///
    /// # Errors
    /// Those of the store.
    pub fn waiting(&self) -> Result<Vec<(ConversationId, UserId)>, Error> {
        self.store.read(|tx| {
            let mut found = Vec::new();
            for id in tx.waiting_conversations()? {
                found.extend(tx.conversation(id)?.map(|c| (id, c.peer)));
            }
            // Sessions to be answered or repaired, with people that the user writes to.
            for (user, _) in tx.book_pairs(true)? {
                let Some(me) = &self.account else { continue };
                let id = hash::conversation_id(me.user, user);
                if let Some(held) = tx.conversation(id)?
                    && tx.is_accepted(me.user, &held)?
                    && !found.contains(&(id, user))
                {
                    found.push((id, user));
                }
            }
            Ok(found)
        })
    }

    /// The first counter of this device in a conversation that has no row yet.
    ///
    /// # Errors
    /// Those of the store.
    pub fn first_waiting(&self, conversation: ConversationId) -> Result<Option<u64>, Error> {
        self.store.read(|tx| tx.first_counter(conversation))
    }

    /// The relay has accepted a message. It stays in the outbox until its row comes.
    ///
    /// # Errors
    /// Those of the store.
    pub fn accepted(
        &mut self,
        conversation: ConversationId,
        id: ClientMessageId,
        counter: u64,
    ) -> Result<Vec<Happening>, Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            let Some(entry) = tx.outbox_named(conversation, id)? else {
                return Ok(Vec::new());
            };
            let mut happenings = Vec::new();
            if let Some(held) = tx.conversation(conversation)?
                && tx.is_deleted(held.peer)?
            {
                // They are there after all.
                tx.set_deleted(held.peer, false)?;
                happenings.push(Happening::TrustChanged(held.peer));
            }
            let Some(item) = tx.own_item(conversation, id)? else {
                if let Some(change) = tx.own_change(conversation, id)? {
                    tx.update_change(change.change, change.place, Progress::Accepted)?;
                }
                return Ok(happenings);
            };
            if entry.counter != counter || item.progress != Progress::Outbox {
                return Ok(happenings);
            }
            tx.update_item(item.item, item.place, Progress::Accepted, "")?;
            happenings.extend(changed(tx, conversation, id)?);
            Ok(happenings)
        })
    }

    /// The relay has refused a message.
    ///
    /// # Errors
    /// `NotRegistered`, `BadKeys` if lists that came along do not verify; those of the store.
    pub fn refused(
        &mut self,
        refused: &pb::Refused,
        now_ms: u64,
    ) -> Result<(AfterRefusal, Vec<Happening>), Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &mut self.notes;
        let mut happenings = Vec::new();
        let Ok(conversation) = ConversationId::from_slice(&refused.conversation) else {
            return Ok((AfterRefusal::Nothing, happenings));
        };
        let from = refused.counter;
        let code = Code::from_name(&refused.code);
        let result = self.store.transaction(Durability::Synced, |tx| {
            let known = i64::try_from(from).is_ok();
            let entry = if known {
                tx.outbox_entry(conversation, from)?
            } else {
                None
            };
            let (Some(entry), Some(held)) = (entry, tx.conversation(conversation)?) else {
                return Ok(AfterRefusal::Nothing);
            };
            if refused.client_message_id.as_ref() != entry.client_message_id.as_bytes() {
                return Ok(AfterRefusal::Nothing);
            }
            Ok(match code {
                Some(Code::ListsChanged | Code::WrongTargets) => {
                    tx.outbox_stale_from(conversation, from)?;
                    let known = |user| Ok::<_, Error>(tx.pin(user)?.map(|(pin, _)| pin.version));
                    let before = (known(me.user)?, known(held.peer)?);
                    take_both(tx, notes, me, &held, refused, now_ms, &mut happenings)?;
                    let moved = before != (known(me.user)?, known(held.peer)?);
                    let next = encrypt_or_prepare(tx, notes, me, &held, from, now_ms)?;
                    let encryptions = tx.versions(conversation, from)?.len();
                    if encryptions.is_multiple_of(ENCRYPTIONS) && !moved {
                        happenings.push(Happening::RelayMisbehaved {
                            conversation: Some(conversation),
                            evidence: "it refuses a message again and again for device lists, and shows no other ones".to_owned(),
                        });
                    }
                    if encryptions < ENCRYPTIONS || moved {
                        next
                    } else {
                        AfterRefusal::Wait {
                            wait: DISAGREEMENT_WAIT,
                            from,
                        }
                    }
                }
                // What was given up stays behind, and is asked for again on the next connection.
                Some(code @ Code::UserDeleted) => {
                    deleted(tx, me, held.peer, now_ms, &mut happenings)?;
                    AfterRefusal::Blocked(code)
                }
                Some(Code::CounterGap) => AfterRefusal::Resend {
                    from: tx.first_counter(conversation)?.unwrap_or(from),
                },
                // What own devices say to each other has no other place, and an honest relay refuses none of it for good.
                Some(code) if is_final(code) && held.peer == me.user => {
                    happenings.push(Happening::RelayMisbehaved {
                        conversation: None,
                        evidence: format!(
                            "it refuses what this account's devices say to each other: {}",
                            code.as_str()
                        ),
                    });
                    AfterRefusal::Wait {
                        wait: DISAGREEMENT_WAIT,
                        from,
                    }
                }
                Some(code) if is_final(code) => {
                    if entry.given_up {
                        return Ok(AfterRefusal::Blocked(code));
                    }
                    give_up(tx, me, &held, from, entry.client_message_id, code, now_ms)?;
                    happenings.extend(changed(tx, conversation, entry.client_message_id)?);
                    encrypt_or_prepare(tx, notes, me, &held, from, now_ms)?
                }
                other => AfterRefusal::Wait {
                    wait: wait(other, refused.retry_after_ms),
                    from,
                },
            })
        });
        if result.is_err() {
            notes.forget_lists();
        }
        Ok((result?, happenings))
    }

    /// Gives a message up that has no row yet: if it has a counter, an empty one goes in its place. The relay may have
    /// taken it before; then it is shown as sent after all.
    ///
    /// # Errors
    /// `NotRegistered`, `UnknownMessage` if there is no such message or it has its row; those of the store.
    pub fn cancel(
        &mut self,
        conversation: ConversationId,
        id: ClientMessageId,
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            let unknown = || Error::new(Code::UnknownMessage, "");
            let held = tx.conversation(conversation)?.ok_or_else(unknown)?;
            let item = tx.own_item(conversation, id)?.ok_or_else(unknown)?;
            if let Some(entry) = tx.outbox_named(conversation, id)? {
                give_up(tx, me, &held, entry.counter, id, Code::Cancelled, now_ms)?;
                encrypt_waiting(tx, notes, me, conversation, now_ms)?;
            } else if item.progress == Progress::Held {
                let code = Code::Cancelled.as_str();
                tx.update_item(item.item, held.cursor, Progress::Failed, code)?;
            } else {
                return Err(unknown());
            }
            changed(tx, conversation, id)
        })
    }

    /// Sends anew what was given up; its new name.
    ///
    /// # Errors
    /// `NotRegistered`, `TwoCopies`, `UnknownMessage` if there is no such message or it was not given up, `MessageUnsettled` as long as the
    /// relay may have taken it all the same; those of the store.
    pub fn retry(
        &mut self,
        conversation: ConversationId,
        id: ClientMessageId,
        now_ms: u64,
    ) -> Result<(ClientMessageId, Vec<Happening>), Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            must_not_be_stopped(tx)?;
            let item = tx.own_item(conversation, id)?;
            let item = item
                .filter(|item| item.progress == Progress::Failed && item.kind == ItemKind::Message);
            let item = item.ok_or_else(|| Error::new(Code::UnknownMessage, ""))?;
            if tx.outbox_named(conversation, id)?.is_some() {
                return Err(Error::new(Code::MessageUnsettled, ""));
            }
            let held = Held {
                kind: ItemKind::Message,
                text: &item.text,
                reply_to: item.reply_to,
                timer_s: tx.timer(conversation)?,
            };
            let again = hold(tx, me, conversation, held, now_ms)?;
            forget(tx, &item)?;
            tx.delete_item(item.item)?;
            encrypt_waiting(tx, notes, me, conversation, now_ms)?;
            let reached = Reached::default();
            let new = tx.own_item(conversation, again)?;
            let new = new.map(|new| show(tx, new, reached)).transpose()?;
            let gone = Happening::Gone(conversation, Position::of(&item));
            let added = new.map(Happening::Added);
            Ok((again, [gone].into_iter().chain(added).collect()))
        })
    }
}

fn encrypt_or_prepare(
    tx: &Tx<'_>,
    notes: &Notes,
    me: &StoredAccount,
    conversation: &Conversation,
    from: u64,
    now_ms: u64,
) -> Result<AfterRefusal, Error> {
    encrypt_waiting(tx, notes, me, conversation.id, now_ms)?;
    Ok(if tx.stale(conversation.id, 1)?.is_empty() {
        AfterRefusal::Resend { from }
    } else {
        AfterRefusal::Prepare { from }
    })
}

/// The newest lists of both, as the relay gave them with its refusal.
fn take_both(
    tx: &Tx<'_>,
    notes: &mut Notes,
    me: &StoredAccount,
    conversation: &Conversation,
    refused: &pb::Refused,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let peer = conversation.peer;
    for (user, list) in [
        (me.user, &refused.sender_list),
        (peer, &refused.recipient_list),
    ] {
        // A device taken for dormant may be what the relay misses.
        notes.wake(user);
        let taken = match list {
            Some(list) => {
                let list = std::slice::from_ref(list);
                take(tx, me.user, me.device, user, list, now_ms, happenings)?
            }
            None => Lists::Gap,
        };
        taken.refresh(notes);
        // Where it is an older one that the relay goes by, it is asked whether there is no other.
        if !matches!(taken, Lists::Taken | Lists::Replaced) {
            notes.stale_lists.insert(user);
        }
    }
    Ok(())
}

pub(super) fn give_up(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: &Conversation,
    counter: u64,
    id: ClientMessageId,
    code: Code,
    now_ms: u64,
) -> Result<(), Error> {
    let body = pb::content::Body::Empty(pb::Empty {});
    let content = content(tx, me, conversation, now_ms, body)?.encode_to_vec();
    tx.outbox_give_up(conversation.id, counter, &content)?;
    if let Some(item) = tx.own_item(conversation.id, id)? {
        tx.update_item(item.item, UNPLACED, Progress::Failed, code.as_str())?;
    } else if let Some(change) = tx.own_change(conversation.id, id)? {
        tx.update_change(change.change, UNPLACED, Progress::Failed)?;
    }
    Ok(())
}

/// Refusals of the message itself: it would be refused again.
const fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::BadRequest | Code::TooLarge | Code::BadHeader | Code::NotFound | Code::UserNotFound
    )
}

fn wait(code: Option<Code>, asked_ms: u32) -> Duration {
    if asked_ms > 0 {
        return Duration::from_millis(u64::from(asked_ms));
    }
    match code.map(Code::retry) {
        Some(Retry::After(wait)) => wait,
        Some(Retry::Now) => Duration::from_secs(1),
        Some(Retry::Never) | None => UNKNOWN_CODE_WAIT,
    }
}
