//! From a sender to the log: outbox, pipeline, hole rule, producer, and what `apply` makes of the log.
//!
//! One device writes to one conversation over one connection at a time.

mod relay;
mod sdk;

use sordino_relay::delivery::apply::{Outcome, Position, State as Sequence};
use stateright::Model;

use self::{
    relay::{Answered, Connection},
    sdk::Sdk,
};
use crate::{
    explore::Promises,
    rules::{Left, Rules, apply_without, device},
};

/// P1: what is accepted has its place by what the log holds.
pub const ACCEPTED: &str = "P1 accepted, stored";
/// P2: what was written has its row when nothing more happens.
pub const IN_THE_END: &str = "P2 stored in the end";
/// P3: a message has one row.
pub const ONCE: &str = "P3 one row";
/// P4: messages keep the order in which they were written.
pub const IN_ORDER: &str = "P4 in order";
/// Nobody is told that his store was rolled back when it was not.
pub const NO_ALARM: &str = "no false alarm";

/// The rules that a sender relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `Accepted` waits for the log's word.
    WaitForTheLog,
    /// Answers of a conversation come in the order of sending.
    AnswersInOrder,
    /// Nothing is accepted across a counter that was not.
    HoleRule,
    /// A counter beyond the next is not sequenced.
    RefuseGaps,
    /// A counter that has its row is not sequenced again.
    KnowDuplicates,
    /// A message is encrypted again under the counter that it has.
    SameCounter,
    /// The outbox keeps every encryption of a counter.
    KeepEveryEncryption,
    /// The outbox keeps a message until its row comes, `Accepted` or not.
    KeepUntilItsRow,
    /// After a reconnect nothing is sent before the conversation is caught up.
    CatchUpFirst,
    /// A message that is held back has no counter yet.
    NoCounterWhileHeld,
}

/// What a sender's message may go through.
#[derive(Debug, Clone, Copy)]
pub struct Accept {
    /// The design, or less.
    pub rules: Rules<Rule>,
    /// Messages that the user has written when it begins.
    pub written: u8,
    /// Messages that the user writes in all.
    pub messages: u8,
    /// Whether the first message is held back for ever.
    pub held: bool,
    /// Appends that go wrong: refused as busy, lost, stored without an answer, or stored late.
    pub faults: u8,
    /// Ends of the connection.
    pub cuts: u8,
    /// Messages that are encrypted once more.
    pub encryptions: u8,
    /// Whether the store may be replaced by an old copy of itself.
    pub rollback: bool,
    /// Whether delivery may lag behind the log, and a rollback come while messages are on their way.
    pub lag: bool,
}

/// A message as it is sent. Which encryption it is stands for its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    counter: u8,
    message: u8,
    encryption: u8,
}

/// Sender, connection, log, and how far delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    sdk: Sdk,
    copy: Option<Box<Sdk>>,
    connection: Connection,
    log: Vec<Record>,
    /// What `apply` makes rows of, with its offset.
    rows: Vec<(usize, Record)>,
    /// Appends that nobody waits for any more, and that may yet arrive.
    late: Vec<Record>,
    /// Records that delivery has taken.
    applied: usize,
    /// Messages that were ever accepted, whoever remembers it.
    accepted: Vec<u8>,
    messages: u8,
    encryptions: u8,
    again: u8,
    faults: u8,
    cuts: u8,
    rolled_back: bool,
}

impl State {
    /// Rows of the records that delivery has taken.
    fn delivered(&self) -> usize {
        self.rows
            .partition_point(|(offset, _)| *offset < self.applied)
    }
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The user writes a message.
    Write,
    /// The user writes a message that must not go yet, and never will.
    WriteHeld,
    /// The message with this counter is encrypted again.
    EncryptAgain(u8),
    /// The next message goes to the relay, which appends it.
    Send,
    /// The relay refuses it as busy instead.
    SendBusy,
    /// The append of this slot is answered: it is in the log.
    Stored(usize),
    /// It never reaches the log, and times out.
    Lost(usize),
    /// It is in the log, and times out all the same.
    StoredUnanswered(usize),
    /// It times out, and may reach the log later.
    Late(usize),
    /// A late append reaches the log.
    Arrives(usize),
    /// The relay answers the message of this slot.
    Answer(usize),
    /// The device hears the next answer.
    Hear,
    /// The connection ends, and a new one begins.
    Cut,
    /// Delivery takes the next record.
    Apply,
    /// The device takes the next row.
    Pull,
    /// The device has all rows that there are.
    CaughtUp,
    /// Somebody copies the device's store.
    Copy,
    /// The store is replaced by that copy.
    Rollback,
}

/// Steps that need not happen.
fn may_stay_out(action: Action) -> bool {
    use Action::*;
    matches!(
        action,
        Write
            | WriteHeld
            | EncryptAgain(_)
            | SendBusy
            | Lost(_)
            | StoredUnanswered(_)
            | Late(_)
            | Arrives(_)
            | Cut
            | Copy
            | Rollback
    )
}

impl Accept {
    fn left(&self) -> Option<Left> {
        if !self.rules.hold(Rule::RefuseGaps) {
            return Some(Left::Gaps);
        }
        (!self.rules.hold(Rule::KnowDuplicates)).then_some(Left::Duplicates)
    }

    /// The log takes a record.
    fn append(&self, state: &mut State, record: Record) {
        state.log.push(record);
        state.rows.clear();
        let mut sequence = Sequence::default();
        for (offset, record) in state.log.iter().enumerate() {
            let at = Position {
                epoch: 1,
                offset: offset as u64,
            };
            let counter = record.counter.into();
            let outcome = apply_without(self.left(), &mut sequence, at, device(1), counter);
            if let Outcome::Sequenced { .. } = outcome {
                state.rows.push((offset, *record));
            }
        }
    }

    fn is_quiet(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.into_iter().all(may_stay_out)
    }

    fn settle(&self, state: &mut State, slot: usize, answered: Answered) -> Option<Record> {
        let slot = state.connection.lane.get_mut(slot)?;
        // Without that rule the relay has said `Accepted` before.
        slot.answered.get_or_insert(answered);
        slot.appending = false;
        Some(slot.record)
    }
}

impl Model for Accept {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut sdk = Sdk::default();
        (1..=self.written).for_each(|message| sdk.write(message, message, false));
        vec![State {
            sdk,
            copy: None,
            connection: Connection::default(),
            log: Vec::new(),
            rows: Vec::new(),
            late: Vec::new(),
            applied: 0,
            accepted: Vec::new(),
            messages: self.written,
            encryptions: self.written,
            again: 0,
            faults: 0,
            cuts: 0,
            rolled_back: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        use Action::*;
        let (sdk, connection) = (&state.sdk, &state.connection);
        let fails = state.faults < self.faults;
        if state.messages < self.messages && !sdk.found_rollback {
            actions.push(if self.held && state.messages == 0 {
                WriteHeld
            } else {
                Write
            });
        }
        if state.again < self.encryptions {
            let unsent = sdk.outbox.iter().map(|entry| EncryptAgain(entry.counter));
            actions.extend(unsent);
        }
        if sdk
            .next_to_send(self.rules.hold(Rule::CatchUpFirst))
            .is_some()
        {
            actions.push(Send);
            actions.extend(fails.then_some(SendBusy));
        }
        for (at, slot) in connection.lane.iter().enumerate() {
            if slot.appending {
                // One producer keeps the order of what it stores.
                if !connection
                    .lane
                    .iter()
                    .take(at)
                    .any(|before| before.appending)
                {
                    actions.push(Stored(at));
                    actions.extend(fails.then_some(StoredUnanswered(at)));
                }
                actions.extend(fails.then_some(Lost(at)));
                actions.extend(fails.then_some(Late(at)));
            }
            if slot.answered.is_some() && (at == 0 || !self.rules.hold(Rule::AnswersInOrder)) {
                actions.push(Answer(at));
            }
        }
        actions.extend((0..state.late.len()).map(Arrives));
        actions.extend((!connection.answers.is_empty()).then_some(Hear));
        actions.extend((state.cuts < self.cuts).then_some(Cut));
        actions.extend((state.applied < state.log.len()).then_some(Apply));
        let rows = state.delivered();
        actions.extend((sdk.rows < rows).then_some(Pull));
        actions.extend((!sdk.caught_up && sdk.rows >= rows).then_some(CaughtUp));
        let under_way = !state.late.is_empty() || connection.lane.iter().any(|slot| slot.appending);
        if self.rollback && !state.rolled_back && (self.lag || !under_way) {
            actions.push(if state.copy.is_none() { Copy } else { Rollback });
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Write | Action::WriteHeld => {
                state.messages += 1;
                let held = action == Action::WriteHeld;
                if !held || !self.rules.hold(Rule::NoCounterWhileHeld) {
                    state.encryptions += 1;
                    state.sdk.write(state.messages, state.encryptions, held);
                }
            }
            Action::EncryptAgain(counter) => {
                state.encryptions += 1;
                state.again += 1;
                state.sdk.encrypt_again(
                    counter,
                    state.encryptions,
                    self.rules.hold(Rule::SameCounter),
                    self.rules.hold(Rule::KeepEveryEncryption),
                );
            }
            Action::Send | Action::SendBusy => {
                let busy = action == Action::SendBusy;
                state.faults += u8::from(busy);
                let record = state.sdk.send(self.rules.hold(Rule::CatchUpFirst))?;
                let early = !self.rules.hold(Rule::WaitForTheLog);
                let holes = self.rules.hold(Rule::HoleRule);
                state.connection.take(record, busy, early, holes);
            }
            Action::Stored(slot) => {
                let record = self.settle(&mut state, slot, Answered::Stored)?;
                self.append(&mut state, record);
            }
            Action::StoredUnanswered(slot) => {
                state.faults += 1;
                let record = self.settle(&mut state, slot, Answered::Failed)?;
                self.append(&mut state, record);
            }
            Action::Lost(slot) => {
                state.faults += 1;
                self.settle(&mut state, slot, Answered::Failed)?;
            }
            Action::Late(slot) => {
                state.faults += 1;
                let record = self.settle(&mut state, slot, Answered::Failed)?;
                state.late.push(record);
            }
            Action::Arrives(at) => {
                let record = state.late.remove(at);
                self.append(&mut state, record);
            }
            Action::Answer(slot) => {
                let (record, accepted) = state
                    .connection
                    .answer(slot, self.rules.hold(Rule::HoleRule))?;
                if accepted && !state.accepted.contains(&record.message) {
                    state.accepted.push(record.message);
                    state.accepted.sort_unstable();
                }
            }
            Action::Hear => {
                let (counter, accepted) = state.connection.hear()?;
                let keep = self.rules.hold(Rule::KeepUntilItsRow);
                state.sdk.hear(counter, accepted, keep);
            }
            Action::Cut => {
                state.cuts += 1;
                state.late.extend(state.connection.cut());
                state.sdk.reconnect();
            }
            Action::Apply => state.applied += 1,
            Action::Pull => {
                let (_, row) = *state.rows.get(state.sdk.rows)?;
                state.sdk.take(row);
            }
            Action::CaughtUp => state.sdk.caught_up = true,
            Action::Copy => state.copy = Some(Box::new(state.sdk.clone())),
            Action::Rollback => {
                state.late.extend(state.connection.cut());
                state.sdk = *state.copy.take()?;
                state.sdk.reconnect();
                state.rolled_back = true;
            }
        }
        if !self.lag {
            state.applied = state.log.len();
        }
        Some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        // Without a rule a sender may repeat for ever.
        state.log.len() <= 3 * usize::from(self.messages + 1)
    }
}

impl Promises for Accept {
    fn broken(&self, state: &State) -> Option<&'static str> {
        let rows: Vec<_> = state.rows.iter().map(|(_, row)| row.message).collect();
        // A device whose store was rolled back while messages of it were on their way finds out, and has the new ones still.
        let kept = |message| self.lag && state.rolled_back && state.sdk.holds(message);
        let mut accepted = state.accepted.iter();
        if !accepted.all(|message| rows.contains(message) || kept(*message)) {
            return Some(ACCEPTED);
        }
        if (1..=state.messages)
            .any(|message| rows.iter().filter(|row| **row == message).count() > 1)
        {
            return Some(ONCE);
        }
        if !rows.is_sorted() {
            return Some(IN_ORDER);
        }
        if state.sdk.found_rollback && !state.rolled_back {
            return Some(NO_ALARM);
        }
        let stuck = !state.sdk.found_rollback && !state.sdk.is_done() && self.is_quiet(state);
        stuck.then_some(IN_THE_END)
    }

    fn is_done(&self, state: &State) -> bool {
        let messages = self.messages - u8::from(self.held);
        state.sdk.rows == usize::from(messages) && self.is_quiet(state)
    }
}
