//! ML-KEM-768. The `ml-kem` crate is not audited: everything that touches it is in this file.

use ml_kem::{
    DecapsulationKey, EncapsulationKey, MlKem768,
    kem::{Decapsulate, Encapsulate, KeyExport},
};
use rand::CryptoRng;
use zeroize::Zeroize;

use crate::Secret;

/// Length of an encapsulation key.
pub(crate) const PUBLIC: usize = 1184;
/// Length of a ciphertext.
pub(crate) const CIPHERTEXT: usize = 1088;

/// A key pair, expanded from its seed: that is most of the work of using it.
pub(crate) struct KeyPair(DecapsulationKey<MlKem768>);

impl KeyPair {
    pub(crate) fn from_seed(seed: &Secret<64>) -> Self {
        Self(DecapsulationKey::from_seed((*seed.expose()).into()))
    }

    /// The encapsulation key.
    pub(crate) fn public(&self) -> [u8; PUBLIC] {
        self.0.encapsulation_key().to_bytes().into()
    }

    /// The shared secret; another one, unrelated, if the ciphertext was not made for this key.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT]) -> Secret<32> {
        let mut shared = self.0.decapsulate(ciphertext.into());
        let secret = Secret::from_bytes(shared.into());
        shared.zeroize();
        secret
    }
}

/// Whether these bytes are an encapsulation key (FIPS 203, section 7.2).
pub(crate) fn is_public(public: &[u8; PUBLIC]) -> bool {
    EncapsulationKey::<MlKem768>::new(public.into()).is_ok()
}

/// A ciphertext and its shared secret; `None` if `public` is not an encapsulation key.
pub(crate) fn encapsulate(
    rng: &mut impl CryptoRng,
    public: &[u8; PUBLIC],
) -> Option<([u8; CIPHERTEXT], Secret<32>)> {
    let key = EncapsulationKey::<MlKem768>::new(public.into()).ok()?;
    let (ciphertext, mut shared) = key.encapsulate_with_rng(rng);
    let secret = Secret::from_bytes(shared.into());
    shared.zeroize();
    Some((ciphertext.into(), secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_and_a_changed_ciphertext_does_not() {
        let mut rng = rand::rng();
        let seed = Secret::random(&mut rng);
        let pair = KeyPair::from_seed(&seed);
        let (mut ciphertext, shared) = encapsulate(&mut rng, &pair.public()).unwrap();
        assert!(pair.decapsulate(&ciphertext) == shared);
        ciphertext[0] ^= 1;
        assert!(pair.decapsulate(&ciphertext) != shared);
    }

    #[test]
    fn unreduced_coefficients_are_no_key() {
        assert!(!is_public(&[0xFF; PUBLIC]));
        assert!(encapsulate(&mut rand::rng(), &[0xFF; PUBLIC]).is_none());
    }
}
