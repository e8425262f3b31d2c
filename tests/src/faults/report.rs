//! What was lost, doubled, reordered and late, by fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use serde::Serialize;
use sordino::MessageId;

use super::{people::Trip, run::Window, scene::Since};
use crate::contract::{
    check::{Breach, Promise, check},
    note::Shown,
    outcome::Outcome,
};

/// A message that is heard so long after it was sent, or after the recovery could begin, is late: the goal was missed.
const GOAL: Duration = Duration::from_secs(10);

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub fault: &'static str,
    /// Messages that were sent between it and the next one.
    pub sent: usize,
    /// Of these: not with the other, and no gap in its place.
    pub lost: usize,
    /// Shown twice, or changed.
    pub duplicated: usize,
    /// Shown in another order than to the other, or than they were sent.
    pub reordered: usize,
    /// Heard more than ten seconds after they were sent and `since` had come.
    pub late: usize,
    /// Seconds until the last message had come that took longer than one second; none if that never ended.
    pub recovery_s: Option<f64>,
    /// What these seconds are counted from: the `fault`, or the moment when the part was `back`.
    #[serde(skip)]
    pub since: &'static str,
}

/// What came out.
#[derive(Debug)]
pub struct Report {
    /// A row for each fault.
    pub rows: Vec<Row>,
    /// All that must not be, in words.
    pub wrong: Vec<String>,
}

impl Report {
    /// Judges the outcome of a run. What is wrong with a message counts for the fault in whose window it was sent.
    #[must_use]
    pub fn new(windows: &[Window], outcome: &Outcome, trips: &BTreeMap<MessageId, Trip>) -> Self {
        let mut breaches = check(outcome);
        breaches.extend(misplaced(outcome));
        let window_of = |at: Instant| windows.partition_point(|window| window.begun <= at);
        let mut rows: Vec<_> = windows.iter().map(empty).collect();
        // What was sent before the first fault, or is about no message in particular, has to be seen, too.
        let row_of = |message: Option<MessageId>| {
            let trip = message.and_then(|id| trips.get(&id));
            let window = trip.map_or(windows.len(), |trip| window_of(trip.sent));
            window.saturating_sub(1)
        };
        let mut counted = BTreeSet::new();
        for Breach {
            promise, message, ..
        } in &breaches
        {
            let kind = match promise {
                Promise::P1AcceptedSurvives | Promise::P2DeliveredOrAnnounced => 0,
                Promise::P3Once => 1,
                Promise::P4InOrder => 2,
            };
            if message.is_some() && !counted.insert((kind, *message)) {
                continue;
            }
            if let Some(row) = rows.get_mut(row_of(*message)) {
                let counts = [&mut row.lost, &mut row.duplicated, &mut row.reordered];
                if let Some(count) = counts.into_iter().nth(kind) {
                    *count += 1;
                }
            }
        }
        for trip in trips.values() {
            if let Some(window) = window_of(trip.sent).checked_sub(1)
                && let Some(origin) = windows.get(window).map(|window| window.origin)
                && let Some(row) = rows.get_mut(window)
            {
                row.sent += 1;
                let due = trip.sent.max(origin) + GOAL;
                row.late += usize::from(trip.heard.is_some_and(|heard| heard > due));
            }
        }
        let alarms = outcome.people.values().flat_map(|person| {
            let alarm = |what| format!("{}: {what}", person.name);
            person.alarms.iter().map(alarm)
        });
        let stuck = windows.iter().filter(|window| window.recovery.is_none());
        let stuck = stuck.map(|window| format!("no recovery from {}", window.fault));
        let breaches = breaches.into_iter().map(|breach| breach.what);
        let wrong = stuck.chain(breaches).chain(alarms).collect();
        Self { rows, wrong }
    }

    /// One line: a list with an object for each fault.
    ///
    /// # Errors
    /// None in practice.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.rows)
    }

    /// A table in Markdown.
    #[must_use]
    pub fn table(&self, what: impl Fn(&str) -> &'static str) -> String {
        let mut table = String::from(
            "| Fault | Sent | Lost | Duplicated | Reordered | Late | Recovery, s | Counted from |\n|---|--:|--:|--:|--:|--:|--:|---|\n",
        );
        for row in &self.rows {
            let recovery = row.recovery_s.map_or("never".to_owned(), |s| s.to_string());
            // Writing to a text cannot fail.
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} | {recovery} | {} |",
                what(row.fault),
                row.sent,
                row.lost,
                row.duplicated,
                row.reordered,
                row.late,
                row.since
            );
        }
        table
    }
}

fn empty(window: &Window) -> Row {
    let tenths = |time: Duration| (time.as_secs_f64() * 10.0).round() / 10.0;
    Row {
        fault: window.fault,
        sent: 0,
        lost: 0,
        duplicated: 0,
        reordered: 0,
        late: 0,
        recovery_s: window.recovery.map(tenths),
        since: Since::name(window.since),
    }
}

/// Messages that do not stand in the same place for both.
fn misplaced(outcome: &Outcome) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (me, person) in &outcome.people {
        for (peer, items) in person.timelines.range(..me) {
            let other = outcome.people.get(peer);
            let theirs = other.map(|other| places(other.timelines.get(me)));
            let theirs = theirs.unwrap_or_default();
            for (id, place) in places(Some(items)) {
                if let Some(other) = theirs.get(&id).filter(|other| **other != place) {
                    breaches.push(Breach {
                        promise: Promise::P4InOrder,
                        message: Some(id),
                        what: format!(
                            "{id} is at {place} for {} and at {other} for the other",
                            person.name
                        ),
                    });
                }
            }
        }
    }
    breaches
}

fn places(items: Option<&Vec<crate::contract::note::Item>>) -> BTreeMap<MessageId, u64> {
    let messages = items
        .into_iter()
        .flatten()
        .filter_map(|item| match &item.shown {
            Shown::Message { id, .. } => Some((*id, item.place)),
            _ => None,
        });
    messages.collect()
}

#[cfg(test)]
mod tests;
