//! Nodes on the real servers of a cluster.

pub mod pair;

use std::{env, net::SocketAddr};

use sordino_relay::{
    config::Config,
    relay::{Relay, start},
    stores::cluster::migrate,
};

/// Where the servers are, and a name that no other test has.
pub struct Servers {
    pub name: String,
    pub postgres: String,
    redis: String,
    kafka: String,
    cassandra: String,
}

/// `None` without servers.
pub fn servers() -> Option<Servers> {
    let variable = |name: &str| env::var(format!("SORDINO_TEST_{name}")).ok();
    let servers = ["POSTGRES", "REDIS", "KAFKA", "CASSANDRA"].map(variable);
    let [Some(postgres), Some(redis), Some(kafka), Some(cassandra)] = servers else {
        eprintln!("not run: SORDINO_TEST_… name no servers");
        return None;
    };
    Some(Servers {
        name: format!("test_{:016x}", rand::random::<u64>()),
        postgres,
        redis,
        kafka,
        cassandra,
    })
}

/// What all nodes of one test share; a topic and a keyspace of its own. `None` without servers.
pub async fn cluster() -> Option<String> {
    let servers = servers()?;
    Some(servers.made(&servers.postgres).await)
}

impl Servers {
    /// The same with the users in this database: makes tables and topic.
    pub async fn made(&self, database: &str) -> String {
        let Self {
            name,
            redis,
            kafka,
            cassandra,
            ..
        } = self;
        let nodes: Vec<_> = cassandra.split(',').map(|n| format!("'{n}'")).collect();
        let shared = format!(
            "auth.token_key = '{:064x}'\nauth.password_key = '{:064x}'\nops.unready_seconds = 0\n\
         postgres.url = '{database}'\nredis.url = '{redis}'\n\
         kafka = {{ brokers = '{kafka}', topic = '{name}', partitions = 4, replication = 1, dev = true }}\n\
         cassandra = {{ nodes = [{}], keyspace = '{name}', replication = 1 }}\n",
            rand::random::<u128>(),
            rand::random::<u128>(),
            nodes.join(", "),
        );
        let config: Config = toml::from_str(&shared).unwrap();
        migrate(&config).await.unwrap();
        shared
    }
}

pub async fn node(shared: &str, name: &str, listen: SocketAddr) -> Relay {
    let mut config: Config = toml::from_str(shared).unwrap();
    config.server.node = name.to_owned();
    config.server.listen = listen;
    start(config).await.unwrap()
}

pub fn any() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub fn url(node: &Relay) -> String {
    format!("http://{}", node.addr())
}

/// A name that nobody has: the users of all tests are in one database.
pub fn name(of: &str) -> String {
    format!("{of}{:08x}", rand::random::<u32>())
}
