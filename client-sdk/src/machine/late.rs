//! Messages that a broken session kept from being read: the device that sent them is asked for their keys, and gives them once more.
//! Of another person's device that is asked in the conversation with them, of an own one in the conversation with oneself.
//!
//! What comes back is a key and no message: the row is the relay's, and every check but those of the wrap is made on it.

use prost::Message as _;
use prost::bytes::Bytes;
use sordino_crypto::{
    Secret,
    receive::{Decision, Outcome},
};
use sordino_protocol::{
    Class, ClientMessageId, ConversationId, DeviceId, Header, UserId,
    hash::Hash,
    http::HistoryRow,
    list::DeviceList,
    pb::{self, content::Body},
};

use super::contacts::{Trust, trust};
use super::linking::{entry, rewrapped};
use super::own_devices::{ANSWERS, among_own, tell};
use super::receive::Receiver;
use super::restore::{Opened, opened};
use super::sessions::{live_session, put_control};
use super::timeline::no_placeholder;
use super::written::{Written, written};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{
    Conversation, Durability, LateRow, LateSender, Meant, OwnKey, RowKind, StoredAccount, Tx,
};

/// How long it is asked for, and answered.
const KEPT_MS: u64 = 14 * 24 * 60 * 60 * 1000;
/// Messages that are asked for at once.
const AT_ONCE: u32 = 64;

/// A message that could not be read is noted, if its device is to be asked for it.
pub(super) fn note(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    seq: u64,
    header: &Header,
) -> Result<(), Error> {
    let conversation = receiver.conversation;
    let is_own = header.sender == receiver.me.user;
    let is_asked_for = match is_own {
        true => !receiver.is_among_devices(tx)?,
        false => tx.is_answered(conversation)? && !receiver.blocked,
    };
    if header.class != Class::Message || !is_asked_for {
        return Ok(());
    }
    let row = LateRow {
        conversation,
        seq,
        sender: LateSender {
            device: header.sender_device,
            is_own,
        },
        id: header.client_message_id,
    };
    tx.put_late(&row, receiver.now_ms)
}

/// The devices that an own message was encrypted for.
pub(super) fn meant(
    tx: &Tx<'_>,
    receiver: &Receiver<'_>,
    header: &Header,
    env_hash: &Hash,
) -> Result<Meant, Error> {
    let sent = tx.envelope(receiver.conversation, env_hash)?;
    let sent = sent.and_then(|sent| pb::Send::decode(sent.as_slice()).ok());
    let wraps = sent.map(|sent| sent.wraps).unwrap_or_default();
    let of_peer = wraps
        .iter()
        .filter(|wrap| wrap.user.as_ref() == receiver.peer.as_bytes());
    let devices = of_peer.filter_map(|wrap| DeviceId::from_slice(&wrap.device).ok());
    Ok(Meant {
        recipient_list: header.recipient_list,
        devices: devices.collect(),
        sender_list: header.sender_list,
    })
}

/// Asks all devices with which there is a session, or this one, for the keys of what they have sent and this one could not read, where
/// that is due: the people whose they are. What came too long ago is given up.
pub(super) fn ask(
    tx: &Tx<'_>,
    me: &StoredAccount,
    only: Option<(UserId, DeviceId)>,
    now_ms: u64,
) -> Result<Vec<UserId>, Error> {
    let mut asked = Vec::new();
    tx.forget_late_before(now_ms.saturating_sub(KEPT_MS))?;
    for (id, sender) in tx.late_senders(now_ms)? {
        let Some(held) = tx.conversation(id)? else {
            continue;
        };
        let whose = if sender.is_own { me.user } else { held.peer };
        if only.is_none_or(|only| only == (whose, sender.device))
            && live_session(tx, whose, sender.device)?.is_some()
            && ask_one(tx, me, &held, sender, now_ms)?
        {
            asked.push(whose);
        }
    }
    Ok(asked)
}

fn ask_one(
    tx: &Tx<'_>,
    me: &StoredAccount,
    held: &Conversation,
    sender: LateSender,
    now_ms: u64,
) -> Result<bool, Error> {
    // They would hear that somebody is there, or nobody would.
    if !sender.is_own && (tx.decision(held.peer)?.blocked.what || tx.is_deleted(held.peer)?) {
        tx.forget_late_of(held.id)?;
        return Ok(false);
    }
    let through = match sender.is_own {
        true => among_own(me.user),
        false => held.id,
    };
    if tx.outbox_for(through, sender.device)? >= ANSWERS {
        return Ok(false);
    }
    let ids = tx.ask_late(held.id, sender, now_ms, AT_ONCE)?;
    if ids.is_empty() {
        return Ok(false);
    }
    let body = Body::Retry(pb::Retry {
        client_message_ids: ids.iter().map(|id| id.to_pb()).collect(),
        conversation: named(held.id, sender),
    });
    say(tx, me, held, sender, body, now_ms)?;
    Ok(true)
}

/// Which conversation is meant, as a message says it that stands in that with oneself.
fn named(conversation: ConversationId, with: LateSender) -> Bytes {
    match with.is_own {
        true => conversation.to_pb(),
        false => Bytes::default(),
    }
}

fn say(
    tx: &Tx<'_>,
    me: &StoredAccount,
    held: &Conversation,
    to: LateSender,
    body: Body,
    now_ms: u64,
) -> Result<(), Error> {
    let device = Some(to.device);
    match to.is_own {
        true => tell(tx, me, device, body, now_ms),
        false => put_control(tx, me, held, device, body, now_ms).map(drop),
    }
}

/// A device of the other person could not read what this one has sent. It gets the keys of what was for it, and nothing that it would not get
/// today. Whether there is something to send.
pub(super) fn asked(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    device: DeviceId,
    retry: &pb::Retry,
) -> Result<bool, Error> {
    let peer = receiver.peer;
    let Trust {
        identity_changed,
        withheld,
        ..
    } = trust(tx, peer)?;
    if identity_changed || withheld.contains(&device) {
        return Ok(false);
    }
    // A device that joined later was never meant, nor one that was held back.
    let was_meant = |own: &OwnKey| {
        let then = (peer, own.meant.recipient_list);
        Ok(own.meant.devices.contains(&device) && receiver.was_listed(tx, then, device)?)
    };
    let to = LateSender {
        device,
        is_own: false,
    };
    answer(receiver, tx, receiver.conversation, to, retry, was_meant)
}

/// The same of another device of this user, which is on the account's list. One that was put there later by whoever has stolen the key for
/// that gets nothing.
pub(super) fn asked_by_own(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    device: DeviceId,
    retry: &pb::Retry,
) -> Result<bool, Error> {
    let Ok(conversation) = ConversationId::from_slice(&retry.conversation) else {
        return Ok(false);
    };
    let me = receiver.me.user;
    let was_meant = |own: &OwnKey| receiver.was_listed(tx, (me, own.meant.sender_list), device);
    let to = LateSender {
        device,
        is_own: true,
    };
    answer(receiver, tx, conversation, to, retry, was_meant)
}

impl Receiver<'_> {
    /// The own list that has to be there before a row without a wrap is judged: whether it leaves this device out, or is of a time before
    /// it, or nothing that devices get, that list says. Those before the newest that is held are held since this device is there.
    pub(super) fn judged_by(&self, tx: &Tx<'_>, decision: &Decision) -> Result<Option<u32>, Error> {
        let me = self.me.user;
        let header = match decision {
            Decision::Row(found) if matches!(found.outcome, Outcome::NotForMe) => {
                found.header.as_ref()
            }
            _ => None,
        };
        let is_meant = |header: &&Header| header.sender == me && header.class == Class::Message;
        let Some(named) = header.filter(is_meant).map(|header| header.sender_list) else {
            return Ok(None);
        };
        let held = self.notes.newest_list(tx, me)?;
        let is_there = held.is_some_and(|held| named <= held.version);
        let denied = self.notes.is_absent(me, named);
        Ok((!is_there && !denied && !self.is_among_devices(tx)?).then_some(named))
    }

    /// Whether another own device has sent something, and left this one out: it had no prekeys when that met it, as it was away for long.
    /// Of what other people leave out nothing is said: they may hold the device back, or are blocked.
    pub(super) fn is_left_out(&self, tx: &Tx<'_>, header: &Header) -> Result<bool, Error> {
        let me = self.me;
        Ok(header.sender == me.user
            && header.class == Class::Message
            && !self.is_among_devices(tx)?
            && self.was_listed(tx, (me.user, header.sender_list), me.device)?)
    }

    /// Whether a device of the newest list of a person was on this one, with the keys that it has now.
    pub(super) fn was_listed(
        &self,
        tx: &Tx<'_>,
        (user, version): (UserId, u32),
        device: DeviceId,
    ) -> Result<bool, Error> {
        let keys = |list: &DeviceList| {
            let listed = list.device(device)?;
            Some((listed.signing_key, listed.identity_key))
        };
        let now = self.notes.newest_list(tx, user)?;
        let now = now.and_then(|list| keys(&list));
        let then = self.notes.list(tx, user, version)?;
        let then = then.and_then(|list| keys(&list));
        Ok(now.is_some() && now == then)
    }
}

fn answer(
    receiver: &Receiver<'_>,
    tx: &Tx<'_>,
    conversation: ConversationId,
    to: LateSender,
    retry: &pb::Retry,
    may_have: impl Fn(&OwnKey) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let now_ms = receiver.now_ms;
    // Either way it is the conversation in which it was asked.
    if tx.outbox_for(receiver.conversation, to.device)? >= ANSWERS {
        return Ok(false);
    }
    let Some(held) = tx.conversation(conversation)? else {
        return Ok(false);
    };
    let mut keys = Vec::new();
    for id in retry.client_message_ids.iter().take(AT_ONCE as usize) {
        if let Ok(id) = ClientMessageId::from_slice(id)
            && let Some(own) = tx.own_key(conversation, id)?
            && now_ms.saturating_sub(own.at_ms) <= KEPT_MS
            && may_have(&own)?
        {
            keys.push(rewrapped(&own.entry));
        }
    }
    if keys.is_empty() {
        return Ok(false);
    }
    let body = Body::Rewrap(pb::Rewrap {
        keys,
        conversation: named(conversation, to),
    });
    say(tx, receiver.me, &held, to, body, now_ms)?;
    Ok(true)
}

/// A device gives keys of what it has sent. Whether there is something to be opened with them.
pub(super) fn came(
    tx: &Tx<'_>,
    conversation: ConversationId,
    from: LateSender,
    rewrap: &pb::Rewrap,
) -> Result<bool, Error> {
    let mut any = false;
    for key in rewrap.keys.iter().take(AT_ONCE as usize) {
        if let Some(entry) = entry(conversation, key) {
            any |= tx.late_key_came(&entry, from)?;
        }
    }
    Ok(any)
}

/// The same of another device of this user.
pub(super) fn came_from_own(
    tx: &Tx<'_>,
    device: DeviceId,
    rewrap: &pb::Rewrap,
) -> Result<bool, Error> {
    let from = LateSender {
        device,
        is_own: true,
    };
    match ConversationId::from_slice(&rewrap.conversation) {
        Ok(conversation) => came(tx, conversation, from, rewrap),
        Err(_) => Ok(false),
    }
}

impl Machine {
    /// Asks for the keys of what could not be read, where that is due. People to whom there is something to be sent.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn ask_late(&mut self, now_ms: u64) -> Result<Vec<UserId>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store
            .transaction(Durability::Synced, |tx| ask(tx, me, None, now_ms))
    }

    /// A row whose key has come after all: to be fetched once more, for [`Self::take_late`].
    ///
    /// # Errors
    /// Those of the store.
    pub fn next_late(&self) -> Result<Option<(ConversationId, u64)>, Error> {
        self.store.read(|tx| tx.next_late())
    }

    /// Takes rows of history up to the one that was asked for, and opens those whose keys have come. What the relay does not give, or
    /// gives otherwise than it was, stays as it is.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn take_late(
        &mut self,
        conversation: ConversationId,
        seq: u64,
        rows: &[HistoryRow],
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.transaction(Durability::Relaxed, |tx| {
            let mut happenings = Vec::new();
            if let Some(held) = tx.conversation(conversation)? {
                let hides = tx.decision(held.peer)?.blocked.what;
                for row in rows {
                    let late = tx.late_row(conversation, row.seq)?;
                    let Some((late, env_hash, key)) =
                        late.filter(|(late, ..)| late.sender.is_own || !hides)
                    else {
                        continue;
                    };
                    let known = (&late, &env_hash, &key);
                    match open(tx, me, &held, known, row, now_ms, &mut happenings)? {
                        // A relay shows the right one another time.
                        Opened::Otherwise => tx.forget_late_key(conversation, row.seq)?,
                        Opened::Shown | Opened::Nothing => tx.forget_late(conversation, row.seq)?,
                    }
                }
            }
            // What was not given is asked for again as well.
            tx.forget_late_key(conversation, seq)?;
            Ok(happenings)
        })
    }
}

fn open(
    tx: &Tx<'_>,
    me: &StoredAccount,
    held: &Conversation,
    (late, env_hash, key): (&LateRow, &Hash, &Secret<32>),
    row: &HistoryRow,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<Opened, Error> {
    if tx.row_kind(held.id, row.seq)? != Some(RowKind::Undecryptable) {
        return Ok(Opened::Nothing);
    }
    let (header, content) = match opened(row, env_hash, key) {
        Ok(opened) => opened,
        Err(why) => return Ok(why),
    };
    let mine = late.sender.is_own;
    let author = if mine { me.user } else { held.peer };
    let is_it = (header.class, header.sender, header.sender_device)
        == (Class::Message, author, late.sender.device)
        && (header.conversation, header.client_message_id) == (held.id, late.id);
    if !is_it {
        return Ok(Opened::Nothing);
    }
    no_placeholder(tx, held.id, row.seq, happenings)?;
    let kept = (content.timer_s == 0).then_some(key);
    tx.settle_pending(held.id, row.seq, RowKind::Message, kept)?;
    let shown = written(
        tx,
        &Written {
            conversation: held.id,
            seq: row.seq,
            header: &header,
            content: &content,
            at_ms: now_ms,
            removed_sender: false,
            mine,
        },
    )?;
    happenings.extend(shown.told(mine));
    Ok(Opened::Shown)
}
