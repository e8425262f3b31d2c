//! A look over protobuf bytes before they are decoded.
//!
//! A decoder allocates as it goes: 64 KiB of two-byte elements become megabytes of structs. [`check`] walks the bytes
//! without allocating, counts every field against a [`Shape`], and bounds lengths and depth. Fields that the shape does not
//! name are skipped, so that a later version may add some; groups (obsolete, and recursive) are refused.

/// Bytes that are not worth decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Truncated, overlong varint, unknown wire type or a group.
    #[error("these bytes are not a protobuf message")]
    Malformed,
    /// A field is longer than it may be.
    #[error("field {0} is too long")]
    TooLong(u32),
    /// A field stands more often than it may.
    #[error("field {0} stands too often")]
    TooMany(u32),
}

/// How often a field may stand and how long it may be.
#[derive(Debug)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// How often it may stand.
    pub count: usize,
    /// Most bytes of one occurrence, if it is length-delimited.
    pub bytes: usize,
    /// The shape of the message it holds, if it holds one.
    pub shape: Option<&'static Shape>,
}

/// The bounds of a message. Shapes are constants that refer downwards, so depth is bounded by construction.
#[derive(Debug)]
pub struct Shape(pub &'static [Field]);

/// A singular bytes, string or scalar field.
pub const fn field(number: u32, bytes: usize) -> Field {
    Field {
        number,
        count: 1,
        bytes,
        shape: None,
    }
}

/// A repeated bytes field.
pub const fn repeated(number: u32, count: usize, bytes: usize) -> Field {
    Field {
        number,
        count,
        bytes,
        shape: None,
    }
}

/// A singular message field.
pub const fn message(number: u32, bytes: usize, shape: &'static Shape) -> Field {
    Field {
        number,
        count: 1,
        bytes,
        shape: Some(shape),
    }
}

/// A repeated message field.
pub const fn messages(number: u32, count: usize, bytes: usize, shape: &'static Shape) -> Field {
    Field {
        number,
        count,
        bytes,
        shape: Some(shape),
    }
}

/// Most fields of one shape; a test holds every shape to it.
pub(crate) const MOST_FIELDS: usize = 24;

/// Whether `bytes` fit `shape`.
pub fn check(mut bytes: &[u8], shape: &'static Shape) -> Result<(), ScanError> {
    let mut counts = [0_usize; MOST_FIELDS];
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = u32::try_from(key >> 3).map_err(|_| ScanError::Malformed)?;
        if number == 0 || number > 0x1fff_ffff {
            return Err(ScanError::Malformed);
        }
        let value = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                None
            }
            1 => {
                split(&mut bytes, 8)?;
                None
            }
            5 => {
                split(&mut bytes, 4)?;
                None
            }
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).map_err(|_| ScanError::Malformed)?;
                Some(split(&mut bytes, len)?)
            }
            _ => return Err(ScanError::Malformed),
        };
        let known = shape
            .0
            .iter()
            .zip(counts.iter_mut())
            .find(|(field, _)| field.number == number);
        let Some((field, count)) = known else {
            continue;
        };
        *count += 1;
        if *count > field.count {
            return Err(ScanError::TooMany(number));
        }
        if let Some(value) = value {
            if value.len() > field.bytes {
                return Err(ScanError::TooLong(number));
            }
            if let Some(inner) = field.shape {
                check(value, inner)?;
            }
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, ScanError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(ScanError::Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(ScanError::Malformed)
}

fn split<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], ScanError> {
    let (head, rest) = bytes.split_at_checked(len).ok_or(ScanError::Malformed)?;
    *bytes = rest;
    Ok(head)
}
