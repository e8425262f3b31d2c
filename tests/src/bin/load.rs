//! `cargo xtask bench relay`: starts the relay and a bare one, loads both by turns, and prints what it measured.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use sordino_tests::load::{
    self, NO_LIMITS,
    account::{Account, Api},
    envelope::Noise,
    machine::{Machine, raise_file_limit},
    memory,
    progress::step,
    report::Report,
    server::Server,
    target::Target,
    throughput::{self, Plan, Rivals},
};

/// Measures the relay against a bare one.
#[derive(Parser)]
struct Args {
    /// One line of JSON on stdout, nothing else.
    #[arg(long)]
    json: bool,
    /// Devices that write at the same time.
    #[arg(long, default_value_t = 512)]
    devices: usize,
    /// Messages that each keeps on the way.
    #[arg(long, default_value_t = 4)]
    in_flight: usize,
    /// Turns of each relay at full load.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measured seconds of a turn.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Connections for the measurement of memory.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Where the relay's data goes, for the time of the run; beside this program if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Files that a process has open beside its connections.
const OTHER_FILES: u64 = 500;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(report) if args.json => println!("{}", report.json()),
        Ok(report) => print!("{}", report.table()),
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn run(args: &Args) -> Result<Report, Box<dyn Error>> {
    let programs = std::env::current_exe()?
        .parent()
        .map(Path::to_owned)
        .ok_or("this program has no directory")?;
    // On a real disk, where the build is: a `/tmp` in memory syncs for nothing.
    let dir = tempfile::tempdir_in(args.dir.as_deref().unwrap_or(&programs))?;
    let mut notes = Vec::new();
    let connections = connections(args.connections, &mut notes);
    let devices = (args.devices & !1).clamp(2, connections);
    let machine = Machine::new(dir.path())?;
    let noise = Noise::new();

    let relay_program = programs.join("sordino-relay");
    let data = dir.path().join("data").display().to_string();
    let config = dir.path().join("relay.toml");
    fs::write(&config, NO_LIMITS)?;
    let config = config.display().to_string();
    let place = ["--listen", "127.0.0.1:0", "--data", &data];
    let relay_args = [&["serve", "--config", &config], &place[..]].concat();
    let relay = Server::start(&relay_program, &relay_args, dir.path(), "relay").await?;
    let raw = Server::start(&programs.join("sordino-raw-relay"), &[], dir.path(), "raw").await?;

    let api = Arc::new(Api::new(&Target::plain(relay.addr))?);
    let (accounts, registered) = register(&api, devices + connections).await?;
    let (writers, idle) = accounts.split_at(devices);
    let plan = Plan {
        rounds: args.rounds.max(1),
        turn: Duration::from_secs(args.seconds.max(1)),
        in_flight: args.in_flight.max(1),
    };
    let rivals = Rivals {
        relay: &relay,
        raw: &raw,
    };
    let writers = log_in(&api, writers).await?;
    let throughput = throughput::measure(plan, &rivals, &writers, &noise).await;
    let throughput = throughput.map_err(|error| explain(&error, &relay))?;
    let idle = log_in(&api, idle).await?;
    relay.stop().await?;
    raw.stop().await?;

    // A fresh process on the same data. Other users than before: the first ones have a long history to catch up with.
    let relay = Server::start(&relay_program, &relay_args, dir.path(), "relay").await?;
    let memory = memory::measure(&relay, &idle, &noise).await;
    let memory = memory.map_err(|error| explain(&error, &relay))?;
    relay.stop().await?;
    Ok(Report {
        machine,
        registered,
        plan,
        devices,
        throughput,
        memory,
        notes,
    })
}

/// As many as the limit of open files allows.
fn connections(wanted: usize, notes: &mut Vec<String>) -> usize {
    let files = raise_file_limit(wanted as u64 + OTHER_FILES);
    let most = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    if most < wanted {
        notes.push(format!(
            "only {most} connections: a process may open {files} files here; `ulimit -n {}` allows {wanted}",
            wanted as u64 + OTHER_FILES
        ));
    }
    most.min(wanted).max(256) & !1
}

async fn register(
    api: &Arc<Api>,
    count: usize,
) -> Result<(Vec<Arc<Account>>, (usize, f64)), load::Error> {
    let begun = Instant::now();
    let bar = step("registering users", count);
    let accounts = api.register("load", count, || bar.one()).await?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok((
        accounts.into_iter().map(Arc::new).collect(),
        (count, seconds),
    ))
}

async fn log_in(
    api: &Arc<Api>,
    accounts: &[Arc<Account>],
) -> Result<Vec<(Arc<Account>, String)>, load::Error> {
    let bar = step("logging in", accounts.len());
    let tokens = api.log_in(accounts, || bar.one()).await?;
    Ok(accounts.iter().cloned().zip(tokens).collect())
}

fn explain(error: &load::Error, relay: &Server) -> String {
    format!("{error}\nThe relay's last words:\n{}", relay.last_words())
}
