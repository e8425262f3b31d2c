//! A stack with people on it, to which faults are done.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use sordino_stack::{Addresses, Plan, Silent, Stack};
use tokio::runtime::Handle;

use super::{Failure, front::Front};
use crate::metrics;

/// What a recovery is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The fault: others can stand in for the part.
    Fault,
    /// The moment when the part answered again, or the connections were good again: there is no other.
    Back,
}

impl Since {
    /// For tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Back => "back",
        }
    }
}

/// A fault that is over: what its recovery is counted from, and when that was.
pub type Done = (Since, Instant);

/// The stack, and what leads to it.
pub struct Scene {
    /// The servers.
    pub stack: Stack,
    /// The way of the people to HAProxy.
    pub front: Front,
    /// The ways of the relay nodes to the servers and of HAProxy to the relay nodes, by the names of where they lead.
    pub detours: Vec<(String, Front)>,
    /// What asks the nodes.
    pub runtime: Handle,
    /// Set by Ctrl-C.
    pub interrupted: Arc<AtomicBool>,
}

impl Scene {
    /// What there is of a kind of server: `kafka-1`, `kafka-2`, ….
    pub fn all(&self, kind: &str) -> Result<Vec<String>, Failure> {
        let mut names = self.stack.names()?;
        names.retain(|name| is_a(name, kind));
        Ok(names)
    }

    /// The ways to the servers of a kind.
    pub fn to(&self, kind: &str) -> Vec<&Front> {
        let detours = self.detours.iter().filter(|(name, _)| is_a(name, kind));
        detours.map(|(_, front)| front).collect()
    }

    /// SIGKILL to the first of a kind, and a new start.
    pub fn kill_first(&self, kind: &str) -> Result<Done, Failure> {
        self.kill(&self.first(kind)?)
    }

    /// The same to the last. Of relay nodes, where each has a role of its own, it is one that delivers.
    pub fn kill_last(&self, kind: &str) -> Result<Done, Failure> {
        self.kill(&self.last(kind)?)
    }

    fn first(&self, kind: &str) -> Result<String, Failure> {
        let first = self.all(kind)?.into_iter().next();
        first.ok_or_else(|| format!("there is no {kind}").into())
    }

    fn last(&self, kind: &str) -> Result<String, Failure> {
        let last = self.all(kind)?.pop();
        last.ok_or_else(|| format!("there is no {kind}").into())
    }

    fn kill(&self, name: &str) -> Result<Done, Failure> {
        let kind = name.split('-').next().unwrap_or(name);
        let since = match self.all(kind)?.len() {
            1 => Since::Back,
            _ => Since::Fault,
        };
        let fault = Instant::now();
        self.stack.kill(name)?;
        self.stack.start(name)?;
        Ok(match since {
            Since::Fault => (since, fault),
            Since::Back => (since, Instant::now()),
        })
    }

    /// SIGKILL to all of a kind, and a new start after a while. Meanwhile this counter of the relay nodes has to rise.
    pub fn away(&self, kind: &str, time: Duration, counter: &str) -> Result<Done, Failure> {
        for name in self.all(kind)? {
            self.stack.kill(&name)?;
        }
        // What was under way when it died may still count.
        self.pause(Duration::from_secs(2))?;
        let before = self.counts(counter)?;
        self.pause(time)?;
        let after = self.counts(counter)?;
        if !before
            .iter()
            .zip(&after)
            .any(|(before, after)| after > before)
        {
            return Err(format!("{counter} did not rise while {kind} was away").into());
        }
        // All that is missing at once: none of three brokers is ready without another.
        sordino_stack::up(self.stack.plan(), &mut Silent)?;
        Ok((Since::Back, Instant::now()))
    }

    /// A counter of each relay node; 0 where nothing was counted yet.
    fn counts(&self, counter: &str) -> Result<Vec<f64>, Failure> {
        let nodes = Addresses::of(self.stack.plan())?.ops;
        let read = nodes.into_iter().map(|ops| metrics::read(ops, counter));
        let values = self.runtime.block_on(join_all(read));
        let values = values
            .into_iter()
            .map(|value| value.map(Option::unwrap_or_default));
        Ok(values.collect::<Result<_, _>>()?)
    }

    /// SIGSTOP to the last of a kind for a while.
    pub fn hold_last(&self, kind: &str, time: Duration) -> Result<Done, Failure> {
        self.hold(&self.last(kind)?, time)
    }

    /// SIGSTOP for a while to a relay node to which some people are connected.
    pub fn hold_sockets(&self, time: Duration) -> Result<Done, Failure> {
        // Who left a node that died does not come back to it by itself.
        self.front.cut();
        self.pause(Duration::from_secs(5))?;
        self.hold(&self.first("relay")?, time)
    }

    fn hold(&self, name: &str, time: Duration) -> Result<Done, Failure> {
        let fault = Instant::now();
        self.stack.hold(name)?;
        let paused = self.pause(time);
        self.stack.resume(name)?;
        paused?;
        // Another of its kind stands in for it, long before it goes on.
        Ok((Since::Fault, fault))
    }

    /// SIGTERM to each of a kind, one after another, each started again before the next.
    pub fn roll(&self, kind: &str) -> Result<Done, Failure> {
        let fault = Instant::now();
        for name in self.all(kind)? {
            self.stack.restart(&name)?;
        }
        Ok((Since::Fault, fault))
    }

    /// One relay node more, for a while.
    pub fn one_more(&self, time: Duration) -> Result<Done, Failure> {
        let before = self.stack.plan();
        let begun = Instant::now();
        sordino_stack::up(&with_one_more(before), &mut Silent)?;
        self.pause(time)?;
        sordino_stack::up(before, &mut Silent)?;
        Ok((Since::Fault, begun))
    }

    /// Lets time pass; an error if Ctrl-C is pressed.
    pub fn pause(&self, time: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.go_on()?;
            thread::sleep(Duration::from_millis(50).min(time));
        }
        Ok(())
    }

    /// An error if Ctrl-C was pressed.
    pub fn go_on(&self) -> Result<(), Failure> {
        match self.interrupted.load(Ordering::SeqCst) {
            true => Err("interrupted".into()),
            false => Ok(()),
        }
    }
}

/// The ways of a plan's nodes to its servers and of its HAProxy to its nodes, also to [one more](Scene::one_more).
///
/// # Errors
/// An address is in use.
pub async fn detours(plan: &Plan) -> io::Result<Vec<(String, Front)>> {
    let mut opened = Vec::new();
    for detour in with_one_more(plan).detours() {
        let front = Front::new(vec![detour.to]);
        front.listen(detour.from, 0).await?;
        opened.push((detour.name, front));
    }
    Ok(opened)
}

fn with_one_more(plan: &Plan) -> Plan {
    let mut more = plan.clone();
    if let Some(relays) = &mut more.relays {
        relays.count += 1;
    }
    more
}

/// Whether `kafka-1` is a `kafka`.
fn is_a(name: &str, kind: &str) -> bool {
    name.split('-').next() == Some(kind)
}
