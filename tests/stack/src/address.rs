use std::{fmt, net::SocketAddr, path::PathBuf};

use crate::{
    Error, Plan,
    service::{cassandra, certificate, haproxy, kafka, postgres, redis, relay},
};

/// Where the servers of a stack are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// `postgres://user:password@host:port/database`; the user may create databases.
    pub postgres: String,
    /// `redis://host:port`.
    pub redis: String,
    /// `host:port,…`.
    pub kafka: String,
    /// Every node.
    pub cassandra: Vec<SocketAddr>,
    /// `https://host:port` of HAProxy; none without relays.
    pub front: Option<String>,
    /// The authority that signed HAProxy's certificate, as a PEM file: clients have to trust it.
    pub authority: Option<PathBuf>,
    /// Every HAProxy, the first included.
    pub fronts: Vec<SocketAddr>,
    /// Health and metrics of every relay node.
    pub ops: Vec<SocketAddr>,
    /// Every relay node, in plain text, not through HAProxy.
    pub relays: Vec<SocketAddr>,
}

impl Addresses {
    /// Of the servers of a plan that was carried out at least once.
    ///
    /// # Errors
    /// The password for PostgreSQL cannot be read.
    pub fn of(plan: &Plan) -> Result<Self, Error> {
        Ok(Self {
            postgres: postgres::url(plan, postgres::address(plan))?,
            redis: redis::url(plan),
            kafka: kafka::servers(plan),
            cassandra: cassandra::addresses(plan),
            front: plan.relays.as_ref().map(|_| haproxy::url(plan)),
            authority: plan
                .relays
                .as_ref()
                .map(|_| certificate::authority(&plan.place())),
            fronts: (plan.front_numbers().map(|n| haproxy::front(plan, n))).collect(),
            ops: plan.relay_numbers().map(|n| relay::ops(plan, n)).collect(),
            relays: plan
                .relay_numbers()
                .map(|n| relay::address(plan, n))
                .collect(),
        })
    }

    /// The same with the servers as relay nodes reach them.
    pub(crate) fn of_relays(plan: &Plan) -> Result<Self, Error> {
        Ok(Self {
            postgres: postgres::url_of_relays(plan)?,
            redis: redis::url_of_relays(plan)?,
            kafka: kafka::servers_reached(plan),
            cassandra: (1..=plan.nodes)
                .map(|n| cassandra::reached(plan, n))
                .collect(),
            ..Self::of(plan)?
        })
    }
}

/// The variables by which tests find the servers, a line each.
impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cassandra: Vec<_> = self.cassandra.iter().map(SocketAddr::to_string).collect();
        writeln!(f, "SORDINO_TEST_POSTGRES={}", self.postgres)?;
        writeln!(f, "SORDINO_TEST_REDIS={}", self.redis)?;
        writeln!(f, "SORDINO_TEST_KAFKA={}", self.kafka)?;
        writeln!(f, "SORDINO_TEST_CASSANDRA={}", cassandra.join(","))?;
        if let (Some(front), Some(authority)) = (&self.front, &self.authority) {
            writeln!(f, "SORDINO_TEST_FRONT={front}")?;
            writeln!(f, "SORDINO_TEST_FRONT_CA={}", authority.display())?;
        }
        Ok(())
    }
}
