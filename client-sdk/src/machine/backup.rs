//! The key backup: which content keys go into it, in which batch.
//!
//! A batch is stored before the relay is asked to take it, so that what it took is known whatever happens in between. The last
//! batch of the chain is replaced by a fuller one until it is full: one a minute with one message in each would cost more than the
//! messages.

use sordino_crypto::backup::{BackupSealer, Entry};
use sordino_protocol::{
    Code, DeviceId,
    batch::{Head, Place, batch_hash},
    limits,
};

use super::own_devices::newest_keys;
use super::{Machine, registered};
use crate::error::Error;
use crate::store::{Chain, Durability, Tx, Upload};

/// A batch to be given to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchToPut {
    /// Of the backup.
    pub version: u32,
    /// Its number.
    pub number: u64,
    /// No more fits into it.
    pub is_full: bool,
    /// The batch.
    pub bytes: Vec<u8>,
}

/// How much of what this device has opened is in the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// The account has a backup, and this device its keys.
    pub ready: bool,
    /// Messages that are in no batch that the relay has.
    pub waiting: u64,
}

const NONE: [u8; 32] = [0; 32];

impl Machine {
    /// The next batch, if there is anything to put into one. The same again until [`Self::batch_stored`] or
    /// [`Self::batch_refused`].
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn next_batch(&mut self) -> Result<Option<BatchToPut>, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            let keys = newest_keys(tx, notes, me)?;
            let Some(sealer) = keys.and_then(|shared| shared.backup) else {
                return Ok(None);
            };
            if let Some(upload) = tx.upload()? {
                if upload.version == sealer.version() {
                    return Ok(Some(to_put(upload)));
                }
                // That version is closed, perhaps without it.
                give_back(tx)?;
            }
            let upload = seal(tx, &sealer, me.device)?;
            Ok(upload.map(to_put))
        })
    }

    /// The relay has this batch.
    ///
    /// # Errors
    /// Those of the store.
    pub fn batch_stored(&mut self, stored: &BatchToPut) -> Result<(), Error> {
        self.store.transaction(Durability::Relaxed, |tx| {
            let Some(upload) = tx.upload()? else {
                return Ok(());
            };
            if upload.bytes != stored.bytes {
                return Ok(());
            }
            tx.put_chain(&Chain {
                version: upload.version,
                last: Head {
                    number: upload.number,
                    hash: batch_hash(&upload.bytes),
                },
                previous: upload.previous,
                entries: upload.entries,
                batch: upload.batch,
                is_known: true,
            })?;
            tx.forget_upload()
        })
    }

    /// The relay did not take the batch: this device's chain does not end where it should. `at`: where it does, by the relay's word;
    /// `None` if there is none. Returns whether the relay has lost batches: what was in them is put into it anew.
    ///
    /// # Errors
    /// Those of the store.
    pub fn batch_refused(&mut self, version: u32, at: Option<Head>) -> Result<bool, Error> {
        let last = at.unwrap_or(Head {
            number: 0,
            hash: NONE,
        });
        self.store.transaction(Durability::Synced, |tx| {
            give_back(tx)?;
            let chain = tx.chain()?.filter(|chain| chain.version == version);
            let mut lost = false;
            if let Some(chain) = chain
                && chain.last != last
            {
                // Another batch of the same number has not what this one had, unless nobody knows what that was.
                tx.empty_batch(chain.batch)?;
                lost = last.number < chain.last.number
                    || (last.number == chain.last.number && chain.is_known);
                if last.number < chain.last.number {
                    tx.empty_batches()?;
                }
            }
            goes_on(tx, version, last)?;
            Ok(lost)
        })
    }

    /// Whether this device's chain ends where the relay says, as far as this device knows.
    ///
    /// # Errors
    /// Those of the store.
    pub fn own_chain_ends_at(&self, version: u32, at: Option<Head>) -> Result<bool, Error> {
        self.store.read(|tx| {
            let of_version = |upload: &Upload| upload.version == version;
            let on_its_way = tx.upload()?.filter(of_version).map(|upload| Head {
                number: upload.number,
                hash: batch_hash(&upload.bytes),
            });
            let chain = tx.chain()?.filter(|chain| chain.version == version);
            let last = chain.filter(|chain| chain.last.number > 0);
            // Of what an old copy of the store does not know the number suffices.
            let known = last.is_none_or(|chain| {
                at == Some(chain.last)
                    || (!chain.is_known && at.is_some_and(|at| at.number >= chain.last.number))
            });
            Ok((on_its_way.is_some() && at == on_its_way) || known)
        })
    }

    /// How much waits to be put into the backup.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn backlog(&self) -> Result<Backlog, Error> {
        let me = registered(self.account.as_ref())?;
        self.store.read(|tx| {
            let keys = newest_keys(tx, &self.notes, me)?;
            let chain = tx.chain()?;
            // A batch that the relay has not taken yet holds what the one of before did, and more.
            let on_its_way = tx.upload()?.map_or(0, |upload| {
                let before = chain.filter(|chain| chain.batch == upload.batch);
                let before = before.map_or(0, |chain| chain.entries);
                upload.entries.saturating_sub(before)
            });
            Ok(Backlog {
                ready: keys.is_some_and(|shared| shared.backup.is_some()),
                waiting: tx.count_to_back_up()?.saturating_add(on_its_way.into()),
            })
        })
    }
}

fn to_put(upload: Upload) -> BatchToPut {
    BatchToPut {
        version: upload.version,
        number: upload.number,
        is_full: upload.entries >= full(),
        bytes: upload.bytes,
    }
}

/// What is in a batch that is on its way, if there is one, is in none.
fn give_back(tx: &Tx<'_>) -> Result<(), Error> {
    if let Some(upload) = tx.upload()? {
        tx.empty_batch(upload.batch)?;
    }
    tx.forget_upload()
}

/// What any device has put into the backup is in none: nobody can open it any more.
pub(super) fn backup_anew(tx: &Tx<'_>) -> Result<(), Error> {
    tx.forget_upload()?;
    tx.empty_all_batches()
}

/// The store is an old copy: the last batch at the relay may hold more than is known here, and is not replaced.
pub(super) fn rolled_back(tx: &Tx<'_>) -> Result<(), Error> {
    give_back(tx)?;
    match tx.chain()? {
        Some(chain) => goes_on(tx, chain.version, chain.last),
        None => Ok(()),
    }
}

/// The chain goes on after a batch of which this device does not know what is in it.
fn goes_on(tx: &Tx<'_>, version: u32, last: Head) -> Result<(), Error> {
    let batch = tx.chain()?.map_or(0, |chain| chain.batch);
    tx.put_chain(&Chain {
        version,
        last,
        previous: NONE,
        entries: full(),
        batch: batch.saturating_add(1),
        is_known: false,
    })
}

fn full() -> u32 {
    u32::try_from(limits::BATCH_ENTRIES).unwrap_or(u32::MAX)
}

/// Seals what is in no batch, with what is in the last one if that is not full.
fn seal(tx: &Tx<'_>, sealer: &BackupSealer, device: DeviceId) -> Result<Option<Upload>, Error> {
    let before = tx.chain()?;
    let batch = before.map_or(0, |chain| chain.batch);
    let chain = before
        .filter(|chain| chain.version == sealer.version())
        .unwrap_or(Chain {
            version: sealer.version(),
            last: Head {
                number: 0,
                hash: NONE,
            },
            previous: NONE,
            entries: full(),
            batch,
            is_known: true,
        });
    let open = chain.entries < full();
    let room = full() - if open { chain.entries } else { 0 };
    let new = tx.keys_to_back_up(room)?;
    if new.is_empty() {
        return Ok(None);
    }
    let (number, previous, batch) = match open {
        true => (chain.last.number, chain.previous, chain.batch),
        false => (
            chain.last.number.saturating_add(1),
            chain.last.hash,
            chain.batch.saturating_add(1),
        ),
    };
    for Entry {
        conversation, seq, ..
    } in &new
    {
        tx.put_in_batch(*conversation, *seq, batch)?;
    }
    let mut entries = tx.keys_in_batch(batch)?;
    // What was erased since leaves the batch with it.
    entries.truncate(limits::BATCH_ENTRIES);
    let place = Place {
        device,
        number,
        previous,
    };
    let bytes = sealer
        .seal(&mut rand::rng(), place, &entries)
        .map_err(|error| Error::new(Code::StoreDamaged, error.to_string()))?;
    let upload = Upload {
        version: sealer.version(),
        number,
        previous,
        entries: u32::try_from(entries.len()).unwrap_or(u32::MAX),
        batch,
        bytes,
    };
    tx.put_upload(&upload)?;
    Ok(Some(upload))
}
