//! Tables of another version, and databases that are not there.

use super::*;
use database::{options, secret};

async fn refused(database: &Database) -> ConnectError {
    match PostgresUsers::connect(&database.url(), &options()).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn tables_are_brought_up_once() {
    let Some(database) = Database::empty().await else {
        return;
    };
    let url = database.url();
    let older = refused(&database).await;
    assert!(matches!(older, ConnectError::Older { found: 0, .. }));
    assert!(older.to_string().contains("`sordino-relay migrate`"));
    let both = tokio::join!(PostgresUsers::migrate(&url), PostgresUsers::migrate(&url));
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(PostgresUsers::migrate(&url).await, Ok(()));
    database.node().await.close().await;
    database.remove().await;
}

#[tokio::test]
async fn newer_tables_are_refused() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    database
        .run("INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '', 0)")
        .await;
    // Who made them says that this relay can live with them.
    database.node().await.close().await;
    assert_eq!(PostgresUsers::migrate(&database.url()).await, Ok(()));
    database.run("UPDATE schema_reader SET oldest = 9999").await;
    let newer = refused(&database).await;
    assert!(matches!(newer, ConnectError::Newer { found: 9999, .. }));
    assert!(newer.to_string().contains("`sordino-relay migrate`"));
    assert_eq!(PostgresUsers::migrate(&database.url()).await, Err(newer));
    database.run("DROP TABLE schema_reader").await;
    let newer = refused(&database).await;
    assert!(matches!(newer, ConnectError::Newer { .. }));
    database.remove().await;
}

#[tokio::test]
async fn tables_from_elsewhere_are_refused() {
    let Some(database) = Database::migrated().await else {
        return;
    };
    database
        .run("UPDATE _sqlx_migrations SET checksum = 'else' WHERE version = 1")
        .await;
    assert_eq!(refused(&database).await, ConnectError::Changed(1));
    database.remove().await;
}

#[tokio::test]
async fn nobody_there_is_said_and_no_secret_with_it() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = socket.local_addr().expect("an address").port();
    drop(socket);
    for address in [
        format!("postgres://relay:hunter2@127.0.0.1:{port}/sordino"),
        "postgres://relay:hunter2@127.0.0.1:port/sordino".to_owned(),
        "postgres://relay@127.0.0.1/sordino?sslmode=hunter2".to_owned(),
        "hunter2".to_owned(),
    ] {
        let url = secret(&address);
        let Err(error) = PostgresUsers::connect(&url, &options()).await else {
            panic!("connected");
        };
        let text = error.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(text.contains("PostgreSQL"), "{text}");
        if address.contains(&port.to_string()) {
            assert!(text.contains("refused"), "{text}");
        }
        assert_eq!(PostgresUsers::migrate(&url).await, Err(error));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let socket = socket.expect("bound");
    let port = socket.local_addr().expect("an address").port();
    let options = Options {
        acquire_timeout: Duration::from_millis(100),
        ..options()
    };
    let url = secret(&format!("postgres://relay@127.0.0.1:{port}/sordino"));
    let connecting = PostgresUsers::connect(&url, &options).await;
    assert!(matches!(connecting, Err(ConnectError::Unreachable(_))));
}
