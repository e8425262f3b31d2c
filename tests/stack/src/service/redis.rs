//! Redis: who is connected where. It may be lost at any time, so it keeps nothing on the disk.
use std::{net::SocketAddr, time::Duration};

use super::{certificate, words};
use crate::{Error, Plan, packages, probe::Probe, process::Process};

pub(crate) const NAME: &str = "redis";
/// Who relay nodes are to it, where they have to say.
const USER: &str = "relay";

pub(crate) fn address(plan: &Plan) -> SocketAddr {
    plan.address(3)
}

/// Where relay nodes look for it.
pub(crate) fn reached(plan: &Plan) -> SocketAddr {
    match plan.detour {
        true => plan.address(52),
        false => come_by(plan),
    }
}

/// Where it is there for them.
pub(crate) fn come_by(plan: &Plan) -> SocketAddr {
    plan.address(if plan.secure { 4 } else { 3 })
}

pub(crate) fn url(plan: &Plan) -> String {
    format!("redis://{}", address(plan))
}

/// The same for relay nodes.
pub(crate) fn url_of_relays(plan: &Plan) -> Result<String, Error> {
    let address = reached(plan);
    if !plan.secure {
        return Ok(format!("redis://{address}"));
    }
    let password = super::relay::password(&plan.place())?;
    Ok(format!("rediss://{USER}:{password}@{address}"))
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
    if plan.secure {
        let place = plan.place();
        let pem = certificate::file(&place).into_os_string();
        let authority = certificate::authority(&place).into_os_string();
        let port = come_by(plan).port();
        args.extend(words(&format!("--tls-port {port} --tls-auth-clients no")));
        args.extend([
            "--tls-cert-file".into(),
            pem.clone(),
            "--tls-key-file".into(),
            pem,
        ]);
        args.extend(["--tls-ca-cert-file".into(), authority]);
        let password = super::relay::password(&place)?;
        args.extend(words(&format!("--user {USER} on >{password} ~* &* +@all")));
    }
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
