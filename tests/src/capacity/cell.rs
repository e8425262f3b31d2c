//! One measurement: so many connections over so many relay nodes, at full load and at half of it.

use std::{sync::Arc, time::Duration};

use sordino_stack::{Stack, Usage};

use super::Result;
use crate::load::{
    self,
    account::{Account, Api},
    crowd::{Crowd, Habit},
    envelope::Noise,
    machine,
    pair::Load,
    phase::Phase,
    progress::step,
    target::Target,
};

/// Until caches are filled and the Java machines have compiled what they run.
const WARM: Duration = Duration::from_secs(4);
/// At half load everybody writes: more slowly, so that the first messages of all are made before anything is measured.
const WARM_HALF: Duration = Duration::from_secs(6);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Relay nodes.
    pub nodes: u16,
    /// Connections, spread over them.
    pub connections: usize,
    /// Of them, those that write at full load.
    pub writers: usize,
    /// Messages each of these keeps on the way.
    pub in_flight: usize,
    /// How long each load is measured.
    pub measured: Duration,
}

/// What came out.
pub struct Cell {
    /// What was measured.
    pub plan: Plan,
    /// To log in and connect all, in seconds.
    pub connect_seconds: f64,
    /// As fast as it goes.
    pub full: Phase,
    /// At half the rate of `full`, from every connection.
    pub half: Phase,
    /// Processor seconds at full load, by process; the clients are `clients`.
    pub cpu: Vec<(String, f64)>,
    /// Resident bytes at the end, by process.
    pub memory: Vec<(String, u64)>,
}

impl Cell {
    /// Processor seconds for 1 000 messages at full load, of all processes but the clients.
    pub fn cpu_per_1000(&self) -> f64 {
        let servers = self.cpu.iter().filter(|(name, _)| name != CLIENTS);
        servers.map(|(_, seconds)| seconds).sum::<f64>() / self.thousands()
    }

    /// Messages at full load, in thousands.
    pub fn thousands(&self) -> f64 {
        self.full.stats.messages.max(1) as f64 / 1000.0
    }

    /// All messages that were sent, measured or not.
    pub fn sent(&self) -> u64 {
        self.full.stats.sent + self.half.stats.sent
    }
}

/// The name of this process among the servers'.
pub const CLIENTS: &str = "clients";

/// Connects and loads. `accounts` are pairs that have never written to each other.
///
/// # Errors
/// A message was lost, doubled or reordered; a connection ended; the cluster does not run.
pub async fn measure(
    plan: Plan,
    stack: &Stack,
    targets: &[Target],
    accounts: &[Arc<Account>],
    noise: &Noise,
) -> Result<Cell> {
    let begun = tokio::time::Instant::now();
    let tokens = {
        let api = Arc::new(Api::new(first(targets)?)?);
        let bar = step("logging in", accounts.len());
        api.log_in(accounts, || bar.one()).await?
    };
    let accounts: Vec<_> = accounts.iter().cloned().zip(tokens).collect();
    let mut crowd = {
        let bar = step("connecting pairs", accounts.len() / 2);
        Crowd::gather(targets, &accounts, noise, Habit::Stay, || bar.one()).await?
    };
    let connect_seconds = begun.elapsed().as_secs_f64();
    let meter = || -> load::Result<_> {
        let usage = stack.usage();
        let usage = usage.map_err(|error| load::Error::Server(error.to_string()))?;
        Ok((usage, machine::cpu_seconds(std::process::id())?))
    };
    let (full, before, after) = {
        let _step = step("full load", 0);
        let load = Load::Closed(plan.in_flight);
        let run = crowd.run(load, plan.writers / 2, WARM, plan.measured, meter);
        run.await?
    };
    let every = plan.connections as f64 / (full.rate() / 2.0).max(1.0);
    let (half, _, last) = {
        let _step = step("half load, from every connection", 0);
        let load = Load::Paced(Duration::from_secs_f64(every));
        let warm = WARM_HALF.max(Duration::from_secs_f64(every));
        let run = crowd.run(load, usize::MAX, warm, plan.measured, meter);
        run.await?
    };
    Ok(Cell {
        plan,
        connect_seconds,
        full,
        half,
        cpu: spent(&before, &after),
        memory: last.0.into_iter().map(|u| (u.name, u.memory)).collect(),
    })
}

fn first(targets: &[Target]) -> Result<&Target> {
    let none = || super::Error::Failed("no HAProxy runs".to_owned());
    targets.first().ok_or_else(none)
}

type Meter = (Vec<Usage>, f64);

fn spent(before: &Meter, after: &Meter) -> Vec<(String, f64)> {
    let at_first = |name: &str| before.0.iter().find(|usage| usage.name == name);
    let servers = after.0.iter().map(|usage| {
        let first = at_first(&usage.name).map_or(Duration::ZERO, |first| first.cpu);
        let spent = usage.cpu.saturating_sub(first);
        (usage.name.clone(), spent.as_secs_f64())
    });
    let clients = (CLIENTS.to_owned(), after.1 - before.1);
    servers.chain([clients]).collect()
}
