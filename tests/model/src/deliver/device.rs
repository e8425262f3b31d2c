//! A device and its connection.

use super::Rule;
use crate::rules::Rules;

/// Events that a connection holds.
const WINDOW: usize = 1;

/// What a device is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Row(u8),
    Nudge(u8),
    Sync,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Device {
    pub(super) connected: bool,
    /// Reads already, though nobody knows of it: where a rule is left out.
    pub(super) early: bool,
    pub(super) inbox: Vec<Event>,
    /// Something did not fit.
    pub(super) missed: bool,
    /// It has every row up to here.
    pub(super) cursor: u8,
    /// It was told of a row that is not there.
    pub(super) missing: bool,
    /// It showed a row twice, or before an earlier one.
    pub(super) disordered: bool,
}

impl Device {
    pub(super) fn tell(&mut self, event: Event, rules: Rules<Rule>) {
        if event == Event::Sync {
            // The flag that is kept is for this.
            self.missed = true;
        } else if self.inbox.len() < WINDOW && !self.missed {
            self.inbox.push(event);
        } else if rules.hold(Rule::FullWindowSyncs) {
            self.missed = true;
        }
    }

    /// Takes the next event, or looks for itself.
    pub(super) fn hear(&mut self, rows: u8, register: u8, rules: Rules<Rule>) {
        let event = match self.inbox.is_empty() {
            true => Event::Sync,
            false => self.inbox.remove(0),
        };
        match event {
            Event::Sync => {
                self.missed = false;
                self.pull(register, rows);
            }
            Event::Nudge(last) => self.pull(last, rows),
            Event::Row(seq) if !rules.hold(Rule::Cursor) => {
                self.disordered |= seq != self.cursor + 1;
                self.cursor = seq;
            }
            Event::Row(seq) if seq == self.cursor + 1 => self.cursor = seq,
            Event::Row(seq) => self.pull(seq, rows),
        }
    }

    fn pull(&mut self, to: u8, rows: u8) {
        self.missing |= to > rows;
        self.cursor = self.cursor.max(to);
    }
}
