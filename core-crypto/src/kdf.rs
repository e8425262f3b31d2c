//! HKDF-SHA256, the one key derivation.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::Secret;

/// `HKDF(salt, ikm, info, N)`; `info` is the concatenation of its parts.
pub(crate) fn hkdf<const N: usize>(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Secret<N> {
    const {
        assert!(
            N <= 255 * 32,
            "HKDF refuses to expand further: the only way it can fail"
        )
    };
    Secret::fill(|out| {
        let done = Hkdf::<Sha256>::new(Some(salt), ikm).expand_multi_info(info, out);
        debug_assert!(done.is_ok());
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendix A.1, its info in two parts.
    #[test]
    fn is_the_standard_one() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let okm = hkdf::<42>(
            &salt,
            &[0x0b; 22],
            &[
                &[0xf0, 0xf1, 0xf2, 0xf3],
                &[0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9],
            ],
        );
        assert_eq!(
            hex::encode(okm.expose()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }
}
