use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{Error, Plan, pid::Identity, process::Process, service};

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It runs and answers.
    Up,
    /// It runs, and answers that it cannot serve now.
    Unready,
    /// It runs and does not answer.
    Silent,
    /// SIGSTOP holds it.
    Held,
    /// It does not run.
    Down,
}

/// One process of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `kafka-1`.
    pub name: String,
    /// If it runs.
    pub pid: Option<i32>,
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is.
    pub health: Health,
    /// Resident, with its children, in bytes.
    pub memory: u64,
    /// Its log.
    pub log: PathBuf,
}

/// Every process of the stack in `dir`, asked now.
///
/// # Errors
/// [`Error::NoStack`]; a program that was removed from the machine.
pub fn status(dir: &Path) -> Result<Vec<Row>, Error> {
    let plan = Plan::recorded(dir)?;
    let processes = service::processes(&plan)?;
    Ok(processes
        .into_iter()
        .map(|process| row(&plan, process))
        .collect())
}

/// The log of one process of the stack in `dir`.
///
/// # Errors
/// [`Error::NoStack`], [`Error::Unknown`].
pub fn log(dir: &Path, name: &str) -> Result<PathBuf, Error> {
    let log = Plan::recorded(dir)?.place().log(name);
    if service::Kind::of(name).is_none() || !log.exists() {
        return Err(Error::Unknown(name.to_owned()));
    }
    Ok(log)
}

fn row(plan: &Plan, process: Process) -> Row {
    let place = plan.place();
    let identity = Identity::read(&place.pid(&process.name)).filter(Identity::runs);
    let health = match &identity {
        None => Health::Down,
        Some(identity) if identity.is_held() => Health::Held,
        Some(_) => match process.probe.ask(process.health) {
            Ok(true) => Health::Up,
            Ok(false) => Health::Unready,
            Err(_) => Health::Silent,
        },
    };
    Row {
        pid: identity.as_ref().map(Identity::pid),
        address: process.address,
        health,
        memory: identity.as_ref().map_or(0, Identity::memory),
        log: place.log(&process.name),
        name: process.name,
    }
}
