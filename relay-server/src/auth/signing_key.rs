//! The key that signs access tokens, in a file of the data directory.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use zeroize::Zeroizing;

/// The seed of an Ed25519 key.
pub struct TokenKey(Zeroizing<[u8; 32]>);

impl TokenKey {
    /// Reads the file, or draws a key and writes it where there is none.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        match OpenOptions::new().read(true).open(file) {
            Ok(opened) => Self::read(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(file),
            Err(error) => Err(error),
        }
    }

    /// From 64 hexadecimal digits; `None` for anything else.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits.trim(), seed.as_mut_slice()).ok()?;
        Some(Self(seed))
    }

    /// To be used within the call, never kept.
    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn read(mut opened: std::fs::File) -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        opened.read_exact(seed.as_mut_slice())?;
        // A longer file is some other file: better to stop than to sign with its beginning.
        if opened.read(&mut [0])? != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the token key must be 32 bytes",
            ));
        }
        Ok(Self(seed))
    }

    fn create(file: &Path) -> io::Result<Self> {
        let seed = Zeroizing::new(rand::random::<[u8; 32]>());
        // Whole or not at all: what a crash leaves of it is not read as the key.
        let new = file.with_extension("new");
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // The mode is part of the creation: a chmod afterwards would leave a moment in which others may open it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut created = options.open(&new)?;
        created.write_all(seed.as_slice())?;
        created.sync_all()?;
        fs::rename(&new, file)?;
        Ok(Self(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("token.key");
        let created = TokenKey::load_or_create(&file).expect("created");
        let read = TokenKey::load_or_create(&file).expect("read");
        assert_eq!(created.expose(), read.expose());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&file)
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_a_crash_left_of_a_key_is_not_taken_for_one() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("token.new"), [1; 31]).expect("written");
        let file = dir.path().join("token.key");
        let created = TokenKey::load_or_create(&file).expect("created");
        let read = TokenKey::load_or_create(&file).expect("read");
        assert_eq!(created.expose(), read.expose());
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 1);
    }

    #[test]
    fn a_key_can_be_written_as_text() {
        let key = TokenKey::from_hex(&format!("{}\n", "0f".repeat(32))).expect("a key");
        assert_eq!(key.expose(), &[0x0f; 32]);
        for bad in ["", "0f", &"0g".repeat(32), &"0f".repeat(33)] {
            assert!(TokenKey::from_hex(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("token.key");
        for len in [0, 31, 33] {
            std::fs::write(&file, vec![1; len]).expect("written");
            assert!(TokenKey::load_or_create(&file).is_err(), "{len} bytes");
        }
    }
}
