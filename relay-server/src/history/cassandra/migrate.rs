//! Making the tables, and which topic is the log.

use scylla::{client::session::Session, errors::ExecutionError};

use super::{
    Options,
    keyspace::{check_replicas, check_settings, has_table},
    session::{ConnectError, check_name},
};

/// Forward only: what was applied once never changes.
const MIGRATIONS: [&str; 1] = [include_str!(
    "../../../../migrations/cassandra/0001_messages.cql"
)];

/// How a statement that makes a table begins.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS ";

/// The table in which versions are recorded.
const VERSIONS: &str = "schema_versions";

/// Its row is 1 during a move into the cluster.
const MOVING: &str = "moving";

/// The oldest relay, by the version of its own tables, that can live with the tables of this one. A migration that takes from
/// the relay before it what that relay reads or writes raises this to its own number.
const OLDEST_READER: i32 = 1;
/// Under this name it stands beside the version.
const READER: &str = "messages_reader";
const VERSION: &str = "messages";

/// Why the tables cannot be made, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error("Cassandra refused to read or change its tables: {0}")]
    Refused(String),
    /// Made by a later version.
    #[error(
        "Cassandra's tables are of version {found}, this relay knows {}: use the relay that made them, or a newer one",
        MIGRATIONS.len()
    )]
    Later {
        /// Their version.
        found: i32,
    },
    /// Not made, or by an earlier version.
    #[error("Cassandra's tables are not those of this relay: run `sordino-relay migrate`")]
    Earlier,
    /// The loss of one disk may lose messages.
    #[error(
        "Cassandra's keyspace {keyspace} holds each row {found} times, where {least} are needed to lose none with a disk: ALTER KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', 'replication_factor': {least}}}, then run `nodetool repair --full` on every node (or set kafka.dev, on a machine of your own)"
    )]
    Replicas {
        /// Its name.
        keyspace: String,
        /// How often it holds each row, in the datacenter where that is least.
        found: usize,
        /// How often it has to.
        least: u16,
    },
    /// A table was changed so that replicas may come to hold what they must not.
    #[error(
        "Cassandra's table {table} is not as the relay needs it ({why}): ALTER TABLE {table} WITH {remedy}"
    )]
    Setting {
        /// Its name, with the keyspace's.
        table: String,
        /// What may happen.
        why: &'static str,
        /// How it has to be.
        remedy: String,
    },
    /// Tables that no relay made.
    #[error(
        "Cassandra's keyspace {keyspace} has a table {table} and no record in schema_versions of who made it: name another keyspace in cassandra.keyspace; if it is a restored one, restore schema_versions too"
    )]
    Foreign {
        /// Its name.
        keyspace: String,
        /// The table.
        table: String,
    },
    /// Not all of a former relay is here yet.
    #[error(
        "a move into this cluster is under way, or was interrupted: no node may serve before `sordino-relay migrate --from` has come to its end"
    )]
    Moving,
    /// The topic is not recorded.
    #[error("the topic {0} is not known to be the log: run `sordino-relay migrate`")]
    NoLog(String),
    /// A conversation would be in two partitions.
    #[error(
        "the topic {topic} has {found} partitions and had {recorded} when it became the log; a conversation would lose its order. Use a new topic: see docs/operations.md"
    )]
    Partitions {
        /// Its name.
        topic: String,
        /// As recorded.
        recorded: u32,
        /// As found.
        found: u32,
    },
}

/// Which log the rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOf {
    /// It rises with every topic.
    pub epoch: u64,
    /// Never changes.
    pub partitions: u32,
}

/// Makes the keyspace and the tables, and records the topic as the log. What is there stays.
pub async fn migrate(
    options: &Options,
    replicas: u16,
    topic: &str,
    partitions: u32,
) -> Result<LogOf, MigrateError> {
    check_name(&options.keyspace)?;
    let session = options.session().await?;
    let keyspace = &options.keyspace;
    // Who only has rights in the keyspace may not say `IF NOT EXISTS` either: Cassandra asks for the right to make any.
    if session.get_cluster_state().get_keyspace(keyspace).is_none() {
        run(
            &session,
            &format!(
                "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
            ),
        )
        .await?;
    }
    let used = session.use_keyspace(keyspace, false).await;
    used.map_err(|error| MigrateError::Refused(error.to_string()))?;
    check_replicas(&session, options)?;
    run(
        &session,
        "CREATE TABLE IF NOT EXISTS schema_versions (name text PRIMARY KEY, version int)",
    )
    .await?;
    let found = version(&session, VERSION).await?;
    if found.is_none() {
        refuse_foreign(&session, keyspace).await?;
    }
    let version = found.unwrap_or(0);
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if version > known {
        readable(&session, version, known).await?;
    } else if self::version(&session, READER).await?.unwrap_or(0) < OLDEST_READER {
        // Before any change: an earlier relay that starts in between must not find tables that it cannot live with.
        let record = format!(
            "INSERT INTO schema_versions (name, version) VALUES ('{READER}', {OLDEST_READER})"
        );
        run(&session, &record).await?;
    }
    for (migration, number) in MIGRATIONS.into_iter().zip(1..) {
        if number <= version {
            continue;
        }
        for statement in statements(migration) {
            run(&session, &statement).await?;
        }
        let record =
            format!("INSERT INTO schema_versions (name, version) VALUES ('messages', {number})");
        run(&session, &record).await?;
    }
    check_settings(&session, keyspace).await?;
    if let Some(log) = recorded(&session, topic).await? {
        return same(topic, log, partitions);
    }
    let epoch = logs(&session).await?.into_iter().map(|(_, log)| log.epoch);
    let epoch = epoch.max().unwrap_or(0) + 1;
    let record = "INSERT INTO logs (name, topic, epoch, partitions) VALUES ('messages', ?, ?, ?)";
    let count = i32::try_from(partitions).unwrap_or(i32::MAX);
    let done = session.query_unpaged(record, (topic, epoch.cast_signed(), count));
    done.await.map_err(refused)?;
    Ok(LogOf { epoch, partitions })
}

/// What was recorded of this topic, if tables and topic are those of this relay.
pub async fn log_of(
    options: &Options,
    topic: &str,
    partitions: u32,
) -> Result<LogOf, MigrateError> {
    same(topic, recorded_log(options, topic).await?, partitions)
}

/// The same, however many partitions the topic has now.
pub async fn recorded_log(options: &Options, topic: &str) -> Result<LogOf, MigrateError> {
    check_name(&options.keyspace)?;
    let session = options.session().await?;
    let used = session.use_keyspace(&options.keyspace, false).await;
    used.map_err(|_| MigrateError::Earlier)?;
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let found = match has_table(&session, &options.keyspace, VERSIONS) {
        true => version(&session, VERSION).await?,
        false => None,
    };
    match found {
        Some(found) if found == known => {}
        Some(found) if found > known => readable(&session, found, known).await?,
        Some(_) => return Err(MigrateError::Earlier),
        None => {
            refuse_foreign(&session, &options.keyspace).await?;
            return Err(MigrateError::Earlier);
        }
    }
    check_replicas(&session, options)?;
    check_settings(&session, &options.keyspace).await?;
    if version(&session, MOVING).await? == Some(1) {
        return Err(MigrateError::Moving);
    }
    let log = recorded(&session, topic).await?;
    log.ok_or_else(|| MigrateError::NoLog(topic.to_owned()))
}

/// Whether a move is under way: until its end no node starts.
pub(crate) async fn set_moving(options: &Options, moving: bool) -> Result<(), MigrateError> {
    check_name(&options.keyspace)?;
    let session = options.session().await?;
    let (keyspace, number) = (&options.keyspace, i32::from(moving));
    let record = format!(
        "INSERT INTO {keyspace}.schema_versions (name, version) VALUES ('{MOVING}', {number})"
    );
    run(&session, &record).await
}

fn same(topic: &str, log: LogOf, found: u32) -> Result<LogOf, MigrateError> {
    if log.partitions != found {
        return Err(MigrateError::Partitions {
            topic: topic.to_owned(),
            recorded: log.partitions,
            found,
        });
    }
    Ok(log)
}

async fn run(session: &Session, statement: &str) -> Result<(), MigrateError> {
    let done = session.query_unpaged(statement, ()).await;
    done.map(drop).map_err(refused)
}

/// Refuses later tables, unless who made them says that this relay can live with them: then it is started again while nodes
/// are replaced by a later version, one after another.
async fn readable(session: &Session, found: i32, known: i32) -> Result<(), MigrateError> {
    match version(session, READER).await? {
        Some(oldest) if oldest <= known => {
            tracing::warn!(
                found,
                known,
                "Cassandra's tables are of a later version that this relay can live with: replace it by the later one soon"
            );
            Ok(())
        }
        _ => Err(MigrateError::Later { found }),
    }
}

async fn version(session: &Session, name: &str) -> Result<Option<i32>, MigrateError> {
    let text = "SELECT version FROM schema_versions WHERE name = ?";
    let found = session
        .query_unpaged(text, (name,))
        .await
        .map_err(refused)?;
    let found = found.into_rows_result().map_err(unreadable)?;
    let row = found.maybe_first_row::<(i32,)>().map_err(unreadable)?;
    Ok(row.map(|(version,)| version))
}

async fn logs(session: &Session) -> Result<Vec<(String, LogOf)>, MigrateError> {
    let text = "SELECT topic, epoch, partitions FROM logs WHERE name = 'messages'";
    let found = session.query_unpaged(text, ()).await.map_err(refused)?;
    let found = found.into_rows_result().map_err(unreadable)?;
    let rows = found.rows::<(String, i64, i32)>().map_err(unreadable)?;
    rows.map(|row| {
        let (topic, epoch, partitions) = row.map_err(unreadable)?;
        let log = LogOf {
            epoch: epoch.cast_unsigned(),
            partitions: partitions.cast_unsigned(),
        };
        Ok((topic, log))
    })
    .collect()
}

async fn recorded(session: &Session, topic: &str) -> Result<Option<LogOf>, MigrateError> {
    let logs = logs(session).await?;
    let log = logs.into_iter().find(|(name, _)| name == topic);
    Ok(log.map(|(_, log)| log))
}

pub(super) fn refused(error: ExecutionError) -> MigrateError {
    MigrateError::Refused(error.to_string())
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> MigrateError {
    MigrateError::Refused(error.to_string())
}

/// Refuses tables of ours in a keyspace where no version of them is recorded: somebody else made them.
async fn refuse_foreign(session: &Session, keyspace: &str) -> Result<(), MigrateError> {
    // Recorded before the first table is made: a run that was interrupted has left it.
    if has_table(session, keyspace, VERSIONS) && version(session, READER).await?.is_some() {
        return Ok(());
    }
    match tables().find(|table| has_table(session, keyspace, table)) {
        Some(table) => Err(MigrateError::Foreign {
            keyspace: keyspace.to_owned(),
            table,
        }),
        None => Ok(()),
    }
}

/// The tables that migrations make.
fn tables() -> impl Iterator<Item = String> {
    let made = |statement: String| {
        let table = statement.strip_prefix(CREATE)?;
        table.split_whitespace().next().map(str::to_owned)
    };
    MIGRATIONS.into_iter().flat_map(statements).filter_map(made)
}

/// The statements of a file, without its comments.
fn statements(file: &str) -> Vec<String> {
    let lines = file.lines().filter(|line| !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements = text.split(';').map(str::trim);
    let statements = statements.filter(|statement| !statement.is_empty());
    statements.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
