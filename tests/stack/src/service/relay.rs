//! The relay nodes: the same program several times, each with its own configuration, all on the same servers.
use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use super::{certificate, haproxy, kafka};
use crate::{
    Addresses, Error, Plan, Relays,
    place::Place,
    probe::Probe,
    process::{Process, tail},
    up::Context,
};

/// User and password of Cassandra where it asks for them: those that it makes by itself.
pub const CASSANDRA_LOGIN: (&str, &str) = ("cassandra", "cassandra");

/// The keyspace of the relays' messages.
pub const KEYSPACE: &str = "sordino";

pub(crate) fn name(n: u16) -> String {
    format!("relay-{n}")
}

pub(crate) fn address(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(30 + n)
}

/// Where HAProxy looks for it.
pub(crate) fn reached(plan: &Plan, n: u16) -> SocketAddr {
    let mut address = address(plan, n);
    if plan.detour {
        address.set_ip([127, 0, 0, 2].into());
    }
    address
}

/// Health and metrics.
pub(crate) fn ops(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(60 + n)
}

pub(crate) fn process(plan: &Plan, relays: &Relays, n: u16) -> Process {
    let settings = settings_file(&plan.place(), n);
    Process {
        name: name(n),
        program: relays.program.clone(),
        args: vec!["serve".into(), "--config".into(), settings.into()],
        before: |_| Ok(()),
        user: None,
        address: address(plan, n),
        health: ops(plan, n),
        probe: Probe::Http { path: "/readyz" },
        ready_within: Duration::from_secs(60),
    }
}

/// Writes each node's configuration, brings the stores' schemas up to date, and starts the nodes.
pub(crate) fn bring_up(plan: &Plan, relays: &Relays, context: &Context<'_>) -> Result<(), Error> {
    let place = &context.place;
    let addresses = Addresses::of_relays(plan)?;
    for key in ["token.key", "password.key"] {
        place.secret(&place.etc(key), || hex::encode(rand::random::<[u8; 32]>()))?;
    }
    for n in plan.relay_numbers() {
        let settings = settings(plan, &addresses, n)?;
        place.write(&settings_file(place, n), settings.as_bytes())?;
    }
    migrate(relays, &settings_file(place, 1), context)?;
    context.all(plan.relay_numbers().map(|n| Ok(process(plan, relays, n))))
}

fn migrate(relays: &Relays, settings: &PathBuf, context: &Context<'_>) -> Result<(), Error> {
    context.prepare("migrating the stores")?;
    let output = Command::new(&relays.program)
        .args(["migrate", "--config"])
        .arg(settings)
        .output()
        .map_err(Error::io(format!("start {}", relays.program.display())))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        what: "sordino-relay migrate".to_owned(),
        detail: tail(&String::from_utf8_lossy(&output.stderr)),
    })
}

fn settings_file(place: &Place, n: u16) -> PathBuf {
    place.etc(&format!("{}.toml", name(n)))
}

/// What relay nodes prove themselves with to Redis and Kafka.
pub(crate) fn password(place: &Place) -> Result<String, Error> {
    place.secret(&place.etc("relay.password"), || {
        hex::encode(rand::random::<[u8; 16]>())
    })
}

fn settings(plan: &Plan, addresses: &Addresses, n: u16) -> Result<String, Error> {
    let place = plan.place();
    let nodes: Vec<_> = addresses
        .cassandra
        .iter()
        .map(|node| format!("\"{node}\""))
        .collect();
    let authority = format!("ca_file = {:?}\n", certificate::authority(&place));
    let login = |user: &str, password: &str| {
        format!("tls = true\n{authority}username = \"{user}\"\npassword = \"{password}\"\n")
    };
    let [redis_secure, kafka_secure, cassandra_secure] = match plan.secure {
        true => [
            authority.clone(),
            login(kafka::USER, &password(&place)?),
            login(CASSANDRA_LOGIN.0, CASSANDRA_LOGIN.1),
        ],
        false => Default::default(),
    };
    let roles = plan.relays.as_ref().and_then(|all| all.roles.get(&n));
    let roles = roles.map_or_else(String::new, |roles| format!("roles = {roles:?}\n"));
    let fronts = plan.front_numbers();
    let sources = fronts.filter_map(|front| haproxy::source(plan, front));
    let sources = sources.map(|source| format!("{source}/32"));
    let proxies: Vec<_> = ["127.0.0.1/32".to_owned()]
        .into_iter()
        .chain(sources)
        .collect();
    Ok(format!(
        "[server]\nlisten = \"{listen}\"\nname = \"localhost\"\ntrusted_proxies = {proxies:?}\n{roles}\n\
         [auth]\ntoken_key_file = {key:?}\npassword_key_file = {passwords:?}\n\n\
         [ops]\nlisten = \"{ops}\"\n\n\
         [store]\ndata = {data:?}\n\n\
         [postgres]\nurl = \"{postgres}\"\n\n\
         [redis]\nurl = \"{redis}\"\n{redis_secure}\n\
         [kafka]\nbrokers = \"{kafka}\"\ntopic = \"messages\"\nreplication = {brokers}\ndev = {dev}\n{kafka_secure}\n\
         [cassandra]\nnodes = [{nodes}]\nkeyspace = \"{KEYSPACE}\"\nreplication = {replication}\n{cassandra_secure}\n{more}\n",
        listen = address(plan, n),
        key = place.etc("token.key"),
        passwords = place.etc("password.key"),
        ops = ops(plan, n),
        data = place.data(&name(n)),
        postgres = addresses.postgres,
        redis = addresses.redis,
        kafka = addresses.kafka,
        // One broker keeps a record once, and one node a row, which the relay refuses otherwise.
        brokers = plan.brokers,
        dev = plan.brokers == 1 || plan.nodes == 1,
        nodes = nodes.join(", "),
        replication = plan.nodes,
        more = plan.relays.as_ref().map_or("", |relays| &relays.settings),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_node_is_told_of_every_server() {
        let plan = Plan {
            nodes: 3,
            ..Plan::new(Path::new("/stack")).unwrap()
        };
        let addresses = Addresses {
            postgres: "postgres://sordino:secret@127.0.0.1:17302/sordino".to_owned(),
            redis: "redis://127.0.0.1:17303".to_owned(),
            kafka: "127.0.0.1:17310".to_owned(),
            cassandra: crate::service::cassandra::addresses(&plan),
            front: None,
            authority: None,
            fronts: Vec::new(),
            ops: Vec::new(),
            relays: Vec::new(),
        };
        let settings = settings(&plan, &addresses, 2).unwrap();
        for line in [
            "listen = \"127.0.0.1:17332\"",
            "listen = \"127.0.0.1:17362\"",
            "token_key_file = \"/stack/etc/token.key\"",
            "password_key_file = \"/stack/etc/password.key\"",
            "data = \"/stack/data/relay-2\"",
            "url = \"postgres://sordino:secret@127.0.0.1:17302/sordino\"",
            "dev = true",
            "nodes = [\"127.0.0.1:17320\", \"127.0.0.2:17320\", \"127.0.0.3:17320\"]",
            "replication = 3",
        ] {
            assert!(settings.lines().any(|l| l == line), "{line}\n{settings}");
        }
    }
}
