//! The Verifpal models of the protocol: each as it stands, where every query has to hold, and with each of its rules left out, where
//! exactly those have to break that the model names. `core-crypto/models/README.md` says how a rule is marked.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::cargo;

const MODELS: &str = "core-crypto/models";
const VERSION: &str = "1.6.7";
/// Of one run. The longest takes 17 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A model with at most one rule left out.
struct Case {
    model: String,
    without: Option<String>,
    breaks: BTreeSet<String>,
    text: String,
}

/// What is read of the report that `verifpal verify --format json` prints.
#[derive(Deserialize)]
struct Report {
    models: Vec<Analysed>,
}

#[derive(Deserialize)]
struct Analysed {
    error: Option<String>,
    analysis: Option<Analysis>,
}

#[derive(Deserialize)]
struct Analysis {
    sessions: u32,
    queries: Vec<Query>,
}

#[derive(Deserialize)]
struct Query {
    query: String,
    /// There is an attack.
    resolved: bool,
    envelope: Envelope,
}

#[derive(Deserialize)]
struct Envelope {
    /// The search came to its end within the bound.
    exhausted: bool,
}

/// Checks all models; installs Verifpal if it is not there.
pub(crate) fn run() -> Result<(), String> {
    check(&install()?)
}

/// The same, but where Verifpal cannot be installed it says so and does nothing: who builds offline is not kept from it.
pub(crate) fn ci() -> Result<(), String> {
    match install() {
        Ok(program) => check(&program),
        Err(why) => {
            eprintln!("xtask: {why}");
            eprintln!("xtask: no Verifpal, so THE MODELS OF THE PROTOCOL WERE NOT CHECKED");
            Ok(())
        }
    }
}

/// Into a directory of its own: another version that somebody has stays theirs.
fn install() -> Result<PathBuf, String> {
    let root = format!("target/verifpal-{VERSION}");
    let program = Path::new(&root).join("bin/verifpal");
    if !program.exists() {
        let version = format!("={VERSION}");
        // It asks for a newer Rust than the project does, and builds with ours.
        let how = ["--locked", "--ignore-rust-version", "--root", &root];
        cargo(&[&["install", "verifpal", "--version", &version], &how[..]].concat())?;
    }
    Ok(program)
}

fn check(program: &Path) -> Result<(), String> {
    let mut cases = Vec::new();
    for path in models()? {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        cases.extend(cases_of(&name, &text)?);
    }
    eprintln!("xtask: {} runs of Verifpal {VERSION}", cases.len());
    let temporary = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
    let mut wrong = 0;
    for case in &cases {
        let started = Instant::now();
        let found = verify(program, case, temporary.path()).and_then(|report| judge(case, &report));
        wrong += usize::from(found.is_err());
        let (verdict, what) = match found {
            Ok(what) => ("ok", what),
            Err(why) => ("WRONG", why),
        };
        let rule = match &case.without {
            None => "as it stands".to_owned(),
            Some(rule) => format!("without {rule}"),
        };
        let took = started.elapsed().as_secs_f64();
        println!(
            "{verdict:<6}{:<11}{rule:<24}{took:>5.1} s  {what}",
            case.model
        );
    }
    match wrong {
        0 => Ok(()),
        _ => Err(format!("{wrong} of {} runs are wrong", cases.len())),
    }
}

fn models() -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(MODELS).map_err(|e| format!("{MODELS}: {e}"))?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "vp"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{MODELS}: no models"));
    }
    Ok(paths)
}

/// The model as it stands and once for every `// without RULE: QUERY; QUERY` in it.
fn cases_of(name: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut cases = vec![Case {
        model: name.to_owned(),
        without: None,
        breaks: BTreeSet::new(),
        text: text.to_owned(),
    }];
    for line in text.lines() {
        let Some((rule, breaks)) = line
            .strip_prefix("// without ")
            .and_then(|rest| rest.split_once(": "))
        else {
            continue;
        };
        let left_out = without(text, rule);
        if left_out == text.lines().collect::<Vec<_>>() {
            return Err(format!("{name}: no line is marked {rule}"));
        }
        cases.push(Case {
            model: name.to_owned(),
            without: Some(rule.to_owned()),
            breaks: breaks.split("; ").map(str::to_owned).collect(),
            text: left_out.join("\n"),
        });
    }
    let broken: BTreeSet<_> = cases.iter().flat_map(|case| &case.breaks).collect();
    for line in text.lines() {
        if let Some(rule) = rule_of(line)
            && !cases
                .iter()
                .any(|case| case.without.as_deref() == Some(rule))
        {
            return Err(format!("{name}: nothing says what breaks without {rule}"));
        }
    }
    // A query that nothing breaks might be one that cannot break.
    for query in queries(text) {
        if !broken.contains(&query.to_owned()) {
            return Err(format!("{name}: no rule is there for `{query}`"));
        }
    }
    Ok(cases)
}

fn queries(text: &str) -> impl Iterator<Item = &str> {
    let block = text.split_once("queries[").map_or("", |(_, block)| block);
    let lines = block.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && *line != "]")
}

/// The lines left when this rule is: those that end with `//- RULE` go, those that begin with `//+ RULE: ` come in.
fn without<'a>(text: &'a str, rule: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| {
            if rule_of(line) != Some(rule) {
                return Some(line);
            }
            Some(added(line)?.1)
        })
        .collect()
}

fn rule_of(line: &str) -> Option<&str> {
    let removed = line.rsplit_once("//- ").map(|(_, rule)| rule);
    added(line).map(|(rule, _)| rule).or(removed)
}

fn added(line: &str) -> Option<(&str, &str)> {
    line.trim_start().strip_prefix("//+ ")?.split_once(": ")
}

fn verify(program: &Path, case: &Case, dir: &Path) -> Result<String, String> {
    let model = dir.join(format!(
        "{}-{}.vp",
        case.model,
        case.without.as_deref().unwrap_or("all")
    ));
    let report = model.with_extension("json");
    let failed = |e: std::io::Error| format!("{}: {e}", program.display());
    fs::write(&model, &case.text).map_err(failed)?;
    let mut child = Command::new(program)
        .args(["verify", "--format", "json"])
        .arg(&model)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&report).map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let started = Instant::now();
    // The status says nothing that the report does not.
    while child.try_wait().map_err(failed)?.is_none() {
        if started.elapsed() > LIMIT {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            return Err(format!("no answer within {} s", LIMIT.as_secs()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    fs::read_to_string(&report).map_err(failed)
}

/// What was found, if it is what the model says.
fn judge(case: &Case, report: &str) -> Result<String, String> {
    let report: Report = serde_json::from_str(report).map_err(|e| format!("no report: {e}"))?;
    let [analysed] = &report.models[..] else {
        return Err("not the report of one model".to_owned());
    };
    let Some(analysis) = &analysed.analysis else {
        let why = analysed.error.as_deref();
        return Err(why.unwrap_or("not analysed").to_owned());
    };
    let queries = &analysis.queries;
    if queries.is_empty() || analysis.sessions < 2 || queries.iter().any(|q| !q.envelope.exhausted)
    {
        return Err("the search did not come to its end".to_owned());
    }
    let broken: BTreeSet<_> = queries
        .iter()
        .filter(|query| query.resolved)
        .map(|query| query.query.clone())
        .collect();
    let list = |queries: &BTreeSet<String>| {
        let queries: Vec<_> = queries.iter().map(String::as_str).collect();
        queries.join("; ")
    };
    match (broken == case.breaks, broken.is_empty()) {
        (true, true) => Ok(format!("all {} queries hold", queries.len())),
        (true, false) => Ok(format!("breaks {}", list(&broken))),
        (false, _) => Err(format!(
            "breaks [{}], not [{}]",
            list(&broken),
            list(&case.breaks)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "\
// without check: confidentiality? m
attacker[active]
a = SIGNVERIF(k, m, s)? //- check
\t//+ check: leaks m
queries[
\tconfidentiality? m
]
";

    fn report(resolved: bool, exhausted: bool) -> String {
        format!(
            r#"{{"models":[{{"analysis":{{"sessions":2,"queries":[{{"query":"confidentiality? m","resolved":{resolved},
            "envelope":{{"exhausted":{exhausted}}}}}]}}}}]}}"#
        )
    }

    fn cases() -> Vec<Case> {
        cases_of("m", MODEL).unwrap()
    }

    #[test]
    fn a_rule_left_out_takes_its_lines_with_it_and_brings_others() {
        let cases = cases();
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[0].text, MODEL);
        assert!(!cases[1].text.contains("SIGNVERIF"));
        assert!(cases[1].text.contains("\nleaks m\n"));
    }

    #[test]
    fn a_model_holds_as_it_stands_and_breaks_without_the_rule() {
        let cases = cases();
        assert!(judge(&cases[0], &report(false, true)).is_ok());
        assert!(judge(&cases[1], &report(true, true)).is_ok());
        // It broke as it stands, and stood without the rule.
        assert!(judge(&cases[0], &report(true, true)).is_err());
        assert!(judge(&cases[1], &report(false, true)).is_err());
    }

    #[test]
    fn what_is_no_whole_analysis_is_no_verdict() {
        let case = &cases()[0];
        assert!(judge(case, &report(false, false)).is_err());
        assert!(judge(case, "").is_err());
        assert!(judge(case, r#"{"models":[]}"#).is_err());
        assert!(judge(case, r#"{"models":[{"error":"parse error"}]}"#).is_err());
    }

    #[test]
    fn marks_and_header_have_to_agree() {
        for (what, by) in [
            ("// without check", "// without other"),
            ("//- check", "//- other"),
            (
                "confidentiality? m\n]",
                "confidentiality? m\n\tfreshness? m\n]",
            ),
        ] {
            assert!(cases_of("m", &MODEL.replace(what, by)).is_err(), "{what}");
        }
    }
}
