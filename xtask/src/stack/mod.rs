//! `cargo xtask stack`: a cluster on this machine.
mod relay;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

use clap::{Args, Subcommand};
use sordino_stack::{Addresses, Error, Health, Plan, Relays, Row, Stack};

use crate::{prereq, test};

pub(crate) use self::watch::Watch;

/// Options of every command.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    task: Task,
    /// Which stack; it lies in `target/stack/NAME`.
    #[arg(long, global = true, default_value = "dev")]
    name: String,
    /// Where it lies instead.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Task {
    /// Starts what does not run: PostgreSQL, Redis, Kafka, Cassandra, HAProxy, relay nodes. Installs what is missing.
    Up(Up),
    /// Stops everything.
    Down {
        /// And removes all that it keeps.
        #[arg(long)]
        wipe: bool,
    },
    /// Starts again whatever dies, as an init system would, until Ctrl-C.
    Tend,
    /// Lists the processes.
    Status,
    /// Shows the end of a process's log.
    Logs {
        /// The process: kafka-1, relay-2, postgres, ….
        process: String,
        /// Go on showing what is added, until Ctrl-C.
        #[arg(short, long)]
        follow: bool,
    },
    /// Prints the variables by which tests find the servers.
    Env,
}

/// What is not given stays as it was when the stack was started last.
#[derive(Args)]
struct Up {
    /// Kafka brokers: 1 or 3 [default: 1]
    #[arg(long)]
    brokers: Option<u16>,
    /// Cassandra nodes: 1 or 3 [default: 1]
    #[arg(long)]
    nodes: Option<u16>,
    /// Relay nodes, with HAProxy before them; 0 starts neither [default: 2]
    #[arg(long)]
    relays: Option<u16>,
    /// The first of a hundred ports [default: 17300]
    #[arg(long)]
    base_port: Option<u16>,
    /// Build the relay optimised.
    #[arg(long, conflicts_with = "relay")]
    release: bool,
    /// Run this `sordino-relay` instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    relay: Option<PathBuf>,
    /// Print what `stack env` prints.
    #[arg(long)]
    print_env: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let dir = dir(options);
    let outcome = match &options.task {
        Task::Up(options) => return up(&dir, options),
        Task::Down { wipe } => down(&dir, *wipe),
        Task::Tend => tend(&dir),
        Task::Status => sordino_stack::status(&dir).map(|rows| print(&rows)),
        Task::Logs { process, follow } => return logs(&dir, process, *follow),
        Task::Env => Plan::recorded(&dir)
            .and_then(|plan| Addresses::of(&plan))
            .map(|addresses| print!("{addresses}")),
    };
    outcome.map_err(|e| e.to_string())
}

fn dir(options: &Options) -> PathBuf {
    let named = || named(&options.name);
    options.dir.clone().unwrap_or_else(named)
}

/// Where the stack of this name lies.
pub(crate) fn named(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let stacks = workspace.unwrap_or(Path::new(".")).join("target/stack");
    stacks.join(name)
}

/// Stops and removes a stack, if there is one.
pub(crate) fn remove(dir: &Path) -> Result<(), String> {
    match down(dir, true) {
        Ok(()) | Err(Error::NoStack(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The relay as a cluster needs it, built optimised.
pub(crate) fn build_relay() -> Result<PathBuf, String> {
    prereq::ensure_cluster()?;
    relay::build(true)
}

/// Programs of the workspace by their names, built as the tests build them, so that what they have built serves here.
pub(crate) fn build_as_tests(names: &[&str]) -> Result<Vec<PathBuf>, String> {
    prereq::ensure_cluster()?;
    // These tests need the programs of their packages. Built by themselves, programs do without what only tests ask of
    // the libraries, and all of those would be built once more.
    let tests = ["--test", "cluster_nodes", "--test", "cli"];
    let mut args = vec!["test", "--no-run", "--workspace"];
    args.extend(["--features", test::CLUSTER]);
    args.extend(tests);
    let built = relay::executables(&args)?;
    names
        .iter()
        .map(|name| {
            let named = |path: &&PathBuf| path.file_name().is_some_and(|file| file == *name);
            let found = built.iter().find(named).cloned();
            found.ok_or_else(|| format!("cargo built no {name}"))
        })
        .collect()
}

/// From now on Ctrl-C no longer ends us, but whom we wait for.
pub(crate) fn note_signals() -> Result<(), String> {
    Watch::new().map(drop)
}

fn up(dir: &Path, options: &Up) -> Result<(), String> {
    let (plan, known) = match Plan::recorded(dir) {
        Ok(plan) => (plan, true),
        Err(Error::NoStack(_)) => (Plan::new(dir).map_err(|e| e.to_string())?, false),
        Err(other) => return Err(other.to_string()),
    };
    let before = match &plan.relays {
        Some(relays) => relays.count,
        None if known => 0,
        None => 2,
    };
    let relays = match options.relays.unwrap_or(before) {
        0 => None,
        count => {
            let program = match &options.relay {
                Some(program) => program.clone(),
                None => {
                    prereq::ensure_cluster()?;
                    relay::build(options.release)?
                }
            };
            Some(Relays::new(count, program))
        }
    };
    let plan = Plan {
        brokers: options.brokers.unwrap_or(plan.brokers),
        nodes: options.nodes.unwrap_or(plan.nodes),
        base_port: options.base_port.unwrap_or(plan.base_port),
        relays,
        ..plan
    };
    let mut watch = Watch::new()?;
    let addresses = sordino_stack::up(&plan, &mut watch).map_err(|e| e.to_string())?;
    watch.all_ready(&addresses);
    if options.print_env {
        print!("{addresses}");
    }
    Ok(())
}

fn down(dir: &Path, wipe: bool) -> Result<(), Error> {
    sordino_stack::down(dir, &mut Watch::uninterruptible())?;
    if wipe {
        sordino_stack::wipe(dir)?;
    }
    Ok(())
}

fn tend(dir: &Path) -> Result<(), Error> {
    let stack = Stack::open(dir)?;
    eprintln!("stack: starting again whatever dies; Ctrl-C ends that, and nothing else");
    let say = |what: &str| eprintln!("{} stack: {what}", time_of_day());
    let start = |name: &str| {
        say(&format!("{name} is down, starting it"));
        match stack.start(name) {
            Ok(()) => say(&format!("{name} is back")),
            // It may need another that is down as well.
            Err(error) => say(&format!("{error}; trying again")),
        }
    };
    while stack.is_wanted() {
        let mut rows = sordino_stack::status(dir)?;
        rows.retain(|row| row.health == Health::Down);
        // Together: of three brokers none is ready without another.
        thread::scope(|scope| {
            for row in &rows {
                scope.spawn(|| start(&row.name));
            }
        });
        thread::sleep(Duration::from_millis(500));
    }
    say("it was taken down");
    Ok(())
}

/// Of the UTC day, as logs have it.
fn time_of_day() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let of_day = now.unwrap_or_default().as_secs() % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{hour:02}:{minute:02}:{second:02}Z")
}

fn print(rows: &[Row]) {
    println!(
        "{:<12} {:>8} {:<21} {:<9} {:>8}  LOG",
        "PROCESS", "PID", "ADDRESS", "STATE", "MEMORY"
    );
    for row in rows {
        let pid = row
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let state = match row.health {
            Health::Up => "up",
            Health::Unready => "not ready",
            Health::Silent => "silent",
            Health::Held => "held",
            _ => "down",
        };
        let memory = format!("{} MiB", row.memory >> 20);
        let address = row.address.to_string();
        println!(
            "{:<12} {pid:>8} {address:<21} {state:<9} {memory:>8}  {}",
            row.name,
            row.log.display()
        );
    }
}

fn logs(dir: &Path, process: &str, follow: bool) -> Result<(), String> {
    let log = sordino_stack::log(dir, process).map_err(|e| e.to_string())?;
    let mut tail = Command::new("tail");
    tail.args(["-n", "100"]);
    if follow {
        tail.arg("-F");
    }
    let ended = tail
        .arg(&log)
        .status()
        .map_err(|e| format!("cannot start tail: {e}"))?;
    if ended.success() || follow {
        return Ok(());
    }
    Err(format!("{process} has no log yet"))
}
