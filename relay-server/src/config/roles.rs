//! What a node of a cluster does.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Config, Problem};

/// A part of the work.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Serves clients: HTTP and WebSockets, accepting messages.
    Chat,
    /// Takes accepted messages off the log, stores them and tells the devices.
    Delivery,
    /// Wakes devices that are not connected.
    Notify,
}

impl Role {
    const ALL: [Self; 3] = [Self::Chat, Self::Delivery, Self::Notify];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Delivery => "delivery",
            Self::Notify => "notify",
        })
    }
}

/// What one node does. By default everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(BTreeSet<Role>);

impl Default for Roles {
    fn default() -> Self {
        Self(Role::ALL.into())
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<T: IntoIterator<Item = Role>>(roles: T) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl Roles {
    /// Whether the node does this.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, role) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{role}")?;
        }
        Ok(())
    }
}

impl Config {
    /// What is wrong with the roles.
    pub(super) fn roles_problem(&self) -> Option<Problem> {
        let roles = &self.server.roles;
        let (what, fix) = if roles.0.is_empty() {
            (
                "there is none",
                "name at least one, or leave the key out for all",
            )
        } else if *roles != Roles::default() && !self.is_cluster() {
            (
                "without the servers of a cluster no other node would do the rest",
                "leave the key out: this node has to do everything",
            )
        } else {
            return None;
        };
        Some(Problem {
            key: "server.roles",
            what: what.to_owned(),
            fix,
        })
    }

    /// A node that nothing can be asked of.
    pub(super) fn roles_warning(&self) -> Option<Problem> {
        let mute = !self.server.roles.has(Role::Chat) && self.ops.listen.is_none();
        mute.then(|| Problem {
            key: "ops.listen",
            what: "a node without the role chat listens nowhere else, so nobody can ask whether it is ready".to_owned(),
            fix: "set it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Option<&'static str> {
        let config: Config = toml::from_str(text).expect("read");
        config.roles_problem().map(|problem| problem.key)
    }

    #[test]
    fn only_a_node_of_several_does_a_part() {
        assert_eq!(problem(""), None);
        assert_eq!(
            problem("server.roles = ['notify', 'chat', 'delivery']"),
            None
        );
        let some = "server.roles = ['chat']";
        assert_eq!(problem(some), Some("server.roles"));
        assert_eq!(problem(&format!("{some}\nkafka.brokers = 'a:1'")), None);
        let none = "server.roles = []\nkafka.brokers = 'a:1'";
        assert_eq!(problem(none), Some("server.roles"));
        assert!(toml::from_str::<Config>("server.roles = ['cook']").is_err());
    }

    #[test]
    fn who_serves_nobody_should_be_asked_elsewhere() {
        let warned = |text: &str| {
            let config: Config = toml::from_str(text).expect("read");
            config.roles_warning().is_some()
        };
        assert!(!warned(""));
        assert!(warned("server.roles = ['delivery']"));
        assert!(!warned(
            "server.roles = ['delivery']\nops.listen = '127.0.0.1:1'"
        ));
    }
}
