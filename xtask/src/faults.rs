//! The fault matrix: a cluster of its own, people who talk over it, and its parts die one after another.
use std::{path::PathBuf, process::Command};

use clap::Args;

use crate::stack;

#[derive(Args, Default)]
pub(crate) struct Options {
    /// One broker, one Cassandra node, two relay nodes, and the faults that take seconds. As CI runs it.
    #[arg(long)]
    short: bool,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Keep logs and notes even if all went well.
    #[arg(long)]
    keep: bool,
    /// Only this fault; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Where the cluster lies instead of target/stack/faults. What was there is removed.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The first of the cluster's hundred ports.
    #[arg(long)]
    base_port: Option<u16>,
    /// Run this `sordino-relay` instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    relay: Option<PathBuf>,
}

impl Options {
    /// As CI runs it.
    pub(crate) fn short() -> Self {
        Self {
            short: true,
            ..Self::default()
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    // Ctrl-C is for the program that is started below: it stops the cluster first.
    stack::note_signals()?;
    let names = ["faults", "sordino-relay", "contract_client"];
    let built = stack::build_as_tests(&names)?;
    let [faults, relay, _] = built.as_slice() else {
        return Err("cargo built something else".to_owned());
    };
    let mut command = Command::new(faults);
    command.arg("--relay");
    command.arg(options.relay.as_ref().unwrap_or(relay));
    let dir = options.dir.clone();
    command
        .arg("--dir")
        .arg(dir.unwrap_or_else(|| stack::named("faults")));
    for (flag, given) in [
        ("--short", options.short),
        ("--json", options.json),
        ("--keep", options.keep),
    ] {
        command.args(given.then_some(flag));
    }
    if let Some(port) = options.base_port {
        command.args(["--base-port", &port.to_string()]);
    }
    for name in &options.only {
        command.args(["--only", name]);
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("faults: {status}")),
        Err(error) => Err(format!("cannot start {}: {error}", faults.display())),
    }
}
