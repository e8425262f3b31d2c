//! Nodes that do a part of the work each, over real PostgreSQL, Redis, Kafka and Cassandra (`SORDINO_TEST_…`).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[allow(dead_code, reason = "each test program uses a part")]
mod cluster_support;
#[path = "../../client-sdk/tests/support/mod.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use cluster_support::{any, cluster, name, node, url};
use sordino_relay::{
    config::{Config, Role},
    relay::start,
};
use support::{Person, received, within};
use tempfile::TempDir;

/// A node in a process of its own, which only delivers.
struct Delivery {
    process: Child,
    /// Where it can be asked.
    ops: String,
    _dir: TempDir,
}

impl Delivery {
    fn start(shared: &str, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.toml");
        let own = format!(
            "server.node = '{name}'\nserver.roles = ['delivery']\nops.listen = '127.0.0.1:0'\n{shared}"
        );
        fs::write(&file, own).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_cluster_node"))
            .arg("--config")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let ops = line.strip_prefix("running ").expect("it runs");
        Self {
            process,
            ops: ops.trim().to_owned(),
            _dir: dir,
        }
    }

    async fn ask(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.ops);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_p7_one_node_serves_clients_and_another_delivers() {
    let Some(shared) = cluster().await else {
        return;
    };
    let mut config: Config = toml::from_str(&shared).unwrap();
    config.server.node = "serves".to_owned();
    config.server.listen = any();
    config.server.roles = [Role::Chat].into_iter().collect();
    let serves = start(config).await.unwrap();
    let alice = Person::online(&url(&serves), &name("alice")).await;
    let bob = Person::online(&url(&serves), &name("bob")).await;
    let (mut heard, mut answered) = (bob.client.events(), alice.client.events());

    // Nobody delivers yet: what is accepted waits in the log.
    alice.with(&bob).send("early").await.unwrap();
    let delivers = Delivery::start(&shared, "delivers");
    assert_eq!(received(&mut heard).await.text, "early");
    for n in 0..10 {
        alice.with(&bob).send(format!("ping {n}")).await.unwrap();
        assert_eq!(received(&mut heard).await.text, format!("ping {n}"));
        bob.with(&alice).send(format!("pong {n}")).await.unwrap();
        assert_eq!(received(&mut answered).await.text, format!("pong {n}"));
    }
    assert_eq!(delivers.ask("/readyz").await.0, 204);
    let (_, metrics) = delivers.ask("/metrics").await;
    let line = |wanted: &str| metrics.lines().any(|line| line == wanted);
    assert!(line("sordino_delivery_partitions 4"), "{metrics}");
    assert!(!metrics.contains("sordino_connections "), "{metrics}");

    // SIGKILL; what is sent meanwhile waits for the next one.
    drop(delivers);
    for n in 0..10 {
        alice.with(&bob).send(format!("between {n}")).await.unwrap();
    }
    let again = Delivery::start(&shared, "again");
    for n in 0..10 {
        assert_eq!(received(&mut heard).await.text, format!("between {n}"));
    }
    assert_eq!(again.ask("/readyz").await.0, 204);
    within(serves.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_serves_nobody_is_not_seen_by_others() {
    let Some(shared) = cluster().await else {
        return;
    };
    let everything = node(&shared, "everything", any()).await;
    let mut config: Config = toml::from_str(&shared).unwrap();
    config.server.node = format!("hidden-{}", name(""));
    // Taken, by the node that serves clients: this one does not listen.
    config.server.listen = everything.addr();
    config.server.roles = [Role::Delivery].into_iter().collect();
    let hidden = config.server.node.clone();
    let delivers = start(config).await.unwrap();
    assert_eq!(delivers.url(), None);
    let redis = redis::Client::open(std::env::var("SORDINO_TEST_REDIS").unwrap()).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let mut keys = redis::cmd("KEYS");
    let keys: Vec<String> = keys.arg("node:*").query_async(&mut redis).await.unwrap();
    let of = |node: &str| {
        keys.iter()
            .any(|key| key.starts_with(&format!("node:{node}:")))
    };
    assert!(of("everything") && !of(&hidden), "{keys:?}");
    within(delivers.shutdown()).await;
    within(everything.shutdown()).await;
}
