//! The vault: what a person needs on a new device, kept by the relay, opened by a secret that only they have.
//!
//! Every version is sealed under a fresh vault key (VK), and VK is wrapped for each *opener*: a secret from which a key pair and
//! a shared key are derived. The vault holds the openers' public keys and shared keys, so that who writes the next version needs
//! no opener's secret; and without the shared keys nobody else can write one that an opener would open.

mod contents;
#[cfg(test)]
mod tests;

use rand::CryptoRng;
use sordino_protocol::{
    DeviceId, UserId,
    hash::{Hash, sha256},
    limits, pb,
};

use crate::{
    Secret,
    committing::Derived,
    hpke,
    kdf::hkdf,
    keys::{IdentityKey, ListSigningKey},
    padding::{pad, unpad},
    recovery::RecoveryKey,
};

const COMMIT: usize = 32;

/// What kind of secret opens the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OpenerKind {
    /// Written down by the person: 160 random bits.
    RecoveryKey = 1,
    /// The password, by what OPAQUE exports of it. Who runs the relay can try to guess it.
    Password = 2,
}

/// A secret that opens vaults of one user.
pub struct OpenerSecret {
    kind: OpenerKind,
    keys: hpke::Opener,
}

/// What writing a vault needs of an opener. Not its secret.
pub struct Opener {
    kind: OpenerKind,
    public_key: Vec<u8>,
    psk: Secret<32>,
}

/// The keys of one version of the backup.
pub struct BackupKeys {
    /// From 1.
    pub version: u32,
    /// BSK: opens batches.
    pub backup_key: Secret<32>,
    /// BPSK: seals them, together with BSK's public key.
    pub shared_key: Secret<32>,
    /// Where each device's chain ended when the version was closed; empty while it is open.
    pub closed: Vec<BackupHead>,
}

/// The end of one device's chain of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupHead {
    /// Whose.
    pub device: DeviceId,
    /// The number of its last batch.
    pub number: u64,
    /// That batch's hash.
    pub hash: Hash,
}

/// What is in a vault.
pub struct Contents {
    /// UIK.
    pub identity_key: IdentityKey,
    /// LSK.
    pub list_signing_key: ListSigningKey,
    /// LSK's version.
    pub list_signing_version: u32,
    /// Who opens it.
    pub openers: Vec<Opener>,
    /// All versions of the backup that can still be read.
    pub backup_keys: Vec<BackupKeys>,
}

/// Which vault: bound to its contents and to every wrapped key, so that none stands in for another.
#[derive(Debug, Clone, Copy)]
pub struct VaultId<'a> {
    /// Whose.
    pub user: UserId,
    /// UIK, as the device list names it.
    pub identity_key: &'a [u8; 32],
    /// As the device list names it.
    pub version: u32,
    /// As the device list names it.
    pub backup_version: u32,
}

/// Why a vault cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Nobody could open it.
    #[error("a vault that nothing opens would be lost")]
    NoOpener,
    /// An opener's public key is none.
    #[error("what opens the vault is damaged")]
    Opener,
    /// More than a reader accepts.
    #[error("the vault holds more than fits into it")]
    TooLarge,
}

/// Why a vault does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is not for this kind of secret.
    #[error("this vault is not opened by a {}", .0.name())]
    NotFor(OpenerKind),
    /// The secret is another one, or the wrapped key was changed: nobody can tell which.
    #[error("the {} is not the one that opens this vault", .0.name())]
    Secret(OpenerKind),
    /// The sealed contents are not of this version, or were changed.
    #[error("the vault was changed, or is not the one that the device list names")]
    Changed,
    /// The contents cannot be read, or are another person's.
    #[error("the vault's contents are damaged")]
    Malformed,
}

impl OpenerKind {
    fn name(self) -> &'static str {
        match self {
            Self::RecoveryKey => "recovery key",
            Self::Password => "password",
        }
    }
}

impl Opener {
    /// What kind of secret it is of.
    pub fn kind(&self) -> OpenerKind {
        self.kind
    }

    /// Tells the openers of two secrets apart: the hash of the public key.
    pub fn fingerprint(&self) -> Hash {
        sha256(&self.public_key)
    }
}

impl OpenerSecret {
    /// The recovery key.
    pub fn recovery_key(key: &RecoveryKey, user: UserId) -> Self {
        Self::new(OpenerKind::RecoveryKey, key.secret(), user)
    }

    /// The password, by OPAQUE's export key.
    pub fn password(export_key: &Secret<64>, user: UserId) -> Self {
        Self::new(OpenerKind::Password, export_key.expose(), user)
    }

    fn new(kind: OpenerKind, secret: &[u8], user: UserId) -> Self {
        let info: [&[u8]; 3] = [b"sordino/1/opener", &[kind as u8], user.as_bytes()];
        let (seed, psk) = hkdf::<64>(&[], secret, &info).split();
        Self {
            kind,
            keys: hpke::Opener { seed, psk },
        }
    }

    /// What a vault that it is to open has to hold of it.
    pub fn opener(&self) -> Opener {
        Opener {
            kind: self.kind,
            public_key: self.keys.public_key(),
            psk: Secret::copy_of(self.keys.psk.expose()),
        }
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// It is not opened by this secret, or not the vault that `id` says.
    pub fn open(&self, id: VaultId<'_>, vault: &pb::Vault) -> Result<Contents, OpenError> {
        let kind = self.kind;
        if (vault.version, vault.backup_version) != (id.version, id.backup_version) {
            return Err(OpenError::Changed);
        }
        let wrapped = vault.wrapped_keys.iter();
        let wrapped = wrapped.clone().find(|wrapped| wrapped.kind == kind as u32);
        let wrapped = wrapped.ok_or(OpenError::NotFor(kind))?;
        let (info, aad) = (id.key_info(kind), id.bound());
        let context = hpke::Context {
            psk_id: &info,
            info: &info,
            aad: &aad,
        };
        let key = self
            .keys
            .open(context, &wrapped.encapsulated, &wrapped.sealed);
        let key = key.ok_or(OpenError::Secret(kind))?;
        let key: &[u8; 32] = key
            .as_slice()
            .try_into()
            .map_err(|_| OpenError::Malformed)?;
        id.unseal(&Secret::copy_of(key), &vault.sealed)
    }
}

impl VaultId<'_> {
    /// Seals contents under a fresh key for all their openers.
    ///
    /// # Errors
    /// There is no opener, or too much of something.
    pub fn write(
        self,
        rng: &mut impl CryptoRng,
        contents: &Contents,
    ) -> Result<pb::Vault, WriteError> {
        if contents.openers.is_empty() {
            return Err(WriteError::NoOpener);
        }
        let key = Secret::random(rng);
        let aad = self.bound();
        let mut wrapped_keys = Vec::with_capacity(contents.openers.len());
        for opener in &contents.openers {
            let info = self.key_info(opener.kind);
            let context = hpke::Context {
                psk_id: &info,
                info: &info,
                aad: &aad,
            };
            let sealer = hpke::Sealer {
                public_key: &opener.public_key,
                psk: &opener.psk,
            };
            let sealed = sealer.seal(rng, context, key.expose());
            let sealed = sealed.ok_or(WriteError::Opener)?;
            wrapped_keys.push(pb::WrappedVaultKey {
                kind: opener.kind as u32,
                encapsulated: sealed.encapsulated.into(),
                sealed: sealed.ciphertext.into(),
            });
        }
        Ok(pb::Vault {
            version: self.version,
            backup_version: self.backup_version,
            sealed: self.seal(&key, contents)?.into(),
            wrapped_keys,
        })
    }

    fn seal(self, key: &Secret<32>, contents: &Contents) -> Result<Vec<u8>, WriteError> {
        let padded = contents.encode().and_then(|encoded| pad(&encoded));
        let padded = padded.ok_or(WriteError::TooLarge)?;
        let derived = self.derive(key);
        let sealed = derived.seal(&padded, &self.bound());
        let sealed = sealed.ok_or(WriteError::TooLarge)?;
        let sealed = [derived.commit.as_slice(), &sealed].concat();
        match sealed.len() <= limits::VAULT_BYTES {
            true => Ok(sealed),
            false => Err(WriteError::TooLarge),
        }
    }

    fn unseal(self, key: &Secret<32>, sealed: &[u8]) -> Result<Contents, OpenError> {
        let derived = self.derive(key);
        let (commit, sealed) = sealed
            .split_first_chunk::<COMMIT>()
            .ok_or(OpenError::Changed)?;
        if !derived.is_committed_to(commit) {
            return Err(OpenError::Changed);
        }
        let padded = derived.open(sealed, &self.bound());
        let padded = padded.ok_or(OpenError::Changed)?;
        let encoded = unpad(&padded).map_err(|_| OpenError::Malformed)?;
        let contents = Contents::decode(encoded).ok_or(OpenError::Malformed)?;
        match contents.identity_key.public() == *self.identity_key {
            true => Ok(contents),
            false => Err(OpenError::Malformed),
        }
    }

    /// `HKDF(no salt, VK, info = lbl("vault") ‖ user ‖ version, 76)`.
    fn derive(self, key: &Secret<32>) -> Derived {
        let version = self.version.to_be_bytes();
        let info: [&[u8]; 3] = [b"sordino/1/vault", self.user.as_bytes(), &version];
        Derived::new(&[], key, &info)
    }

    /// user ‖ UIK ‖ version ‖ backup version.
    fn bound(self) -> Vec<u8> {
        let versions = [
            self.version.to_be_bytes(),
            self.backup_version.to_be_bytes(),
        ]
        .concat();
        [
            self.user.as_bytes().as_slice(),
            self.identity_key,
            &versions,
        ]
        .concat()
    }

    fn key_info(self, kind: OpenerKind) -> Vec<u8> {
        let mut info = b"sordino/1/vault key".to_vec();
        info.push(kind as u8);
        info.extend_from_slice(self.user.as_bytes());
        info.extend_from_slice(&self.version.to_be_bytes());
        info
    }
}
