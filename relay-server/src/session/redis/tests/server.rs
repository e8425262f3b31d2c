//! A Redis to test on: the one that is there, for tests that leave it alone, or one of its own, for those that break it.

use std::{net::TcpListener, process::Stdio, sync::Arc, time::Duration};

use ::redis::{Client, FromRedisValue, cmd};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::super::{Options, RedisSessions, Timings};
use crate::session::conformance::eventually;

/// Where a test's keys stand.
pub(super) struct Place {
    url: String,
    pub(super) prefix: String,
}

impl Place {
    /// On the server of `SORDINO_TEST_REDIS`, beside other tests.
    pub(super) fn shared() -> Option<Self> {
        let Ok(url) = std::env::var("SORDINO_TEST_REDIS") else {
            eprintln!("SORDINO_TEST_REDIS is not set: not tested");
            return None;
        };
        Some(Self::of(url))
    }

    fn of(url: String) -> Self {
        let prefix = format!("test:{:016x}:", rand::random::<u64>());
        Self { url, prefix }
    }

    /// Options with short times, but for silence: it would heal, later, what must be noticed at once.
    pub(super) fn options(&self, node: &str) -> Options {
        let url = serde_json::to_string(&self.url).and_then(|url| serde_json::from_str(&url));
        Options {
            prefix: self.prefix.clone(),
            timings: Timings {
                beat: Duration::from_millis(100),
                silence: Duration::from_secs(600),
                retry: Duration::from_millis(200),
                batch: 2,
                pause: Duration::from_millis(1),
                ..Timings::default()
            },
            ..Options::new(url.expect("a text"), node)
        }
    }

    /// A node that is known to the others.
    pub(super) async fn node(&self, node: &str) -> Arc<RedisSessions> {
        self.node_with(self.options(node)).await
    }

    pub(super) async fn node_with(&self, options: Options) -> Arc<RedisSessions> {
        let sessions = RedisSessions::start(options).await.expect("started");
        eventually("known", async || sessions.healthy().is_ok()).await;
        sessions
    }

    /// Sends a command of its own.
    pub(super) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.expect("answered")
    }

    async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        let client = Client::open(self.url.as_str()).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let (name, arguments) = words.split_first().expect("a command");
        let mut command = cmd(name);
        command.arg(arguments);
        command.query_async(&mut connection).await.ok()
    }
}

/// A server of the test's own, without data on disk.
pub(super) struct Server {
    pub(super) place: Place,
    port: u16,
    dir: TempDir,
    child: Option<Child>,
}

impl Server {
    /// `None`: it is not installed here.
    pub(super) async fn start() -> Option<Self> {
        let mut server = Self::stopped();
        server.run().await.then_some(server)
    }

    /// One that does not run yet.
    pub(super) fn stopped() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        Self {
            place: Place::of(format!("redis://127.0.0.1:{port}")),
            port,
            dir: tempfile::tempdir().expect("a directory"),
            child: None,
        }
    }

    /// Runs it, without any data. `false`: it is not installed here.
    pub(super) async fn run(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &self.port.to_string()])
            .current_dir(self.dir.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(child) = child else {
            eprintln!("redis-server is not installed: not tested");
            return false;
        };
        self.child = Some(child);
        let runs = async || self.place.try_ask::<String>(&["PING"]).await.is_some();
        eventually("a server", runs).await;
        true
    }

    /// Kills it with `SIGKILL`.
    pub(super) async fn kill(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().await.expect("killed");
    }
}
