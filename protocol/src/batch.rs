//! What is readable of a batch of the key backup: its place in the chain of the device that sealed it. Relay and clients follow
//! the same chain; what is in a batch only the vault's keys open.

use crate::{
    DeviceId,
    hash::{Hash, labelled},
};

const FORMAT: u8 = 1;
/// Length of an encoded [`Place`], with which a batch begins.
pub const PLACE_LEN: usize = 1 + 16 + 8 + 32;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose chain.
    pub device: DeviceId,
    /// From 1, dense.
    pub number: u64,
    /// [`batch_hash`] of the batch before; zero at the first.
    pub previous: Hash,
}

/// The end of a device's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of its last batch.
    pub number: u64,
    /// [`batch_hash`] of it.
    pub hash: Hash,
}

/// What a batch does to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It comes after the last one.
    Next,
    /// It takes the place of the last one, with more in it.
    InPlaceOfLast,
    /// It is the last one.
    Last,
}

/// Names a batch: H(lbl("batch") ‖ batch).
pub fn batch_hash(batch: &[u8]) -> Hash {
    labelled("batch", &[batch])
}

impl Place {
    /// 1 ‖ device ‖ number u64 ‖ previous.
    pub fn encode(self) -> [u8; PLACE_LEN] {
        let mut out = [FORMAT; PLACE_LEN];
        let number = self.number.to_be_bytes();
        let parts = self.device.as_bytes().iter();
        let parts = parts.chain(&number).chain(&self.previous);
        out.iter_mut()
            .skip(1)
            .zip(parts)
            .for_each(|(to, from)| *to = *from);
        out
    }

    /// `None`: of another format.
    pub fn decode(encoded: &[u8; PLACE_LEN]) -> Option<Self> {
        let (format, rest) = encoded.split_first()?;
        let (device, rest) = rest.split_first_chunk::<16>()?;
        let (number, previous) = rest.split_first_chunk::<8>()?;
        (*format == FORMAT).then_some(Self {
            device: DeviceId::from_bytes(*device),
            number: u64::from_be_bytes(*number),
            previous: previous.try_into().ok()?,
        })
    }

    /// Of a whole batch. `None`: it is none.
    pub fn of(batch: &[u8]) -> Option<Self> {
        let (place, rest) = batch.split_first_chunk::<PLACE_LEN>()?;
        Self::decode(place).filter(|_| !rest.is_empty())
    }

    /// How the batch with this place and hash fits a chain that ends so. `before_last`: [`batch_hash`] of the batch before the
    /// last, zero where there is none. `None`: it does not.
    pub fn fit(&self, hash: &Hash, last: Option<Head>, before_last: &Hash) -> Option<Fit> {
        const NONE: Hash = [0; 32];
        let Some(last) = last else {
            return (self.number == 1 && self.previous == NONE).then_some(Fit::Next);
        };
        if *hash == last.hash {
            return Some(Fit::Last);
        }
        if self.number == last.number && self.previous == *before_last {
            return Some(Fit::InPlaceOfLast);
        }
        let next = last.number.checked_add(1) == Some(self.number) && self.previous == last.hash;
        next.then_some(Fit::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Hash = [0; 32];

    fn place(number: u64, previous: Hash) -> Place {
        Place {
            device: DeviceId::from_bytes([1; 16]),
            number,
            previous,
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = place(7, [9; 32]);
        assert_eq!(Place::decode(&place.encode()), Some(place));
        let batch = [place.encode().as_slice(), &[0]].concat();
        assert_eq!(Place::of(&batch), Some(place));
        assert_eq!(Place::of(&place.encode()), None, "nothing in it");
        let mut other = batch.clone();
        other[0] = 2;
        assert_eq!(Place::of(&other), None);
    }

    #[test]
    fn a_chain_grows_at_its_end_and_only_its_last_batch_changes() {
        let last = Some(Head {
            number: 2,
            hash: [2; 32],
        });
        let fit = |number, previous, hash| place(number, previous).fit(&hash, last, &[1; 32]);
        assert_eq!(fit(3, [2; 32], [3; 32]), Some(Fit::Next));
        assert_eq!(fit(2, [1; 32], [9; 32]), Some(Fit::InPlaceOfLast));
        assert_eq!(fit(2, [1; 32], [2; 32]), Some(Fit::Last));
        for (number, previous) in [(1, NONE), (2, [2; 32]), (3, [1; 32]), (4, [2; 32])] {
            assert_eq!(fit(number, previous, [9; 32]), None, "{number}");
        }
        assert_eq!(place(1, NONE).fit(&[1; 32], None, &NONE), Some(Fit::Next));
        assert_eq!(place(1, [1; 32]).fit(&[1; 32], None, &NONE), None);
        assert_eq!(place(2, NONE).fit(&[1; 32], None, &NONE), None);
    }
}
