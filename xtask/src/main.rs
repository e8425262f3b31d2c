//! `cargo xtask`: the project's own commands.
mod prereq;

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
    /// Checks what the build needs, then runs every test.
    Test,
    /// Formatting, lints, tests and documentation, as CI runs them.
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
    &["doc", "--workspace", "--no-deps"],
    TEST,
];
const TEST: &[&str] = &["test", "--workspace"];

fn main() -> ExitCode {
    let steps = match Args::parse().task {
        Task::Test => &[TEST][..],
        Task::Ci => CI,
    };
    if let Err(why) = prereq::ensure().and_then(|()| steps.iter().try_for_each(|s| cargo(s))) {
        eprintln!("xtask: {why}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn cargo(args: &[&str]) -> Result<(), String> {
    eprintln!("xtask: cargo {}", args.join(" "));
    let mut command = Command::new("cargo");
    if args.first() == Some(&"doc") {
        command.env("RUSTDOCFLAGS", "-D warnings");
    }
    match command.args(args).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {} failed: {status}", args.join(" "))),
        Err(error) => Err(format!("cannot start cargo: {error}")),
    }
}
