//! One process at a time has the store open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use sordino_protocol::error::Code;

use super::{failed_io, private};
use crate::error::Error;

/// The held lock; dropping it, or the death of the process, releases it.
///
/// The lock file keeps a check value of the key of the store beside it, which tells a wrong key from a
/// damaged first page: SQLCipher itself reports both alike.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock at `path`, at once or not at all.
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = private(&mut options).open(path).map_err(failed_io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::new(Code::StoreLocked, "")),
            Err(TryLockError::Error(error)) => Err(failed_io(error)),
        }
    }

    /// The check value of the key that last opened the store, if one ever did.
    pub(super) fn check(&mut self) -> Result<Option<[u8; 32]>, Error> {
        self.0.seek(SeekFrom::Start(0)).map_err(failed_io)?;
        let mut check = Vec::new();
        self.0.read_to_end(&mut check).map_err(failed_io)?;
        Ok(check.try_into().ok())
    }

    /// Remembers the check value of the key that opened the store.
    pub(super) fn set_check(&mut self, check: [u8; 32]) -> Result<(), Error> {
        if self.check()? == Some(check) {
            return Ok(());
        }
        self.forget()?;
        self.0.seek(SeekFrom::Start(0)).map_err(failed_io)?;
        self.0.write_all(&check).map_err(failed_io)?;
        self.0.sync_all().map_err(failed_io)
    }

    /// Forgets the check value: the store it belonged to is gone.
    pub(super) fn forget(&self) -> Result<(), Error> {
        self.0.set_len(0).map_err(failed_io)
    }
}
