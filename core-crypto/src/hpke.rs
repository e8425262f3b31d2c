//! HPKE (RFC 9180) in mode_psk, with X-Wing, HKDF-SHA256 and AES-256-GCM. Neither `hpke` nor `x-wing` is audited: everything that
//! touches them is in this file.
//!
//! mode_psk, because with the public key alone anybody could seal: the relay, too.

#[cfg(test)]
mod tests;

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, PskBundle, Serializable, aead::AesGcm256,
    kdf::HkdfSha256, kem::XWing, single_shot_open, single_shot_seal_with_rng,
};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::Secret;

type Kem = XWing;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// Length of an X-Wing encapsulation key.
pub(crate) const PUBLIC_KEY: usize = 1216;
/// Length of an encapsulated key.
pub(crate) const ENCAPSULATED: usize = 1120;

/// Who opens: an X-Wing key pair, by its seed, and a key that sealer and opener share.
pub(crate) struct Opener {
    pub(crate) seed: Secret<32>,
    pub(crate) psk: Secret<32>,
}

/// What sealing for an [`Opener`] takes.
pub(crate) struct Sealer<'a> {
    pub(crate) public_key: &'a [u8],
    pub(crate) psk: &'a Secret<32>,
}

/// What both sides have to agree on.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Names the shared key.
    pub(crate) psk_id: &'a [u8],
    pub(crate) info: &'a [u8],
    pub(crate) aad: &'a [u8],
}

/// What is sealed.
pub(crate) struct Sealed {
    pub(crate) encapsulated: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

impl Sealer<'_> {
    /// `None`: the public key is none.
    pub(crate) fn seal(
        &self,
        rng: &mut impl CryptoRng,
        context: Context<'_>,
        plaintext: &[u8],
    ) -> Option<Sealed> {
        let public_key = PublicKey::from_bytes(self.public_key).ok()?;
        let psk = PskBundle::new(self.psk.expose(), context.psk_id).ok()?;
        let (encapsulated, ciphertext) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
            &OpModeS::Psk(psk),
            &public_key,
            context.info,
            plaintext,
            context.aad,
            rng,
        )
        .ok()?;
        Some(Sealed {
            encapsulated: encapsulated.to_bytes().to_vec(),
            ciphertext,
        })
    }
}

impl Opener {
    /// The X-Wing encapsulation key, 1 216 bytes.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        // A seed of 32 bytes is always one.
        let public = self
            .private_key()
            .map(|key| Kem::sk_to_pk(&key).to_bytes().to_vec());
        public.unwrap_or_default()
    }

    /// `None`: sealed for another, under another key or context, or changed since.
    pub(crate) fn open(
        &self,
        context: Context<'_>,
        encapsulated: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let encapsulated = EncappedKey::from_bytes(encapsulated).ok()?;
        let psk = PskBundle::new(self.psk.expose(), context.psk_id).ok()?;
        let opened = single_shot_open::<AesGcm256, HkdfSha256, Kem>(
            &OpModeR::Psk(psk),
            &self.private_key()?,
            &encapsulated,
            context.info,
            ciphertext,
            context.aad,
        );
        opened.ok().map(Zeroizing::new)
    }

    fn private_key(&self) -> Option<PrivateKey> {
        PrivateKey::from_bytes(self.seed.expose()).ok()
    }
}
