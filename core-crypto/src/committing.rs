//! AES-256-GCM that commits to its key. AES-GCM alone does not: one ciphertext can be made to open under two keys, to two texts.

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Secret, kdf::hkdf};

/// Key, nonce and commitment for one message.
pub(crate) struct Derived {
    key: Secret<32>,
    nonce: [u8; 12],
    pub(crate) commit: [u8; 32],
}

impl Derived {
    /// key ‖ nonce ‖ commit = HKDF(salt, ikm, info, 76). `ikm` is of this message alone: the nonce is no other's.
    pub(crate) fn new(salt: &[u8], ikm: &Secret<32>, info: &[&[u8]]) -> Self {
        let okm: Secret<76> = hkdf(salt, ikm.expose(), info);
        let (key, rest) = okm.split::<32, 44>();
        let (nonce, commit) = rest.split::<12, 32>();
        Self {
            key,
            nonce: *nonce.expose(),
            commit: *commit.expose(),
        }
    }

    /// Whether this is the key that was committed to. To be asked before [`Self::open`].
    pub(crate) fn is_committed_to(&self, commit: &[u8; 32]) -> bool {
        self.commit.ct_eq(commit).into()
    }

    /// `None`: it is too long, by far.
    pub(crate) fn seal(&self, msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg, aad };
        self.cipher().encrypt(&self.nonce.into(), payload).ok()
    }

    /// `None`: it was changed, or is of another key.
    pub(crate) fn open(&self, msg: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg, aad };
        let opened = self.cipher().decrypt(&self.nonce.into(), payload);
        opened.ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.key.expose().into())
    }
}
