//! Reading the key backup on a new device: batches give keys, and keys open the rows of before.
//!
//! What opens the batches is kept until everything is read, and no longer. The newest comes first; where it was stopped it goes
//! on.

use sordino_crypto::{message::open_content, vault::BackupKeys};
use sordino_protocol::{
    Class, ConversationId, DeviceId, Header, UserId,
    batch::{Head, batch_hash},
    hash::{Hash, env_hash, sha256},
    http::HistoryRow,
    pb,
};

use super::timeline::{add, message};
use super::{Happening, Machine, registered};
use crate::error::Error;
use crate::store::{
    ChainToRead, Durability, RestoreProgress, RowKind, StoredAccount, Tx, UNPLACED,
};

/// What to fetch next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextRestore {
    /// Where the chains of this version end, for [`Machine::chains_to_read`].
    Heads(u32),
    /// Batches of a chain from this one down, for [`Machine::take_batches`].
    Batches(ChainToRead),
    /// Rows of a conversation before this seq, for [`Machine::take_history`].
    Rows(ConversationId, u64),
    /// Nothing: everything is read, and what opens the backup is forgotten.
    Done,
}

impl Machine {
    /// What is to be fetched next. Rows must be known: every conversation has caught up.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn next_restore(&mut self) -> Result<NextRestore, Error> {
        registered(self.account.as_ref())?;
        let (next, begun) = self.store.read(|tx| {
            let begun = tx.restore_progress()?.begun;
            if let Some((conversation, newest)) = tx.newest_restored_key()? {
                let before = newest.saturating_add(1);
                return Ok((NextRestore::Rows(conversation, before), begun));
            }
            if let Some(version) = tx.versions_to_ask_for()?.first() {
                return Ok((NextRestore::Heads(*version), begun));
            }
            let chain = tx.chain_to_read()?;
            Ok((chain.map_or(NextRestore::Done, NextRestore::Batches), begun))
        })?;
        if next == NextRestore::Done && begun {
            self.store
                .transaction(Durability::Synced, |tx| tx.forget_restore())?;
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

    /// Where the chains of a version end, by the relay's word.
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
                if head.number > 0 && i64::try_from(head.number).is_ok() {
                    tx.put_chain_to_read(version, *device, *head)?;
                }
            }
            if tx.versions_to_ask_for()?.contains(&version) {
                tx.forget_restore_keys(version)?;
            }
            Ok(())
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
            if tx.chain_to_read()? != Some(*chain) {
                return Ok(Vec::new());
            }
            let mut left = *chain;
            let mut given = batches.iter();
            let mut intact = !batches.is_empty();
            while intact && left.next.number > 0 {
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
                left.next.number = 0;
            }
            tx.set_chain_to_read(&left)?;
            Ok(happenings)
        })
    }

    /// Takes rows before `before`, the newest first, as the relay's history gave them. Keys of rows that it does not give are of
    /// no use.
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
            for row in rows.iter().filter(|row| row.seq < before) {
                open_row(tx, me, conversation, row, now_ms, &mut happenings)?;
            }
            let from = rows.iter().map(|row| row.seq).min();
            // At least what was asked for, or it would be asked for again.
            let from = from.unwrap_or(1).min(before.saturating_sub(1));
            tx.forget_restored_keys(conversation, from, before.saturating_sub(1))?;
            Ok(happenings)
        })
    }
}

/// Takes the next batch of a chain. `false`: it is not that one.
fn take_batch(
    tx: &Tx<'_>,
    user: UserId,
    keys: &BackupKeys,
    chain: &mut ChainToRead,
    batch: &[u8],
) -> Result<bool, Error> {
    if batch_hash(batch) != chain.next.hash {
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
    chain.next = Head {
        number: number - 1,
        hash: place.previous,
    };
    Ok(true)
}

/// Opens a row of before with its key, where this device has seen that row pass and could not read it.
fn open_row(
    tx: &Tx<'_>,
    me: &StoredAccount,
    conversation: ConversationId,
    row: &HistoryRow,
    now_ms: u64,
    happenings: &mut Vec<Happening>,
) -> Result<(), Error> {
    let Some(entry) = tx.restored_key(conversation, row.seq)? else {
        return Ok(());
    };
    let Some(kind) = tx.row_kind(conversation, row.seq)? else {
        return Ok(());
    };
    if tx.row_hash(conversation, row.seq)? != Some(Some(entry.env_hash)) {
        // The device that sealed the key was shown another row there.
        if kind != RowKind::Missing && tx.note_views_differ(conversation)? {
            happenings.push(Happening::ViewsDiffer {
                conversation,
                seq: row.seq,
            });
        }
        return Ok(());
    }
    if kind != RowKind::NotForMe {
        return Ok(());
    }
    let header = row.header.0.as_ref();
    let content_hash: Result<Hash, _> = row.content_hash.0.as_ref().try_into();
    let genuine = content_hash.is_ok_and(|hash| env_hash(header, &hash) == entry.env_hash);
    let (true, Ok(parsed)) = (genuine, Header::parse(header)) else {
        happenings.push(Happening::RelayMisbehaved {
            conversation: Some(conversation),
            evidence: format!(
                "its history shows another row {} than it delivered",
                row.seq
            ),
        });
        return Ok(());
    };
    // Erased, or past its time.
    let Some(content) = &row.content else {
        return Ok(());
    };
    let named: Option<&[u8]> = content_hash.as_ref().ok().map(|hash| hash.as_slice());
    if named != Some(sha256(&content.0).as_slice()) {
        return Ok(());
    }
    let Ok(opened) = open_content(header, &content.0, &entry.content_key) else {
        return Ok(());
    };
    tx.row_restored(conversation, row.seq, &entry.content_key)?;
    if let (Class::Message, Some(pb::content::Body::Text(text))) = (parsed.class, opened.body) {
        let by = (
            parsed.sender,
            parsed.sender_device,
            parsed.client_message_id,
        );
        let sent_ms = opened.sent_ms.min(UNPLACED);
        let at_ms = sent_ms.min(now_ms);
        let mut item = message(
            conversation,
            row.seq,
            by,
            (text.text, sent_ms),
            at_ms,
            false,
        );
        item.mine = parsed.sender == me.user;
        if let Some(item) = add(tx, item)? {
            tx.count_restored()?;
            happenings.push(Happening::Restored(item));
        }
    }
    // Another device has shown it.
    tx.raise_read(conversation, row.seq)?;
    Ok(())
}

/// Keeps what the vault gave to read with.
pub(super) fn begin_restore(tx: &Tx<'_>, keys: &[BackupKeys]) -> Result<(), Error> {
    let newest = keys.iter().map(|keys| keys.version).max();
    // Where a closed version ends the vault says, not the relay: whoever was removed then adds nothing to it.
    let can_be_read = |keys: &&BackupKeys| Some(keys.version) == newest || !keys.closed.is_empty();
    for keys in keys.iter().filter(can_be_read) {
        tx.put_restore_keys(keys)?;
    }
    Ok(())
}
