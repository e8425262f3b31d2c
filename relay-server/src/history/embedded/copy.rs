//! A whole store, read at one moment or filled at once: for backups.

use std::path::Path;

use fjall::{Database, Keyspace, PersistMode, Readable, Slice, Snapshot};

use super::{
    Store, StoreError,
    store::create::{self, KEYSPACES},
};

/// The number of the keyspace of rows, as in [`Entry::keyspace`].
pub(crate) const ROWS: u8 = 1;
/// The same of states: one for each conversation.
pub(crate) const STATES: u8 = 3;

/// What a store holds, as its engine sees it.
pub(crate) struct Entry {
    /// Its keyspace, by the place in which backups number them.
    pub(crate) keyspace: u8,
    pub(crate) key: Slice,
    pub(crate) value: Slice,
}

/// A moment of a store that goes on. What was answered before is in it.
pub(crate) struct Moment {
    snapshot: Snapshot,
    keyspaces: Vec<Keyspace>,
}

impl Store {
    /// This moment. Holding it costs the disk what is merged away meanwhile.
    pub(crate) fn moment(&self) -> Result<Moment, StoreError> {
        Ok(Moment {
            keyspaces: keyspaces(&self.db)?,
            snapshot: self.db.snapshot(),
        })
    }
}

impl Moment {
    /// Everything, keyspace by keyspace.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<Entry, StoreError>> {
        let numbered = (0..).zip(&self.keyspaces);
        numbered.flat_map(|(number, keyspace)| {
            self.snapshot.iter(keyspace).map(move |guard| {
                let (key, value) = guard.into_inner()?;
                Ok(Entry {
                    keyspace: number,
                    key,
                    value,
                })
            })
        })
    }
}

/// A store that is being filled. Nobody else knows of it yet: it is synced at its end alone.
pub(crate) struct Filling {
    db: Database,
    keyspaces: Vec<Keyspace>,
}

impl Filling {
    /// Makes an empty store in a directory that does not exist.
    pub(crate) fn begin(path: &Path) -> Result<Self, StoreError> {
        create::where_there_is_none(path)?;
        let db = Database::builder(path).open()?;
        Ok(Self {
            keyspaces: keyspaces(&db)?,
            db,
        })
    }

    /// Puts entries in.
    pub(crate) fn put<'a>(
        &self,
        entries: impl Iterator<Item = (u8, &'a [u8], &'a [u8])>,
    ) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for (keyspace, key, value) in entries {
            let keyspace = self.keyspaces.get(usize::from(keyspace));
            let keyspace =
                keyspace.ok_or_else(|| super::codec::damaged("the number of a keyspace"))?;
            batch.insert(keyspace, key, value);
        }
        Ok(batch.commit()?)
    }

    /// Syncs it and lets go of its files.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

fn keyspaces(db: &Database) -> Result<Vec<Keyspace>, StoreError> {
    let open = |name: &&str| create::keyspace(db, name);
    Ok(KEYSPACES.iter().map(open).collect::<Result<_, _>>()?)
}
