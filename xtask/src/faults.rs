//! The fault matrix: a cluster of its own, people who talk over it, and its parts die one after another.
use std::path::{Path, PathBuf};

use clap::Args;

use crate::{cargo, stack};

#[derive(Args)]
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

pub(crate) fn run(options: &Options) -> Result<(), String> {
    // Ctrl-C is for the program that is started below: it stops the cluster first.
    stack::note_signals()?;
    let relay = match &options.relay {
        Some(relay) => relay.clone(),
        None => stack::build_relay(false)?,
    };
    let build = "build -p sordino-tests --bin contract_client --bin faults";
    cargo(&build.split(' ').collect::<Vec<_>>())?;
    let dir = options.dir.clone();
    let dir = dir.unwrap_or_else(|| stack::named("faults"));
    let mut args: Vec<_> = "run -q -p sordino-tests --bin faults -- --relay"
        .split(' ')
        .collect();
    args.extend([text(&relay)?, "--dir", text(&dir)?]);
    args.extend(options.short.then_some("--short"));
    args.extend(options.json.then_some("--json"));
    args.extend(options.keep.then_some("--keep"));
    let port = options.base_port.map(|port| port.to_string());
    args.extend(port.iter().flat_map(|port| ["--base-port", port]));
    args.extend(options.only.iter().flat_map(|name| ["--only", name]));
    cargo(&args)
}

fn text(path: &Path) -> Result<&str, String> {
    let refused = || format!("{} is not UTF-8", path.display());
    path.to_str().ok_or_else(refused)
}
