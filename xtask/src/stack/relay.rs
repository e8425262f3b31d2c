//! The relay as a cluster needs it.
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Builds it; cargo shows its progress.
pub(super) fn build(release: bool) -> Result<PathBuf, String> {
    eprintln!("stack: building the relay (the first time takes minutes)");
    let mut cargo = Command::new("cargo");
    cargo.args("build --package=sordino-relay --bin=sordino-relay --features=cluster --message-format=json-render-diagnostics".split(' '));
    if release {
        cargo.arg("--release");
    }
    let built = cargo.stderr(Stdio::inherit()).output();
    let built = built.map_err(|e| format!("cannot start cargo: {e}"))?;
    if !built.status.success() {
        return Err(format!("cargo build failed: {}", built.status));
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    executables
        .next_back()
        .ok_or_else(|| "cargo built no relay".to_owned())
}
