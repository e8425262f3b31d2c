//! The reader of `tests/reader`, in JavaScript: it reads what was recorded once, and what today's code records.

use std::{env, fs, process::Command};

use crate::{cargo_with, prereq};

const READER: &str = "tests/reader";
/// Names the directory, to the test that records and to the reader.
pub(crate) const VARIABLE: &str = "SORDINO_TRANSCRIPTS";

/// Reads both, what today's code records after having it recorded.
pub(crate) fn run() -> Result<(), String> {
    let fresh = fresh()?;
    let record = ["test", "-p", "sordino", "--lib", "--", "transcripts"];
    cargo_with(&record, &[(VARIABLE, &fresh)])?;
    read(&fresh)
}

/// An empty directory for what today's code records.
pub(crate) fn fresh() -> Result<String, String> {
    let here = env::current_dir().map_err(|e| format!("no current directory: {e}"))?;
    let directory = here.join("target/transcripts");
    let failed = |e| format!("{}: {e}", directory.display());
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(failed)?;
    }
    fs::create_dir_all(&directory).map_err(failed)?;
    Ok(directory.display().to_string())
}

/// Reads what was recorded once, and what lies in `fresh`.
pub(crate) fn read(fresh: &str) -> Result<(), String> {
    prereq::ensure_node()?;
    npm(&["ci", "--no-audit", "--no-fund"], &[])?;
    npm(&["test"], &[])?;
    npm(&["test"], &[(VARIABLE, fresh)])
}

fn npm(args: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    eprintln!("xtask: npm {} (in {READER})", args.join(" "));
    let mut command = Command::new("npm");
    command.current_dir(READER).args(args);
    match command.envs(variables.iter().copied()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("npm {} failed: {status}", args.join(" "))),
        Err(error) => Err(format!("cannot start npm: {error}")),
    }
}
