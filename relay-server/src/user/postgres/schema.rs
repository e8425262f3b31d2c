//! The version of the tables.

use sqlx::{
    Connection, PgConnection,
    migrate::{AppliedMigration, Migrate, MigrateError, Migrator},
};

use super::ConnectError;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/postgres");

/// The oldest relay, by the version of its own tables, that can live with the tables of this one. A migration that takes from
/// the relay before it what that relay reads or writes raises this to its own number. Only ever one version is bridged.
const OLDEST_READER: i64 = 1;

/// Refuses tables that this relay does not know, unless who made them says that it can live with them: then this one is
/// started again while nodes are replaced by a later version, one after another.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let applied = applied(connection).await?;
    let found = applied.iter().map(|step| step.version).max().unwrap_or(0);
    let needed = MIGRATOR.iter().map(|step| step.version).max().unwrap_or(0);
    if found > needed {
        match oldest_reader(connection).await? {
            Some(oldest) if oldest <= needed => tracing::warn!(
                found,
                needed,
                "PostgreSQL's tables are of a later version that this relay can live with: replace it by the later one soon"
            ),
            _ => return Err(ConnectError::Newer { found, needed }),
        }
    }
    for step in MIGRATOR.iter() {
        match applied.iter().find(|done| done.version == step.version) {
            None => return Err(ConnectError::Older { found, needed }),
            Some(done) if done.checksum != step.checksum => {
                return Err(ConnectError::Changed(step.version));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Brings the tables up to date. Two at once wait for each other.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), ConnectError> {
    match check(connection).await {
        // First who may read: an earlier relay that starts in between must not find tables that it cannot live with.
        Err(ConnectError::Older { .. }) => {
            record_reader(connection).await?;
            Ok(MIGRATOR.run(connection).await?)
        }
        Ok(()) => record_reader(connection).await,
        known => known,
    }
}

/// Raises the oldest reader to this relay's. Never lowers it.
async fn record_reader(connection: &mut PgConnection) -> Result<(), ConnectError> {
    /// Any number of this relay's own.
    const LOCK: i64 = 0x736f_7264_696e_6f31;
    let mut tx = connection.begin().await?;
    // Of two that make the table at once PostgreSQL fails one.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS schema_reader (one boolean PRIMARY KEY CHECK (one), oldest bigint NOT NULL)",
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO schema_reader (one, oldest) VALUES (true, $1) \
         ON CONFLICT (one) DO UPDATE SET oldest = greatest(schema_reader.oldest, excluded.oldest)",
    )
    .bind(OLDEST_READER)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// `None`: nobody said.
async fn oldest_reader(connection: &mut PgConnection) -> Result<Option<i64>, ConnectError> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('schema_reader') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(None);
    }
    let oldest = sqlx::query_scalar("SELECT oldest FROM schema_reader")
        .fetch_optional(connection)
        .await?;
    Ok(oldest)
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>, ConnectError> {
    let table = &*MIGRATOR.table_name;
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(Vec::new());
    }
    Ok(connection.list_applied_migrations(table).await?)
}

impl From<MigrateError> for ConnectError {
    fn from(error: MigrateError) -> Self {
        Self::Failed(error.to_string())
    }
}
