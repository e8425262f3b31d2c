//! Measurements, with release builds. What they print goes to stdout alone; builds and progress to stderr.
use clap::{Args, Subcommand};

use crate::{cargo, stack};

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The cryptography against its primitives.
    Crypto(Crypto),
    /// Search in the client's store of 100 000 messages, against a scan of them; what the index costs.
    Search(Crypto),
    /// What the client does on the device, sending and receiving against the bare rows in the same database; a new device from login to the last of 10 000 messages; a store of 100 000, opened.
    Client(Crypto),
    /// The relay against a bare one that stores nothing: messages per second, latency, memory.
    Relay(Relay),
    /// A cluster of relay nodes behind HAProxy, with all its services on this machine: messages per second, latency, CPU,
    /// memory and disk, beside what Kafka and Cassandra do alone. Takes about half an hour; `-- --quick` a tenth of it.
    Stack(Relay),
    /// Thousands of connections when nodes of a cluster die, come back and are restarted, by HAProxy's ways of spreading them.
    Herd(Relay),
}

#[derive(Args)]
pub(crate) struct Crypto {
    /// One line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Relay {
    /// One line of JSON.
    #[arg(long)]
    json: bool,
    /// Options of the load generator; `-- --help` lists them.
    #[arg(last = true)]
    generator: Vec<String>,
}

pub(crate) fn run(bench: &Bench) -> Result<(), String> {
    match bench {
        Bench::Crypto(Crypto { json }) => {
            let mut args = vec!["bench", "-p", "sordino-crypto", "--bench", "crypto", "--"];
            args.extend(json.then_some("--json"));
            cargo(&args)
        }
        Bench::Search(Crypto { json }) => {
            let run = "run --release -p sordino --features bench --bin sordino-bench-search --";
            let mut args: Vec<_> = run.split(' ').collect();
            args.extend(json.then_some("--json"));
            cargo(&args)
        }
        Bench::Client(Crypto { json }) => {
            let run = "bench -p sordino --features bench --bench client --";
            let mut args: Vec<_> = run.split(' ').collect();
            args.extend(json.then_some("--json"));
            cargo(&args)
        }
        Bench::Stack(options) => cluster("capacity", options),
        Bench::Herd(options) => cluster("herd", options),
        Bench::Relay(Relay { json, generator }) => {
            // By itself, as it is released: with the client beside it, its SQLite would be SQLCipher.
            cargo(&["build", "--release", "-p", "sordino-relay"])?;
            let tests = "--release -p sordino-tests --no-default-features";
            let build = format!("build {tests} --bins");
            cargo(&build.split(' ').collect::<Vec<_>>())?;
            let run = format!("run {tests} --bin sordino-load --");
            let mut args: Vec<_> = run.split(' ').collect();
            args.extend(json.then_some("--json"));
            args.extend(generator.iter().map(String::as_str));
            cargo(&args)
        }
    }
}

fn cluster(task: &str, options: &Relay) -> Result<(), String> {
    // Ctrl-C is for the program that is started below: it stops the cluster first.
    stack::note_signals()?;
    let relay = stack::build_relay()?;
    let dir = stack::named("bench");
    let text = |path: std::path::PathBuf| path.display().to_string();
    let (relay, dir) = (text(relay), text(dir));
    let run = "run --release -p sordino-tests --no-default-features --features measure --bin sordino-stack-load --";
    let mut args: Vec<_> = run.split(' ').collect();
    args.extend([task, "--relay", &relay, "--dir", &dir]);
    args.extend(options.json.then_some("--json"));
    args.extend(options.generator.iter().map(String::as_str));
    cargo(&args)
}
