//! Rows of a conversation: judged one by one, stored together with everything that they change.

use prost::Message as _;
use sordino_crypto::{
    Secret,
    prekeys::Peer,
    receive::{
        Alarm, Bad, Context, Decision, Message, Outcome, Pass, RowDecision, env_hash, receive,
    },
    session::Position,
};
use sordino_protocol::{Class, Code, ConversationId, Header, UserId, hash, pb};

use super::causes::bad_word;
use super::chains;
use super::late;
use super::notes::Notes;
use super::own_devices::heard;
use super::own_rows::own_row;
use super::receipts;
use super::records::{counts, is_record};
use super::send::wants_attention;
use super::timeline::{add, blank};
use super::view::StoreView;
use super::written::{Written, written};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{
    Durability, ItemKind, LateSender, Meant, Row, RowKind, StoredAccount, StoredItem, Tx,
    WITHOUT_CHAIN,
};
use crate::sync::{Arrival, arrival};

/// Rows of a conversation that are kept until there is the list that they name.
const WITHOUT_LIST: u64 = 64;

/// What became of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// The conversation's cursor now.
    pub cursor: u64,
    /// Acknowledge up to here.
    pub ack: Option<u64>,
    /// What happened.
    pub happenings: Vec<Happening>,
    /// Fetch the lists of this user up to this version (see [`Machine::list_range`]), then give the rest of the rows again.
    pub needs: Option<(UserId, u32)>,
    /// A session with the sender is to be answered or repaired: call [`Machine::needs`] and [`Machine::encrypt_held`] for
    /// this conversation's person, as if a message waited.
    pub attention: bool,
    /// Something was asked that this device answers: as with `attention`.
    pub answers: bool,
    /// A device that is new reads the key backup: what is not in it yet had better be.
    pub fills_backup: bool,
    /// A device that this one has linked waits for keys of what was before it.
    pub shares_history: bool,
    /// Such keys have come.
    pub restores: bool,
    /// Keys of messages have come that could not be read: see [`Machine::next_late`].
    pub late: bool,
    /// There is something for other own devices: as with `answers`, for oneself.
    pub tells_own: bool,
    /// Lists came with a row: call [`Machine::try_pending`], once everything has caught up.
    pub lists_came: bool,
    /// Pull these rows, both ends included: those before them are stored, these are not.
    pub pull: Option<(u64, u64)>,
}

impl Machine {
    /// Takes rows of the conversation with `peer`, in any order, each as often as the relay likes. What follows a hole,
    /// or a list that is not held, is not stored.
    ///
    /// # Errors
    /// `NotRegistered`, `RelayMisbehaved` if the conversation is not with `peer`, `DeviceRevoked`; those of the store.
    pub fn take_rows(
        &mut self,
        peer: UserId,
        conversation: ConversationId,
        rows: &[pb::Row],
        catching_up: bool,
        now_ms: u64,
    ) -> Result<Taken, Error> {
        let me = registered(self.account.as_ref())?;
        if conversation != hash::conversation_id(me.user, peer) {
            return Err(Error::new(
                Code::RelayMisbehaved,
                "a conversation of other people",
            ));
        }
        let pass = if catching_up {
            Pass::CatchingUp
        } else {
            Pass::Live
        };
        let mut rows: Vec<&pb::Row> = rows.iter().collect();
        rows.sort_by_key(|row| row.seq);
        let (notes, defaults) = (&self.notes, self.defaults);
        let taken = self.store.transaction(Durability::Relaxed, |tx| {
            let receiver = Receiver {
                me,
                notes,
                conversation,
                peer,
                blocked: tx.decision(peer)?.blocked.what,
                now_ms,
                receipts: defaults.receipts(tx)?,
            };
            receiver.take(tx, &rows, pass)
        });
        if taken.is_err() {
            self.notes.forget_lists();
        }
        let taken = taken?;
        if taken.needs.is_none() {
            self.notes.absent_lists.remove(&peer);
        }
        if taken.happenings.contains(&Happening::RolledBack) {
            self.notes = Notes::default();
        }
        Ok(taken)
    }
}

pub(super) struct Receiver<'a> {
    pub(super) me: &'a StoredAccount,
    pub(super) notes: &'a Notes,
    pub(super) conversation: ConversationId,
    pub(super) peer: UserId,
    /// The other person is. What own devices decide of others comes in the conversation with oneself, and so never meanwhile.
    pub(super) blocked: bool,
    pub(super) now_ms: u64,
    /// Read receipts count.
    pub(super) receipts: bool,
}

impl Receiver<'_> {
    fn take(&self, tx: &Tx<'_>, rows: &[&pb::Row], pass: Pass) -> Result<Taken, Error> {
        let mut taken = Taken::default();
        for row in rows {
            let cursor = tx.cursor(self.conversation)?;
            match arrival(cursor, row.seq) {
                Arrival::Drop => {
                    self.compare(tx, row, &mut taken)?;
                    continue;
                }
                Arrival::Pull { from } => {
                    let to = rows.last().map_or(row.seq, |last| last.seq);
                    taken.pull = Some((from, to));
                    break;
                }
                Arrival::Apply => {}
            }
            let mut decision = self.judge(tx, row, pass)?;
            if chains::is_denied(&decision) && chains::came(self, tx, row, &mut taken)? {
                decision = self.judge(tx, row, pass)?;
            }
            if let Some(version) = self.judged_by(tx, &decision)? {
                taken.needs = Some((self.me.user, version));
                break;
            }
            match decision {
                Decision::NeedsList { user, version } => {
                    taken.needs = Some((user, version));
                    break;
                }
                Decision::Row(found) => {
                    self.apply(tx, row, *found, &mut taken)?;
                    taken.ack = Some(row.seq);
                }
            }
        }
        if let Some(held) = tx.conversation(self.conversation)? {
            taken.cursor = held.cursor;
            taken.attention =
                tx.is_accepted(self.me.user, &held)? && wants_attention(tx, self.notes, self.peer)?;
        }
        Ok(taken)
    }

    /// A row comes again, as often as the relay likes; another one has no place there.
    fn compare(&self, tx: &Tx<'_>, row: &pb::Row, taken: &mut Taken) -> Result<(), Error> {
        let held = tx.row_hash(self.conversation, row.seq)?.flatten();
        if held.is_some_and(|held| held != env_hash(row)) {
            taken.happenings.push(Happening::RelayMisbehaved {
                conversation: Some(self.conversation),
                evidence: format!("it shows another row at {} than before", row.seq),
            });
        }
        Ok(())
    }

    pub(super) fn judge(&self, tx: &Tx<'_>, row: &pb::Row, pass: Pass) -> Result<Decision, Error> {
        let me = self.me_then(tx, row)?;
        let context = self.context(&me, pass);
        receive(&mut rand::rng(), &self.view(tx), &context, row)
    }

    pub(super) fn context<'a>(&'a self, me: &'a Peer, pass: Pass) -> Context<'a> {
        Context {
            me,
            keys: &self.me.keys,
            conversation: self.conversation,
            pass,
            now_ms: self.now_ms,
        }
    }

    pub(super) fn view<'a, 't>(&'a self, tx: &'a Tx<'t>) -> StoreView<'a, 't> {
        StoreView {
            tx,
            notes: self.notes,
        }
    }

    /// This device, as the list says that the row was encrypted for: a session that was begun before an identity reset is bound to the
    /// identity key of then.
    pub(super) fn me_then(&self, tx: &Tx<'_>, row: &pb::Row) -> Result<Peer, Error> {
        let newest = self.notes.newest_list(tx, self.me.user)?;
        let newest = newest.ok_or_else(|| Error::new(Code::DeviceRevoked, ""))?;
        let now = Peer::of(&newest, self.me.device);
        let now = now.ok_or_else(|| Error::new(Code::DeviceRevoked, ""))?;
        let version =
            Header::parse(&row.header)
                .ok()
                .map(|header| match header.sender == self.me.user {
                    true => header.sender_list,
                    false => header.recipient_list,
                });
        match version.filter(|version| *version < newest.version) {
            Some(version) => {
                let list = tx.list(self.me.user, version)?;
                let then = list.and_then(|list| Peer::of(&list, self.me.device));
                Ok(then.unwrap_or(now))
            }
            None => Ok(now),
        }
    }

    fn apply(
        &self,
        tx: &Tx<'_>,
        row: &pb::Row,
        found: RowDecision,
        taken: &mut Taken,
    ) -> Result<(), Error> {
        // Not before there is a row: the relay names whom it likes.
        tx.ensure_conversation(self.conversation, self.peer)?;
        let header = found.header.as_ref();
        self.keep_counters(tx, header, &found)?;
        self.keep_session(tx, &found)?;
        self.alarms(tx, &found.alarms, taken)?;
        let (bytes, own_key);
        let mut meant = Meant::default();
        let mut stored = Row {
            seq: row.seq,
            kind: RowKind::Undecryptable,
            env_hash: Some(found.env_hash),
            content_key: None,
            pending: None,
        };
        match &found.outcome {
            Outcome::Own => {
                stored.kind = RowKind::Own;
                if let Some(header) = header {
                    own_key = tx.envelope_key(self.conversation, &found.env_hash)?;
                    meant = late::meant(tx, self, header, &found.env_hash)?;
                    if own_row(self, tx, row.seq, header, found.env_hash, taken)? {
                        stored.content_key = own_key.as_ref();
                    }
                }
            }
            Outcome::NotForMe => {
                stored.kind = RowKind::NotForMe;
                if let Some(header) = header
                    && self.is_left_out(tx, header)?
                {
                    stored.kind = RowKind::Undecryptable;
                    late::note(self, tx, row.seq, header)?;
                    self.unreadable(tx, row.seq, Some(header), "left_out", taken)?;
                }
            }
            Outcome::NoContent => self.unreadable(tx, row.seq, header, "no_content", taken)?,
            Outcome::Pending(position) => {
                stored.kind = RowKind::Pending;
                bytes = row.encode_to_vec();
                stored.pending = Some((&bytes, *position));
            }
            Outcome::Message(message) => {
                stored.kind = RowKind::Message;
                stored.content_key = self.kept_key(tx, header, message)?;
                if let Some(header) = header {
                    self.message(tx, row.seq, header, message, taken)?;
                }
            }
            Outcome::Bad(Bad::NoSuchList) => {
                // It takes no message that names another list than the newest.
                taken.happenings.push(Happening::RelayMisbehaved {
                    conversation: Some(self.conversation),
                    evidence: "it took a message of a device list that it says there is not"
                        .to_owned(),
                });
                self.unreadable(tx, row.seq, header, bad_word(Bad::NoSuchList), taken)?;
                // It may be the list that is withheld.
                if tx.waits_for_list(self.conversation)? < WITHOUT_LIST {
                    stored.kind = RowKind::Pending;
                    bytes = row.encode_to_vec();
                    let last = Position {
                        chain: WITHOUT_CHAIN,
                        index: row.seq,
                    };
                    stored.pending = Some((&bytes, last));
                }
            }
            Outcome::Bad(bad) => self.unreadable(tx, row.seq, header, bad_word(*bad), taken)?,
            Outcome::Undecryptable { cause, session } => {
                self.broken(tx, row.seq, header, (*cause, *session), taken)?;
            }
        }
        tx.record_row(self.conversation, &stored)?;
        if let (Outcome::Own, Some(_)) = (&found.outcome, stored.content_key) {
            tx.note_meant(self.conversation, row.seq, &meant)?;
        }
        Ok(())
    }

    /// The key that goes into the backup, and to devices that are linked: not of what devices say to each other, nor of what does not
    /// last, nor of what is not shown or does not count, for there it would.
    pub(super) fn kept_key<'a>(
        &self,
        tx: &Tx<'_>,
        header: Option<&Header>,
        message: &'a Message,
    ) -> Result<Option<&'a Secret<32>>, Error> {
        let content = &message.opened.content;
        let lasts = |header: &&Header| {
            header.class == Class::Message
                && content.timer_s == 0
                && !self.hides(Some(header.sender))
        };
        let Some(header) = header.filter(lasts) else {
            return Ok(None);
        };
        let is_kept = !is_record(content) || counts(self, tx, header)?;
        Ok(is_kept.then_some(&message.opened.content_key))
    }

    /// Whether nobody but devices writes here: the user does not write to themselves.
    pub(super) fn is_among_devices(&self, tx: &Tx<'_>) -> Result<bool, Error> {
        Ok(self.peer == self.me.user && !tx.is_answered(self.conversation)?)
    }

    /// Whether what this author wrote is not shown now, and never will be: the other person is blocked.
    fn hides(&self, author: Option<UserId>) -> bool {
        self.blocked && author != Some(self.me.user)
    }

    pub(super) fn message(
        &self,
        tx: &Tx<'_>,
        seq: u64,
        header: &Header,
        found: &Message,
        taken: &mut Taken,
    ) -> Result<(), Error> {
        let content = &found.opened.content;
        let mine = header.sender == self.me.user;
        // Who is blocked may still take back what they wrote.
        if header.class == Class::Erase || !self.hides(Some(header.sender)) {
            let from = Written {
                conversation: self.conversation,
                seq,
                header,
                content,
                at_ms: self.now_ms,
                removed_sender: found.removed_sender,
                mine,
            };
            taken.happenings.extend(written(tx, &from)?.told(mine));
        }
        if let (Class::Control, Some(pb::content::Body::ReadReceipt(receipt))) =
            (header.class, &content.body)
            && self.receipts
            && !found.removed_sender
            && self.peer != self.me.user
        {
            let happenings = &mut taken.happenings;
            receipts::came(
                tx,
                self.conversation,
                (seq, mine),
                receipt,
                self.now_ms,
                happenings,
            )?;
        }
        if header.class == Class::Control
            && self.peer != self.me.user
            && !mine
            && !self.blocked
            && !found.removed_sender
        {
            match &content.body {
                Some(pb::content::Body::Retry(retry)) => {
                    taken.answers |= late::asked(self, tx, header.sender_device, retry)?;
                }
                Some(pb::content::Body::Rewrap(rewrap)) => {
                    let conversation = self.conversation;
                    let from = LateSender {
                        device: header.sender_device,
                        is_own: false,
                    };
                    taken.late |= late::came(tx, conversation, from, rewrap)?;
                }
                _ => {}
            }
        }
        let is_between_devices = match header.class {
            Class::Control => true,
            Class::Message => is_record(content),
            Class::Erase => false,
        };
        if is_between_devices
            && self.peer == self.me.user
            && let Some(body) = &content.body
        {
            heard(self, tx, header, body, taken)?;
        }
        chains::answer(self, tx, header, found, taken)
    }

    /// A placeholder, except for what no person wrote.
    pub(super) fn unreadable(
        &self,
        tx: &Tx<'_>,
        seq: u64,
        header: Option<&Header>,
        cause: &str,
        taken: &mut Taken,
    ) -> Result<(), Error> {
        let author = header.map(|header| header.sender);
        if header.is_some_and(|header| header.class != Class::Message) || self.hides(author) {
            return Ok(());
        }
        // It was a record.
        if self.is_among_devices(tx)? {
            return Ok(());
        }
        let item = StoredItem {
            author,
            code: cause.to_owned(),
            ..blank(self.conversation, seq, ItemKind::Undecryptable, self.now_ms)
        };
        taken
            .happenings
            .extend(add(tx, item)?.map(Happening::Added));
        Ok(())
    }

    pub(super) fn alarms(
        &self,
        tx: &Tx<'_>,
        alarms: &[Alarm],
        taken: &mut Taken,
    ) -> Result<(), Error> {
        let conversation = self.conversation;
        for alarm in alarms {
            let evidence = match alarm {
                Alarm::Replay { last, counter } => {
                    format!("counter {counter} was shown again after {last}")
                }
                Alarm::Withheld { last, counter } => {
                    format!("counters between {last} and {counter} were withheld")
                }
                Alarm::ListDigest => "the sender was shown other device lists".to_owned(),
                Alarm::ViewsDiffer { seq } => {
                    if tx.note_views_differ(conversation)? {
                        taken.happenings.push(Happening::ViewsDiffer {
                            conversation,
                            seq: *seq,
                        });
                    }
                    continue;
                }
            };
            taken.happenings.push(Happening::RelayMisbehaved {
                conversation: Some(conversation),
                evidence,
            });
        }
        Ok(())
    }
}
