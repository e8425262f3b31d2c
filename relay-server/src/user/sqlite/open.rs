//! Opening the store: its tables, its connections, what it keeps in memory.

use std::{path::Path, sync::Arc};

use sqlx::{SqlitePool, migrate::Migrator, sqlite::SqlitePoolOptions};

use super::{
    Inner, SqliteUsers,
    file::{options, refused, writer},
};
use crate::user::{UserError, cache::Cache};

/// Users whose list is kept in memory, about 4 KiB each.
const CACHED_LISTS: usize = 16_384;
/// Devices whose SPK expiry is kept in memory.
const CACHED_EXPIRIES: usize = 65_536;
/// Users of whom is kept in memory whom they have blocked: mostly nobody, 8 KiB at most.
const CACHED_BLOCKS: usize = 16_384;
const READERS: u32 = 4;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/sqlite");

impl SqliteUsers {
    /// Opens the file, creates it where there is none, and brings its tables up to date.
    pub async fn open(file: &Path) -> Result<Self, UserError> {
        let writer = writer(&options(file).create_if_missing(true)).await?;
        MIGRATOR
            .run(&writer)
            .await
            .map_err(|error| refused(file, &error))?;
        Self::with(file, writer).await
    }

    /// Opens the file of a relay that runs: its tables stay as they are, and have to be of this version.
    pub(crate) async fn open_beside(file: &Path) -> Result<Self, UserError> {
        let writer = writer(&options(file)).await?;
        let found: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&writer)
            .await?;
        if MIGRATOR.iter().map(|step| step.version).max() != Some(found) {
            return Err(UserError::Failed(format!(
                "the relay that runs on {} is of another version: use its program, or stop it first",
                file.display()
            )));
        }
        Self::with(file, writer).await
    }

    async fn with(file: &Path, writer: SqlitePool) -> Result<Self, UserError> {
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options(file).read_only(true))
            .await?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers,
                lists: Cache::new(CACHED_LISTS),
                expiries: Cache::new(CACHED_EXPIRIES),
                blocks: Cache::new(CACHED_BLOCKS),
            }),
        })
    }
}
