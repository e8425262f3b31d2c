//! Backup and restore of the embedded stores: one file, made of a relay that runs or does not.
//!
//! The messages are taken first and the users after them. So every message of the backup has its sender, its devices and
//! their lists in it. The other way round a restored relay would hold messages of devices that it does not know, and would
//! hand out prekeys again that those messages have used up.

mod format;
mod restore;
mod running;
mod take;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use self::restore::restore;
pub(crate) use self::running::Backups;
use crate::{
    history::embedded::{Store, StoreError, StoreOptions},
    relay,
    user::UserError,
};

/// The file of the users in a data directory.
const USERS: &str = "users.sqlite";
/// The file of the key that signs access tokens.
const TOKEN_KEY: &str = "token.key";
/// The file of the key that passwords are checked with.
const PASSWORD_KEY: &str = "password.key";

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Users; none where they are in PostgreSQL.
    pub users: u64,
    /// Conversations.
    pub conversations: u64,
    /// Messages, those that were deleted included.
    pub rows: u64,
    /// Whether the key that signs access tokens is in it.
    pub token_key: bool,
    /// Whether the key that passwords are checked with is in it.
    #[serde(default)]
    pub password_key: bool,
}

/// Why there is no backup, or no restored relay.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Some other file.
    #[error("{0} is no backup of a relay")]
    NoBackup(String),
    /// Made by another version.
    #[error(
        "the backup was made by another version of the relay (format {found}, this one reads {}): restore it with that version",
        format::VERSION
    )]
    Version {
        /// Its format.
        found: u16,
    },
    /// Not as it was written.
    #[error("the backup is damaged or cut off ({0}): nothing was restored; take an older one")]
    Damaged(&'static str),
    /// Something is there.
    #[error("{0} is there already and is left as it is: move it away, or name another place")]
    Occupied(PathBuf),
    /// There is no data directory.
    #[error("there is no relay's data in {0}")]
    Absent(PathBuf),
    /// A relay that cannot be asked.
    #[error(
        "the relay that runs on {0} does not answer ({1}): run this as the relay's user, or stop the relay and try again"
    )]
    Running(PathBuf, io::Error),
    /// The relay ended it.
    #[error("the relay ended the backup early: its log says why")]
    Ended,
    /// Another restore.
    #[error("another restore into {0} is under way")]
    Busy(PathBuf),
    /// The messages.
    #[error(transparent)]
    Messages(#[from] StoreError),
    /// The users.
    #[error(transparent)]
    Users(#[from] UserError),
    /// A file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Called with the bytes that are done, and with all of them where that is known.
pub type Progress = Box<dyn FnMut(u64, Option<u64>) + Send>;

/// Backs up the embedded stores in `data` to a file that does not exist yet, or under a name with the time in a directory.
/// A relay may run on it. The file is read back before it gets its name. Returns where it is, and what is in it.
pub async fn backup(
    data: &Path,
    to: &Path,
    mut progress: Progress,
) -> Result<(PathBuf, Counts), BackupError> {
    let to = match to.is_dir() {
        true => to.join(format!("sordino-{}.backup", relay::now_ms())),
        false => to.to_owned(),
    };
    if to.exists() {
        return Err(BackupError::Occupied(to));
    }
    let part = beside(&to, ".part")?;
    // Of a run that was interrupted.
    remove(&part)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        // The keys for tokens and passwords are in it.
        .mode(0o600)
        .open(&part)?;
    let counted = match write(data, &file, &mut progress).await {
        Ok(()) => tokio::task::spawn_blocking({
            let part = part.clone();
            move || restore::verify(&part)
        })
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error).into())),
        Err(error) => Err(error),
    };
    let counts = counted.inspect_err(|_| drop(fs::remove_file(&part)))?;
    fs::rename(&part, &to)?;
    sync_parent(&to)?;
    Ok((to, counts))
}

async fn write(data: &Path, file: &File, progress: &mut Progress) -> Result<(), BackupError> {
    if !data.join("messages").exists() {
        return Err(BackupError::Absent(data.to_owned()));
    }
    let file = file.try_clone()?;
    match relay::lock(data) {
        Ok(lock) => {
            let options = StoreOptions::new(crate::stores::messages(data));
            let opened = tokio::task::spawn_blocking(move || Store::open(options)).await;
            let store = opened.map_err(io::Error::other)??;
            let never = CancellationToken::new();
            let out = Told {
                out: file.try_clone()?,
                bytes: 0,
                progress: std::mem::replace(progress, Box::new(|_, _| {})),
            };
            take::take(data, Arc::new(store), out, never).await?;
            drop(lock);
        }
        Err(relay::StartError::Locked(_)) => {
            let socket =
                running::ask(data).map_err(|error| BackupError::Running(data.to_owned(), error))?;
            let mut out = Told {
                out: file.try_clone()?,
                bytes: 0,
                progress: std::mem::replace(progress, Box::new(|_, _| {})),
            };
            let copied =
                tokio::task::spawn_blocking(move || io::copy(&mut { socket }, &mut out)).await;
            if copied.map_err(io::Error::other)?? == 0 {
                return Err(BackupError::Ended);
            }
        }
        Err(error) => return Err(io::Error::other(error).into()),
    }
    Ok(file.sync_all()?)
}

/// Says how much went through.
struct Told<T> {
    out: T,
    bytes: u64,
    progress: Progress,
}

impl<T: Write> Write for Told<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        (self.progress)(self.bytes, None);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A name beside another, on the same file system.
fn beside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    // Without a slash at its end.
    let path: PathBuf = path.components().collect();
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut name: OsString = name.to_owned();
    name.push(ending);
    Ok(path.with_file_name(name))
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the name of a file or directory survive the loss of power.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads a file to its end, at most `max` bytes of it.
fn read_bounded(file: &mut impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
