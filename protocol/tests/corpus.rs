#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
//! Replays `fuzz/corpus` through the bodies of the fuzz targets.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[path = "support/decoders.rs"]
mod decoders;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

fn replay(target: &str, body: fn(&[u8]) -> bool) {
    let folder = corpus(target);
    let (mut files, mut accepted) = (0, 0);
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        accepted += usize::from(body(&fs::read(entry.unwrap().path()).unwrap()));
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
    // One refused at the door would exercise nothing behind it.
    assert!(accepted > 0, "{}: nothing accepted", folder.display());
    assert!(accepted < files, "{}: nothing refused", folder.display());
}

#[test]
fn client_frame() {
    replay("client_frame", decoders::client_frame);
}

#[test]
fn relay_frame() {
    replay("relay_frame", decoders::relay_frame);
}

#[test]
fn header() {
    replay("header", decoders::header);
}

#[test]
fn device_list() {
    replay("device_list", decoders::device_list);
}

#[test]
fn content() {
    replay("content", decoders::content);
}

#[test]
fn wraps() {
    replay("wraps", decoders::wraps);
}
