//! Programs that are started rather than called.
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

/// The relay as a cluster needs it, built; cargo shows its progress.
pub(super) fn build(release: bool) -> Result<PathBuf, String> {
    eprintln!("stack: building the relay (the first time takes minutes)");
    let mut args = vec![
        "build",
        "--package=sordino-relay",
        "--bin=sordino-relay",
        "--features=cluster",
    ];
    args.extend(release.then_some("--release"));
    let built = executables(&args)?.pop();
    built.ok_or_else(|| "cargo built no relay".to_owned())
}

/// The programs that cargo makes when it is called so; tests are none.
pub(super) fn executables(args: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(args)
        .arg("--message-format=json-render-diagnostics");
    let built = cargo.stderr(Stdio::inherit()).output();
    let built = built.map_err(|e| format!("cannot start cargo: {e}"))?;
    if !built.status.success() {
        return Err(format!("cargo build failed: {}", built.status));
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = |line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let test = message.pointer("/profile/test")?.as_bool()?;
        let path = message.get("executable")?.as_str()?;
        (!test).then(|| PathBuf::from(path))
    };
    Ok(messages.lines().filter_map(executable).collect())
}
