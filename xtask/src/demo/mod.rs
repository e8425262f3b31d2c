//! `cargo xtask demo`: two people converse over a relay; relay and clients are processes of their own.

mod build;
mod dialogue;
mod kills;
mod leak;
mod person;
mod relay;
mod report;
mod transfer;
mod who;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;

use self::{person::People, relay::Relay, report::Report};

/// A stretch of this length in which nothing moves is a failure.
const STALLED: Duration = Duration::from_secs(60);

/// Options of the demo.
#[derive(Args)]
pub(crate) struct Options {
    /// Send this text line by line both ways instead of the built-in dialogue.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Keep received-by-alice.txt, received-by-bob.txt and the relay's data directory `relay/` here.
    #[arg(long)]
    out: Option<PathBuf>,
    /// With --file: kill relay and clients this many times (SIGKILL) while the text travels.
    #[arg(long, requires = "file", default_value_t = 0)]
    kill: u32,
    /// What decides the kills' order and moments; a new one each time if absent.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it. Errors are texts for a person.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let began = Instant::now();
    let temporary = tempfile::Builder::new()
        .prefix("sordino-demo-")
        .tempdir()
        .map_err(|e| format!("no temporary directory: {e}"))?;
    let out = options.out.as_deref().unwrap_or(temporary.path());
    let data = prepare(out)?;
    let programs = build::programs()?;

    let relay = Relay::start(&programs.relay, &data, temporary.path())?;
    eprintln!("demo: relay listens at {}", relay.url());
    let mut people = People::new(&programs.lines, relay, temporary.path(), out);
    let outcome = match &options.file {
        Some(file) => transfer::run(&mut people, file, options.kill, options.seed),
        None => dialogue::run(&mut people),
    };
    let told = match outcome {
        Ok(told) => told,
        Err(why) => return Err(keep(temporary, &format!("{why}{}", people.last_words()))),
    };
    people.stop()?;
    let held = relay::rows(&programs.relay, &data)?;
    let leaks = leak::search(&data, &told.texts)?;
    Report {
        told: &told,
        timelines: people.timelines(),
        held: &held,
        leaks: &leaks,
        data: options.out.is_some().then_some(data.as_path()),
        took: began.elapsed(),
    }
    .print();
    leaks.verdict()
}

/// The relay's data directory in `out`. What an earlier run left there is not mixed with this one's.
fn prepare(out: &Path) -> Result<PathBuf, String> {
    let data = out.join("relay");
    if data.exists() {
        return Err(format!(
            "{} is there already: name another directory, or remove it",
            data.display()
        ));
    }
    fs::create_dir_all(&data).map_err(|e| format!("cannot create {}: {e}", data.display()))?;
    Ok(data)
}

/// After a failure the stores and logs are what explains it.
fn keep(temporary: tempfile::TempDir, why: &str) -> String {
    format!("{why}\nstores and logs: {}", temporary.keep().display())
}
