//! `cargo xtask bench stack`: starts a cluster of its own, loads it through HAProxy, and prints what it measured.

use std::{path::PathBuf, process::ExitCode, sync::Arc, sync::atomic::Ordering, time::Duration};

use clap::{Parser, Subcommand};
use sordino_stack::{Addresses, Balance, Plan as StackPlan, Relays, Stack};
use sordino_tests::{
    capacity::{
        Error, Result,
        ceiling::{self, Sizes},
        cell::{self, Cell, Plan},
        herd::{self, Herd},
        report::Report,
        rest::{self, Stored},
    },
    load::{
        NO_LIMITS,
        account::{Account, Api},
        envelope::{Lane, Noise},
        machine::{Machine, raise_file_limit},
        progress::step,
        target::Target,
    },
    watch::{Watch, remove},
};

/// Measures a cluster of relay nodes behind HAProxy, with all its services, on this machine.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    task: Task,
    /// `sordino-relay`, built with the feature `cluster`.
    #[arg(long, global = true, default_value = "sordino-relay")]
    relay: PathBuf,
    /// Where the cluster lies. What was there is removed.
    #[arg(long, global = true, default_value = "target/stack/bench")]
    dir: PathBuf,
    /// The first of the hundred ports of the cluster.
    #[arg(long, global = true, default_value_t = 17_700)]
    base_port: u16,
    /// One line of JSON on stdout, nothing else.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Task {
    /// How much it carries, and what that costs.
    Capacity(Capacity),
    /// What becomes of thousands of connections when nodes die and come back, by HAProxy's ways of spreading them.
    Herd(HerdOptions),
}

#[derive(clap::Args)]
struct Capacity {
    /// Only the first measurement, of the most nodes and of 10 000 connections.
    #[arg(long)]
    quick: bool,
    /// Relay nodes to measure with.
    #[arg(long, value_delimiter = ',', default_value = "4,2,1")]
    nodes: Vec<u16>,
    /// Connections to measure with.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000,5000,20000")]
    connections: Vec<usize>,
    /// Messages a second with which the search for full load begins.
    #[arg(long, default_value_t = 400.0)]
    rate: f64,
    /// Measured seconds of a load; half load of the first measurement takes three times as long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(clap::Args)]
struct HerdOptions {
    /// Connections.
    #[arg(long, default_value_t = 4000)]
    connections: usize,
    /// Relay nodes.
    #[arg(long, default_value_t = 4)]
    nodes: u16,
    /// Pairs that write to each other all the time.
    #[arg(long, default_value_t = 50)]
    talking: usize,
}

/// What is printed, and whether all is as it has to be.
struct Outcome {
    table: String,
    json: serde_json::Value,
    well: bool,
}

/// Files that a process may have open beside its connections; a relay node keeps some of them free.
const OTHER_FILES: u64 = 1000;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let outcome = match runtime.block_on(run(&args)) {
        Ok(outcome) => outcome,
        Err(error) => return fail(&error),
    };
    if args.json {
        println!("{}", outcome.json);
    } else {
        print!("{}", outcome.table);
    }
    match outcome.well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("bench: {error}");
    ExitCode::FAILURE
}

/// The cluster is stopped whatever happens.
async fn run(args: &Args) -> Result<Outcome> {
    let mut watch = Watch::new("bench").map_err(|error| Error::Failed(error.to_string()))?;
    let interrupted = Arc::clone(&watch.interrupted);
    remove(&args.dir)?;
    let task = async {
        match &args.task {
            Task::Capacity(options) => {
                let report = capacity(args, options, &mut watch).await?;
                Ok(Outcome {
                    table: report.table(),
                    json: report.json(),
                    well: report.failures().is_empty(),
                })
            }
            Task::Herd(options) => herd(args, options, &mut watch).await,
        }
    };
    let outcome = tokio::select! {
        outcome = task => outcome,
        () = async {
            while !interrupted.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        } => Err(Error::Failed("interrupted".to_owned())),
    };
    eprintln!("bench: stopping the cluster");
    sordino_stack::down(&args.dir, &mut sordino_stack::Silent)?;
    match &outcome {
        Ok(outcome) if outcome.well => sordino_stack::wipe(&args.dir)?,
        _ => eprintln!("bench: traces are in {}", args.dir.display()),
    }
    outcome
}

async fn capacity(args: &Args, options: &Capacity, watch: &mut Watch) -> Result<Report> {
    let mut notes = Vec::new();
    let wanted = match options.quick {
        true => 10_000,
        false => options.connections.iter().copied().max().unwrap_or(2),
    };
    let most = most_connections(wanted, &mut notes);
    let noise = Noise::new();
    let nodes = options.nodes.iter().copied().max().unwrap_or(1);
    let balance = Balance::default();
    let addresses = start(args, nodes, most, balance, watch)?;
    let stack = Stack::open(&args.dir)?;
    let machine = Machine::new(&args.dir)?;
    let targets = targets(&addresses)?;

    let api = Api::new(targets.first().ok_or_else(no_front)?)?;
    let before = rest::stored(&stack)?;
    let (accounts, registered) = register(&Arc::new(api), most).await?;
    let users = rest::stored(&stack)?;

    let mut cells: Vec<Cell> = Vec::new();
    let mut failed = Vec::new();
    let mut stored = Stored::default();
    for nodes in options.nodes.iter().copied() {
        if !cells.is_empty() {
            start(args, nodes, most, balance, watch)?;
        }
        for connections in options
            .connections
            .iter()
            .map(|wanted| wanted.min(&most) & !1)
        {
            let first = cells.is_empty();
            watch.say(&format!("{nodes} relay nodes, {connections} connections"));
            let measured = Duration::from_secs(options.seconds.max(1));
            let plan = Plan {
                nodes,
                connections,
                from_rate: options.rate.max(1.0),
                cold: first,
                measured,
                measured_half: measured * if first { 3 } else { 1 },
            };
            let pairs = strangers(&accounts, connections, cells.len());
            let cell = match cell::measure(plan, &stack, &targets, &pairs, &noise).await {
                Ok(cell) => cell,
                Err(error) if first => return Err(error),
                // What was measured before it is worth having.
                Err(error) => {
                    let what = format!("{nodes} nodes, {connections} connections: {error}");
                    watch.say(&what);
                    failed.push(what);
                    continue;
                }
            };
            watch.say(&format!(
                "{:.0} messages/s, p99 {:.0} ms at half of it",
                cell.full.rate(),
                cell.half.latency_ms(0.99)
            ));
            cells.push(cell);
            if first {
                let now = rest::stored(&stack)?;
                stored = Stored {
                    kafka: now.kafka - users.kafka,
                    cassandra: now.cassandra.saturating_sub(users.cassandra),
                    postgres: users.postgres.saturating_sub(before.postgres),
                };
            }
            if options.quick {
                break;
            }
        }
        if options.quick {
            break;
        }
    }

    watch.say("Kafka alone");
    let sizes = sizes(&accounts, &noise)?;
    // What was measured before them is worth having.
    let mut ceiling = |what: &str, measured: Result<f64>| {
        measured.unwrap_or_else(|error| {
            failed.push(format!("{what} alone: {error}"));
            f64::NAN
        })
    };
    let kafka_per_s = ceiling::kafka(&stack, &addresses.kafka, sizes.record, 300_000);
    let kafka_per_s = ceiling("Kafka", kafka_per_s);
    watch.say("Cassandra alone");
    let measured = Duration::from_secs(options.seconds.max(1));
    let cassandra_per_s = ceiling::cassandra(&addresses, sizes, measured).await;
    let cassandra_per_s = ceiling("Cassandra", cassandra_per_s);
    Ok(Report {
        machine,
        cells,
        registered,
        kafka_per_s,
        cassandra_per_s,
        stored,
        notes,
        failed,
    })
}

async fn herd(args: &Args, options: &HerdOptions, watch: &mut Watch) -> Result<Outcome> {
    let most = most_connections(options.connections, &mut Vec::new());
    let noise = Noise::new();
    let (mut tables, mut values) = (Vec::new(), Vec::new());
    let (mut accounts, mut well) = (Vec::new(), true);
    for (round, balance, name) in [
        (0, Balance::RoundRobin, "round robin, sticky cookie"),
        (1, Balance::LeastConn, "least connections, slow start"),
    ] {
        watch.say(name);
        let addresses = start(args, options.nodes, most, balance, watch)?;
        let targets = targets(&addresses)?;
        if accounts.is_empty() {
            let api = Api::new(targets.first().ok_or_else(no_front)?)?;
            accounts = register(&Arc::new(api), most).await?.0;
        }
        let pairs = strangers(&accounts, most, round);
        let stack = Stack::open(&args.dir)?;
        let interrupted = Arc::clone(&watch.interrupted);
        let (talking, noise) = (options.talking, &noise);
        let herd = Herd::gather(
            stack,
            addresses,
            &targets,
            &pairs,
            talking,
            noise,
            interrupted,
        );
        let mut herd = herd.await?;
        let events = herd.disturb().await?;
        well &= events.iter().all(herd::Event::is_well);
        tables.push(herd::table(name, &events));
        values.push(herd::json(name, &events));
    }
    Ok(Outcome {
        table: tables.join("\n"),
        json: values.into(),
        well,
    })
}

/// As many as the limit of open files allows this process and each relay node.
fn most_connections(wanted: usize, notes: &mut Vec<String>) -> usize {
    let files = raise_file_limit(wanted as u64 + OTHER_FILES);
    let most = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    if most < wanted {
        notes.push(format!(
            "{most} connections instead of {wanted}: a process may open {files} files here"
        ));
    }
    most.min(wanted).max(2) & !1
}

fn start(
    args: &Args,
    nodes: u16,
    connections: usize,
    balance: Balance,
    watch: &mut Watch,
) -> Result<Addresses> {
    // One HAProxy for half as many connections as it may open files.
    let each = raise_file_limit(u64::MAX).saturating_sub(OTHER_FILES) / 2;
    let fronts = (connections as u64).div_ceil(each.max(1));
    let relays = Relays {
        balance,
        fronts: u16::try_from(fronts).unwrap_or(u16::MAX),
        settings: NO_LIMITS.to_owned(),
        ..Relays::new(nodes, args.relay.clone())
    };
    let plan = StackPlan {
        relays: Some(relays),
        loaded: true,
        ..StackPlan::new(&args.dir)?.base_port(args.base_port)
    };
    Ok(tokio::task::block_in_place(|| {
        sordino_stack::up(&plan, watch)
    })?)
}

fn targets(addresses: &Addresses) -> Result<Vec<Target>> {
    let authority = addresses.authority.as_deref().ok_or_else(no_front)?;
    let fronts = addresses.fronts.iter();
    let targets = fronts.map(|front| Target::tls(*front, authority));
    Ok(targets.collect::<std::result::Result<_, _>>()?)
}

fn no_front() -> Error {
    Error::Failed("the cluster has no HAProxy".to_owned())
}

async fn register(api: &Arc<Api>, count: usize) -> Result<(Vec<Arc<Account>>, (usize, f64))> {
    let begun = tokio::time::Instant::now();
    let bar = step("registering users", count);
    let accounts = api.register("load", count, || bar.one()).await?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok((
        accounts.into_iter().map(Arc::new).collect(),
        (count, seconds),
    ))
}

/// Pairs that no round before made: everybody of one half with somebody of the other.
fn strangers(accounts: &[Arc<Account>], count: usize, round: usize) -> Vec<Arc<Account>> {
    let (ones, others) = accounts.split_at(accounts.len() / 2);
    let others = others.iter().cycle().skip(round);
    ones.iter()
        .zip(others)
        .take(count / 2)
        .flat_map(|(one, other)| [Arc::clone(one), Arc::clone(other)])
        .collect()
}

/// Of a message as the clients make them.
fn sizes(accounts: &[Arc<Account>], noise: &Noise) -> Result<Sizes> {
    let [one, other, ..] = accounts else {
        return Err(Error::Failed("nobody is registered".to_owned()));
    };
    let lane = Lane::new(Arc::clone(one), Arc::clone(other), noise.clone());
    let (record, row) = lane.sizes();
    Ok(Sizes { record, row })
}
