//! What a herd of clients does when a node dies, comes back, or all nodes are restarted one after another: how long until all
//! are connected again, how evenly, and what happened to messages meanwhile.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use sordino_stack::{Addresses, Stack};
use tokio::time::{Instant, sleep};

use super::{Result, failed};
use crate::{
    load::{
        account::{Account, Api},
        crowd::{Crowd, Habit},
        envelope::Noise,
        pair::Load,
        phase::Phase,
        progress::step,
        target::Target,
    },
    metrics,
};

/// Each device of the pairs that talk sends a message so often.
const PACE: Duration = Duration::from_millis(500);
/// Before a node is killed.
const CALM: Duration = Duration::from_secs(10);
/// How long a restarted node runs until the next dies: longer than HAProxy's slow start.
const PAUSE: Duration = Duration::from_secs(40);

/// How late an accepted message may come while nodes are restarted in turn.
const LATEST: Duration = Duration::from_secs(1);

/// What came out of one event.
pub struct Event {
    /// What happened.
    pub what: &'static str,
    /// Connections that ended and were back.
    pub returned: usize,
    /// When the last of them was back.
    pub all_back: Duration,
    /// The longest that one of them was away.
    pub longest_away: Duration,
    /// Connections of each node afterwards; none if it does not run.
    pub spread: Vec<Option<u64>>,
    /// The messages meanwhile.
    pub messages: Phase,
    /// Nodes left as they do by themselves, without dying.
    in_order: bool,
}

impl Event {
    /// Connections of the busiest running node, as a multiple of what each would have if they were even.
    pub fn imbalance(&self) -> f64 {
        let running: Vec<_> = self.spread.iter().flatten().copied().collect();
        let sum: u64 = running.iter().sum();
        let even = sum as f64 / running.len().max(1) as f64;
        running.into_iter().max().unwrap_or(0) as f64 / even.max(1.0)
    }

    /// The longest that a message took once it was accepted.
    fn latest(&self) -> Duration {
        Duration::from_micros(self.messages.stats.longest_after_accepted.into())
    }

    /// Whether all is as it has to be.
    pub fn is_well(&self) -> bool {
        !self.in_order || self.latest() <= LATEST
    }
}

/// A herd before it is disturbed.
pub struct Herd {
    crowd: Crowd,
    stack: Stack,
    addresses: Addresses,
    talking: usize,
    interrupted: Arc<AtomicBool>,
}

impl Herd {
    /// Connects all; the first `talking` pairs write to each other all the time.
    ///
    /// # Errors
    /// Somebody cannot connect.
    pub async fn gather(
        stack: Stack,
        addresses: Addresses,
        targets: &[Target],
        accounts: &[Arc<Account>],
        talking: usize,
        noise: &Noise,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self> {
        let first = targets.first().ok_or_else(super::no_front)?;
        let api = Arc::new(Api::new(first)?);
        let tokens = {
            let bar = step("logging in", accounts.len());
            api.log_in(accounts, || bar.one()).await?
        };
        let accounts: Vec<_> = accounts.iter().cloned().zip(tokens).collect();
        let bar = step("connecting pairs", accounts.len() / 2);
        let crowd = Crowd::gather(targets, &accounts, noise, Habit::Return, || bar.one()).await?;
        Ok(Self {
            crowd,
            stack,
            addresses,
            talking,
            interrupted,
        })
    }

    /// A node is killed and started again; a while later the next one.
    ///
    /// # Errors
    /// A message was lost, doubled or reordered; a node does not start.
    pub async fn disturb(&mut self) -> Result<Vec<Event>> {
        let mut events = vec![self.event("at rest", CALM, None).await?];
        events.push(
            self.event("a node is killed", PAUSE, Some(Deed::Kill("relay-2")))
                .await?,
        );
        self.deed(Deed::Start("relay-2")).await?;
        events.push(self.event("it is back", PAUSE, None).await?);
        events.push(
            self.event("another is killed", PAUSE, Some(Deed::Kill("relay-3")))
                .await?,
        );
        self.deed(Deed::Start("relay-3")).await?;
        let nodes = self.addresses.relays.len() as u32;
        let rolling = Some(Deed::Roll);
        let event = self.event("all nodes restarted in turn", PAUSE * nodes, rolling);
        events.push(event.await?);
        Ok(events)
    }

    async fn event(
        &mut self,
        what: &'static str,
        time: Duration,
        deed: Option<Deed>,
    ) -> Result<Event> {
        let _step = step(what, 0);
        drop(self.crowd.returned());
        let begun = Instant::now();
        let (stack, interrupted) = (self.stack.clone(), Arc::clone(&self.interrupted));
        let doing = tokio::task::spawn_blocking(move || {
            deed.map_or(Ok(()), |deed| deed.of(&stack, &interrupted))
        });
        let load = Load::Paced(PACE);
        let run = self
            .crowd
            .run(load, self.talking, Duration::ZERO, time, || Ok(()));
        let (messages, (), ()) = run.await?;
        doing.await.map_err(|error| failed(what)(&error))??;
        let returned = self.crowd.returned();
        let last = returned.iter().map(|back| back.at).max();
        Ok(Event {
            what,
            returned: returned.len(),
            all_back: last.map_or(Duration::ZERO, |last| last - begun),
            longest_away: returned.iter().map(|b| b.away).max().unwrap_or_default(),
            spread: self.spread().await?,
            messages,
            in_order: matches!(deed, Some(Deed::Roll)),
        })
    }

    async fn deed(&self, deed: Deed) -> Result<()> {
        let (stack, interrupted) = (self.stack.clone(), Arc::clone(&self.interrupted));
        let done = tokio::task::spawn_blocking(move || deed.of(&stack, &interrupted)).await;
        done.map_err(|error| failed("a node")(&error))?
    }

    /// Connections that HAProxy has to each node, by the nodes' own word.
    async fn spread(&self) -> Result<Vec<Option<u64>>> {
        // A node's gauge is read a moment after the last connection came.
        sleep(Duration::from_secs(1)).await;
        let mut spread = Vec::new();
        for ops in &self.addresses.ops {
            let open = metrics::read(*ops, "sordino_connections").await;
            spread.push(open.ok().flatten().map(|open| open as u64));
        }
        Ok(spread)
    }
}

#[derive(Clone, Copy)]
enum Deed {
    Kill(&'static str),
    Start(&'static str),
    Roll,
}

impl Deed {
    /// Once `interrupted`, nothing more is started: the cluster is being stopped.
    fn of(self, stack: &Stack, interrupted: &AtomicBool) -> Result<()> {
        match self {
            Self::Kill(name) => Ok(stack.kill(name)?),
            Self::Start(name) => Ok(stack.start(name)?),
            Self::Roll => {
                let mut names = stack.names()?;
                names.retain(|name| name.starts_with("relay-"));
                for name in names {
                    stack.stop(&name)?;
                    if interrupted.load(Ordering::SeqCst) {
                        break;
                    }
                    stack.start(&name)?;
                }
                Ok(())
            }
        }
    }
}

/// One line for each event.
pub fn table(balance: &str, events: &[Event]) -> String {
    let mut out = format!(
        "{balance}\n{:<30} {:>8} {:>10} {:>7} {:>9} {:>8} {:>8} {:>8} {:>10}  connections of the nodes\n",
        "",
        "returned",
        "all back s",
        "away s",
        "imbalance",
        "p50 ms",
        "p99 ms",
        "max ms",
        "accepted+"
    );
    for event in events {
        let messages = &event.messages;
        let _ = writeln!(
            out,
            "{:<30} {:>8} {:>10.1} {:>7.1} {:>9.2} {:>8.1} {:>8.0} {:>8.0} {:>10.0}  {}",
            event.what,
            event.returned,
            event.all_back.as_secs_f64(),
            event.longest_away.as_secs_f64(),
            event.imbalance(),
            messages.latency_ms(0.5),
            messages.latency_ms(0.99),
            messages.latency_ms(1.0),
            event.latest().as_secs_f64() * 1000.0,
            event
                .spread
                .iter()
                .map(|open| open.map_or_else(|| "-".to_owned(), |open| open.to_string()))
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    if !events.iter().all(Event::is_well) {
        let _ = writeln!(
            out,
            "FAILED: an accepted message came later than {} ms while nodes were restarted in turn",
            LATEST.as_millis()
        );
    }
    out
}

/// The same for programs.
pub fn json(balance: &str, events: &[Event]) -> Value {
    let events = events.iter().map(|event| {
        let messages = &event.messages;
        json!({
            "event": event.what,
            "returned": event.returned,
            "all_back_s": event.all_back.as_secs_f64(),
            "longest_away_s": event.longest_away.as_secs_f64(),
            "imbalance": event.imbalance(),
            "messages": messages.stats.micros.len(),
            "p50_ms": messages.latency_ms(0.5),
            "p99_ms": messages.latency_ms(0.99),
            "max_ms": messages.latency_ms(1.0),
            "longest_after_accepted_ms": event.latest().as_secs_f64() * 1000.0,
            "connections": event.spread,
        })
    });
    json!({ "balance": balance, "events": events.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_node_is_compared_with_an_even_share_of_the_running_ones() {
        let event = |spread| Event {
            what: "",
            returned: 0,
            all_back: Duration::ZERO,
            longest_away: Duration::ZERO,
            spread,
            messages: Phase::default(),
            in_order: false,
        };
        let spread = vec![Some(10), None, Some(10), Some(40)];
        assert!((event(spread).imbalance() - 2.0).abs() < 1e-9);
        // One that runs and has none is idle.
        let spread = vec![Some(10), Some(0)];
        assert!((event(spread).imbalance() - 2.0).abs() < 1e-9);
    }
}
