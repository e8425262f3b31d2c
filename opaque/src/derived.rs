//! Bytes that follow from a key, where `opaque-ke` wants a random generator.

use hkdf::Hkdf;
use rand_core_of_opaque::{CryptoRng, Error, RngCore, impls};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What the secrets are derived for.
const LABEL: &[u8] = b"sordino/1/opaque server";
/// Bytes of one expansion.
const BLOCK: usize = 1024;

/// Block n is HKDF(no salt, key, label ‖ n u32, 1024): RFC 5869 with SHA-256.
pub(crate) struct Derived {
    hkdf: Hkdf<Sha256>,
    block: Zeroizing<[u8; BLOCK]>,
    number: u32,
    used: usize,
}

impl Derived {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self {
            hkdf: Hkdf::new(None, key),
            block: Zeroizing::new([0; BLOCK]),
            number: 0,
            used: BLOCK,
        }
    }

    fn next(&mut self) -> u8 {
        if self.used == BLOCK {
            let info = [LABEL, &self.number.to_be_bytes()].concat();
            // Shorter than the 8 160 bytes that HKDF may expand to.
            let expanded = self.hkdf.expand(&info, self.block.as_mut_slice());
            debug_assert!(expanded.is_ok());
            (self.number, self.used) = (self.number.wrapping_add(1), 0);
        }
        let byte = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }
}

impl RngCore for Derived {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.iter_mut().for_each(|byte| *byte = self.next());
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Derived {}
