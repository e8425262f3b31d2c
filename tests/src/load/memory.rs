//! What a connection costs in memory: idle, and idle again after it has carried messages.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    Result,
    account::Account,
    envelope::Noise,
    machine::resident_kib,
    pair::{Load, Pair},
    phase,
    progress::step,
    server::Server,
    target::Target,
    wire::Dialect,
};

/// Connections that warm the relay before the first measurement, and are counted with the rest.
const WARM_CONNECTIONS: usize = 64;
/// Messages that each of them sends then: enough for the store's buffers and caches to be full, which are the relay's and
/// no connection's.
const WARM_MESSAGES: u64 = 2000;
/// Messages that each connection sends, and receives, before the second measurement.
const MESSAGES: u64 = 4;
/// The memory is taken once it has not moved for a second, or after this.
const SETTLE: Duration = Duration::from_secs(8);
/// An end for the loads, far beyond what they take.
const LONGEST: Duration = Duration::from_secs(60);

/// What came out.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// Connections, all of logged-in devices.
    pub connections: usize,
    /// Resident, in KiB: the relay with its stores warm and 64 of the connections.
    pub base_kib: u64,
    /// With all connections, nothing sent by the others yet.
    pub idle_kib: u64,
    /// After each of them has sent and received messages.
    pub after_load_kib: u64,
    /// To connect all, in seconds.
    pub connect_seconds: f64,
}

impl Memory {
    /// KiB for each connection, idle.
    pub fn idle_per_connection(&self) -> f64 {
        self.per_connection(self.idle_kib)
    }

    /// KiB for each connection, after load.
    pub fn after_load_per_connection(&self) -> f64 {
        self.per_connection(self.after_load_kib)
    }

    fn per_connection(&self, kib: u64) -> f64 {
        let grown = kib.saturating_sub(self.base_kib) as f64;
        grown / self.connections.saturating_sub(WARM_CONNECTIONS).max(1) as f64
    }
}

/// Connects all accounts to a relay that was just started, so that no memory freed by earlier work is used again.
pub async fn measure(
    relay: &Server,
    accounts: &[(Arc<Account>, String)],
    noise: &Noise,
) -> Result<Memory> {
    let target = Target::plain(relay.addr);
    let (warm, rest) = accounts.split_at(WARM_CONNECTIONS.min(accounts.len()));
    let mut pairs = {
        let _step = step("warming the relay's stores", 0);
        let pairs = phase::connect(Dialect::Sordino, &target, warm, noise, || {}).await?;
        exchange(pairs, WARM_MESSAGES, relay).await?
    };
    let base_kib = settled(relay.pid()).await?;

    let begun = Instant::now();
    let bar = step("connecting idle devices", rest.len() / 2);
    let idle = phase::connect(Dialect::Sordino, &target, rest, noise, || bar.one()).await?;
    drop(bar);
    let connect_seconds = begun.elapsed().as_secs_f64();
    pairs.extend(idle);
    // Takes what the relay says to a new connection, and answers as a client does.
    let pairs = quiet(pairs, relay).await?;
    let idle_kib = settled(relay.pid()).await?;

    let pairs = {
        let _step = step("messages on every connection", 0);
        exchange(pairs, MESSAGES, relay).await?
    };
    let pairs = quiet(pairs, relay).await?;
    let after_load_kib = settled(relay.pid()).await?;
    Ok(Memory {
        connections: pairs.len() * 2,
        base_kib,
        idle_kib,
        after_load_kib,
        connect_seconds,
    })
}

async fn exchange(pairs: Vec<Pair>, each: u64, relay: &Server) -> Result<Vec<Pair>> {
    let load = Load::Exactly(each);
    let (pairs, _) = phase::run(pairs, load, Duration::ZERO, LONGEST, relay.pid()).await?;
    Ok(pairs)
}

async fn quiet(pairs: Vec<Pair>, relay: &Server) -> Result<Vec<Pair>> {
    let wait = Duration::from_secs(2);
    let (pairs, _) = phase::run(pairs, Load::Quiet, Duration::ZERO, wait, relay.pid()).await?;
    Ok(pairs)
}

async fn settled(pid: u32) -> Result<u64> {
    let _step = step("letting the memory settle", 0);
    let deadline = Instant::now() + SETTLE;
    let mut last = resident_kib(pid)?;
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = resident_kib(pid)?;
        if now == last || Instant::now() > deadline {
            return Ok(now);
        }
        last = now;
    }
}
