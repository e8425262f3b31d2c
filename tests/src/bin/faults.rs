//! Does every fault to a cluster of its own while people talk over it, and counts what was lost, doubled, reordered and late.

use std::{
    env,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clap::Parser;
use sordino_relay::{config::Login, history::cassandra};
use sordino_stack::{CASSANDRA_LOGIN, KEYSPACE, Plan, Relays, Stack};
use sordino_tests::{
    contract::outcome::rows_of_cluster,
    faults::{
        Failure, address,
        front::Front,
        matrix::{Fault, MATRIX},
        people::People,
        report::Report,
        run::{hush, suffer, warm_up},
        scene::{Scene, detours},
    },
    watch::{Watch, remove},
};
use tokio::runtime::Runtime;

#[derive(Parser)]
struct Args {
    /// `sordino-relay`, built with the feature `cluster`.
    #[arg(long)]
    relay: PathBuf,
    /// Where the cluster lies. What was there is removed.
    #[arg(long)]
    dir: PathBuf,
    /// The first of the hundred ports of the cluster.
    #[arg(long, default_value_t = 17_500)]
    base_port: u16,
    /// One broker, one Cassandra node, two relay nodes that do everything, and the faults that take seconds. Else three of
    /// each, and two relay nodes for each role.
    #[arg(long)]
    short: bool,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Keep what the cluster and the people wrote, as after a failure.
    #[arg(long)]
    keep: bool,
    /// Only these faults.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How many people talk, everybody with everybody [default: 6, or 4 with everything three times]
    #[arg(long)]
    people: Option<usize>,
    /// Milliseconds between two messages of one to another [default: 1000, or 2000]
    #[arg(long)]
    pace: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was lost, doubled or reordered.
fn run(args: &Args) -> Result<bool, Failure> {
    let faults = chosen(args)?;
    let runtime = Runtime::new()?;
    let watch = runtime.block_on(async { Watch::new("faults") })?;
    let interrupted = watch.interrupted.clone();
    let plan = plan(args)?;
    remove(&plan.dir)?;
    let report = perform(args, &faults, &plan, watch, &runtime);
    let kept = match &report {
        Ok(report) => args.keep || !report.wrong.is_empty(),
        Err(_) => !interrupted.load(Ordering::SeqCst),
    };
    eprintln!("faults: stopping the cluster");
    sordino_stack::down(&plan.dir, &mut sordino_stack::Silent)?;
    if kept {
        eprintln!("faults: traces are in {}", plan.dir.display());
    } else {
        sordino_stack::wipe(&plan.dir)?;
    }
    let report = report?;
    for wrong in &report.wrong {
        eprintln!("faults: {wrong}");
    }
    if args.json {
        println!("{}", report.json()?);
    } else {
        print!("{}", report.table(what));
    }
    Ok(report.wrong.is_empty())
}

fn perform(
    args: &Args,
    faults: &[&Fault],
    plan: &Plan,
    mut watch: Watch,
    runtime: &Runtime,
) -> Result<Report, Failure> {
    let detours = runtime.block_on(detours(plan))?;
    let addresses = sordino_stack::up(plan, &mut watch)?;
    let authority = addresses.authority.ok_or("the cluster has no HAProxy")?;
    let first = addresses.fronts.first();
    let first = first.ok_or("the cluster has no HAProxy")?;
    runtime.block_on(address::look(*first, &authority))?;
    let front = Front::new(addresses.fronts);
    let scene = Scene {
        stack: Stack::open(&plan.dir)?,
        front,
        detours,
        runtime: runtime.handle().clone(),
        interrupted: watch.interrupted.clone(),
    };
    // What leaves two cores room to recover.
    let (people, pace) = if args.short { (6, 1000) } else { (4, 2000) };
    let people = args.people.unwrap_or(people);
    let fronts = (0..people).map(|n| runtime.block_on(scene.front.open(n)));
    let fronts = fronts.collect::<Result<Vec<SocketAddr>, _>>()?;
    let client = env::current_exe()?.with_file_name("contract_client");
    let pace = Duration::from_millis(args.pace.unwrap_or(pace));
    let dir = plan.dir.join("people");
    watch.say(&format!("{people} people begin to talk"));
    let mut people = People::start(&client, &dir, &fronts, &authority, pace)?;
    warm_up(&scene, &mut people)?;
    let mut windows = Vec::new();
    for fault in faults {
        watch.say(fault.what);
        let window = suffer(&scene, &mut people, fault)?;
        let recovery = window.recovery;
        watch.say(&match recovery {
            Some(time) => format!(
                "all is well {:.1} s after the {}, {} messages so far",
                time.as_secs_f64(),
                if window.since.name() == "back" {
                    "part was back"
                } else {
                    "fault"
                },
                people.trips().len()
            ),
            None => format!("no recovery; mute: {:?}", people.mute_since(window.origin)),
        });
        windows.push(window);
        if recovery.is_none() {
            break;
        }
    }
    watch.say("waiting for the last messages");
    if !hush(&scene, &mut people)? {
        watch.say(&format!("{} messages never came", people.under_way()));
    }
    let (mut outcome, trips) = people.end()?;
    let everybody: Vec<_> = outcome.people.keys().copied().collect();
    let mut options = cassandra::Options::new(addresses.cassandra, KEYSPACE);
    options.login = plan.secure.then(|| {
        let (username, password) = CASSANDRA_LOGIN;
        Arc::new(Login {
            username: username.to_owned(),
            password: password.to_owned().into(),
        })
    });
    outcome.rows = runtime.block_on(rows_of_cluster(&options, &everybody))?;
    Ok(Report::new(&windows, &outcome, &trips))
}

fn what(name: &str) -> &'static str {
    let fault = MATRIX.iter().find(|fault| fault.name == name);
    fault.map_or("", |fault| fault.what)
}

fn chosen(args: &Args) -> Result<Vec<&'static Fault>, Failure> {
    if let Some(unknown) = args.only.iter().find(|name| what(name).is_empty()) {
        let names: Vec<_> = MATRIX.iter().map(|fault| fault.name).collect();
        return Err(format!(
            "no fault is called {unknown}; there are {}",
            names.join(", ")
        )
        .into());
    }
    let wanted = |fault: &&Fault| match args.only.as_slice() {
        [] => fault.short || !args.short,
        only => only.iter().any(|name| name == fault.name),
    };
    Ok(MATRIX.iter().filter(wanted).collect())
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let (parts, count) = if args.short { (1, 2) } else { (3, 4) };
    let mut relays = Relays::new(count, args.relay.clone());
    if !args.short {
        // A node that is added does everything.
        for (n, roles) in [
            (1, &["chat"][..]),
            (2, &["chat"]),
            (3, &["delivery", "notify"]),
            (4, &["delivery", "notify"]),
        ] {
            let roles = roles.iter().map(|role| (*role).to_owned());
            relays.roles.insert(n, roles.collect());
        }
    }
    Ok(Plan {
        brokers: parts,
        nodes: parts,
        relays: Some(relays),
        detour: true,
        // Cassandra keeps who may log in once, unless told otherwise: of three nodes the wrong one could die.
        secure: args.short,
        ..Plan::new(&args.dir)?.base_port(args.base_port)
    })
}
