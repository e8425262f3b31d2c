//! `cargo xtask demo`: two people converse over a relay; relay and clients are processes of their own.

mod build;
mod dialogue;
mod interrupt;
mod kills;
mod leak;
mod person;
mod place;
mod process;
mod relay;
mod report;
mod text;
mod transfer;
mod who;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;

use self::{
    build::Programs, interrupt::Interrupt, person::People, place::Place, relay::Relay,
    report::Report,
};

/// A stretch of this length in which nothing moves is a failure.
const STALLED: Duration = Duration::from_secs(60);

/// Options of the demo.
#[derive(Args)]
pub(crate) struct Options {
    /// Send this text line by line both ways instead of the built-in dialogue. UTF-8; a line of more than 16 KiB travels as
    /// several messages.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Keep received-by-alice.txt, received-by-bob.txt and the relay's data directory `relay/` here. They are put there at the
    /// end, so that an interrupted run can simply be repeated; a `relay/` of a finished run is not overwritten.
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
    let text = options.file.as_deref().map(text::read).transpose()?;
    let place = Place::new(options.out.as_deref())?;
    let interrupt = Interrupt::removes(place.temporary(), place.made())?;
    let programs = build::programs();
    interrupt.goes_first();
    let outcome = converse(options, text.as_deref(), &programs?, &place);
    interrupt.goes_first();
    outcome.map_err(|why| place.keep(&why))
}

fn converse(
    options: &Options,
    text: Option<&str>,
    programs: &Programs,
    place: &Place,
) -> Result<(), String> {
    let began = Instant::now();
    let data = place.data();
    let relay = Relay::start(&programs.relay, &data, place.temporary())?;
    eprintln!("demo: relay listens at {}", relay.url());
    let mut people = People::new(&programs.lines, relay, place.temporary());
    let told = match text {
        Some(text) => {
            let file = place.temporary().join("text");
            transfer::run(&mut people, text, &file, options.kill, options.seed)
        }
        None => dialogue::run(&mut people),
    }
    .and_then(|told| people.stop().map(|()| told))
    .map_err(|why| format!("{why}{}", people.last_words()))?;
    let held = relay::rows(&programs.relay, &data)?;
    let leaks = leak::search(&data, &told.texts)?;
    let kept = place.finish()?;
    Report {
        told: &told,
        timelines: people.timelines(),
        held: &held,
        leaks: &leaks,
        kept: kept.as_ref(),
        took: began.elapsed(),
    }
    .print();
    leaks.verdict()
}
