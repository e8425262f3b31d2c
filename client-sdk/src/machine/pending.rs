//! Rows that wait: for others of their chain, or for a list that the relay says there is not.

use prost::Message as _;
use sordino_crypto::receive::{Bad, Decision, Outcome, Pass};
use sordino_protocol::{Code, pb};

use super::causes::bad_word;
use super::late;
use super::notes::Notes;
use super::own_devices::ask_for_keys;
use super::receive::{Receiver, Taken};
use super::records::note_all;
use super::settings::Defaults;
use super::timeline::no_placeholder;
use super::{Machine, registered};
use crate::error::Error;
use crate::store::{Durability, RollbackState, RowKind, StoredAccount, Tx};

impl Machine {
    /// Lists have come, and every conversation has caught up: rows that could not be judged without them are tried.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn try_pending(&mut self, now_ms: u64) -> Result<Taken, Error> {
        let me = registered(self.account.as_ref())?;
        let with = (&self.notes, self.defaults);
        let mut taken = Taken::default();
        self.store.transaction(Durability::Relaxed, |tx| {
            try_pending(tx, me, with, now_ms, &mut taken)
        })?;
        self.were_tried(&taken);
        Ok(taken)
    }

    /// Every conversation has caught up: rows that wait for others are tried, and after a rollback sending begins again.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn caught_up(&mut self, now_ms: u64) -> Result<Taken, Error> {
        let me = registered(self.account.as_ref())?;
        let (notes, defaults) = (&self.notes, self.defaults);
        let mut taken = Taken::default();
        self.store.transaction(Durability::Relaxed, |tx| {
            try_pending(tx, me, (notes, defaults), now_ms, &mut taken)?;
            if let Some(list) = notes.newest_list(tx, me.user)? {
                let _ = ask_for_keys(tx, me, &list, now_ms)?;
            }
            let _ = late::ask(tx, me, None, now_ms)?;
            note_all(tx, notes, me, now_ms)?;
            let state = tx.rollback_state()?;
            if state.recovering {
                tx.set_rollback_state(RollbackState {
                    recovering: false,
                    ..state
                })?;
            }
            Ok(())
        })?;
        self.were_tried(&taken);
        Ok(taken)
    }

    /// What the relay denied counted for the rows that were just tried: for others it is asked again.
    fn were_tried(&mut self, taken: &Taken) {
        if taken.needs.is_none() {
            self.notes.absent_lists.clear();
        }
    }
}

/// Rows that wait for others, or for a list.
fn try_pending(
    tx: &Tx<'_>,
    me: &StoredAccount,
    (notes, defaults): (&Notes, Defaults),
    now_ms: u64,
    taken: &mut Taken,
) -> Result<(), Error> {
    for (conversation, seq, bytes) in tx.pending_rows()? {
        let Some(held) = tx.conversation(conversation)? else {
            continue;
        };
        let row = pb::Row::decode(bytes.as_slice())
            .map_err(|_| Error::new(Code::StoreDamaged, "a row"))?;
        let receiver = Receiver {
            me,
            notes,
            conversation,
            peer: held.peer,
            blocked: tx.decision(held.peer)?.blocked.what,
            now_ms,
            receipts: defaults.receipts(tx)?,
        };
        receiver.again(tx, seq, &row, taken)?;
    }
    Ok(())
}

impl Receiver<'_> {
    /// A row that waited.
    fn again(&self, tx: &Tx<'_>, seq: u64, row: &pb::Row, taken: &mut Taken) -> Result<(), Error> {
        let found = match self.judge(tx, row, Pass::Again)? {
            Decision::Row(found) => found,
            // The relay said that there is none; since then this device was started again, or its person has sent more.
            Decision::NeedsList { user, version } => {
                taken.needs = taken.needs.or(Some((user, version)));
                return Ok(());
            }
        };
        if matches!(found.outcome, Outcome::Bad(Bad::NoSuchList)) {
            return Ok(());
        }
        no_placeholder(tx, self.conversation, seq, &mut taken.happenings)?;
        let header = found.header.as_ref();
        self.keep_counters(tx, header, &found)?;
        self.keep_session(tx, &found)?;
        self.alarms(tx, &found.alarms, taken)?;
        let (mut kind, mut key) = (RowKind::Undecryptable, None);
        match &found.outcome {
            Outcome::Message(message) => {
                (kind, key) = (RowKind::Message, self.kept_key(tx, header, message)?);
                if let Some(header) = header {
                    self.message(tx, seq, header, message, taken)?;
                }
            }
            Outcome::Bad(bad) => self.unreadable(tx, seq, header, bad_word(*bad), taken)?,
            Outcome::Undecryptable { cause, session } => {
                self.broken(tx, seq, header, (*cause, *session), taken)?;
            }
            _ => self.unreadable(tx, seq, header, "no_content", taken)?,
        }
        tx.settle_pending(self.conversation, seq, kind, key)
    }
}
