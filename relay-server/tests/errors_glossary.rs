//! `docs/errors.md` says what the code says.

#![allow(missing_docs, reason = "tests")]

use std::{fs, path::Path};

use sordino_protocol::{Blame, Code, Retry};

const HEAD: &str = "# Errors

Every error has a stable code, says whose fault it is and whether to try again. Codes with a status come from the relay
(an HTTP answer's `code`, or a frame); those without are raised by the client. An answer's own `retry_after_ms` goes
before what stands here. Made from `protocol/src/error.rs` by the test `errors_glossary` of the relay, which fails when
the two differ and writes this file when `SORDINO_BLESS` is set.

| Code | Status | Whose fault | Try again | What happened and what to do |
|---|---|---|---|---|
";

fn glossary() -> String {
    let mut text = HEAD.to_owned();
    for code in Code::ALL {
        let status = match code.http_status() {
            0 => "-".to_owned(),
            status => status.to_string(),
        };
        let blame = match code.blame() {
            Blame::Peer => "the other person's app",
            Blame::Caller => "the caller",
            Blame::Us => "Sordino or its operator",
            Blame::Network => "the network",
        };
        let retry = match code.retry() {
            Retry::Never => "no".to_owned(),
            Retry::Now => "at once, after that".to_owned(),
            Retry::After(wait) => format!("after {} ms", wait.as_millis()),
        };
        let (name, meaning) = (code.as_str(), code.meaning());
        text += &format!("| `{name}` | {status} | {blame} | {retry} | {meaning} |\n");
    }
    text
}

#[test]
fn the_glossary_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("SORDINO_BLESS").is_some() {
        fs::write(&file, glossary()).expect("written");
    }
    let written = fs::read_to_string(&file).expect("docs/errors.md");
    assert_eq!(written, glossary(), "run this test with SORDINO_BLESS=1");
}
