//! The key backup: content keys of rows that passed every check, so that a new device can read what came before it.
//!
//! Each device seals what it opens in *batches*, each naming the one before it by its hash: one chain a device, read and checked
//! backwards. A batch opens only with the keys in the vault (BSK and BPSK), and is made only by who has BPSK: with BSK's public
//! key alone the relay could invent content keys, and with them history.

#[cfg(test)]
mod tests;

use rand::CryptoRng;
use sordino_protocol::{
    ConversationId, UserId,
    batch::PLACE_LEN,
    hash::{Hash, sha256},
    limits, list,
};
use zeroize::Zeroizing;

use crate::{Secret, hpke, vault::BackupKeys};

pub use sordino_protocol::batch::{Place, batch_hash};

/// seq ‖ env_hash ‖ CK.
const ENTRY: usize = 8 + 32 + 32;

/// What opens the content of a row.
pub struct Entry {
    /// The row's conversation.
    pub conversation: ConversationId,
    /// The row's place in it.
    pub seq: u64,
    /// Which encryption of the message stands there.
    pub env_hash: Hash,
    /// CK.
    pub content_key: Secret<32>,
}

/// What a device needs to seal batches. It cannot open them.
pub struct BackupSealer {
    user: UserId,
    version: u32,
    public_key: Vec<u8>,
    shared_key: Secret<32>,
}

/// Why a batch cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More entries than one batch has, or none.
    #[error("a batch has 1 to {} keys", limits::BATCH_ENTRIES)]
    Count,
    /// The public key is none.
    #[error("the key that the backup is sealed for is damaged")]
    Key,
}

/// Why a batch does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short, too long or of another format.
    #[error("these bytes are no batch of a backup")]
    Malformed,
    /// Made with other keys, for another person or version, or changed since.
    #[error("the batch was changed, or was not made by a device of this person")]
    Changed,
}

impl BackupSealer {
    /// With what a device keeps of the vault's keys.
    pub fn new(user: UserId, version: u32, public_key: Vec<u8>, shared_key: Secret<32>) -> Self {
        Self {
            user,
            version,
            public_key,
            shared_key,
        }
    }

    /// How a device list names the version.
    pub fn listed(&self) -> list::Backup {
        list::Backup {
            version: self.version,
            key_hash: sha256(&self.public_key),
            psk_hash: sha256(self.shared_key.expose()),
        }
    }

    /// From 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// BSK's public key.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// BPSK.
    pub fn shared_key(&self) -> &Secret<32> {
        &self.shared_key
    }

    /// 1 ‖ place ‖ encapsulated key ‖ ciphertext.
    ///
    /// # Errors
    /// Too many entries, or none; a damaged key.
    pub fn seal(
        &self,
        rng: &mut impl CryptoRng,
        place: Place,
        entries: &[Entry],
    ) -> Result<Vec<u8>, SealError> {
        if !(1..=limits::BATCH_ENTRIES).contains(&entries.len()) {
            return Err(SealError::Count);
        }
        let place = place.encode();
        let info = info(self.user, self.version);
        let sealer = hpke::Sealer {
            public_key: &self.public_key,
            psk: &self.shared_key,
        };
        let sealed = sealer.seal(rng, context(&info, &place), &encode(entries));
        let sealed = sealed.ok_or(SealError::Key)?;
        Ok([place.as_slice(), &sealed.encapsulated, &sealed.ciphertext].concat())
    }
}

impl BackupKeys {
    /// What devices are given to seal with.
    pub fn sealer(&self, user: UserId) -> BackupSealer {
        BackupSealer {
            user,
            version: self.version,
            public_key: self.opener().public_key(),
            shared_key: Secret::copy_of(self.shared_key.expose()),
        }
    }

    /// Opens a batch of this person and version. Whether it is the one that belongs there is for the reader of the chain to see.
    ///
    /// # Errors
    /// It is none, or not sealed with these keys.
    pub fn open(&self, user: UserId, batch: &[u8]) -> Result<(Place, Vec<Entry>), OpenError> {
        let (place, rest) = batch
            .split_first_chunk::<PLACE_LEN>()
            .ok_or(OpenError::Malformed)?;
        let (encapsulated, ciphertext) = rest
            .split_first_chunk::<{ hpke::ENCAPSULATED }>()
            .ok_or(OpenError::Malformed)?;
        let read = Place::decode(place).ok_or(OpenError::Malformed)?;
        let info = info(user, self.version);
        let opened = self
            .opener()
            .open(context(&info, place), encapsulated, ciphertext);
        let opened = opened.ok_or(OpenError::Changed)?;
        let entries = decode(&opened).ok_or(OpenError::Malformed)?;
        Ok((read, entries))
    }

    fn opener(&self) -> hpke::Opener {
        hpke::Opener {
            seed: Secret::copy_of(self.backup_key.expose()),
            psk: Secret::copy_of(self.shared_key.expose()),
        }
    }
}

/// lbl("backup") ‖ user ‖ version: also the name of the shared key.
fn info(user: UserId, version: u32) -> Vec<u8> {
    [
        b"sordino/1/backup".as_slice(),
        user.as_bytes(),
        &version.to_be_bytes(),
    ]
    .concat()
}

fn context<'a>(info: &'a [u8], place: &'a [u8]) -> hpke::Context<'a> {
    hpke::Context {
        psk_id: info,
        info,
        aad: place,
    }
}

/// For each run of entries of one conversation: conversation 16 ‖ count u16 ‖ count × (seq u64 ‖ env_hash ‖ CK).
fn encode(entries: &[Entry]) -> Zeroizing<Vec<u8>> {
    // At worst every entry begins a run; a buffer that grows leaves keys behind.
    let mut out = Zeroizing::new(Vec::with_capacity(entries.len() * (16 + 2 + ENTRY)));
    for run in entries.chunk_by(|one, next| one.conversation == next.conversation) {
        let Some(first) = run.first() else { continue };
        out.extend_from_slice(first.conversation.as_bytes());
        // At most `BATCH_ENTRIES`.
        out.extend_from_slice(&(run.len() as u16).to_be_bytes());
        for entry in run {
            out.extend_from_slice(&entry.seq.to_be_bytes());
            out.extend_from_slice(&entry.env_hash);
            out.extend_from_slice(entry.content_key.expose());
        }
    }
    out
}

fn decode(mut encoded: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !encoded.is_empty() {
        let (conversation, rest) = encoded.split_first_chunk::<16>()?;
        let (count, mut rest) = rest.split_first_chunk::<2>()?;
        for _ in 0..u16::from_be_bytes(*count) {
            let (seq, after) = rest.split_first_chunk::<8>()?;
            let (env_hash, after) = after.split_first_chunk::<32>()?;
            let (content_key, after) = after.split_first_chunk::<32>()?;
            rest = after;
            entries.push(Entry {
                conversation: ConversationId::from_bytes(*conversation),
                seq: u64::from_be_bytes(*seq),
                env_hash: *env_hash,
                content_key: Secret::copy_of(content_key),
            });
        }
        encoded = rest;
    }
    (1..=limits::BATCH_ENTRIES)
        .contains(&entries.len())
        .then_some(entries)
}
