//! What the processes of a stack use and keep, and the servers' own tools.
use std::{path::PathBuf, process::Command, time::Duration};

use crate::{
    Error, Stack,
    classpath::CASSANDRA,
    packages::JAVA,
    pid::Identity,
    service::{cassandra, kafka},
};

/// What a process has used so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `kafka-1`.
    pub name: String,
    /// Processor time since its start, user and system, with its children.
    pub cpu: Duration,
    /// Resident, with its children, in bytes; pages they share count more than once.
    pub memory: u64,
}

impl Stack {
    /// Of every process that runs.
    ///
    /// # Errors
    /// A program was removed from the machine.
    pub fn usage(&self) -> Result<Vec<Usage>, Error> {
        let place = self.plan().place();
        let names = self.names()?.into_iter();
        Ok(names
            .filter_map(|name| {
                let identity = Identity::read(&place.pid(&name)).filter(Identity::runs)?;
                Some(Usage {
                    cpu: identity.cpu(),
                    memory: identity.memory(),
                    name,
                })
            })
            .collect())
    }

    /// Where a process keeps what it keeps.
    pub fn data(&self, name: &str) -> PathBuf {
        self.plan().place().data(name)
    }

    /// One of Kafka's own tools, by its class.
    ///
    /// # Errors
    /// Java was removed from the machine.
    pub fn kafka_tool(&self, class: &str) -> Result<Command, Error> {
        kafka::tool(class)
    }

    /// `nodetool` for the first Cassandra node.
    ///
    /// # Errors
    /// Java was removed from the machine.
    pub fn nodetool(&self) -> Result<Command, Error> {
        let mut tool = Command::new(JAVA.path()?);
        tool.args(cassandra::tool_args())
            .arg("-cp")
            .arg(CASSANDRA.argument());
        tool.arg("org.apache.cassandra.tools.NodeTool");
        let jmx = cassandra::jmx(self.plan(), 1);
        tool.args(["-p", &jmx.port().to_string()]);
        Ok(tool)
    }
}
