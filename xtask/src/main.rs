//! `cargo xtask`: the project's own commands.
mod bench;
mod demo;
mod faults;
mod fuzz;
mod models;
mod prereq;
mod reader;
mod stack;
mod test;

use clap::{Parser, Subcommand};
use std::process::{Command, ExitCode};

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Two people converse over a relay, all of them processes; shows what each saw and what the relay holds.
    Demo(demo::Options),
    /// Checks what the build needs, starts the servers of a cluster, runs every test, and stops what it started.
    Test(test::Options),
    /// Measures, and prints a table or one line of JSON.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// A cluster on this machine: PostgreSQL, Redis, Kafka, Cassandra, HAProxy and relay nodes.
    Stack(stack::Options),
    /// Kills, holds and cuts off each part of a cluster while people talk over it; prints a table or one line of JSON.
    Faults(faults::Options),
    /// A few seconds of every fuzz target; needs a nightly toolchain.
    Fuzz,
    /// The Verifpal models of the protocol, each as it stands and with each of its rules left out; installs Verifpal.
    Models,
    /// A reader in JavaScript, written from the protocol's description alone, reads what was recorded once and what today's code
    /// records; installs Node.js and what the reader needs.
    Reader,
    /// Formatting, lints, documentation, tests, the reader, the models, the short form of the faults and a short fuzz run, as CI runs them.
    Ci,
}

const CI: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ],
    // Without the cluster's stores too, as a newcomer builds it.
    &[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        test::CLUSTER,
        "--features",
        "sordino/bench",
        "--",
        "-D",
        "warnings",
    ],
    &[
        "doc",
        "--workspace",
        "--no-deps",
        "--features",
        test::CLUSTER,
    ],
];

fn main() -> ExitCode {
    let task = Args::parse().task;
    let outcome = prereq::ensure().and_then(|()| match task {
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options).map(drop),
        Task::Bench(bench) => bench::run(&bench),
        Task::Stack(options) => stack::run(&options),
        Task::Faults(options) => faults::run(&options),
        Task::Fuzz => fuzz::short(),
        Task::Models => models::run(),
        Task::Reader => reader::run(),
        Task::Ci => prereq::ensure_cluster()
            .and_then(|()| CI.iter().try_for_each(|step| cargo(step)))
            .and_then(|()| test::run(&test::Options::default()))
            .and_then(|fresh| reader::read(&fresh))
            .and_then(|()| models::ci())
            .and_then(|()| faults::run(&faults::Options::short()))
            .and_then(|()| fuzz::short()),
    });
    if let Err(why) = outcome {
        eprintln!("xtask: {why}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

pub(crate) fn cargo(args: &[&str]) -> Result<(), String> {
    cargo_with(args, &[])
}

/// Runs cargo with these variables.
pub(crate) fn cargo_with(args: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    eprintln!("xtask: cargo {}", args.join(" "));
    let mut command = Command::new("cargo");
    if args.first() == Some(&"doc") {
        command.env("RUSTDOCFLAGS", "-D warnings");
    }
    command.envs(variables.iter().copied());
    match command.args(args).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {} failed: {status}", args.join(" "))),
        Err(error) => Err(format!("cannot start cargo: {error}")),
    }
}
