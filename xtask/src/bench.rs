//! Measurements, with release builds. What they print goes to stdout alone; builds and progress to stderr.
use clap::{Args, Subcommand};

use crate::cargo;

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The cryptography against its primitives.
    Crypto(Crypto),
    /// The relay against a bare one that stores nothing: messages per second, latency, memory.
    Relay(Relay),
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
