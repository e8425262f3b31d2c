//! One stretch of load on many pairs.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::{
    Result,
    account::Account,
    end::End,
    envelope::{Lane, Noise},
    machine::cpu_seconds,
    pair::{Load, Pair, Span, Stats},
    target::Target,
    wire::Dialect,
};

/// Handshakes under way at a time.
pub(super) const HANDSHAKES: usize = 32;
/// Connections of one source address: well under the range of ephemeral ports.
const PER_ADDRESS: usize = 4_000;

/// What a stretch of load came to.
#[derive(Debug, Default)]
pub struct Phase {
    /// Of all pairs together; `micros` ascending.
    pub stats: Stats,
    /// Length of the measured span.
    pub seconds: f64,
    /// Processor time of the server within it.
    pub cpu_seconds: f64,
}

impl Phase {
    /// Messages per second.
    pub fn rate(&self) -> f64 {
        self.stats.messages as f64 / self.seconds
    }

    /// A quantile of the latency, in milliseconds.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        let micros = &self.stats.micros;
        let at = (micros.len() as f64 * quantile) as usize;
        let found = micros.get(at.min(micros.len().saturating_sub(1)));
        f64::from(found.copied().unwrap_or_default()) / 1000.0
    }

    /// Adds another stretch of the same load.
    pub fn merge(&mut self, other: Self) {
        self.stats.add(other.stats);
        self.stats.micros.sort_unstable();
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
    }
}

impl Stats {
    /// Adds what another pair came to.
    pub(super) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.micros.extend(other.micros);
        self.refusals += other.refusals;
        self.pulls += other.pulls;
        self.sent += other.sent;
        let longest = other.longest_after_accepted;
        self.longest_after_accepted = self.longest_after_accepted.max(longest);
    }
}

/// Connects the accounts, two by two.
pub async fn connect(
    dialect: Dialect,
    target: &Target,
    accounts: &[(Arc<Account>, String)],
    noise: &Noise,
    done: impl Fn(),
) -> Result<Vec<Pair>> {
    stream::iter(accounts.chunks_exact(2).enumerate())
        .map(|(at, two)| {
            let source = source(2 * at);
            let two = two.to_vec();
            let (noise, target) = (noise.clone(), target.clone());
            async move {
                tokio::spawn(async move { pair(dialect, &target, source, &two, &noise).await })
                    .await?
            }
        })
        .buffered(HANDSHAKES)
        .inspect_ok(|_| done())
        .try_collect()
        .await
}

/// Connects two accounts.
pub(super) async fn pair(
    dialect: Dialect,
    target: &Target,
    source: Ipv4Addr,
    two: &[(Arc<Account>, String)],
    noise: &Noise,
) -> Result<Pair> {
    let [(a, token_a), (b, token_b)] = two else {
        return Err(super::Error::Broken("not a pair".to_owned()));
    };
    let lane = |from: &Arc<Account>, to: &Arc<Account>| {
        Lane::new(Arc::clone(from), Arc::clone(to), noise.clone())
    };
    Ok(Pair::new(
        End::connect(dialect, target, source, token_a, lane(a, b)).await?,
        End::connect(dialect, target, source, token_b, lane(b, a)).await?,
    ))
}

/// 127.0.0.2, 127.0.0.3, …
pub(super) fn source(connection: usize) -> Ipv4Addr {
    let last = 2 + u8::try_from(connection / PER_ADDRESS).unwrap_or(u8::MAX - 2);
    Ipv4Addr::new(127, 0, 0, last)
}

/// Loads all pairs alike: `warm` unmeasured, then `measured`, then until everything has arrived.
pub async fn run(
    pairs: Vec<Pair>,
    load: Load,
    warm: Duration,
    measured: Duration,
    pid: u32,
) -> Result<(Vec<Pair>, Phase)> {
    let from = Instant::now() + warm;
    let span = Span {
        from,
        until: from + measured,
    };
    let tasks: Vec<_> = pairs
        .into_iter()
        .map(|mut pair| {
            tokio::spawn(async move {
                let stats = pair.run(load, span).await?;
                Ok::<_, super::Error>((pair, stats))
            })
        })
        .collect();
    let mut phase = Phase {
        seconds: measured.as_secs_f64(),
        ..Phase::default()
    };
    if matches!(load, Load::Closed(_) | Load::Paced(_)) {
        sleep_until(span.from).await;
        let before = cpu_seconds(pid)?;
        sleep_until(span.until).await;
        phase.cpu_seconds = cpu_seconds(pid)? - before;
    }
    let mut pairs = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (pair, stats) = task.await??;
        phase.stats.add(stats);
        pairs.push(pair);
    }
    phase.stats.micros.sort_unstable();
    Ok((pairs, phase))
}
