//! The servers: each file says how one is prepared and what its processes are.
pub(crate) mod cassandra;
pub(crate) mod certificate;
pub(crate) mod haproxy;
pub(crate) mod kafka;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod relay;

use std::{ffi::OsString, time::Duration};

use rustix::process::Signal;

use crate::{Error, Plan, process::Process};

/// A kind of server, in the order in which they are stopped: who depends on others goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Relay,
    Haproxy,
    Kafka,
    Cassandra,
    Redis,
    Postgres,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Relay,
        Self::Haproxy,
        Self::Kafka,
        Self::Cassandra,
        Self::Redis,
        Self::Postgres,
    ];

    /// By the name of a process: `kafka-2`.
    pub(crate) fn of(process: &str) -> Option<Self> {
        let name = process.split('-').next()?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Haproxy => "haproxy",
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    /// The polite request to end. SIGTERM would make PostgreSQL wait for its clients.
    pub(crate) fn stop_signal(self) -> Signal {
        match self {
            Self::Postgres => Signal::INT,
            _ => Signal::TERM,
        }
    }

    /// How long it may take to end by itself.
    pub(crate) fn stop_within(self) -> Duration {
        Duration::from_secs(match self {
            // Waits for HAProxy, and drains its connections.
            Self::Relay => 40,
            // The last broker of three waits in vain for a quorum to hand over to.
            Self::Kafka => 15,
            Self::Cassandra | Self::Postgres => 20,
            Self::Haproxy | Self::Redis => 5,
        })
    }
}

/// Every process of a plan, in the order in which they are listed.
pub(crate) fn processes(plan: &Plan) -> Result<Vec<Process>, Error> {
    let mut all = vec![postgres::process(plan)?, redis::process(plan)?];
    for n in 1..=plan.brokers {
        all.push(kafka::process(plan, n)?);
    }
    for n in 1..=plan.nodes {
        all.push(cassandra::process(plan, n)?);
    }
    if let Some(relays) = &plan.relays {
        for n in plan.front_numbers() {
            all.push(haproxy::process(plan, n)?);
        }
        all.extend(
            plan.relay_numbers()
                .map(|n| relay::process(plan, relays, n)),
        );
    }
    Ok(all)
}

/// The operators' file in `deploy/` with the stack's values. Each key stands in it exactly once; without a value its line goes.
fn settle(
    file: &str,
    text: &str,
    separator: &str,
    values: &[(&str, Option<String>)],
) -> Result<String, Error> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for (key, value) in values {
        let begin = format!("{key}{separator}");
        let is_it = |line: &String| line.trim_start().starts_with(&begin);
        if lines.iter().filter(|line| is_it(line)).count() != 1 {
            return Err(Error::Plan(format!("deploy/{file} lacks `{key}`")));
        }
        match value {
            None => lines.retain(|line| !is_it(line)),
            Some(value) => lines
                .iter_mut()
                .filter(|line| is_it(line))
                .for_each(|line| {
                    let indent = line.len() - line.trim_start().len();
                    *line = format!("{}{begin}{value}", " ".repeat(indent));
                }),
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// Several arguments, written as one text.
fn words(text: &str) -> impl Iterator<Item = OsString> + '_ {
    text.split_whitespace().map(OsString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_processes_share_a_name_or_an_address() {
        let dir = tempfile::tempdir().unwrap();
        let relays = crate::Relays {
            fronts: 4,
            ..crate::Relays::new(20, "relay".into())
        };
        let plan = Plan {
            brokers: 3,
            nodes: 3,
            relays: Some(relays),
            ..Plan::new(dir.path()).unwrap()
        };
        let mut addresses = HashSet::new();
        let mut names = HashSet::new();
        addresses.extend((1..=3).map(|n| kafka::controller(&plan, n)));
        addresses.extend((1..=3).map(|n| cassandra::jmx(&plan, n)));
        addresses.extend(plan.front_numbers().map(|n| haproxy::front(&plan, n)));
        addresses.extend(plan.relay_numbers().map(|n| relay::address(&plan, n)));
        let besides = addresses.len();
        assert_eq!(besides, 30);
        // Without the programs' paths, which may not be installed here.
        for n in 1..=3 {
            addresses.insert(kafka::broker(&plan, n));
            names.insert(kafka::name(n));
        }
        addresses.extend(cassandra::addresses(&plan));
        addresses.insert(postgres::address(&plan));
        addresses.insert(redis::address(&plan));
        addresses.extend(plan.front_numbers().map(|n| haproxy::status(&plan, n)));
        addresses.extend(plan.relay_numbers().map(|n| relay::ops(&plan, n)));
        assert_eq!(addresses.len(), besides + 32);
        assert!(
            addresses
                .iter()
                .all(|a| (17_300..17_400).contains(&a.port()))
        );
    }

    #[test]
    fn a_file_that_lacks_a_key_is_refused() {
        let text = "# a=0\na=1\n  b=2\nc=3\n";
        let settled = |values: &[(&str, Option<String>)]| settle("file", text, "=", values);
        let changed = settled(&[("b", Some("x".to_owned())), ("c", None)]).unwrap();
        assert_eq!(changed, "# a=0\na=1\n  b=x\n");
        assert!(settled(&[("d", None)]).is_err());
        assert!(settle("file", "a=1\na=2\n", "=", &[("a", None)]).is_err());
    }

    #[test]
    fn a_process_s_name_says_what_it_is() {
        assert_eq!(Kind::of("kafka-2"), Some(Kind::Kafka));
        assert_eq!(Kind::of("postgres"), Some(Kind::Postgres));
        assert_eq!(Kind::of("kafkaesque-2"), None);
        assert!(Kind::Relay < Kind::Postgres);
    }
}
