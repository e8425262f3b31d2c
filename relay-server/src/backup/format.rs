//! The bytes of a backup: a head, then frames, each with a checksum over everything before it and itself.
//!
//! `head = magic ‖ version u16`; `frame = kind u8 ‖ length u32 ‖ payload ‖ checksum`, `checksum = SHA-256(checksum before ‖
//! kind ‖ length ‖ payload)`, the first one after SHA-256(head). So a flipped bit, a frame that is missing, repeated or in
//! another place, and an end that is cut off are all noticed. It is no signature: who can write to the file can make another.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::BackupError;

const MAGIC: &[u8; 16] = b"sordino-backup\r\n";

/// The layout described above, and the keyspaces and files in it. 2: the key of the passwords may be among them.
pub(super) const VERSION: u16 = 2;
/// The oldest that is read.
const OLDEST: u16 = 1;

/// What a frame holds at most. Entries are gathered up to a quarter of it, and one alone is never as large.
const MAX_PAYLOAD: usize = 1 << 20;

/// Entries that are gathered in one frame, and parts of a file.
pub(super) const GATHERED: usize = MAX_PAYLOAD / 4;

type Checksum = [u8; 32];

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Entries of the store of messages, as [`entry`] writes them.
    Entries = 1,
    /// The next part of the file of the users.
    Users = 2,
    /// The key that signs access tokens.
    TokenKey = 3,
    /// The last frame: what was counted, in JSON.
    End = 4,
    /// The key that passwords are checked with.
    PasswordKey = 5,
}

impl Kind {
    fn read(byte: u8) -> Option<Self> {
        let all = [
            Self::Entries,
            Self::Users,
            Self::TokenKey,
            Self::End,
            Self::PasswordKey,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

pub(super) struct Writer<W> {
    out: W,
    before: Checksum,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(mut out: W) -> io::Result<Self> {
        let head = head(VERSION);
        out.write_all(&head)?;
        Ok(Self {
            out,
            before: Sha256::digest(head).into(),
        })
    }

    pub(super) fn frame(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
        if payload.len() > MAX_PAYLOAD {
            return Err(io::Error::other("a frame of a backup is too large"));
        }
        self.before = checksum(&self.before, kind as u8, len, payload);
        self.out.write_all(&[kind as u8])?;
        self.out.write_all(&len.to_be_bytes())?;
        self.out.write_all(payload)?;
        self.out.write_all(&self.before)
    }

    pub(super) fn end(mut self, counts: &[u8]) -> io::Result<W> {
        self.frame(Kind::End, counts)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

pub(super) struct Reader<R> {
    input: R,
    before: Checksum,
}

impl<R: Read> Reader<R> {
    /// `name` is for the error.
    pub(super) fn begin(mut input: R, name: &str) -> Result<Self, BackupError> {
        let mut found = [0; 18];
        let no_backup = |_| BackupError::NoBackup(name.to_owned());
        input.read_exact(&mut found).map_err(no_backup)?;
        let [magic @ .., high, low] = found;
        if magic != *MAGIC {
            return Err(BackupError::NoBackup(name.to_owned()));
        }
        let version = u16::from_be_bytes([high, low]);
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(BackupError::Version { found: version });
        }
        Ok(Self {
            input,
            before: Sha256::digest(found).into(),
        })
    }

    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// The next frame, checked. After the last one the file must end.
    pub(super) fn frame(&mut self) -> Result<(Kind, Vec<u8>), BackupError> {
        let [kind, length @ ..] = self.bytes::<5>()?;
        let len = u32::from_be_bytes(length);
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        if size > MAX_PAYLOAD {
            return Err(BackupError::Damaged("a length"));
        }
        let payload = super::read_bounded(&mut self.input, size)?;
        let expected = checksum(&self.before, kind, len, &payload);
        if payload.len() != size || self.bytes::<32>()? != expected {
            return Err(BackupError::Damaged("a checksum"));
        }
        self.before = expected;
        let kind = Kind::read(kind).ok_or(BackupError::Damaged("a part of another kind"))?;
        if kind == Kind::End && self.input.read(&mut [0])? != 0 {
            return Err(BackupError::Damaged("something stands behind its end"));
        }
        Ok((kind, payload))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        match self.input.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(BackupError::Damaged("its end is missing"))
            }
            Err(error) => Err(error.into()),
            Ok(()) => Ok(bytes),
        }
    }
}

fn head(version: u16) -> [u8; 18] {
    let [high, low] = version.to_be_bytes();
    let mut head = [0; 18];
    for (to, from) in head.iter_mut().zip(MAGIC.iter().chain(&[high, low])) {
        *to = *from;
    }
    head
}

fn checksum(before: &Checksum, kind: u8, len: u32, payload: &[u8]) -> Checksum {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update([kind]);
    hash.update(len.to_be_bytes());
    hash.update(payload);
    hash.finalize().into()
}

/// Appends an entry: keyspace u8, key length u16, value length u32, key, value.
pub(super) fn put_entry(
    out: &mut Vec<u8>,
    keyspace: u8,
    key: &[u8],
    value: &[u8],
) -> io::Result<()> {
    let key_len = u16::try_from(key.len()).map_err(io::Error::other)?;
    let value_len = u32::try_from(value.len()).map_err(io::Error::other)?;
    out.push(keyspace);
    out.extend_from_slice(&key_len.to_be_bytes());
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    Ok(())
}

/// Keyspace, key and value.
pub(super) type Entry<'a> = (u8, &'a [u8], &'a [u8]);

/// The entries of a frame; `None` if it does not consist of entries.
pub(super) fn entries(mut bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (&keyspace, rest) = bytes.split_first()?;
        let (key_len, rest) = rest.split_first_chunk()?;
        let (value_len, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*key_len)))?;
        let value_len = usize::try_from(u32::from_be_bytes(*value_len)).ok()?;
        let (value, rest) = rest.split_at_checked(value_len)?;
        entries.push((keyspace, key, value));
        bytes = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(frames: &[(Kind, Vec<u8>)]) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new()).expect("memory");
        for (kind, payload) in frames {
            writer.frame(*kind, payload).expect("memory");
        }
        writer.end(b"{}").expect("memory")
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, BackupError> {
        let mut reader = Reader::begin(bytes, "bytes")?;
        let mut frames = Vec::new();
        loop {
            match reader.frame()? {
                (Kind::End, _) => return Ok(frames),
                frame => frames.push(frame),
            }
        }
    }

    fn frames() -> impl Strategy<Value = Vec<(Kind, Vec<u8>)>> {
        let kind = prop::sample::select(vec![
            Kind::Entries,
            Kind::Users,
            Kind::TokenKey,
            Kind::PasswordKey,
        ]);
        let payload = prop::collection::vec(any::<u8>(), 0..60);
        prop::collection::vec((kind, payload), 0..6)
    }

    /// A backup outlives the program that wrote it. Computed by another program.
    #[test]
    fn the_bytes_of_a_backup_are_frozen() {
        let frames = [
            (Kind::Entries, b"a".to_vec()),
            (Kind::Users, b"bc".to_vec()),
            (Kind::TokenKey, b"def".to_vec()),
            (Kind::PasswordKey, vec![]),
        ];
        let hash: [u8; 32] = Sha256::digest(written(&frames)).into();
        assert_eq!(
            hex::encode(hash),
            "73b7ab8137b9cf25f82358d7bbc90f5086b0fc5fbdc4ecce34b0bc6b9a8fea6b"
        );
        let mut entry = Vec::new();
        put_entry(&mut entry, 3, b"key", b"value").expect("short");
        assert_eq!(hex::encode(entry), "030003000000056b657976616c7565");
    }

    proptest! {
        #[test]
        fn every_change_of_a_bit_and_every_cut_is_noticed(
            frames in frames(), bit in 0u8..8, at in any::<prop::sample::Index>(),
        ) {
            let bytes = written(&frames);
            prop_assert_eq!(read(&bytes).expect("whole"), frames);
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert!(read(&flipped).is_err());
            prop_assert!(read(&bytes[..at.index(bytes.len())]).is_err());
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert!(read(&longer).is_err());
        }

        #[test]
        fn frames_keep_their_places(frames in frames(), at in any::<prop::sample::Index>()) {
            prop_assume!(frames.len() > 1);
            let bytes = written(&frames);
            let at = at.index(frames.len() - 1);
            let place = |n: usize| 18 + frames[..n].iter().map(|(_, p)| 37 + p.len()).sum::<usize>();
            let (first, second) = (&bytes[place(at)..place(at + 1)], &bytes[place(at + 1)..place(at + 2)]);
            prop_assume!(first != second);
            let swapped = [&bytes[..place(at)], second, first, &bytes[place(at + 2)..]].concat();
            prop_assert!(read(&swapped).is_err());
            let missing = [&bytes[..place(at)], &bytes[place(at + 1)..]].concat();
            prop_assert!(read(&missing).is_err());
        }

        #[test]
        fn random_entries_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = entries(&bytes);
        }
    }

    #[test]
    fn another_version_and_another_file_are_named() {
        let mut bytes = written(&[]);
        bytes[17] = 0;
        assert!(matches!(
            read(&bytes),
            Err(BackupError::Version { found: 0 })
        ));
        assert!(matches!(
            read(b"some file that is longer"),
            Err(BackupError::NoBackup(_))
        ));
    }

    #[test]
    fn entries_survive() {
        let mut bytes = Vec::new();
        put_entry(&mut bytes, 3, b"key", b"value").expect("short");
        put_entry(&mut bytes, 0, b"", b"").expect("short");
        let read = entries(&bytes).expect("entries");
        assert_eq!(read, [(3, &b"key"[..], &b"value"[..]), (0, b"", b"")]);
        assert!(entries(&bytes[..bytes.len() - 1]).is_none());
    }
}
