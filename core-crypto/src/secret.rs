//! Secret bytes.

use rand::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `N` secret bytes: wiped when dropped, compared in constant time, neither copied nor printed.
///
/// On the heap, so that moving the value does not leave a copy of the bytes on the stack.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes over. The caller's own copy is the caller's to wipe.
    pub fn from_bytes(bytes: [u8; N]) -> Self {
        Self(Box::new(bytes))
    }

    /// A copy of bytes that their holder wipes.
    pub fn copy_of(bytes: &[u8; N]) -> Self {
        Self::fill(|to| to.copy_from_slice(bytes))
    }

    /// Fresh bytes.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self::fill(|bytes| rng.fill_bytes(bytes))
    }

    /// Filled in place: no copy is left elsewhere.
    pub(crate) fn fill(fill: impl FnOnce(&mut [u8])) -> Self {
        let mut secret = Self(Box::new([0; N]));
        fill(secret.0.as_mut_slice());
        secret
    }

    /// The first `M` bytes and the `K` after them. `M + K` must be `N`.
    pub(crate) fn split<const M: usize, const K: usize>(&self) -> (Secret<M>, Secret<K>) {
        const { assert!(M + K == N) };
        let (first, second) = self.0.split_at(M);
        (
            Secret::fill(|to| to.copy_from_slice(first)),
            Secret::fill(|to| to.copy_from_slice(second)),
        )
    }

    /// The bytes. Whoever calls this is where to look when one of them leaks.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_sees_every_byte() {
        let secret = Secret::from_bytes([7; 32]);
        assert!(secret == Secret::from_bytes([7; 32]));
        for at in 0..32 {
            let mut other = [7; 32];
            other[at] ^= 1;
            assert!(secret != Secret::from_bytes(other), "byte {at}");
        }
    }
}
