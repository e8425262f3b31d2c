//! Redis: who is connected where. It may be lost at any time, so it keeps nothing on the disk.
use std::{net::SocketAddr, time::Duration};

use super::words;
use crate::{Error, Plan, packages, probe::Probe, process::Process};

pub(crate) const NAME: &str = "redis";

pub(crate) fn address(plan: &Plan) -> SocketAddr {
    plan.address(3)
}

/// Where relay nodes look for it.
pub(crate) fn reached(plan: &Plan) -> SocketAddr {
    plan.address(if plan.detour { 52 } else { 3 })
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("redis://{address}")
}

pub(crate) fn process(plan: &Plan) -> Result<Process, Error> {
    let address = address(plan);
    // Full, it refuses writes; evicting a key would make a connected device unreachable without a word.
    let settings = "--maxmemory 512mb --maxmemory-policy noeviction --appendonly no --daemonize no";
    let mut args: Vec<_> = words(settings).collect();
    args.extend(words(&format!(
        "--bind {} --port {}",
        address.ip(),
        address.port()
    )));
    args.extend(["--save".into(), "".into()]);
    Ok(Process {
        name: NAME.to_owned(),
        program: packages::REDIS.path()?,
        args,
        before: |_| Ok(()),
        user: None,
        address,
        health: address,
        probe: Probe::Redis,
        ready_within: Duration::from_secs(30),
    })
}
