//! Reading a backup: to see that it is whole, or to make a data directory of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    BackupError, Counts, PASSWORD_KEY, Progress, TOKEN_KEY, USERS, beside,
    format::{Kind, Reader, entries},
    sync_parent,
};
use crate::{
    history::embedded::{
        Store, StoreOptions,
        copy::{Filling, ROWS, STATES},
    },
    relay, stores,
    user::sqlite::{self, SqliteUsers},
};

/// Reads the whole file and checks it.
pub(super) fn verify(file: &Path) -> Result<Counts, BackupError> {
    read(file, Box::new(|_, _| {}), |_, _| Ok(()))
}

/// Makes a data directory of a backup. It must not exist, or be empty. It is made beside its place and checked, and gets its
/// name at the end: after an interruption, whenever it comes, there is none. Returns what is in it.
pub async fn restore(from: &Path, data: &Path, progress: Progress) -> Result<Counts, BackupError> {
    let occupied = || BackupError::Occupied(data.to_owned());
    match fs::read_dir(data).map(|mut files| files.next().is_some()) {
        Ok(true) => return Err(occupied()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(occupied()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let making = Making::begin(data)?;
    let counts = fill(from, making.place.clone(), progress).await?;
    if making.place.join(USERS).exists() {
        let users = making.place.join(USERS);
        sqlite::check_whole(&users).await?;
        // A file of a later relay is refused here.
        let users = SqliteUsers::open(&users).await?;
        // Among them may be some that were refused since.
        users.forget_resets().await?;
        users.close().await;
    }
    let messages = StoreOptions::new(stores::messages(&making.place));
    let opened = tokio::task::spawn_blocking(move || Store::open(messages).map(drop)).await;
    opened.map_err(io::Error::other)??;
    making.finish(data)?;
    Ok(counts)
}

async fn fill(from: &Path, place: PathBuf, progress: Progress) -> Result<Counts, BackupError> {
    let from = from.to_owned();
    let filled = tokio::task::spawn_blocking(move || {
        let messages = Filling::begin(&stores::messages(&place))?;
        let mut users = None;
        let counts = read(&from, progress, |kind, payload| {
            match kind {
                Kind::Entries => {
                    let entries = entries(payload).ok_or(BackupError::Damaged("an entry"))?;
                    messages.put(entries.into_iter())?;
                }
                Kind::Users => {
                    let users = match &mut users {
                        Some(users) => users,
                        None => users.insert(File::create_new(place.join(USERS))?),
                    };
                    users.write_all(payload)?;
                }
                Kind::TokenKey => write_key(&place.join(TOKEN_KEY), payload)?,
                Kind::PasswordKey => write_key(&place.join(PASSWORD_KEY), payload)?,
                Kind::End => {}
            }
            Ok(())
        })?;
        messages.finish()?;
        if let Some(users) = users {
            users.sync_all()?;
        }
        Ok(counts)
    });
    filled.await.map_err(io::Error::other)?
}

fn write_key(file: &Path, key: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(file)?;
    file.write_all(key)?;
    file.sync_all()
}

/// Hands on every frame, and compares what was counted at the end.
fn read(
    file: &Path,
    mut progress: Progress,
    mut each: impl FnMut(Kind, &[u8]) -> Result<(), BackupError>,
) -> Result<Counts, BackupError> {
    let opened = File::open(file)?;
    let size = opened.metadata()?.len();
    let input = Counting {
        input: BufReader::new(opened),
        bytes: 0,
    };
    let mut reader = Reader::begin(input, &file.display().to_string())?;
    let mut found = Counts::default();
    loop {
        let (kind, payload) = reader.frame()?;
        let payload = Zeroizing::new(payload);
        match kind {
            Kind::Entries => {
                let entries = entries(&payload).ok_or(BackupError::Damaged("an entry"))?;
                let of = |number| entries.iter().filter(|(at, ..)| *at == number).count() as u64;
                found.rows += of(ROWS);
                found.conversations += of(STATES);
            }
            Kind::TokenKey => found.token_key = true,
            Kind::PasswordKey => found.password_key = true,
            Kind::Users => {}
            Kind::End => {
                let counts: Counts = serde_json::from_slice(&payload)
                    .map_err(|_| BackupError::Damaged("its counts"))?;
                found.users = counts.users;
                if counts != found {
                    return Err(BackupError::Damaged("its counts"));
                }
                return Ok(counts);
            }
        }
        each(kind, &payload)?;
        progress(reader.input().bytes, Some(size));
    }
}

/// How far a file was read.
pub(super) struct Counting<R> {
    input: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// A data directory in the making. Dropped before its end, it is removed.
struct Making {
    place: PathBuf,
    /// The lock that a relay takes, too: of two restores one goes on.
    _lock: File,
    finished: bool,
}

impl Making {
    fn begin(data: &Path) -> Result<Self, BackupError> {
        let place = beside(data, ".restoring")?;
        let lock = relay::lock(&place).map_err(|error| match error {
            relay::StartError::Locked(_) => BackupError::Busy(data.to_owned()),
            error => io::Error::other(error).into(),
        })?;
        // Keys come in here; whoever restores for another user has to give it away afterwards.
        fs::set_permissions(&place, fs::Permissions::from_mode(0o700))?;
        let making = Self {
            place,
            _lock: lock,
            finished: false,
        };
        // What an interrupted restore left.
        for entry in fs::read_dir(&making.place)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else if entry.file_name() != relay::LOCK {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(making)
    }

    fn finish(mut self, data: &Path) -> Result<(), BackupError> {
        File::open(&self.place)?.sync_all()?;
        // Over an empty directory at most: anything else stands in the way.
        fs::rename(&self.place, data).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {
                BackupError::Occupied(data.to_owned())
            }
            _ => error.into(),
        })?;
        self.finished = true;
        Ok(sync_parent(&data.components().collect::<PathBuf>())?)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.finished {
            // The next restore removes what is left.
            let _ = fs::remove_dir_all(&self.place);
        }
    }
}
