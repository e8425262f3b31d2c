//! HAProxy: ends TLS and spreads connections over the relay nodes, with the configuration that operators get.
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use super::{certificate, relay};
use crate::{
    Balance, Error, Plan, Silent,
    down::stop,
    packages::HAPROXY,
    place::Place,
    probe::Probe,
    process::{Process, run},
    up::Context,
};

const TEMPLATE: &str = include_str!("../../../../deploy/haproxy/haproxy.cfg");

/// The first is `haproxy` alone: a stack has one, as a rule.
pub(crate) fn name(n: u16) -> String {
    match n {
        1 => "haproxy".to_owned(),
        n => format!("haproxy-{n}"),
    }
}

pub(crate) fn front(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(if n == 1 { 0 } else { 90 + n })
}

pub(crate) fn status(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(if n == 1 { 1 } else { 95 + n })
}

pub(crate) fn url(plan: &Plan) -> String {
    format!("https://localhost:{}", front(plan, 1).port())
}

pub(crate) fn process(plan: &Plan, n: u16) -> Result<Process, Error> {
    Ok(Process {
        name: name(n),
        program: HAPROXY.path()?,
        args: vec![
            "-db".into(),
            "-f".into(),
            settings_file(&plan.place(), n).into(),
        ],
        before: |_| Ok(()),
        user: None,
        address: front(plan, n),
        health: status(plan, n),
        probe: Probe::Http { path: "/healthz" },
        ready_within: Duration::from_secs(20),
    })
}

pub(crate) fn bring_up(plan: &Plan, context: &Context<'_>) -> Result<(), Error> {
    let place = &context.place;
    for n in plan.front_numbers() {
        let file = settings_file(place, n);
        let settings = render(plan, n)?;
        let known = fs::read_to_string(&file).is_ok_and(|old| old == settings);
        place.write(&file, settings.as_bytes())?;
        let mut check = Command::new(HAPROXY.path()?);
        run(
            check.args(["-c", "-q", "-f"]).arg(&file),
            "checking HAProxy's configuration",
        )?;
        if !known {
            // It reads its file only once, and there are other nodes now.
            stop(place, &[name(n)], &mut Silent)?;
        }
        process(plan, n)?.ensure(context)?;
    }
    Ok(())
}

fn settings_file(place: &Place, n: u16) -> PathBuf {
    place.etc(&format!("{}.cfg", name(n)))
}

/// The operators' file with the stack's addresses.
fn render(plan: &Plan, n: u16) -> Result<String, Error> {
    let place = plan.place();
    let (servers, others): (Vec<_>, Vec<_>) = TEMPLATE
        .lines()
        .partition(|line| line.trim_start().starts_with("server "));
    if servers.is_empty() {
        return Err(unlike("server "));
    }
    let balance = plan
        .relays
        .as_ref()
        .map_or_else(Balance::default, |relays| relays.balance);
    let others: Vec<_> = others
        .into_iter()
        .map(|line| chosen(line, balance))
        .collect();
    let mut text = others.join("\n");
    let relays = plan.relays.as_ref();
    let behind = |n: &u16| relays.is_some_and(|relays| relays.serves_devices(*n));
    let nodes = plan.relay_numbers().filter(behind);
    let servers: String = nodes.map(|node| server(plan, n, node)).collect();
    let bind = format!(
        "bind {} ssl crt {} ",
        front(plan, n),
        certificate::file(&place).display()
    );
    let limit = format!("maxconn {}", connections());
    let ops =
        "    # `port` is `ops.listen`, which only this machine and the metrics need to reach.\n";
    for (theirs, ours) in [
        // It runs as who started it.
        ("    user haproxy\n    group haproxy\n", ""),
        // A socket's path must be short, and ours may not be.
        (
            "    stats socket /run/haproxy/admin.sock mode 600 level admin\n",
            "",
        ),
        ("maxconn 20000", &limit),
        ("bind :443 ssl crt /etc/haproxy/sordino.pem ", &bind),
        // Every client is this machine.
        ("sc0_conn_rate gt 400", "sc0_conn_rate gt 1000000"),
        (ops, &format!("{ops}{servers}")),
        ("bind 127.0.0.1:8404", &format!("bind {}", status(plan, n))),
    ] {
        if text.matches(theirs).count() != 1 {
            return Err(unlike(theirs));
        }
        text = text.replace(theirs, ours);
    }
    Ok(text + "\n")
}

const ROUND_ROBIN: [&str; 2] = [
    "balance roundrobin",
    "cookie sordino insert indirect nocache httponly secure",
];
const LEAST_CONN: [&str; 2] = ["balance leastconn", "default-server slowstart 30s"];

/// The file has both ways of spreading connections, one of them in comments.
fn chosen(line: &str, balance: Balance) -> String {
    let said = line.trim().trim_start_matches('#').trim();
    let (yes, no) = match balance {
        Balance::RoundRobin => (ROUND_ROBIN, LEAST_CONN),
        Balance::LeastConn => (LEAST_CONN, ROUND_ROBIN),
    };
    if yes.contains(&said) {
        format!("    {said}")
    } else if no.contains(&said) {
        format!("    #   {said}")
    } else {
        line.to_owned()
    }
}

fn unlike(what: &str) -> Error {
    Error::Plan(format!(
        "deploy/haproxy/haproxy.cfg lacks `{}`",
        what.trim()
    ))
}

/// The address from which a HAProxy process comes to the nodes, where there are several: to one node there are some 28 000 ports
/// of one address, and all of them take from it otherwise.
pub(crate) fn source(plan: &Plan, n: u16) -> Option<Ipv4Addr> {
    let last = u8::try_from(n).unwrap_or(u8::MAX);
    let several = plan.relays.as_ref().is_some_and(|relays| relays.fronts > 1);
    several.then(|| Ipv4Addr::new(127, 0, 1, last))
}

fn server(plan: &Plan, front: u16, n: u16) -> String {
    let (name, address, ops) = (relay::name(n), relay::reached(plan, n), relay::ops(plan, n));
    let sticky = plan
        .relays
        .as_ref()
        .is_some_and(|relays| relays.balance == Balance::RoundRobin);
    let cookie = if sticky {
        format!(" cookie {name}")
    } else {
        String::new()
    };
    let source = source(plan, front).map(|source| format!(" source {source}"));
    let source = source.unwrap_or_default();
    // The check goes to the node itself, also where what people send takes a detour.
    format!(
        "    server {name} {address} addr {} port {}{cookie}{source}\n",
        ops.ip(),
        ops.port()
    )
}

/// As many as the open files that we may have allow, two for each.
fn connections() -> u64 {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    (files.saturating_sub(200) / 2).min(20_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Relays;
    use std::path::Path;

    fn rendered(balance: Balance) -> String {
        let plan = Plan {
            relays: Some(Relays {
                balance,
                ..Relays::new(3, "relay".into())
            }),
            ..Plan::new(Path::new("/stack")).unwrap()
        };
        render(&plan, 1).unwrap()
    }

    #[test]
    fn the_operators_file_takes_the_stacks_addresses() {
        let text = rendered(Balance::RoundRobin);
        for line in [
            "bind 127.0.0.1:17300 ssl crt /stack/etc/server.pem alpn h2,http/1.1",
            "bind 127.0.0.1:17301",
            "server relay-3 127.0.0.1:17333 addr 127.0.0.1 port 17363 cookie relay-3",
            "http-request set-header X-Forwarded-For %[src]",
        ] {
            assert!(text.lines().any(|l| l.trim() == line), "{line}");
        }
        assert!(!text.contains("10.0.0.1"));
    }

    #[test]
    fn each_way_of_spreading_connections_is_in_the_operators_file() {
        for (balance, yes, no) in [
            (Balance::RoundRobin, ROUND_ROBIN, LEAST_CONN),
            (Balance::LeastConn, LEAST_CONN, ROUND_ROBIN),
        ] {
            let text = rendered(balance);
            let has = |said: &&str| text.lines().any(|line| line.trim() == *said);
            assert!(yes.iter().all(has) && !no.iter().any(has), "{text}");
            assert_eq!(
                text.contains(" cookie relay-"),
                balance == Balance::RoundRobin
            );
        }
        let shipped = TEMPLATE
            .lines()
            .map(|line| chosen(line, Balance::default()));
        assert!(
            shipped.eq(TEMPLATE.lines()),
            "the default is what is shipped"
        );
    }
}
