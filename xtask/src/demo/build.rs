//! Building the programs of the demo.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::process::Process;

/// The programs.
pub(super) struct Programs {
    pub(super) relay: PathBuf,
    pub(super) lines: PathBuf,
}

/// Builds them; cargo shows its progress.
pub(super) fn programs() -> Result<Programs, String> {
    eprintln!("demo: building relay and client (the first time takes minutes)");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--message-format=json-render-diagnostics"])
        .args([
            "--package=sordino-relay",
            "--package=sordino-lines",
            "--bins",
        ])
        .stdout(Stdio::piped());
    let cargo = Process::start(&mut cargo).map_err(|e| format!("cannot start cargo: {e}"))?;
    let (mut relay, mut lines) = (None, None);
    let messages = cargo.output().ok_or("cargo has no output")?;
    for message in BufReader::new(messages).lines() {
        let message = message.map_err(|e| format!("cargo's output: {e}"))?;
        let Ok(message) = serde_json::from_str::<Value>(&message) else {
            continue;
        };
        let Some(path) = message.get("executable").and_then(Value::as_str) else {
            continue;
        };
        match message.pointer("/target/name").and_then(Value::as_str) {
            Some("sordino-relay") => relay = Some(PathBuf::from(path)),
            Some("sordino-lines") => lines = Some(PathBuf::from(path)),
            _ => {}
        }
    }
    let status = cargo.wait().map_err(|e| format!("cargo: {e}"))?;
    match (status.success(), relay, lines) {
        (true, Some(relay), Some(lines)) => Ok(Programs { relay, lines }),
        (true, ..) => Err("cargo built no programs".to_owned()),
        (false, ..) => Err(format!("cargo build failed: {status}")),
    }
}
