//! The key of the store, and where it is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use sordino_protocol::{error::Code, hash::labelled};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{failed_io, private};
use crate::error::Error;

/// The 32-byte key that encrypts the store; wiped from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// Takes over a key of 32 uniformly random bytes, and wipes `bytes`.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let key = Self(*bytes);
        bytes.zeroize();
        key
    }

    /// A new random key.
    #[must_use]
    pub fn random() -> Self {
        let mut key = Self([0; 32]);
        rand::fill(&mut key.0);
        key
    }

    /// The bytes themselves.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Tells keys apart without revealing anything of this one, as it is uniformly random.
    pub(super) fn check(&self) -> [u8; 32] {
        labelled("store key check", &[&self.0])
    }
}

/// Where the key of the store is kept: a platform's key chain, a file, the app's own place.
pub trait KeyStore: Send + Sync {
    /// The key, made on first use.
    ///
    /// # Errors
    /// `StoreFailed` where the place cannot be read or written, `StoreWrongKey` where it holds no key.
    fn key(&self) -> Result<StoreKey, Error>;

    /// The key of a store that is there: asked in place of [`Self::key`] then. A place that loses keys makes no new one here, with which
    /// the store could not be read either.
    ///
    /// # Errors
    /// `StoreKeyLost` where there is none; as [`Self::key`].
    fn existing(&self) -> Result<StoreKey, Error> {
        self.key()
    }
}

/// The key in a file that only its owner may read: for servers, tools and desktops without a key chain.
pub struct FileKey(PathBuf);

impl FileKey {
    /// The key in the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn read_or_create(&self) -> Result<StoreKey, Error> {
        if let Some(key) = self.read()? {
            return Ok(key);
        }
        self.create()?;
        self.read()?
            .ok_or_else(|| Error::new(Code::StoreFailed, "the key file vanished"))
    }

    fn read(&self) -> Result<Option<StoreKey>, Error> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed_io(error)),
        };
        let mut key = StoreKey([0; 32]);
        if bytes.len() != key.0.len() {
            return Err(Error::new(
                Code::StoreWrongKey,
                "the key file does not hold 32 bytes",
            ));
        }
        key.0.copy_from_slice(&bytes);
        Ok(Some(key))
    }

    /// Puts a new key in place whole or not at all; a key that another process put there first stays.
    fn create(&self) -> Result<(), Error> {
        let mut name = self.0.clone().into_os_string();
        name.push(format!(".{:016x}.new", rand::random::<u64>()));
        let new = Path::new(&name);
        let written = write_private(new, &StoreKey::random());
        let linked = written.and_then(|()| match fs::hard_link(new, &self.0) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed_io(error)),
            _ => Ok(()),
        });
        let removed = fs::remove_file(new).map_err(failed_io);
        linked.and(removed)?;
        sync_parent(&self.0)
    }
}

impl KeyStore for FileKey {
    fn key(&self) -> Result<StoreKey, Error> {
        self.read_or_create().map_err(|error| error.at(&self.0))
    }

    fn existing(&self) -> Result<StoreKey, Error> {
        let read = self.read().and_then(|key| {
            let lost = || Error::new(Code::StoreKeyLost, "the key file is gone");
            key.ok_or_else(lost)
        });
        read.map_err(|error| error.at(&self.0))
    }
}

/// A key that the app itself keeps.
pub struct FixedKey(StoreKey);

impl FixedKey {
    /// This key, always.
    #[must_use]
    pub const fn new(key: StoreKey) -> Self {
        Self(key)
    }
}

impl KeyStore for FixedKey {
    fn key(&self) -> Result<StoreKey, Error> {
        Ok(StoreKey(self.0.0))
    }
}

fn write_private(path: &Path, key: &StoreKey) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = private(&mut options).open(path).map_err(failed_io)?;
    file.write_all(key.expose()).map_err(failed_io)?;
    file.sync_all().map_err(failed_io)
}

/// Makes the name of a new file survive a power loss.
fn sync_parent(path: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(failed_io)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let first = FileKey::new(&path).key().unwrap();
        let again = FileKey::new(&path).key().unwrap();
        assert_eq!(first.expose(), again.expose());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_short_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, [1; 31]).unwrap();
        let error = FileKey::new(&path).key().err().unwrap();
        assert_eq!(error.code(), Code::StoreWrongKey);
        assert_eq!(fs::read(&path).unwrap(), [1; 31]);
    }

    #[test]
    fn the_key_of_a_store_that_is_there_is_not_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let error = FileKey::new(&path).existing().err().unwrap();
        assert_eq!(error.code(), Code::StoreKeyLost);
        assert!(error.detail().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let made = FileKey::new(&path).key().unwrap();
        let read = FileKey::new(&path).existing().unwrap();
        assert_eq!(made.expose(), read.expose());
    }

    #[test]
    fn taking_a_key_wipes_the_source() {
        let mut bytes = [7; 32];
        let key = StoreKey::take(&mut bytes);
        assert_eq!((key.expose(), bytes), (&[7; 32], [0; 32]));
    }
}
