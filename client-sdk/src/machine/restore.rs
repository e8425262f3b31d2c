//! Reading the key backup on a new device: batches give keys, and keys open the rows of before.
//!
//! What opens the batches is kept until everything is read, and no longer. The newest comes first; where it was stopped it goes
//! on.

use sordino_crypto::{Secret, backup::Entry, message::open_content, vault::BackupKeys};
use sordino_protocol::{
    ConversationId, DeviceId, Header, UserId,
    batch::{Head, batch_hash},
    hash::{Hash, env_hash, sha256},
    http::HistoryRow,
    pb,
};

use super::own_devices::among_own;
use super::records::restored;
use super::timeline::no_placeholder;
use super::written::{Written, written};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{ChainToRead, Durability, Passes, RestoreProgress, RowKind, StoredAccount, Tx};

/// After each pass but the last: how long later what came in the meantime is looked for. Other devices add what they have with some
/// delay, and a device that is offline adds it when it is back.
const NEXT_PASS_MS: [u64; 2] = [60 * 1000, LONGEST_MS];
const LONGEST_MS: u64 = 600 * 1000;

/// What to fetch next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextRestore {
    /// Where the chains of this version end, for [`Machine::chains_to_read`].
    Heads(u32),
    /// Batches of a chain from this one down, for [`Machine::take_batches`].
    Batches(ChainToRead),
    /// Rows of a conversation before this seq, for [`Machine::take_history`].
    Rows(ConversationId, u64),
    /// Nothing before this time.
    Later(u64),
    /// Nothing before the device that has linked this one sends keys.
    Awaited {
        /// It has said that it will; else it looks once more for what came late.
        more: bool,
    },
    /// The last keys of that device are used: what is tried again is tried later.
    LinkEnded,
    /// Nothing: everything is read, and what opens the backup is forgotten.
    Done,
}

impl Machine {
    /// What is to be fetched next. Rows must be known: every conversation has caught up.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn next_restore(&mut self, now_ms: u64) -> Result<NextRestore, Error> {
        let me = registered(self.account.as_ref())?;
        if !self.store.read(|tx| tx.restore_progress())?.begun {
            return Ok(NextRestore::Done);
        }
        let next = self.store.transaction(Durability::Relaxed, |tx| {
            let Passes { mut pass, next_ms } = tx.restore_passes()?;
            if let Some(at) = next_ms {
                // Unless the clock has gone back.
                if now_ms < at && at - now_ms <= LONGEST_MS {
                    return Ok(NextRestore::Later(at));
                }
                pass = pass.saturating_add(1);
                tx.set_restore_passes(Passes {
                    pass,
                    next_ms: None,
                })?;
                tx.try_keys_again()?;
            }
            next_of(tx, me.user, pass, now_ms)
        })?;
        if next == NextRestore::Done {
            self.store.forget_log()?;
        }
        Ok(next)
    }

    /// How far it has come.
    ///
    /// # Errors
    /// Those of the store.
    pub fn restore_progress(&self) -> Result<RestoreProgress, Error> {
        self.store.read(|tx| tx.restore_progress())
    }

    /// Where the chains of the newest version end, by the relay's word.
    ///
    /// # Errors
    /// Those of the store.
    pub fn chains_to_read(
        &mut self,
        version: u32,
        heads: &[(DeviceId, Head)],
    ) -> Result<(), Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            for (device, head) in heads {
                tx.put_chain_to_read(version, *device, *head)?;
            }
            tx.set_asked(version, tx.restore_passes()?.pass)
        })
    }

    /// Takes batches of a chain, descending from the one that was asked for. A chain that is broken ends there: what is before it
    /// was withheld.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn take_batches(
        &mut self,
        chain: &ChainToRead,
        batches: &[bytes::Bytes],
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.transaction(Durability::Relaxed, |tx| {
            let Some(keys) = tx.restore_keys(chain.version)? else {
                return Ok(Vec::new());
            };
            let pass = tx.restore_passes()?.pass;
            if tx.chain_to_read(pass)? != Some(*chain) {
                return Ok(Vec::new());
            }
            let mut left = *chain;
            let mut given = batches.iter();
            let mut intact = !batches.is_empty();
            while intact && left.next.number > left.floor {
                let Some(batch) = given.next() else { break };
                intact = take_batch(tx, me.user, &keys, &mut left, batch)?;
            }
            let mut happenings = Vec::new();
            if !intact {
                happenings.push(Happening::RelayMisbehaved {
                    conversation: None,
                    evidence: format!(
                        "it withholds the key backup of a device up to batch {}",
                        left.next.number
                    ),
                });
            }
            // In the next pass it is asked for again.
            tx.set_chain_to_read(&left, (!intact).then_some(pass))?;
            Ok(happenings)
        })
    }

    /// Takes rows before `before`, the newest first, as the relay's history gave them. Keys of rows that it does not give, or not as they
    /// were, are tried again in the next pass.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn take_history(
        &mut self,
        conversation: ConversationId,
        before: u64,
        rows: &[HistoryRow],
        now_ms: u64,
    ) -> Result<Vec<Happening>, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.transaction(Durability::Relaxed, |tx| {
            let mut happenings = Vec::new();
            let first_pass = tx.restore_passes()?.pass == 0;
            for row in rows.iter().filter(|row| row.seq < before) {
                let Some(entry) = tx.restored_key(conversation, row.seq)? else {
                    continue;
                };
                let was_late = tx.is_late(conversation, row.seq)?;
                let opened = open_row(tx, me, &entry, row, now_ms, &mut happenings)?;
                if opened != Opened::Otherwise {
                    tx.forget_restored_key(conversation, row.seq)?;
                }
                // Another device has shown it. What this one could not read came when it was there.
                if opened == Opened::Shown && first_pass && !was_late {
                    tx.raise_read(conversation, row.seq)?;
                    // Whether the user has read it that device knows: nobody is told of it by this one.
                    tx.raise_receipt(conversation, row.seq)?;
                }
            }
            let from = rows.iter().map(|row| row.seq).min();
            // At least what was asked for, or it would be asked for again.
            let from = from.unwrap_or(1).min(before.saturating_sub(1));
            let upto = before.saturating_sub(1);
            let missing = tx.tried_in_vain(conversation, from, upto)?;
            if missing > 0 {
                happenings.push(Happening::RelayMisbehaved {
                    conversation: Some(conversation),
                    evidence: format!(
                        "its history shows {missing} rows from {from} to {upto} otherwise than it delivered them, or not at all"
                    ),
                });
            }
            Ok(happenings)
        })
    }
}

/// What is left in this pass; after it, when the next one begins.
fn next_of(tx: &Tx<'_>, me: UserId, pass: u32, now_ms: u64) -> Result<NextRestore, Error> {
    // Whom the user trusts before what they were written.
    if let Some((conversation, newest)) = tx.newest_restored_key(among_own(me))? {
        return Ok(NextRestore::Rows(conversation, newest.saturating_add(1)));
    }
    if let Some(by) = tx.linked_by()? {
        if !by.ended {
            return Ok(NextRestore::Awaited { more: by.left > 0 });
        }
        tx.set_linked_by(None)?;
        return Ok(NextRestore::LinkEnded);
    }
    if let Some(version) = tx.version_to_ask_for(pass)? {
        return Ok(NextRestore::Heads(version));
    }
    if let Some(chain) = tx.chain_to_read(pass)? {
        return Ok(NextRestore::Batches(chain));
    }
    let wait = usize::try_from(pass)
        .ok()
        .and_then(|pass| NEXT_PASS_MS.get(pass));
    let Some(wait) = wait else {
        tx.forget_restore()?;
        return Ok(NextRestore::Done);
    };
    let at = now_ms.saturating_add(*wait);
    tx.set_restore_passes(Passes {
        pass,
        next_ms: Some(at),
    })?;
    Ok(NextRestore::Later(at))
}

/// Takes the next batch of a chain. `false`: it is not that one.
fn take_batch(
    tx: &Tx<'_>,
    user: UserId,
    keys: &BackupKeys,
    chain: &mut ChainToRead,
    batch: &[u8],
) -> Result<bool, Error> {
    // Its device may have put more into the last one since the relay was asked. That it is this device's and this one, its seal says.
    if !chain.is_open_end && batch_hash(batch) != chain.next.hash {
        return Ok(false);
    }
    let Ok((place, entries)) = keys.open(user, batch) else {
        return Ok(false);
    };
    let number = chain.next.number;
    let is_first = place.previous == [0; 32];
    if (place.device, place.number) != (chain.device, number) || is_first != (number == 1) {
        return Ok(false);
    }
    for entry in &entries {
        if i64::try_from(entry.seq).is_ok_and(|seq| seq > 0) {
            tx.put_restored_key(entry)?;
        }
    }
    chain.is_open_end = false;
    chain.next = Head {
        number: number - 1,
        hash: place.previous,
    };
    Ok(true)
}

/// What came of a row and its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is shown now.
    Shown,
    /// There is nothing to be shown, now or later.
    Nothing,
    /// The relay shows another one, and the key is good for the right one.
    Otherwise,
}

/// Opens a row as the relay's history shows it, if it is the one that this hash names.
pub(super) fn opened(
    row: &HistoryRow,
    named: &Hash,
    content_key: &Secret<32>,
) -> Result<(Header, pb::Content), Opened> {
    let header = row.header.0.as_ref();
    let content_hash: Result<Hash, _> = row.content_hash.0.as_ref().try_into();
    let genuine = content_hash.is_ok_and(|hash| env_hash(header, &hash) == *named);
    let (true, Ok(parsed), Ok(content_hash)) = (genuine, Header::parse(header), content_hash)
    else {
        return Err(Opened::Otherwise);
    };
    // Erased, or past its time.
    let content = row.content.as_ref().ok_or(Opened::Nothing)?;
    if sha256(&content.0) != content_hash {
        return Err(Opened::Otherwise);
    }
    let opened = open_content(header, &content.0, content_key);
    Ok((parsed, opened.map_err(|_| Opened::Nothing)?))
}

/// Opens a row of before with its key, where this device has seen that row pass, and it was not for it, or could not be read and is asked
/// for.
fn open_row(
    tx: &Tx<'_>,
    me: &StoredAccount,
    entry: &Entry,
    row: &HistoryRow,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<Opened, Error> {
    let (conversation, seq) = (entry.conversation, entry.seq);
    let kind = tx.row_kind(conversation, seq)?;
    let held = tx.row_hash(conversation, seq)?.flatten();
    if held.is_some_and(|held| held != entry.env_hash) {
        // The device that sealed the key was shown another row there.
        if tx.note_views_differ(conversation)? {
            happenings.push(Happening::ViewsDiffer { conversation, seq });
        }
        return Ok(Opened::Nothing);
    }
    let is_late = kind == Some(RowKind::Undecryptable) && tx.is_late(conversation, seq)?;
    if kind != Some(RowKind::NotForMe) && !is_late {
        return Ok(Opened::Nothing);
    }
    let (parsed, opened) = match opened(row, &entry.env_hash, &entry.content_key) {
        Ok(opened) => opened,
        Err(why) => return Ok(why),
    };
    if is_late {
        // Or another own device has given it with all others.
        no_placeholder(tx, conversation, seq, happenings)?;
        tx.forget_late(conversation, seq)?;
    }
    tx.row_restored(conversation, seq, &entry.content_key)?;
    let from = Written {
        conversation,
        seq,
        header: &parsed,
        content: &opened,
        at_ms: opened.sent_ms.min(now_ms),
        removed_sender: false,
        mine: parsed.sender == me.user,
    };
    let shown = written(tx, &from)?;
    if shown.added.is_some() {
        tx.count_restored()?;
    }
    let all = shown.added.into_iter().chain(shown.updated);
    happenings.extend(all.map(Happening::Restored));
    restored(tx, me, &from, now_ms, happenings)?;
    Ok(Opened::Shown)
}

/// Keeps what the vault gave to read with.
pub(super) fn begin_restore(tx: &Tx<'_>, keys: &[BackupKeys]) -> Result<(), Error> {
    let newest = keys.iter().map(|keys| keys.version).max();
    // Where a closed version ends the vault says, not the relay: whoever was removed then adds nothing to it.
    let can_be_read = |keys: &&BackupKeys| Some(keys.version) == newest || !keys.closed.is_empty();
    for keys in keys.iter().filter(can_be_read) {
        tx.put_restore_keys(keys, Some(keys.version) != newest)?;
    }
    Ok(())
}
