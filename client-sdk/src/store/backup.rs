//! The key backup: this device's chain, and the chains that are being read.

use rusqlite::{Row, params};
use sordino_crypto::{Secret, backup::Entry, vault::BackupKeys};
use sordino_protocol::{ConversationId, DeviceId, batch::Head, limits};
use zeroize::Zeroizing;

use super::Tx;
use super::account::secret;
use super::sql::N;
use crate::error::Error;

/// Where this device's chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Of the backup.
    pub version: u32,
    /// The last batch; number 0: there is none.
    pub last: Head,
    /// The hash of the batch before it.
    pub previous: [u8; 32],
    /// Keys in it.
    pub entries: u32,
    /// How rows name it; never used twice.
    pub batch: u64,
    /// What is in the last one is known here.
    pub is_known: bool,
}

/// A batch on its way to the relay.
pub struct Upload {
    /// Of the backup.
    pub version: u32,
    /// Its number.
    pub number: u64,
    /// The hash of the batch before it.
    pub previous: [u8; 32],
    /// Keys in it.
    pub entries: u32,
    /// How rows name it.
    pub batch: u64,
    /// The batch.
    pub bytes: Vec<u8>,
}

/// A chain that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainToRead {
    /// Of the backup.
    pub version: u32,
    /// Whose.
    pub device: DeviceId,
    /// The next batch to be read: those before it come after it.
    pub next: Head,
    /// Batches up to this one were read before.
    pub floor: u64,
    /// It is the last batch of a version that goes on, and its hash the relay's word.
    pub is_open_end: bool,
}

/// How far the reading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreProgress {
    /// There are keys to read with.
    pub begun: bool,
    /// Something is left to be read in this pass.
    pub reading: bool,
    /// Batches of the backup that are read, or keys that the device has sent that has linked this one.
    pub read: u64,
    /// All of them, once that is known.
    pub total: u64,
    /// Messages that came back.
    pub messages: u64,
}

/// Where the passes of the reading stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passes {
    /// The pass that is under way, or was last; from 0.
    pub pass: u32,
    /// When the next one begins, once this one is done.
    pub next_ms: Option<u64>,
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        conversation: ConversationId::from_bytes(row.get(0)?),
        seq: row.get::<_, N>(1)?.0,
        env_hash: row.get(2)?,
        content_key: Secret::copy_of(&Zeroizing::new(row.get(3)?)),
    })
}

impl Tx<'_> {
    /// This device's chain, if it has begun one.
    pub fn chain(&self) -> Result<Option<Chain>, Error> {
        self.one(
            "SELECT version, number, hash, previous, entries, batch, is_known FROM backup_chain",
            [],
            |row| {
                Ok(Chain {
                    version: row.get(0)?,
                    last: Head {
                        number: row.get::<_, N>(1)?.0,
                        hash: row.get(2)?,
                    },
                    previous: row.get(3)?,
                    entries: row.get(4)?,
                    batch: row.get::<_, N>(5)?.0,
                    is_known: row.get(6)?,
                })
            },
        )
    }

    /// Sets [`Self::chain`].
    pub fn put_chain(&self, chain: &Chain) -> Result<(), Error> {
        self.run(
            "INSERT OR REPLACE INTO backup_chain VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                chain.version,
                N(chain.last.number),
                chain.last.hash,
                chain.previous,
                chain.entries,
                N(chain.batch),
                chain.is_known,
            ],
        )?;
        Ok(())
    }

    /// Keys that are in no batch, at most `limit`.
    pub fn keys_to_back_up(&self, limit: u32) -> Result<Vec<Entry>, Error> {
        self.all(
            "SELECT conversation, seq, env_hash, content_key FROM rows
             WHERE content_key IS NOT NULL AND batch IS NULL AND env_hash IS NOT NULL
             ORDER BY conversation, seq LIMIT ?1",
            [limit],
            entry,
        )
    }

    /// How many there are.
    pub fn count_to_back_up(&self) -> Result<u64, Error> {
        let count = self.one(
            "SELECT count(*) FROM rows WHERE content_key IS NOT NULL AND batch IS NULL",
            [],
            |row| row.get::<_, N>(0),
        )?;
        Ok(count.map_or(0, |n| n.0))
    }

    /// The keys in a batch.
    pub fn keys_in_batch(&self, batch: u64) -> Result<Vec<Entry>, Error> {
        self.all(
            "SELECT conversation, seq, env_hash, content_key FROM rows
             WHERE batch = ?1 AND content_key IS NOT NULL AND env_hash IS NOT NULL
             ORDER BY conversation, seq",
            [N(batch)],
            entry,
        )
    }

    /// The key of a row is in a batch.
    pub fn put_in_batch(
        &self,
        conversation: ConversationId,
        seq: u64,
        batch: u64,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE rows SET batch = ?3 WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq), N(batch)],
        )?;
        Ok(())
    }

    /// What was in a batch is in none.
    pub fn empty_batch(&self, batch: u64) -> Result<(), Error> {
        self.run("UPDATE rows SET batch = NULL WHERE batch = ?1", [N(batch)])?;
        Ok(())
    }

    /// What this device had in batches is in none.
    pub fn empty_batches(&self) -> Result<(), Error> {
        self.run("UPDATE rows SET batch = NULL WHERE batch > 0", [])?;
        Ok(())
    }

    /// What any device had in batches is in none, nor what comes from them from now on.
    pub fn empty_all_batches(&self) -> Result<(), Error> {
        self.run("UPDATE rows SET batch = NULL WHERE batch >= 0", [])?;
        self.run("UPDATE account SET backs_up_restored = 1", [])?;
        Ok(())
    }

    /// Keeps a batch until the relay has it.
    pub fn put_upload(&self, upload: &Upload) -> Result<(), Error> {
        self.run(
            "INSERT OR REPLACE INTO backup_upload VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                upload.version,
                N(upload.number),
                upload.previous,
                upload.entries,
                N(upload.batch),
                upload.bytes,
            ],
        )?;
        Ok(())
    }

    /// What [`Self::put_upload`] kept.
    pub fn upload(&self) -> Result<Option<Upload>, Error> {
        self.one(
            "SELECT version, number, previous, entries, batch, bytes FROM backup_upload",
            [],
            |row| {
                Ok(Upload {
                    version: row.get(0)?,
                    number: row.get::<_, N>(1)?.0,
                    previous: row.get(2)?,
                    entries: row.get(3)?,
                    batch: row.get::<_, N>(4)?.0,
                    bytes: row.get(5)?,
                })
            },
        )
    }

    /// The relay has it, or will not take it.
    pub fn forget_upload(&self) -> Result<(), Error> {
        self.run("DELETE FROM backup_upload", []).map(drop)
    }

    /// Keeps what opens a version of the backup; of a closed one also where its chains end.
    pub fn put_restore_keys(&self, keys: &BackupKeys, is_closed: bool) -> Result<(), Error> {
        self.run(
            "INSERT OR REPLACE INTO restore_keys VALUES (?1, ?2, ?3, ?4, NULL)",
            params![
                keys.version,
                keys.backup_key.expose().as_slice(),
                keys.shared_key.expose().as_slice(),
                is_closed,
            ],
        )?;
        for head in &keys.closed {
            let last = Head {
                number: head.number,
                hash: head.hash,
            };
            self.put_chain_to_read(keys.version, head.device, last)?;
        }
        Ok(())
    }

    /// A chain is to be read from its end: all of it, or what came since the pass before, with the batch that was its last then.
    pub fn put_chain_to_read(
        &self,
        version: u32,
        device: DeviceId,
        last: Head,
    ) -> Result<(), Error> {
        if !(1..=limits::CHAIN_BATCHES).contains(&last.number) {
            return Ok(());
        }
        self.run(
            "INSERT INTO restore_chains (version, device, number, hash, total) VALUES (?1, ?2, ?3, ?4, ?3)
             ON CONFLICT DO UPDATE SET number = excluded.number, hash = excluded.hash,
                 floor = CASE WHEN number > floor THEN floor ELSE max(total - 1, 0) END, total = excluded.total
             WHERE excluded.total >= total",
            params![version, device.as_bytes(), N(last.number), last.hash],
        )?;
        Ok(())
    }

    /// What opens a version.
    pub fn restore_keys(&self, version: u32) -> Result<Option<BackupKeys>, Error> {
        let keys = self.one(
            "SELECT backup_key, shared_key FROM restore_keys WHERE version = ?1",
            [version],
            |row| {
                let keys: (Option<Secret<32>>, Option<Secret<32>>) =
                    (secret(row.get(0)?), secret(row.get(1)?));
                Ok(keys.0.zip(keys.1))
            },
        )?;
        Ok(keys.flatten().map(|(backup_key, shared_key)| BackupKeys {
            version,
            backup_key,
            shared_key,
            closed: Vec::new(),
        }))
    }

    /// The version of which the relay is to say in this pass where its chains end.
    pub fn version_to_ask_for(&self, pass: u32) -> Result<Option<u32>, Error> {
        self.one(
            "SELECT version FROM restore_keys
             WHERE is_closed = 0 AND (asked_in_pass IS NULL OR asked_in_pass < ?1)",
            [pass],
            |row| row.get(0),
        )
    }

    /// It has.
    pub fn set_asked(&self, version: u32, pass: u32) -> Result<(), Error> {
        self.run(
            "UPDATE restore_keys SET asked_in_pass = ?2 WHERE version = ?1",
            [version, pass],
        )?;
        Ok(())
    }

    /// The chain to be read next: of the newest version, the one of which most is left.
    pub fn chain_to_read(&self, pass: u32) -> Result<Option<ChainToRead>, Error> {
        self.one(
            "SELECT c.version, device, number, hash, floor, number = total AND is_closed = 0
             FROM restore_chains c JOIN restore_keys k ON k.version = c.version
             WHERE number > floor AND (broken_in_pass IS NULL OR broken_in_pass < ?1)
             ORDER BY c.version DESC, number - floor DESC LIMIT 1",
            [pass],
            |row| {
                Ok(ChainToRead {
                    version: row.get(0)?,
                    device: DeviceId::from_bytes(row.get(1)?),
                    next: Head {
                        number: row.get::<_, N>(2)?.0,
                        hash: row.get(3)?,
                    },
                    floor: row.get::<_, N>(4)?.0,
                    is_open_end: row.get(5)?,
                })
            },
        )
    }

    /// Where the passes stand.
    pub fn restore_passes(&self) -> Result<Passes, Error> {
        let passes = self.one(
            "SELECT restore_pass, restore_next_ms FROM account",
            [],
            |row| {
                Ok(Passes {
                    pass: row.get(0)?,
                    next_ms: row.get::<_, Option<N>>(1)?.map(|n| n.0),
                })
            },
        )?;
        Ok(passes.unwrap_or_default())
    }

    /// Sets [`Self::restore_passes`].
    pub fn set_restore_passes(&self, passes: Passes) -> Result<(), Error> {
        self.run(
            "UPDATE account SET restore_pass = ?1, restore_next_ms = ?2",
            params![passes.pass, passes.next_ms.map(N)],
        )?;
        Ok(())
    }

    /// Keys that were tried in vain are tried again.
    pub fn try_keys_again(&self) -> Result<(), Error> {
        self.run("UPDATE restored_keys SET tried = 0", []).map(drop)
    }

    /// A chain is read down to here.
    pub fn set_chain_to_read(
        &self,
        chain: &ChainToRead,
        broken_in_pass: Option<u32>,
    ) -> Result<(), Error> {
        self.run(
            "UPDATE restore_chains SET number = ?3, hash = ?4, broken_in_pass = ?5 WHERE version = ?1 AND device = ?2",
            params![
                chain.version,
                chain.device.as_bytes(),
                N(chain.next.number),
                chain.next.hash,
                broken_in_pass,
            ],
        )?;
        Ok(())
    }

    /// Keeps a key until its row is opened.
    pub fn put_restored_key(&self, entry: &Entry) -> Result<(), Error> {
        self.run(
            "INSERT INTO restored_keys (conversation, seq, env_hash, content_key) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            params![
                entry.conversation.as_bytes(),
                N(entry.seq),
                entry.env_hash,
                entry.content_key.expose().as_slice(),
            ],
        )?;
        Ok(())
    }

    /// The newest row of a conversation for which there is a key: in `first`, then in whichever conversation.
    pub fn newest_restored_key(
        &self,
        first: ConversationId,
    ) -> Result<Option<(ConversationId, u64)>, Error> {
        let newest = self.one(
            "SELECT max(seq) FROM restored_keys WHERE conversation = ?1 AND tried = 0",
            [first.as_bytes()],
            |row| row.get::<_, Option<N>>(0),
        )?;
        if let Some(newest) = newest.flatten() {
            return Ok(Some((first, newest.0)));
        }
        self.one(
            "SELECT conversation, max(seq) FROM restored_keys WHERE tried = 0 GROUP BY conversation LIMIT 1",
            [],
            |row| {
                Ok((
                    ConversationId::from_bytes(row.get(0)?),
                    row.get::<_, N>(1)?.0,
                ))
            },
        )
    }

    /// The key of a row, with the encryption that it is of.
    pub fn restored_key(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Entry>, Error> {
        self.one(
            "SELECT conversation, seq, env_hash, content_key FROM restored_keys
             WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
            entry,
        )
    }

    /// The key of a row is used, or of no use.
    pub fn forget_restored_key(&self, conversation: ConversationId, seq: u64) -> Result<(), Error> {
        self.run(
            "DELETE FROM restored_keys WHERE conversation = ?1 AND seq = ?2",
            params![conversation.as_bytes(), N(seq)],
        )?;
        Ok(())
    }

    /// Keys of rows from `from` up to `upto` were tried in vain in this pass; how many.
    pub fn tried_in_vain(
        &self,
        conversation: ConversationId,
        from: u64,
        upto: u64,
    ) -> Result<usize, Error> {
        self.run(
            "UPDATE restored_keys SET tried = 1 WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 AND tried = 0",
            params![conversation.as_bytes(), N(from), N(upto)],
        )
    }

    /// A message came back.
    pub fn count_restored(&self) -> Result<(), Error> {
        self.run("UPDATE account SET restored = restored + 1", [])?;
        Ok(())
    }

    /// Everything is read.
    pub fn forget_restore(&self) -> Result<(), Error> {
        for table in ["restored_keys", "restore_chains", "restore_keys"] {
            self.run(&format!("DELETE FROM {table}"), [])?;
        }
        self.set_restore_passes(Passes::default())
    }

    /// How far the reading has come.
    pub fn restore_progress(&self) -> Result<RestoreProgress, Error> {
        let progress = self.one(
            "SELECT linked_by IS NOT NULL OR EXISTS (SELECT 1 FROM restore_keys) OR EXISTS (SELECT 1 FROM restored_keys),
                 linked_keys_left > 0
                     OR EXISTS (SELECT 1 FROM restore_keys WHERE is_closed = 0 AND asked_in_pass IS NULL)
                     OR EXISTS (SELECT 1 FROM restore_chains WHERE number > floor
                         AND (broken_in_pass IS NULL OR broken_in_pass < restore_pass))
                     OR EXISTS (SELECT 1 FROM restored_keys WHERE tried = 0),
                 linked_keys + (SELECT coalesce(sum(total - max(number, floor)), 0) FROM restore_chains),
                 linked_keys + coalesce(linked_keys_left, 0) + (SELECT coalesce(sum(total - floor), 0) FROM restore_chains),
                 restored
             FROM account",
            [],
            |row| {
                Ok(RestoreProgress {
                    begun: row.get(0)?,
                    reading: row.get::<_, Option<bool>>(1)?.unwrap_or_default(),
                    read: row.get::<_, N>(2)?.0,
                    total: row.get::<_, N>(3)?.0,
                    messages: row.get::<_, N>(4)?.0,
                })
            },
        )?;
        Ok(progress.unwrap_or_default())
    }
}
