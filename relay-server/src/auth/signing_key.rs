//! The key that signs access tokens, in a file of the data directory.

use std::{io, path::Path};

use super::key_file;

/// The seed of an Ed25519 key.
pub struct TokenKey(key_file::Key);

impl TokenKey {
    /// Reads the file, or draws a key and writes it where there is none.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        key_file::load_or_create(file).map(Self)
    }

    /// From 64 hexadecimal digits; `None` for anything else.
    pub fn from_hex(digits: &str) -> Option<Self> {
        key_file::from_hex(digits).map(Self)
    }

    /// To be used within the call, never kept.
    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
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
