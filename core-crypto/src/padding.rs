//! Padding: `len u32 ‖ body ‖ zeros`, rounded up as Padmé does, at least 256 bytes. A length then tells little, at no
//! more than 12 %.

use zeroize::Zeroizing;

const LEN: usize = 4;
const LEAST: usize = 256;

/// Padded bytes that [`pad`] does not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the padding is not what a sender makes")]
pub struct PaddingError;

/// `None` if the body's length does not fit its field.
pub fn pad(body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let len = u32::try_from(body.len()).ok()?;
    let total = padded_len(body.len());
    let mut out = Zeroizing::new(Vec::with_capacity(total));
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(body);
    out.resize(total, 0);
    Some(out)
}

/// The body. What is accepted is exactly what [`pad`] makes of it: padding carries nothing.
pub fn unpad(padded: &[u8]) -> Result<&[u8], PaddingError> {
    let (len, rest) = padded.split_first_chunk::<LEN>().ok_or(PaddingError)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| PaddingError)?;
    let (body, zeros) = rest.split_at_checked(len).ok_or(PaddingError)?;
    if padded.len() != padded_len(len) || zeros.iter().any(|b| *b != 0) {
        return Err(PaddingError);
    }
    Ok(body)
}

fn padded_len(body: usize) -> usize {
    let total = body + LEN;
    if total <= LEAST {
        return LEAST;
    }
    let exponent = total.ilog2();
    let kept = exponent.ilog2() + 1;
    total.next_multiple_of(1 << (exponent - kept))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Worked by hand: E = 8 steps by 16, E = 9 by 32, E = 14 by 1024.
    #[test]
    fn lengths_are_the_specified_ones() {
        for (body, padded) in [
            (0, 256),
            (252, 256),
            (253, 272),
            (268, 272),
            (269, 288),
            (508, 512),
            (509, 544),
            (16 * 1024 - 4, 16 * 1024),
            (16 * 1024 - 3, 17 * 1024),
        ] {
            assert_eq!(pad(&vec![1; body]).unwrap().len(), padded, "{body}");
        }
    }

    /// Every length up to 20 000 as another implementation has it (`tests/vectors/generate.py`): where it changes, and to what.
    #[test]
    fn lengths_are_the_frozen_ones() {
        let vector: BTreeMap<usize, usize> =
            serde_json::from_str(include_str!("../tests/vectors/padding.json")).unwrap();
        for body in 0..20_000 {
            let (_, padded) = vector.range(..=body).next_back().unwrap();
            assert_eq!(padded_len(body), *padded, "{body}");
        }
    }

    proptest! {
        #[test]
        fn unpads_what_was_padded(body in prop::collection::vec(any::<u8>(), 0..3000)) {
            let padded = pad(&body).unwrap();
            prop_assert!(padded.len() <= (body.len() + LEN) * 112 / 100 + 1 || padded.len() == LEAST);
            prop_assert_eq!(unpad(&padded), Ok(body.as_slice()));
        }

        #[test]
        fn accepts_only_what_it_makes(padded in prop::collection::vec(any::<u8>(), 0..600), len in 0u32..600) {
            let mut padded = padded;
            for (byte, value) in padded.iter_mut().zip(len.to_be_bytes()) { *byte = value; }
            if let Ok(body) = unpad(&padded) {
                let again = pad(body).unwrap();
                prop_assert_eq!(again.as_slice(), padded.as_slice());
            }
        }
    }

    #[test]
    fn refuses_other_zeros_and_lengths() {
        let good = pad(b"body").unwrap();
        let mut marked = good.to_vec();
        marked[255] = 1;
        assert_eq!(unpad(&marked), Err(PaddingError));
        let mut longer = good.to_vec();
        longer.push(0);
        assert_eq!(unpad(&longer), Err(PaddingError));
        assert_eq!(unpad(&good[..255]), Err(PaddingError));
        assert_eq!(unpad(&[0xFF; 256]), Err(PaddingError));
        assert_eq!(unpad(&[]), Err(PaddingError));
    }
}
