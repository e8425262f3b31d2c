//! `docs/metrics.md` names every metric that the code records, and no other.
#![allow(missing_docs, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeSet, fs, path::Path};

const DOC: &str = include_str!("../../docs/metrics.md");

fn documented() -> BTreeSet<String> {
    let name = |line: &str| {
        let name = line.strip_prefix("| `")?.split('`').next()?;
        Some(name.to_owned())
    };
    DOC.lines().filter_map(name).collect()
}

/// The names in `gauge!("…"`, `counter!("…"` and `histogram!("…"`.
fn recorded(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            recorded(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).expect("source");
        for kind in ["gauge!(", "counter!(", "histogram!("] {
            for after in text.split(kind).skip(1) {
                let name = after.trim_start().strip_prefix('"').expect("a literal");
                found.extend(name.split('"').next().map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_metric_is_documented() {
    let mut found = BTreeSet::new();
    recorded(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut found,
    );
    assert!(found.len() > 10, "{found:?}");
    assert_eq!(documented(), found);
}
