//! A short run of every fuzz target, where a nightly toolchain is present.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::cargo;

/// Of one target.
const SECONDS: u32 = 10;

/// Runs them. Without a nightly toolchain it says so and does nothing: the corpora are replayed by ordinary tests anyway.
pub(crate) fn short() -> Result<(), String> {
    if !answers(&["+nightly", "--version"]) {
        eprintln!("xtask: no nightly toolchain, so no fuzzing");
        return Ok(());
    }
    if !answers(&["fuzz", "--version"]) {
        cargo(&["install", "--locked", "cargo-fuzz"])?;
    }
    let mut targets: Vec<_> = fs::read_dir("fuzz/fuzz_targets")
        .map_err(|e| format!("fuzz/fuzz_targets: {e}"))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    let time = format!("-max_total_time={SECONDS}");
    // What a run finds worth keeping goes to the first directory: the corpus in the tree is added to by hand.
    let temporary = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
    for target in targets {
        let found = temporary.path().join(&target);
        fs::create_dir(&found).map_err(|e| format!("{}: {e}", found.display()))?;
        let found = found.to_string_lossy();
        let corpus = format!("fuzz/corpus/{target}");
        // vodozemac leaves out its MACs under `--cfg fuzzing`: what is fuzzed would not be what is shipped.
        cargo(&[
            "+nightly",
            "fuzz",
            "run",
            "--no-cfg-fuzzing",
            &target,
            &found,
            &corpus,
            "--",
            &time,
            "-verbosity=0",
        ])?;
    }
    Ok(())
}

fn answers(args: &[&str]) -> bool {
    Command::new("cargo")
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
