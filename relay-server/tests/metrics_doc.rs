//! `docs/metrics.md` names every metric that the code records, and no other; the alerts ask for no other either.
#![allow(missing_docs, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeSet, fs, path::Path};

const DOC: &str = include_str!("../../docs/metrics.md");
const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const OPERATIONS: &str = include_str!("../../docs/operations.md");

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

/// A histogram has its name with a suffix only. An alert on a metric that nobody records never fires, and nothing says so.
#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let words = ALERTS.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: BTreeSet<_> = words.filter(|w| w.starts_with("sordino_")).collect();
    assert!(asked.len() > 8, "{asked:?}");
    let documented = documented();
    for name in asked {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        assert!(
            documented.contains(name) || base.is_some_and(|base| documented.contains(base)),
            "{name}"
        );
    }
}

#[test]
fn every_alert_is_explained() {
    let alerts: BTreeSet<_> = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let (_, section) = OPERATIONS
        .split_once("\n## What to be woken for\n")
        .expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let explained: BTreeSet<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(alerts, explained);
}
