//! How many messages a second, and how fast: relay and bare relay by turns, on the same machine in the same minute.

use std::{sync::Arc, time::Duration};

use super::{
    Result,
    account::Account,
    envelope::Noise,
    pair::{Load, Pair},
    phase::{self, Phase},
    progress::step,
    server::Server,
    target::Target,
    wire::Dialect,
};

const WARM: Duration = Duration::from_secs(1);
/// Connections must not be mistaken for dead while the other server has its turn.
const LONGEST_TURN: Duration = Duration::from_secs(15);

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Turns of each server.
    pub rounds: usize,
    /// Measured in each turn.
    pub turn: Duration,
    /// Messages each device keeps on the way.
    pub in_flight: usize,
}

/// Both servers.
pub struct Rivals<'a> {
    /// The relay.
    pub relay: &'a Server,
    /// The bare one.
    pub raw: &'a Server,
}

/// What came out.
#[derive(Default)]
pub struct Throughput {
    /// The relay at full load.
    pub full: Phase,
    /// The relay at half of it.
    pub half: Phase,
    /// The bare relay at its own full load.
    pub raw_full: Phase,
    /// The bare relay at the rate of `half`.
    pub raw_half: Phase,
    /// For each turn, messages per second of the relay and of the bare one.
    pub turns: Vec<(f64, f64)>,
}

impl Throughput {
    /// The relay's share of the bare relay's rate: the median of the turns.
    pub fn ratio(&self) -> f64 {
        let mut ratios: Vec<_> = self.turns.iter().map(|(relay, raw)| relay / raw).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or_default()
    }
}

/// Measures with these accounts, logged in at the relay.
pub async fn measure(
    plan: Plan,
    rivals: &Rivals<'_>,
    accounts: &[(Arc<Account>, String)],
    noise: &Noise,
) -> Result<Throughput> {
    let plan = Plan {
        turn: plan.turn.min(LONGEST_TURN),
        ..plan
    };
    let at_raw: Vec<_> = accounts
        .iter()
        .map(|(account, _)| (Arc::clone(account), account.user().to_string()))
        .collect();
    let bar = step("connecting", accounts.len());
    let connect = |dialect, server: &Server, accounts: &[(Arc<Account>, String)]| {
        let accounts = accounts.to_vec();
        let (addr, bar) = (server.addr, &bar);
        async move {
            phase::connect(dialect, &Target::plain(addr), &accounts, noise, || {
                bar.one()
            })
            .await
        }
    };
    let mut relay = connect(Dialect::Sordino, rivals.relay, accounts).await?;
    let mut raw = connect(Dialect::Raw, rivals.raw, &at_raw).await?;
    drop(bar);

    let mut out = Throughput::default();
    let full = Load::Closed(plan.in_flight);
    for round in 1..=plan.rounds {
        let name = format!("round {round} of {}: bare relay, full load", plan.rounds);
        let rate = turn(plan, &name, rivals.raw, &mut raw, full, &mut out.raw_full).await?;
        let name = format!("round {round} of {}: relay, full load", plan.rounds);
        let ours = turn(plan, &name, rivals.relay, &mut relay, full, &mut out.full).await?;
        out.turns.push((ours, rate));
    }
    let every = Duration::from_secs_f64(accounts.len() as f64 / (out.full.rate() / 2.0).max(1.0));
    let half = Load::Paced(every);
    let name = "relay, half load";
    turn(plan, name, rivals.relay, &mut relay, half, &mut out.half).await?;
    let name = "bare relay, the same load";
    turn(plan, name, rivals.raw, &mut raw, half, &mut out.raw_half).await?;
    Ok(out)
}

/// One turn, added to `total`; its rate.
async fn turn(
    plan: Plan,
    name: &str,
    server: &Server,
    pairs: &mut Vec<Pair>,
    load: Load,
    total: &mut Phase,
) -> Result<f64> {
    let _step = step(name, 0);
    let taken = std::mem::take(pairs);
    let (back, phase) = phase::run(taken, load, WARM, plan.turn, server.pid()).await?;
    *pairs = back;
    let rate = phase.rate();
    total.merge(phase);
    Ok(rate)
}
