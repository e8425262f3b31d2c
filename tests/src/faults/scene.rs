//! A stack with people on it, to which faults are done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sordino_stack::{Silent, Stack};

use super::{Failure, front::Front};

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
    /// Set by Ctrl-C.
    pub interrupted: Arc<AtomicBool>,
}

impl Scene {
    /// What there is of a kind of server: `kafka-1`, `kafka-2`, ….
    pub fn all(&self, kind: &str) -> Result<Vec<String>, Failure> {
        let mut names = self.stack.names()?;
        names.retain(|name| name.split('-').next() == Some(kind));
        Ok(names)
    }

    /// The first of a kind, which dies or hangs for it.
    pub fn one(&self, kind: &str) -> Result<String, Failure> {
        let first = self.all(kind)?.into_iter().next();
        first.ok_or_else(|| format!("there is no {kind}").into())
    }

    /// SIGKILL to one of a kind, and a new start.
    pub fn kill_one(&self, kind: &str) -> Result<Done, Failure> {
        let name = self.one(kind)?;
        let since = match self.all(kind)?.len() {
            1 => Since::Back,
            _ => Since::Fault,
        };
        let fault = Instant::now();
        self.stack.kill(&name)?;
        self.stack.start(&name)?;
        Ok(match since {
            Since::Fault => (since, fault),
            Since::Back => (since, Instant::now()),
        })
    }

    /// SIGKILL to all of a kind, and a new start after a while.
    pub fn away(&self, kind: &str, time: Duration) -> Result<Done, Failure> {
        for name in self.all(kind)? {
            self.stack.kill(&name)?;
        }
        self.pause(time)?;
        // All that is missing at once: none of three brokers is ready without another.
        sordino_stack::up(self.stack.plan(), &mut Silent)?;
        Ok((Since::Back, Instant::now()))
    }

    /// SIGSTOP to a relay node for a while. Some people are connected to it.
    pub fn hold_relay(&self, time: Duration) -> Result<Done, Failure> {
        let name = self.one("relay")?;
        // Who left a node that died does not come back to it by itself.
        self.front.cut();
        self.pause(Duration::from_secs(5))?;
        self.stack.hold(&name)?;
        let paused = self.pause(time);
        self.stack.resume(&name)?;
        paused?;
        Ok((Since::Back, Instant::now()))
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
        let mut more = before.clone();
        if let Some(relays) = &mut more.relays {
            relays.count += 1;
        }
        let begun = Instant::now();
        sordino_stack::up(&more, &mut Silent)?;
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
