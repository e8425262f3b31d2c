//! Tables of this relay, of another one, and of nobody.

use super::*;

#[test]
fn files_are_divided_into_statements() {
    for file in MIGRATIONS {
        let statements = statements(file);
        assert!(!statements.is_empty());
        for statement in statements {
            assert!(statement.starts_with(CREATE));
        }
    }
    let tables: Vec<_> = tables().collect();
    assert_eq!(tables, ["chat_histories", "conversations_by_user", "logs"]);
}

/// A keyspace of the test's own; `None` without servers.
struct Place {
    options: Options,
    session: Session,
}

impl Place {
    async fn new() -> Option<Self> {
        let Ok(nodes) = std::env::var("SORDINO_TEST_CASSANDRA") else {
            eprintln!("not run: SORDINO_TEST_CASSANDRA names no servers");
            return None;
        };
        let nodes = nodes
            .split(',')
            .map(|node| node.parse().expect("an address"));
        let keyspace = format!("test_{:016x}", rand::random::<u64>());
        let mut options = Options::new(nodes.collect(), &keyspace);
        options.timeout = std::time::Duration::from_secs(60);
        let session = options.session().await.expect("connected");
        Some(Self { options, session })
    }

    async fn run(&self, statement: &str) {
        run(&self.session, statement).await.expect(statement);
    }

    async fn set(&self, name: &str, version: i32) {
        let keyspace = &self.options.keyspace;
        let text = format!(
            "INSERT INTO {keyspace}.schema_versions (name, version) VALUES ('{name}', {version})"
        );
        self.run(&text).await;
    }

    /// What `migrate` and what the start say.
    async fn both(&self) -> [Result<LogOf, MigrateError>; 2] {
        [
            migrate(&self.options, 1, "log", 4).await,
            log_of(&self.options, "log", 4).await,
        ]
    }

    async fn remove(self) {
        self.run(&format!("DROP KEYSPACE {}", self.options.keyspace))
            .await;
    }
}

#[tokio::test]
async fn later_tables_serve_whoever_can_live_with_them() {
    let Some(place) = Place::new().await else {
        return;
    };
    migrate(&place.options, 1, "log", 4).await.expect("made");
    place.set(VERSION, 9999).await;
    assert!(place.both().await.iter().all(Result::is_ok));
    place.set(READER, 9999).await;
    for refused in place.both().await {
        assert!(
            matches!(refused, Err(MigrateError::Later { found: 9999 })),
            "{refused:?}"
        );
    }
    place.remove().await;
}

#[tokio::test]
async fn too_few_replicas_are_refused() {
    let Some(mut place) = Place::new().await else {
        return;
    };
    migrate(&place.options, 1, "log", 4).await.expect("made");
    place.options.least_replicas = 3;
    for refused in place.both().await {
        let Err(MigrateError::Replicas {
            found: 1, least: 3, ..
        }) = &refused
        else {
            panic!("{refused:?}");
        };
    }
    // As the error says. Nothing is read of the tables themselves, which one node of a test cannot hold three times.
    let keyspace = &place.options.keyspace;
    place
        .run(&format!(
            "ALTER KEYSPACE {keyspace} WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': 3}}"
        ))
        .await;
    let session = place.options.session().await.expect("connected");
    assert!(check_replicas(&session, &place.options).is_ok());
    place.remove().await;
}

#[tokio::test]
async fn tables_from_elsewhere_are_refused() {
    let Some(place) = Place::new().await else {
        return;
    };
    let keyspace = place.options.keyspace.clone();
    place
        .run(&format!(
            "CREATE KEYSPACE {keyspace} WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        ))
        .await;
    place
        .run(&format!(
            "CREATE TABLE {keyspace}.logs (line text PRIMARY KEY)"
        ))
        .await;
    let foreign = async || {
        // The start first: `migrate` leaves its empty table of versions.
        let said = [
            log_of(&place.options, "log", 4).await,
            migrate(&place.options, 1, "log", 4).await,
            log_of(&place.options, "log", 4).await,
        ];
        for refused in said {
            let Err(error @ MigrateError::Foreign { .. }) = refused else {
                panic!("{refused:?}");
            };
            assert!(error.to_string().contains("a table logs"), "{error}");
        }
    };
    foreign().await;
    place.run(&format!("DROP TABLE {keyspace}.logs")).await;
    let missing = log_of(&place.options, "log", 4).await;
    assert!(matches!(missing, Err(MigrateError::Earlier)), "{missing:?}");
    migrate(&place.options, 1, "log", 4).await.expect("made");
    // A run that was killed before it recorded what it had made goes on.
    let text = format!("DELETE FROM {keyspace}.schema_versions WHERE name = '{VERSION}'");
    place.run(&text).await;
    let unfinished = log_of(&place.options, "log", 4).await;
    assert!(
        matches!(unfinished, Err(MigrateError::Earlier)),
        "{unfinished:?}"
    );
    assert!(place.both().await.iter().all(Result::is_ok));
    // Nobody says any more whose they are.
    let text = format!("TRUNCATE {keyspace}.schema_versions");
    place.run(&text).await;
    for refused in place.both().await {
        assert!(
            matches!(refused, Err(MigrateError::Foreign { .. })),
            "{refused:?}"
        );
    }
    place.remove().await;
}
