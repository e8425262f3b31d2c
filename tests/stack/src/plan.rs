//! What a stack consists of.
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{self, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    place::Place,
    service::{cassandra, kafka, postgres, redis, relay},
};

/// Ports that one stack takes, from its base port on.
pub(crate) const PORTS: u16 = 100;
const DEFAULT_BASE_PORT: u16 = 17_300;
const MOST_RELAYS: u16 = 20;
/// As many as have ports of their own.
const MOST_FRONTS: u16 = 4;

/// What to start, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Everything of the stack lies here. Not recorded: a stack may be moved while it is down.
    #[serde(skip)]
    pub dir: PathBuf,
    /// The first of the hundred ports that belong to the stack.
    pub base_port: u16,
    /// Kafka brokers: 1, or 3 with every record on all of them.
    pub brokers: u16,
    /// Cassandra nodes: 1 or 3.
    pub nodes: u16,
    /// Relay nodes and HAProxy before them; without it, the services alone.
    pub relays: Option<Relays>,
    /// Relay nodes reach the servers by other ports, and HAProxy the relay nodes. Somebody has to forward from there before they
    /// start: [`Plan::detours`].
    #[serde(default)]
    pub detour: bool,
    /// Relay nodes come to the servers by TLS and with passwords; everybody else of this machine still need not. One Cassandra
    /// node: who may log in there is kept once.
    #[serde(default)]
    pub secure: bool,
    /// It has to carry as much as it can: Cassandra has 2 GiB of heap, and its one node stands for one of three replicas, which
    /// need not sync its commit log before it acknowledges. Else it does, and has a quarter of that.
    #[serde(default)]
    pub loaded: bool,
}

/// A way by which relay nodes reach a server, or HAProxy a relay node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// The server's name.
    pub name: String,
    /// Where it is looked for.
    pub from: SocketAddr,
    /// Where that has to lead.
    pub to: SocketAddr,
}

/// Relay nodes of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relays {
    /// How many, 1 to 20.
    pub count: u16,
    /// `sordino-relay`, built with the feature `cluster`.
    pub program: PathBuf,
    /// HAProxy processes before them, 1 to 4. One takes as many connections as half its open files allow.
    pub fronts: u16,
    /// How HAProxy spreads connections over the nodes.
    pub balance: Balance,
    /// The roles of nodes that do not do everything, by number.
    #[serde(default)]
    pub roles: BTreeMap<u16, Vec<String>>,
    /// What every node's configuration has beside the servers' addresses: whole sections of TOML.
    pub settings: String,
}

/// How HAProxy spreads connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Balance {
    /// To the node with the fewest; a node that has just started gets its share little by little.
    #[default]
    LeastConn,
    /// To one node after the other, and to the same again after that, by a cookie.
    RoundRobin,
}

impl Relays {
    /// So many nodes of this program behind one HAProxy.
    pub fn new(count: u16, program: PathBuf) -> Self {
        Self {
            count,
            program,
            fronts: 1,
            balance: Balance::default(),
            roles: BTreeMap::new(),
            settings: String::new(),
        }
    }

    /// Whether devices connect to this node.
    pub(crate) fn serves_devices(&self, n: u16) -> bool {
        let roles = self.roles.get(&n);
        roles.is_none_or(|roles| roles.iter().any(|role| role == "chat"))
    }
}

impl Plan {
    /// One broker, one Cassandra node, no relays, in `dir`.
    ///
    /// # Errors
    /// The working directory cannot be found.
    pub fn new(dir: &Path) -> Result<Self, Error> {
        let dir = path::absolute(dir).map_err(Error::io(format!("find {}", dir.display())))?;
        Ok(Self {
            dir,
            base_port: DEFAULT_BASE_PORT,
            brokers: 1,
            nodes: 1,
            relays: None,
            detour: false,
            secure: false,
            loaded: false,
        })
    }

    /// The same from another base port on.
    #[must_use]
    pub fn base_port(mut self, port: u16) -> Self {
        self.base_port = port;
        self
    }

    /// The plan by which the stack in `dir` was started last.
    ///
    /// # Errors
    /// [`Error::NoStack`], or its record cannot be read.
    pub fn recorded(dir: &Path) -> Result<Self, Error> {
        let empty = Self::new(dir)?;
        let file = empty.place().plan();
        if !file.exists() {
            return Err(Error::NoStack(empty.dir));
        }
        let text = fs::read(&file).map_err(Error::io(format!("read {}", file.display())))?;
        let plan: Self = serde_json::from_slice(&text)
            .map_err(|e| Error::Plan(format!("{} is damaged: {e}", file.display())))?;
        Ok(Self {
            dir: empty.dir,
            ..plan
        })
    }

    pub(crate) fn record(&self) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::Plan(e.to_string()))?;
        self.place().write(&self.place().plan(), &text)
    }

    /// Refuses what cannot be started, or does not fit what lies in the directory already.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::Plan(why.to_owned()));
        if self.secure && (self.nodes != 1 || self.relays.is_none()) {
            return refuse("with TLS and passwords: one Cassandra node, and relays");
        }
        if ![1, 3].contains(&self.brokers) || ![1, 3].contains(&self.nodes) {
            return refuse("brokers and nodes: 1 or 3");
        }
        if self.base_port < 1024 || self.base_port > u16::MAX - PORTS {
            return refuse("the base port is between 1024 and 65435");
        }
        if let Some(relays) = &self.relays {
            if !(1..=MOST_RELAYS).contains(&relays.count) {
                return refuse("relays: 1 to 20");
            }
            if !(1..=MOST_FRONTS).contains(&relays.fronts) {
                return refuse("fronts: 1 to 4");
            }
        }
        match Self::recorded(&self.dir) {
            Err(Error::NoStack(_)) => Ok(()),
            Err(other) => Err(other),
            Ok(old) if (old.brokers, old.nodes) != (self.brokers, self.nodes) => {
                Err(Error::Plan(format!(
                    "the stack in {} has {} broker(s) and {} Cassandra node(s), which cannot be changed: `down --wipe` it first",
                    self.dir.display(),
                    old.brokers,
                    old.nodes
                )))
            }
            Ok(old) if old.base_port != self.base_port => Err(Error::Plan(format!(
                "the stack in {} has the base port {}: `down --wipe` it first",
                self.dir.display(),
                old.base_port
            ))),
            Ok(_) => Ok(()),
        }
    }

    /// The ways by which relay nodes reach the servers and HAProxy the relay nodes, if they do not go there straight.
    pub fn detours(&self) -> Vec<Detour> {
        if !self.detour {
            return Vec::new();
        }
        let mut detours = vec![
            Detour {
                name: postgres::NAME.to_owned(),
                from: postgres::reached(self),
                to: postgres::address(self),
            },
            Detour {
                name: redis::NAME.to_owned(),
                from: redis::reached(self),
                to: redis::come_by(self),
            },
        ];
        detours.extend((1..=self.brokers).map(|n| Detour {
            name: kafka::name(n),
            from: kafka::reached(self, n),
            to: kafka::detour(self, n),
        }));
        detours.extend((1..=self.nodes).map(|n| Detour {
            name: cassandra::name(n),
            from: cassandra::reached(self, n),
            to: cassandra::address(self, n),
        }));
        detours.extend(self.relay_numbers().map(|n| Detour {
            name: relay::name(n),
            from: relay::reached(self, n),
            to: relay::address(self, n),
        }));
        detours
    }

    /// Which nodes there are: 1, 2, ….
    pub(crate) fn relay_numbers(&self) -> std::ops::RangeInclusive<u16> {
        1..=self.relays.as_ref().map_or(0, |relays| relays.count)
    }

    /// Which HAProxy processes there are.
    pub(crate) fn front_numbers(&self) -> std::ops::RangeInclusive<u16> {
        1..=self.relays.as_ref().map_or(0, |relays| relays.fronts)
    }

    /// An address of the stack, by its distance from the base port.
    pub(crate) fn address(&self, offset: u16) -> SocketAddr {
        let port = self.base_port.saturating_add(offset);
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::haproxy;

    #[test]
    fn a_recorded_plan_comes_back_and_binds_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::new(dir.path()).unwrap().base_port(20_000);
        assert!(matches!(Plan::recorded(dir.path()), Err(Error::NoStack(_))));
        plan.check().unwrap();
        plan.record().unwrap();
        assert_eq!(Plan::recorded(dir.path()).unwrap(), plan);
        let relays = Some(Relays::new(2, "relay".into()));
        let more = Plan {
            relays,
            ..plan.clone()
        };
        more.check().unwrap();
        let other = Plan {
            brokers: 3,
            ..plan.clone()
        };
        assert!(other.check().is_err());
        assert!(plan.base_port(20_100).check().is_err());
    }

    #[test]
    fn no_port_is_taken_twice() {
        let plan = Plan {
            brokers: 3,
            nodes: 3,
            relays: Some(Relays::new(MOST_RELAYS, "relay".into())),
            detour: true,
            ..Plan::new(Path::new("/stack")).unwrap()
        };
        let relays = 1..=MOST_RELAYS;
        let fronts = 1..=MOST_FRONTS;
        let mut all: Vec<_> = plan.detours().iter().map(|detour| detour.from).collect();
        all.extend([postgres::address(&plan), redis::address(&plan)]);
        for n in 1..=3 {
            all.extend([kafka::broker(&plan, n), kafka::controller(&plan, n)]);
            all.extend([kafka::detour(&plan, n), cassandra::address(&plan, n)]);
            all.extend([cassandra::storage(&plan, n), cassandra::jmx(&plan, n)]);
        }
        all.extend(fronts.clone().map(|n| haproxy::front(&plan, n)));
        all.extend(fronts.map(|n| haproxy::status(&plan, n)));
        all.extend(relays.clone().map(|n| relay::address(&plan, n)));
        all.extend(relays.map(|n| relay::ops(&plan, n)));
        let last = plan.base_port + PORTS;
        assert!(all.iter().all(|address| address.port() < last), "{all:?}");
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn plans_that_cannot_work_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::new(dir.path()).unwrap();
        let wrong = [
            Plan {
                brokers: 2,
                ..plan.clone()
            },
            Plan {
                nodes: 0,
                ..plan.clone()
            },
            plan.clone().base_port(80),
            plan.clone().base_port(65_500),
        ];
        for plan in wrong {
            assert!(matches!(plan.check(), Err(Error::Plan(_))), "{plan:?}");
        }
    }
}
