//! What machines write and read, recorded for `tests/reader`, which reads it without any of this code. What was recorded once is
//! kept there; `cargo xtask reader` has it read, and what today's code records.

mod account;
mod recorder;
mod story;

use std::{env, fs, path::PathBuf};

/// Where recordings are put, if anywhere.
const DIRECTORY: &str = "SORDINO_TRANSCRIPTS";

#[test]
fn a_story_is_told_and_recorded() {
    let told = story::tell();
    if let Some(directory) = env::var_os(DIRECTORY).map(PathBuf::from) {
        for (name, transcript) in [
            ("talk", &told.talk),
            ("account", &told.account),
            ("link", &told.link),
        ] {
            let text = serde_json::to_string_pretty(transcript).unwrap();
            fs::write(directory.join(format!("{name}.json")), text + "\n").unwrap();
        }
    }
}
