//! The sender: its outbox, what is on its way, and its own rows as they come back.

use super::Record;

/// Messages that may await their answers.
const WINDOW: usize = 3;

/// A message without its row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) counter: u8,
    message: u8,
    encryptions: Vec<u8>,
    held: bool,
}

/// A device and its store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sdk {
    counter: u8,
    pub(super) outbox: Vec<Entry>,
    /// What was sent over this connection and is not answered: its counter, and whether it was sent after the last restart.
    flight: Vec<(u8, bool)>,
    /// Counters below it have been sent.
    next: u8,
    /// Rows taken.
    pub(super) rows: usize,
    pub(super) caught_up: bool,
    pub(super) found_rollback: bool,
}

impl Default for Sdk {
    fn default() -> Self {
        Self {
            counter: 0,
            outbox: Vec::new(),
            flight: Vec::new(),
            next: 0,
            rows: 0,
            caught_up: true,
            found_rollback: false,
        }
    }
}

impl Sdk {
    pub(super) fn write(&mut self, message: u8, encryption: u8, held: bool) {
        self.counter += 1;
        self.outbox.push(Entry {
            counter: self.counter,
            message,
            encryptions: vec![encryption],
            held,
        });
    }

    pub(super) fn encrypt_again(&mut self, counter: u8, encryption: u8, same: bool, keep: bool) {
        let Some(entry) = self.outbox.iter_mut().find(|e| e.counter == counter) else {
            return;
        };
        if !keep {
            entry.encryptions.clear();
        }
        entry.encryptions.push(encryption);
        if !same {
            self.counter += 1;
            entry.counter = self.counter;
            self.outbox.sort_by_key(|entry| entry.counter);
        }
    }

    pub(super) fn next_to_send(&self, catch_up: bool) -> Option<&Entry> {
        let may = !self.found_rollback && (self.caught_up || !catch_up);
        let mut unsent = self
            .outbox
            .iter()
            .filter(|entry| entry.counter >= self.next && !entry.held);
        unsent.next().filter(|_| may && self.flight.len() < WINDOW)
    }

    pub(super) fn send(&mut self, catch_up: bool) -> Option<Record> {
        let entry = self.next_to_send(catch_up)?;
        let record = Record {
            counter: entry.counter,
            message: entry.message,
            encryption: *entry.encryptions.last()?,
        };
        self.next = record.counter + 1;
        self.flight.push((record.counter, true));
        Some(record)
    }

    pub(super) fn hear(&mut self, counter: u8, accepted: bool, keep: bool) {
        let at = self.flight.iter().position(|(sent, _)| *sent == counter);
        let newest = at.is_some_and(|at| self.flight.remove(at).1);
        if accepted && !keep {
            self.outbox.retain(|entry| entry.counter != counter);
        }
        if !accepted && newest {
            self.next = counter;
            self.flight
                .iter_mut()
                .for_each(|(_, newest)| *newest = false);
        }
    }

    pub(super) fn reconnect(&mut self) {
        self.flight.clear();
        self.next = 0;
        self.caught_up = false;
    }

    /// Takes an own row.
    pub(super) fn take(&mut self, row: Record) {
        self.rows += 1;
        let known = self.outbox.iter().position(|entry| {
            (entry.counter, entry.message) == (row.counter, row.message)
                && entry.encryptions.contains(&row.encryption)
        });
        match known {
            Some(at) => drop(self.outbox.remove(at)),
            None => self.found_rollback = true,
        }
    }

    pub(super) fn holds(&self, message: u8) -> bool {
        self.outbox.iter().any(|entry| entry.message == message)
    }

    /// Nothing waits for its row but what is held back.
    pub(super) fn is_done(&self) -> bool {
        self.outbox.iter().all(|entry| entry.held)
    }
}
