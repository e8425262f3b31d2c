//! Redis: who is connected where. It may be lost at any time, so it keeps nothing on the disk.
use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{certificate, settle};
use crate::{Error, Plan, packages, place::Place, probe::Probe, process::Process, up::Context};

pub(crate) const NAME: &str = "redis";
const TEMPLATE: &str = include_str!("../../../../deploy/redis/redis.conf");
const USERS: &str = include_str!("../../../../deploy/redis/users.acl");
/// Who relay nodes are to it, where they have to say.
const USER: &str = "sordino";

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
    Ok(Process {
        name: NAME.to_owned(),
        program: packages::REDIS.path()?,
        args: vec![settings_file(&plan.place()).into()],
        before: |_| Ok(()),
        user: None,
        address,
        health: address,
        probe: Probe::Redis,
        ready_within: Duration::from_secs(30),
    })
}

pub(crate) fn bring_up(plan: &Plan, context: &Context<'_>) -> Result<(), Error> {
    let place = &context.place;
    place.write(&settings_file(place), settings(plan)?.as_bytes())?;
    if plan.secure {
        let users = users(&super::relay::password(place)?)?;
        place.write(&users_file(place), users.as_bytes())?;
    }
    process(plan)?.ensure(context)
}

fn settings_file(place: &Place) -> PathBuf {
    place.etc("redis.conf")
}

fn users_file(place: &Place) -> PathBuf {
    place.etc("redis.acl")
}

/// The operators' file with the stack's addresses, and a port in plain text beside that of the relay nodes.
fn settings(plan: &Plan) -> Result<String, Error> {
    let place = plan.place();
    let address = address(plan);
    let path = |path: PathBuf| plan.secure.then(|| format!("\"{}\"", path.display()));
    let certificate = path(certificate::file(&place));
    let port = plan.secure.then(|| come_by(plan).port().to_string());
    let values = [
        ("bind", Some(address.ip().to_string())),
        ("port", Some(address.port().to_string())),
        ("tls-port", port),
        ("tls-cert-file", certificate.clone()),
        ("tls-key-file", certificate),
        ("tls-auth-clients", plan.secure.then(|| "no".to_owned())),
        ("aclfile", path(users_file(&place))),
    ];
    settle("redis/redis.conf", TEMPLATE, " ", &values)
}

/// The operators' file with a password. Everybody else of this machine needs none.
fn users(password: &str) -> Result<String, Error> {
    let everybody = Some("on nopass ~* &* +@all".to_owned());
    let users = settle(
        "redis/users.acl",
        USERS,
        " ",
        &[("user default", everybody)],
    )?;
    if users.matches(">PASSWORD").count() != 1 {
        return Err(Error::Plan(
            "deploy/redis/users.acl lacks PASSWORD".to_owned(),
        ));
    }
    Ok(users.replace("PASSWORD", password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_operators_file_takes_the_stacks_addresses() {
        let plan = |secure| Plan {
            secure,
            ..Plan::new(Path::new("/stack")).unwrap()
        };
        let text = settings(&plan(false)).unwrap();
        assert!(
            text.contains("\nport 17303\n") && text.contains("\nmaxmemory-policy noeviction\n")
        );
        assert!(!text.contains("\ntls") && !text.contains("10.0.0."));
        let text = settings(&plan(true)).unwrap();
        assert!(text.contains("\ntls-port 17304\n") && !text.contains(" /etc/redis"));
        let users = users("secret").unwrap();
        assert_eq!(users.lines().count(), 2);
        assert!(users.contains("\nuser sordino on >secret "));
    }
}
