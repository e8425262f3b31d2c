//! The birth of a store.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

/// What a store consists of. Backups number them in this order: a new one goes to the end.
pub(in super::super) const KEYSPACES: [&str; 6] =
    ["meta", "rows", "wraps", "states", "registers", "acked"];

/// What a keyspace gathers in memory before it writes a table. Rows and wraps are what the relay is full of: with a quarter
/// of this, writing their tables and merging them costs more and stops the next messages for longer.
fn memtable_bytes(name: &str) -> u64 {
    match name {
        "rows" | "wraps" => 64 * 1024 * 1024,
        _ => 16 * 1024 * 1024,
    }
}

/// Opens a keyspace. Its settings are those of its making: the engine keeps them.
pub(in super::super) fn keyspace(db: &Database, name: &str) -> Result<Keyspace, fjall::Error> {
    db.keyspace(name, || {
        KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes(name))
    })
}

/// Makes an empty store where there is none.
///
/// The engine opens nothing that a crash left of a store in the making. So it is made beside its place, and moved there
/// whole.
pub(in super::super) fn where_there_is_none(path: &Path) -> Result<(), fjall::Error> {
    if fs::read_dir(path).is_ok_and(|mut files| files.next().is_some()) {
        return Ok(());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    match fs::remove_dir_all(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(beside)?;
    let db = Database::builder(beside).open()?;
    for name in KEYSPACES {
        keyspace(&db, name)?;
    }
    db.persist(PersistMode::SyncAll)?;
    // It lets go of its files before they move.
    drop(db);
    fs::rename(beside, path)?;
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}
