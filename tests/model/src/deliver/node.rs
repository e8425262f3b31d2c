//! The device's node, and what Redis knows of it.

use super::{Rule, device::Event};
use crate::rules::Rules;

/// How far a node is with announcing itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Link {
    /// Not connected.
    #[default]
    Down,
    /// The first of subscription and key is made.
    Begun,
    /// Both are; its connections are to be registered.
    Known,
    /// All of it is done.
    Up,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) link: Link,
    pub(super) cut_off: bool,
    /// Its key stands in Redis.
    pub(super) key: bool,
    /// Its connection's field stands in Redis.
    pub(super) entry: bool,
    /// Redis has its subscription.
    pub(super) subscribed: bool,
    /// Published and not arrived yet.
    pub(super) channel: Vec<Event>,
    /// What the owner of the partition last looked up.
    pub(super) found: bool,
}

impl Node {
    /// Writes its connection. What cannot be written is owed until the node announces itself.
    pub(super) fn register(&mut self) {
        if self.link == Link::Up && !self.cut_off {
            self.entry = true;
        } else if self.link == Link::Up {
            // Owed: written, with a `Sync`, once Redis is reached.
            self.link = Link::Known;
        }
    }

    /// The next step. `true`: the connections are told to look for themselves.
    pub(super) fn announce(&mut self, connected: bool, rules: Rules<Rule>) -> bool {
        let subscribe_first = rules.hold(Rule::SubscribeFirst);
        match self.link {
            Link::Down => {
                self.link = Link::Begun;
                if subscribe_first {
                    self.subscribed = true;
                } else {
                    self.key = true;
                    self.entry = connected;
                }
                // Without the rule the connections look once the key is set, and hear nothing yet.
                !subscribe_first && connected
            }
            Link::Begun => {
                self.link = Link::Known;
                (self.key, self.subscribed) = (true, true);
                false
            }
            Link::Known => {
                self.link = Link::Up;
                self.entry |= connected;
                connected && subscribe_first && rules.hold(Rule::SyncAfterRegistration)
            }
            Link::Up => false,
        }
    }

    /// A beat that finds no key.
    pub(super) fn beat(&mut self, rules: Rules<Rule>) {
        if rules.hold(Rule::BeatAsks) {
            self.link = Link::Begun;
        } else {
            self.key = true;
        }
    }
}
