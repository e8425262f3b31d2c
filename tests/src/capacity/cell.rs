//! One measurement: so many connections over so many relay nodes, all of which write now and then, at the highest rate that is
//! held and at half of it.

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

/// Java machines compile what they run: so long many messages come before the first measurement, from so many pairs.
const COMPILE: Duration = Duration::from_secs(30);
const BUSY_PAIRS: usize = 256;
/// Until a new rate has settled.
const WARM: Duration = Duration::from_secs(4);
/// Everybody writes once before anything is measured: so many messages a second, and this long at least.
const FIRST_PER_S: f64 = 400.0;
const LEAST_FIRST: Duration = Duration::from_secs(5);
/// From one rate to the next, until one is not held.
const STEP: f64 = 1.5;
/// How near the highest rate that is held and the lowest that is not have to come.
const NEAR: f64 = 1.15;
/// A rate below it is not looked for.
const LEAST_RATE: f64 = 20.0;
/// A rate is held if so much of it arrives in the span in which it was sent, and 99 of 100 messages within this time.
const HELD: f64 = 0.95;
const SLOWEST_MS: f64 = 1000.0;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Relay nodes.
    pub nodes: u16,
    /// Connections, spread over them. All of them write.
    pub connections: usize,
    /// Messages a second with which the search begins.
    pub from_rate: f64,
    /// Whether the servers have just been started.
    pub cold: bool,
    /// How long each rate is measured.
    pub measured: Duration,
    /// How long half of the highest is.
    pub measured_half: Duration,
}

/// A rate that was tried.
pub struct Step {
    /// Messages a second.
    pub offered: f64,
    /// What came of it.
    pub phase: Phase,
    /// Whether that is all of it.
    pub held: bool,
}

/// What came out.
pub struct Cell {
    /// What was measured.
    pub plan: Plan,
    /// To log in and connect all, in seconds.
    pub connect_seconds: f64,
    /// The rates that were tried, without the highest that was held.
    pub steps: Vec<Step>,
    /// That one.
    pub full: Phase,
    /// At half the rate of `full`.
    pub half: Phase,
    unmeasured: u64,
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
        self.unmeasured + self.phases().map(|phase| phase.stats.sent).sum::<u64>()
    }

    /// How many were told to wait.
    pub fn refusals(&self) -> u64 {
        self.phases().map(|phase| phase.stats.refusals).sum()
    }

    /// All that was measured.
    fn phases(&self) -> impl Iterator<Item = &Phase> {
        let others = self.steps.iter().map(|step| &step.phase);
        others.chain([&self.full, &self.half])
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
    let connections = crowd.connections() as f64;
    let pace = |rate: f64| Duration::from_secs_f64(connections / rate);
    let unmeasured = warm_up(&mut crowd, plan.cold, pace(FIRST_PER_S)).await?;
    let mut search = Search::default();
    let mut full = None;
    let mut steps = Vec::new();
    while let Some(offered) = search.next(plan.from_rate) {
        let (phase, before, after) = {
            let _step = step(&format!("{offered:.0} messages/s"), 0);
            let load = Load::Paced(pace(offered));
            let run = crowd.run(load, usize::MAX, WARM, plan.measured, meter);
            run.await?
        };
        let held = phase.rate() >= HELD * offered && phase.latency_ms(0.99) <= SLOWEST_MS;
        search.tried(offered, held);
        let step = Step {
            offered,
            phase,
            held,
        };
        if !held {
            steps.push(step);
        } else if let Some((lower, _)) = full.replace((step, spent(&before, &after))) {
            steps.push(lower);
        }
    }
    let Some((highest, cpu)) = full else {
        return Err(super::Error::Failed(format!(
            "not even {LEAST_RATE:.0} messages/s are held"
        )));
    };
    let (half, _, last) = {
        let _step = step("half load", 0);
        let load = Load::Paced(pace(highest.offered / 2.0));
        let run = crowd.run(load, usize::MAX, WARM, plan.measured_half, meter);
        run.await?
    };
    Ok(Cell {
        plan,
        connect_seconds,
        steps,
        full: highest.phase,
        half,
        unmeasured,
        cpu,
        memory: last.0.into_iter().map(|u| (u.name, u.memory)).collect(),
    })
}

/// Java machines compile, if they are cold, and everybody writes once within `every` or longer. How many messages that were.
async fn warm_up(crowd: &mut Crowd, cold: bool, every: Duration) -> Result<u64> {
    let nothing = || Ok(());
    let mut sent = 0;
    if cold {
        let _step = step("warming up", 0);
        let load = Load::Closed(2);
        let run = crowd.run(load, BUSY_PAIRS, COMPILE, Duration::ZERO, nothing);
        sent += run.await?.0.stats.sent;
    }
    let _step = step("everybody writes once", 0);
    let every = every.max(LEAST_FIRST);
    let load = Load::Paced(every);
    let run = crowd.run(load, usize::MAX, Duration::ZERO, every, nothing);
    Ok(sent + run.await?.0.stats.sent)
}

/// Looks for the highest rate that is held.
#[derive(Default)]
struct Search {
    held: Option<f64>,
    missed: Option<f64>,
}

impl Search {
    /// The rate to try next.
    fn next(&self, from: f64) -> Option<f64> {
        match (self.held, self.missed) {
            (None, None) => Some(from),
            (Some(held), None) => Some(held * STEP),
            (None, Some(missed)) => Some(missed / STEP).filter(|rate| *rate >= LEAST_RATE),
            (Some(held), Some(missed)) => (missed / held > NEAR).then(|| (held * missed).sqrt()),
        }
    }

    fn tried(&mut self, rate: f64, held: bool) {
        match held {
            true => self.held = Some(rate),
            false => self.missed = Some(rate),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(capacity: f64, from: f64) -> Option<f64> {
        let mut search = Search::default();
        while let Some(rate) = search.next(from) {
            search.tried(rate, rate <= capacity);
        }
        search.held
    }

    #[test]
    fn the_highest_rate_that_is_held_is_found_from_below_and_from_above() {
        for from in [50.0, 1000.0, 40_000.0] {
            let found = found(1234.0, from).expect("found");
            assert!((1234.0 / NEAR..=1234.0).contains(&found), "{found}");
        }
    }

    #[test]
    fn what_holds_nothing_is_given_up() {
        assert_eq!(found(0.0, 1000.0), None);
    }
}
