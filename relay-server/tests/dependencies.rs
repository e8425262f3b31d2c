//! The relay cannot decrypt: what could is not among its dependencies.

#![allow(missing_docs, reason = "tests")]

use std::process::Command;

#[test]
fn contract_p6_the_relay_links_no_message_cryptography() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "-p",
            "sordino-relay",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    let names: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    // Without this a change of cargo's output would let the rest pass unread.
    assert!(names.contains(&"sordino-protocol"), "{tree}");
    for forbidden in ["sordino-crypto", "vodozemac", "sordino"] {
        assert!(!names.contains(&forbidden), "{forbidden} is linked");
    }
}
