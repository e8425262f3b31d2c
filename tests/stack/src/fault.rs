//! Faults: one process of a running stack dies, hangs, comes back.
use std::path::Path;

use rustix::process::Signal;

use crate::{Error, Plan, Silent, down, pid::Identity, process, service, up};

/// A stack whose processes can be killed, held and started one by one.
#[derive(Debug, Clone)]
pub struct Stack {
    plan: Plan,
}

impl Stack {
    /// The stack in `dir`, which was up at least once.
    ///
    /// # Errors
    /// [`Error::NoStack`], or its record cannot be read.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let plan = Plan::recorded(dir)?;
        Ok(Self { plan })
    }

    /// What it consists of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The names of its processes.
    ///
    /// # Errors
    /// A program was removed from the machine.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let processes = service::processes(&self.plan)?;
        Ok(processes.into_iter().map(|process| process.name).collect())
    }

    /// The process's number.
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn pid(&self, name: &str) -> Result<i32, Error> {
        Ok(self.running(name)?.pid())
    }

    /// SIGKILL to it and those it started; returns when they are gone.
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn kill(&self, name: &str) -> Result<(), Error> {
        process::kill(name, &self.running(name)?)
    }

    /// SIGSTOP to it and those it started: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn hold(&self, name: &str) -> Result<(), Error> {
        process::signal_tree(&self.running(name)?, Signal::STOP);
        Ok(())
    }

    /// Ends a [`hold`](Self::hold).
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn resume(&self, name: &str) -> Result<(), Error> {
        process::signal_tree(&self.running(name)?, Signal::CONT);
        Ok(())
    }

    /// Asks it to end, and kills it if it takes too long; nothing to do if it does not run.
    ///
    /// # Errors
    /// [`Error::Immortal`].
    pub fn stop(&self, name: &str) -> Result<(), Error> {
        down::stop(&self.plan.place(), &[name.to_owned()], &mut Silent)
    }

    /// Whether nobody has taken it [`down`](crate::down) since it was brought up.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.plan.place().unwanted().exists()
    }

    /// Starts it unless it runs, and returns when it answers.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Ended`], [`Error::Late`].
    pub fn start(&self, name: &str) -> Result<(), Error> {
        let mut processes = service::processes(&self.plan)?;
        processes.retain(|process| process.name == name);
        let process = processes
            .pop()
            .ok_or_else(|| Error::Unknown(name.to_owned()))?;
        up::watched(&self.plan.place(), &mut Silent, |context| {
            process.ensure(context)
        })
    }

    /// [`stop`](Self::stop), then [`start`](Self::start).
    ///
    /// # Errors
    /// Theirs.
    pub fn restart(&self, name: &str) -> Result<(), Error> {
        self.stop(name)?;
        self.start(name)
    }

    fn running(&self, name: &str) -> Result<Identity, Error> {
        let identity = Identity::read(&self.plan.place().pid(name)).filter(Identity::runs);
        identity.ok_or_else(|| Error::Down(name.to_owned()))
    }
}
