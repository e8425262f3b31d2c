//! Replays `fuzz/corpus/two_party` through the body of its fuzz target.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::{fs, path::Path};

use proptest::prelude::*;

#[test]
fn two_party() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/two_party");
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        support::two_party::run(&fs::read(entry.unwrap().path()).unwrap(), true);
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What no corpus holds yet.
    #[test]
    fn two_party_at_random(
        steps in prop::collection::vec((any::<bool>(), 0u8..14, any::<u8>(), any::<u8>()), 0..40),
    ) {
        let bytes = steps.iter().flat_map(|(side, what, at, how)| {
            [u8::from(*side) << 7 | what, *at, *how]
        });
        support::two_party::run(&bytes.collect::<Vec<u8>>(), true);
    }
}
