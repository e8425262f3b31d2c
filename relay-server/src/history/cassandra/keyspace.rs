//! Whether a keyspace is one to keep messages in: how often it holds each row, and what is in it.

use scylla::{client::session::Session, cluster::metadata::Strategy};

use super::{MigrateError, Options};

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
