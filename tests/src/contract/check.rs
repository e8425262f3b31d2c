//! The judge: finds every breach of a promise in what is known at the end.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sordino::{ConversationId, MessageId, UserId};
use sordino_protocol::hash;

use super::{
    note::{Item, Shown},
    outcome::{Outcome, Person, Row},
    talk,
};

/// The promises of the delivery contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// What was acknowledged survives.
    P1AcceptedSurvives,
    /// What was sent arrives, or its absence is shown.
    P2DeliveredOrAnnounced,
    /// And once, unchanged, where it belongs.
    P3Once,
    /// And in one order for all.
    P4InOrder,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub promise: Promise,
    /// Of which message, if it is about one.
    pub message: Option<MessageId>,
    /// How.
    pub what: String,
}

/// Every breach.
#[must_use]
pub fn check(outcome: &Outcome) -> Vec<Breach> {
    let mut judge = Judge {
        outcome,
        breaches: Vec::new(),
    };
    for (id, person) in &outcome.people {
        judge.accepted_survives(*id, person);
        judge.delivered_or_announced(*id, person);
        for (peer, items) in &person.timelines {
            judge.shown_once(*id, *peer, items);
            judge.shown_in_order(*id, *peer, items);
        }
    }
    for (conversation, rows) in &outcome.rows {
        judge.history(*conversation, rows);
    }
    judge.breaches
}

struct Judge<'a> {
    outcome: &'a Outcome,
    breaches: Vec<Breach>,
}

impl Judge<'_> {
    fn breach(&mut self, promise: Promise, message: Option<MessageId>, what: String) {
        self.breaches.push(Breach {
            promise,
            message,
            what,
        });
    }

    fn name(&self, who: UserId) -> &str {
        let person = self.outcome.people.get(&who);
        person.map_or("nobody", |person| &person.name)
    }

    /// What `who` is shown of the conversation with `peer`.
    fn timeline(&self, who: UserId, peer: UserId) -> &[Item] {
        let person = self.outcome.people.get(&who);
        let items = person.and_then(|person| person.timelines.get(&peer));
        items.map_or(&[], Vec::as_slice)
    }

    fn rows(&self, one: UserId, other: UserId) -> &[Row] {
        let rows = self.outcome.rows.get(&hash::conversation_id(one, other));
        rows.map_or(&[], Vec::as_slice)
    }

    fn accepted_survives(&mut self, me: UserId, person: &Person) {
        for (peer, id) in &person.accepted {
            let (to, id) = (*peer, *id);
            let kept = |rows: &[Row]| rows.iter().any(|row| row.id == id);
            let places = [
                (person.name.as_str(), shows(self.timeline(me, to), id)),
                (self.name(to), shows(self.timeline(to, me), id)),
                (
                    "the relay",
                    self.outcome.rows.is_empty() || kept(self.rows(me, to)),
                ),
            ];
            let gone: Vec<_> = places
                .iter()
                .filter_map(|(who, has)| (!has).then_some(*who))
                .collect();
            if !gone.is_empty() {
                let what = format!(
                    "{id}, accepted from {} for {}, is not with {}",
                    person.name,
                    self.name(to),
                    gone.join(", ")
                );
                self.breach(Promise::P1AcceptedSurvives, Some(id), what);
            }
        }
    }

    fn delivered_or_announced(&mut self, me: UserId, person: &Person) {
        for sent in &person.sent {
            let items = self.timeline(sent.peer, me);
            if shows(items, sent.id) {
                continue;
            }
            let row = self.rows(me, sent.peer).iter().find(|r| r.id == sent.id);
            let announced = items.iter().any(|item| {
                item.shown == Shown::Gap && row.is_none_or(|row| row.seq == item.place)
            });
            if !announced {
                let what = format!(
                    "{} «{}» never reached {}",
                    sent.id,
                    head(&sent.text),
                    self.name(sent.peer)
                );
                self.breach(Promise::P2DeliveredOrAnnounced, Some(sent.id), what);
            }
        }
    }

    /// Nothing twice; nothing that was not said, by whom it is said to be, to whom it is shown.
    fn shown_once(&mut self, me: UserId, peer: UserId, items: &[Item]) {
        let mut seen = BTreeSet::new();
        for item in items {
            let Shown::Message { id, author, text } = &item.shown else {
                continue;
            };
            let at = format!(
                "{id} «{}», shown to {} with {}",
                head(text),
                self.name(me),
                self.name(peer)
            );
            if !seen.insert(id) {
                self.breach(Promise::P3Once, Some(*id), format!("twice: {at}"));
            }
            let (author, to) = match *author {
                author if author == me => (me, peer),
                author => (author, me),
            };
            let names = (self.name(author), self.name(to));
            let own = (author == me || author == peer)
                && talk::parse(text).is_some_and(|(from, to, _)| (from, to) == names);
            if !own || !self.said(author, to, *id, text) {
                self.breach(
                    Promise::P3Once,
                    Some(*id),
                    format!("not what was sent: {at}"),
                );
            }
        }
    }

    /// Whether the author knows of it. A client that was killed right after `send` may not have noted it.
    fn said(&self, author: UserId, to: UserId, id: MessageId, text: &str) -> bool {
        let notes = self.outcome.people.get(&author).map(|person| &person.sent);
        match notes.into_iter().flatten().find(|sent| sent.id == id) {
            Some(sent) => (sent.peer, sent.text.as_str()) == (to, text),
            None => self
                .timeline(author, to)
                .iter()
                .any(|item| matches!(&item.shown, Shown::Message { id: own, text: said, .. } if *own == id && said == text)),
        }
    }

    fn shown_in_order(&mut self, me: UserId, peer: UserId, items: &[Item]) {
        let title = format!("{} with {}", self.name(me), self.name(peer));
        let rows: BTreeMap<_, _> = self.rows(me, peer).iter().map(|r| (r.id, r.seq)).collect();
        let mut before = 0;
        let mut last = BTreeMap::new();
        for item in items {
            if item.place < before {
                let what = format!("{title}: {} is shown after {before}", item.place);
                let message = match item.shown {
                    Shown::Message { id, .. } => Some(id),
                    _ => None,
                };
                self.breach(Promise::P4InOrder, message, what);
            }
            before = item.place;
            let Shown::Message { id, author, text } = &item.shown else {
                continue;
            };
            if let Some(seq) = rows.get(id).filter(|seq| **seq != item.place) {
                let what = format!("{title}: {id} is shown at {}, not {seq}", item.place);
                self.breach(Promise::P4InOrder, Some(*id), what);
            }
            let n = talk::parse(text).map_or(0, |(_, _, n)| n);
            let previous = last.insert(*author, n).unwrap_or(0);
            if n <= previous {
                let what = format!("{title}: «{}» comes after {previous}", head(text));
                self.breach(Promise::P4InOrder, Some(*id), what);
            }
        }
    }

    fn history(&mut self, conversation: ConversationId, rows: &[Row]) {
        let mut seen = BTreeSet::new();
        for row in rows {
            if !seen.insert(row.id) {
                let what = format!("twice in the relay's {conversation}: {}", row.id);
                self.breach(Promise::P3Once, Some(row.id), what);
            }
        }
        if !rows.iter().map(|row| row.seq).eq(1..=rows.len() as u64) {
            let what = format!("the relay's {conversation} is not dense");
            self.breach(Promise::P4InOrder, None, what);
        }
        for (me, person) in &self.outcome.people {
            let noted = person.sent.iter().enumerate();
            let noted =
                noted.filter(|(_, sent)| hash::conversation_id(*me, sent.peer) == conversation);
            let noted: BTreeMap<_, _> = noted.map(|(n, sent)| (sent.id, n)).collect();
            let order = rows.iter().filter_map(|row| noted.get(&row.id));
            if !order.is_sorted() {
                let what = format!(
                    "the relay's {conversation} has {}'s out of order",
                    person.name
                );
                self.breach(Promise::P4InOrder, None, what);
            }
        }
    }
}

fn shows(items: &[Item], wanted: MessageId) -> bool {
    items
        .iter()
        .any(|item| matches!(&item.shown, Shown::Message { id, .. } if *id == wanted))
}

/// Enough of a text to know it by.
fn head(text: &str) -> &str {
    text.get(..text.find(" ·").unwrap_or(text.len()))
        .unwrap_or(text)
}
