//! A database of a random name for each test.

use sqlx::{AssertSqlSafe, ConnectOptions, Executor, postgres::PgConnectOptions};

use super::*;

const VARIABLE: &str = "SORDINO_TEST_POSTGRES";

pub(super) struct Database {
    server: PgConnectOptions,
    name: String,
}

impl Database {
    /// `None`, and a word on stderr, without a server.
    pub(super) async fn empty() -> Option<Self> {
        let Ok(url) = std::env::var(VARIABLE) else {
            eprintln!("skipped: {VARIABLE} is not set");
            return None;
        };
        let server: PgConnectOptions = url.parse().expect("an address");
        let name = format!("sordino_test_{:016x}", rand::random::<u64>());
        let database = Self { server, name };
        database
            .on_server(format!("CREATE DATABASE {}", database.name))
            .await;
        Some(database)
    }

    pub(super) async fn migrated() -> Option<Self> {
        let database = Self::empty().await?;
        PostgresUsers::migrate(&database.url())
            .await
            .expect("migrated");
        Some(database)
    }

    pub(super) fn url(&self) -> Secret {
        self.url_at(self.server.get_host(), self.server.get_port())
    }

    /// As [`Database::url`], through something else.
    pub(super) fn url_at(&self, host: &str, port: u16) -> Secret {
        let mut url = self.server.to_url_lossy();
        url.set_host(Some(host)).expect("a host");
        url.set_port(Some(port)).expect("a port");
        url.set_path(&self.name);
        secret(url.as_str())
    }

    pub(super) fn port(&self) -> u16 {
        self.server.get_port()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A relay node. What it caches does not go away with time.
    pub(super) async fn node(&self) -> PostgresUsers {
        PostgresUsers::connect(&self.url(), &options())
            .await
            .expect("connected")
    }

    /// On a connection of its own, to this database.
    pub(super) async fn run(&self, statement: &str) {
        let options = self.server.clone().database(&self.name);
        run_on(&options, statement.to_owned()).await;
    }

    /// Lets nobody in, or anybody again. Who is in stays.
    pub(super) async fn open(&self, open: bool) {
        self.on_server(format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS {open}",
            self.name
        ))
        .await;
    }

    /// Ends connections whose last statement looks like this; returns how many.
    pub(super) async fn end(&self, like: &str) -> usize {
        let mut connection = self.server.connect().await.expect("connected");
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND query LIKE $2",
        )
        .bind(&self.name)
        .bind(like)
        .fetch_all(&mut connection)
        .await
        .expect("ended")
        .len()
    }

    pub(super) async fn remove(self) {
        self.on_server(format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await;
    }

    async fn on_server(&self, statement: String) {
        run_on(&self.server, statement).await;
    }
}

async fn run_on(options: &PgConnectOptions, statement: String) {
    let mut connection = options.connect().await.expect("connected");
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .expect("ran");
    connection.close().await.expect("closed");
}

pub(super) fn options() -> Options {
    Options {
        cache_age: Duration::from_secs(3600),
        ..Options::default()
    }
}

pub(super) fn secret(text: &str) -> Secret {
    serde_json::from_value(text.into()).expect("a text")
}
