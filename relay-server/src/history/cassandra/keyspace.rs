//! Whether a keyspace is one to keep messages in: how often it holds each row, and what is in it.

use scylla::{client::session::Session, cluster::metadata::Strategy};

use super::{
    MigrateError, Options,
    migrate::{refused, unreadable},
};

/// How long Cassandra keeps hints for a node that is away, unless told otherwise, in seconds. A deletion that is forgotten
/// earlier can come to life again.
const HINTS: i32 = 3 * 60 * 60;

/// Refuses a keyspace that holds each row less often than the options ask for.
pub(super) fn check_replicas(session: &Session, options: &Options) -> Result<(), MigrateError> {
    let state = session.get_cluster_state();
    let keyspace = state.get_keyspace(&options.keyspace);
    let found = keyspace.map_or(0, |keyspace| replicas(&keyspace.strategy));
    let least = options.least_replicas;
    if found < least.into() {
        return Err(MigrateError::Replicas {
            keyspace: options.keyspace.clone(),
            found,
            least,
        });
    }
    Ok(())
}

/// Refuses tables whose settings somebody has changed so that replicas may come to hold half a batch, or what was erased.
pub(super) async fn check_settings(session: &Session, keyspace: &str) -> Result<(), MigrateError> {
    let text = "SELECT table_name, read_repair, gc_grace_seconds FROM system_schema.tables WHERE keyspace_name = ?";
    let found = session.query_unpaged(text, (keyspace,)).await;
    let found = found.map_err(refused)?.into_rows_result();
    let found = found.map_err(unreadable)?;
    for row in found.rows::<(String, String, i32)>().map_err(unreadable)? {
        let (table, read_repair, gc_grace) = row.map_err(unreadable)?;
        let (why, remedy) = match table.as_str() {
            "chat_histories" if read_repair != "NONE" => (
                "read repair copies the cells that were read, and breaks a batch apart",
                "read_repair = 'NONE'".to_owned(),
            ),
            "chat_histories" | "conversations_by_user" if gc_grace < HINTS => (
                "a deletion is forgotten before a node that was away has heard of it",
                format!("gc_grace_seconds = {HINTS}"),
            ),
            _ => continue,
        };
        return Err(MigrateError::Setting {
            table: format!("{keyspace}.{table}"),
            why,
            remedy,
        });
    }
    Ok(())
}

/// Whether the keyspace had this table when the session last looked.
pub(super) fn has_table(session: &Session, keyspace: &str, table: &str) -> bool {
    let state = session.get_cluster_state();
    let keyspace = state.get_keyspace(keyspace);
    keyspace.is_some_and(|keyspace| keyspace.tables.contains_key(table))
}

/// How often each row is held. A quorum is asked of one datacenter, whichever it is: the one with the fewest counts.
fn replicas(strategy: &Strategy) -> usize {
    match strategy {
        Strategy::SimpleStrategy { replication_factor } => *replication_factor,
        Strategy::NetworkTopologyStrategy {
            datacenter_repfactors,
        } => datacenter_repfactors.values().copied().min().unwrap_or(0),
        Strategy::LocalStrategy => 1,
        // How often these do is not known.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_datacenter_with_the_fewest_counts() {
        let strategy = |factors: &[(&str, usize)]| {
            let factors = factors.iter().map(|(name, n)| ((*name).to_owned(), *n));
            replicas(&Strategy::NetworkTopologyStrategy {
                datacenter_repfactors: factors.collect(),
            })
        };
        assert_eq!(strategy(&[("here", 3)]), 3);
        assert_eq!(strategy(&[("here", 3), ("there", 1)]), 1);
        assert_eq!(strategy(&[]), 0);
    }
}
