//! A relay on a real address.

#![allow(missing_docs, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use sordino_relay::relay::{Config, StartError, start};

#[tokio::test]
async fn it_is_ready_and_keeps_its_token_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut keys = Vec::new();
    for _ in 0..2 {
        let relay = start(Config::new(dir.path())).await.expect("started");
        let url = format!("http://{}", relay.addr());
        for path in ["healthz", "readyz"] {
            let answer = reqwest::get(format!("{url}/{path}"))
                .await
                .expect("answered");
            assert_eq!(answer.status(), 204, "{path}");
        }
        let jwks = reqwest::get(format!("{url}/.well-known/jwks.json")).await;
        keys.push(jwks.expect("answered").text().await.expect("text"));
        relay.shutdown().await;
        assert!(reqwest::get(format!("{url}/healthz")).await.is_err());
    }
    assert!(keys[0].contains("Ed25519"));
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_data_directory_has_one_relay() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = start(Config::new(dir.path())).await.expect("started");
    let second = start(Config::new(dir.path())).await;
    assert!(matches!(second, Err(StartError::Locked(_))));
    first.shutdown().await;
    let third = start(Config::new(dir.path())).await.expect("started");
    third.shutdown().await;
}

#[tokio::test]
async fn plain_text_stays_on_this_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = Config::new(dir.path());
    config.server.listen = ([0, 0, 0, 0], 0).into();
    let Err(StartError::Config(problems)) = start(config).await else {
        panic!("plain text on every address")
    };
    assert_eq!(problems[0].key, "server.listen");
}

#[test]
fn the_program_says_where_it_listens_and_ends_when_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let port_file = dir.path().join("port");
    let mut relay = Command::new(env!("CARGO_BIN_EXE_sordino-relay"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .arg("--port-file")
        .arg(&port_file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(relay.stderr.take().expect("piped")).lines();
    let address = lines
        .by_ref()
        .map(|line| line.expect("text"))
        .find_map(|line| {
            line.strip_prefix("listening on http://127.0.0.1:")
                .map(str::to_owned)
        })
        .expect("an address");
    let pid = relay.id().to_string();
    assert!(
        Command::new("kill")
            .arg(pid)
            .status()
            .expect("kill runs")
            .success()
    );
    assert!(relay.wait().expect("ended").success());
    assert_eq!(
        std::fs::read_to_string(port_file).expect("written"),
        address
    );
}
