//! Where the files of a stack lie.
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::Error;

/// A stack's directory.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    dir: PathBuf,
}

impl Place {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.dir.join("stack.json")
    }

    /// What the process keeps.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.dir.join("data").join(name)
    }

    /// A file of configuration.
    pub(crate) fn etc(&self, file: &str) -> PathBuf {
        self.dir.join("etc").join(file)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub(crate) fn pid(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.pid"))
    }

    /// Is there while nobody wants the stack to run.
    pub(crate) fn unwanted(&self) -> PathBuf {
        self.run().join("down")
    }

    /// Makes the directories.
    pub(crate) fn make(&self) -> Result<(), Error> {
        ["data", "etc", "logs", "run"]
            .iter()
            .try_for_each(|part| make(&self.dir.join(part)))
    }

    /// Holds the directory against other programs until it is dropped.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io(format!("open {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(self.dir.clone())),
            Err(fs::TryLockError::Error(e)) => Err(Error::io("lock the stack's directory")(e)),
        }
    }

    /// Replaces a file as a whole; readable by us alone, for some hold secrets.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let failed = || format!("write {}", path.display());
        if let Some(parent) = path.parent() {
            make(parent)?;
        }
        let new = path.with_extension("new");
        // What an interrupted run left has its own mode.
        let _ = fs::remove_file(&new);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(content))
            .and_then(|()| fs::rename(&new, path))
            .map_err(Error::io(failed()))
    }

    /// The text of a file that `make` writes if there is none: a secret that stays.
    pub(crate) fn secret(
        &self,
        path: &Path,
        make: impl FnOnce() -> String,
    ) -> Result<String, Error> {
        if !path.exists() {
            self.write(path, make().as_bytes())?;
        }
        fs::read_to_string(path).map_err(Error::io(format!("read {}", path.display())))
    }
}

/// A directory and those above it.
pub(crate) fn make(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io(format!("create {}", dir.display())))
}
