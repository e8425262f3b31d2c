//! Writing a backup.

use std::{
    fs::File,
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    BackupError, Counts, PASSWORD_KEY, TOKEN_KEY, USERS,
    format::{GATHERED, Kind, Writer, put_entry},
    read_bounded, remove,
};
use crate::{
    history::embedded::{
        Store,
        copy::{Moment, ROWS, STATES},
    },
    user::sqlite,
};

/// Writes everything in the data directory to `out`, as it is now. Whoever calls it has the directory's lock.
pub(super) async fn take(
    data: &Path,
    store: Arc<Store>,
    out: impl Write + Send + 'static,
    stop: CancellationToken,
) -> Result<Counts, BackupError> {
    // Messages first, then users: see the module.
    let moment = store.moment()?;
    let users = Users::copy(data).await?;
    let keys = [
        (Kind::TokenKey, key(&data.join(TOKEN_KEY))?),
        (Kind::PasswordKey, key(&data.join(PASSWORD_KEY))?),
    ];
    let written = tokio::task::spawn_blocking(move || {
        // The moment is the store's.
        let _store = store;
        write(&moment, users.as_ref(), &keys, out, &stop)
    });
    written.await.map_err(io::Error::other)?
}

fn write(
    moment: &Moment,
    users: Option<&Users>,
    keys: &[(Kind, Option<Zeroizing<Vec<u8>>>)],
    out: impl Write,
    stop: &CancellationToken,
) -> Result<Counts, BackupError> {
    let mut writer = Writer::begin(BufWriter::new(out))?;
    let mut counts = Counts {
        users: users.map_or(0, |users| users.count),
        ..Counts::default()
    };
    for (kind, key) in keys {
        match kind {
            Kind::TokenKey => counts.token_key = key.is_some(),
            Kind::PasswordKey => counts.password_key = key.is_some(),
            Kind::Entries | Kind::Users | Kind::End => {}
        }
    }
    let mut gathered = Vec::new();
    for entry in moment.entries() {
        let entry = entry?;
        counts.rows += u64::from(entry.keyspace == ROWS);
        counts.conversations += u64::from(entry.keyspace == STATES);
        put_entry(&mut gathered, entry.keyspace, &entry.key, &entry.value)?;
        if gathered.len() >= GATHERED {
            if stop.is_cancelled() {
                return Err(BackupError::Ended);
            }
            writer.frame(Kind::Entries, &gathered)?;
            gathered.clear();
        }
    }
    writer.frame(Kind::Entries, &gathered)?;
    if let Some(users) = users {
        let mut file = File::open(&users.file)?;
        loop {
            let part = read_bounded(&mut file, GATHERED)?;
            if part.is_empty() {
                break;
            }
            writer.frame(Kind::Users, &part)?;
        }
    }
    for (kind, key) in keys {
        if let Some(key) = key {
            writer.frame(*kind, key)?;
        }
    }
    let counted = serde_json::to_vec(&counts).map_err(io::Error::other)?;
    writer.end(&counted)?;
    Ok(counts)
}

/// A copy of the users, removed when it was read.
struct Users {
    file: PathBuf,
    count: u64,
}

impl Users {
    /// `None` where users are not kept here.
    async fn copy(data: &Path) -> Result<Option<Self>, BackupError> {
        let users = data.join(USERS);
        if !users.exists() {
            return Ok(None);
        }
        let file = data.join("users.copy");
        // Of a backup that was interrupted.
        remove(&file)?;
        let mut copy = Self { file, count: 0 };
        copy.count = sqlite::copy(&users, &copy.file).await?;
        Ok(Some(copy))
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        // The next backup removes what is left.
        let _ = remove(&self.file);
    }
}

fn key(file: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match std::fs::read(file) {
        Ok(key) => Ok(Some(Zeroizing::new(key))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
