//! What the build needs besides Rust: OpenSSL (inside SQLCipher) is compiled from source.
use std::process::{Command, Stdio};

/// Program to run, and the Debian package that brings it.
const NEEDED: &[(&str, &str)] = &[("cc", "gcc libc6-dev"), ("make", "make"), ("perl", "perl")];

/// Installs what is missing with apt-get; where that fails, the error names it.
pub(crate) fn ensure() -> Result<(), String> {
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(program, _)| !runs(program, &["--version"]))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().flat_map(|(_, p)| p.split(' ')).collect();
    eprintln!("xtask: installing {}", packages.join(" "));
    let install = [&["install", "-y", "--no-install-recommends"], &packages[..]].concat();
    if runs("apt-get", &["update"]) && runs("apt-get", &install) {
        return Ok(());
    }
    Err(format!("please install: {}", packages.join(" ")))
}

fn runs(program: &str, args: &[&str]) -> bool {
    let quiet = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}
