//! The version of the tables.

use sqlx::{
    PgConnection,
    migrate::{AppliedMigration, Migrate, MigrateError, Migrator},
};

use super::ConnectError;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/postgres");

/// Refuses tables that this relay does not know.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let applied = applied(connection).await?;
    let found = applied.iter().map(|step| step.version).max().unwrap_or(0);
    let needed = MIGRATOR.iter().map(|step| step.version).max().unwrap_or(0);
    if found > needed {
        return Err(ConnectError::Newer { found, needed });
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
        Err(ConnectError::Older { .. }) => Ok(MIGRATOR.run(connection).await?),
        known => known,
    }
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
