//! From the log into history, while owners of the partition come, go, die, and go on without knowing that they are none.
//!
//! One conversation, two nodes that may own its partition, three replicas of which two make a quorum. What is right is what
//! one run of `apply` over the log says.

mod owner;
mod replica;
mod truth;

use stateright::Model;

use self::{
    owner::{Batch, Owner},
    replica::{QUORUMS, Replicas, Write},
    truth::Sequence,
};
use crate::{
    explore::Promises,
    rules::{Left, Rules},
};

pub use self::truth::Log;

/// P2: what devices were told of is read from every quorum.
pub const READABLE: &str = "P2 told, readable";
/// P2: what the group has committed is read from every quorum.
pub const COMMITTED: &str = "P2 committed, stored";
/// P4: whoever writes a row writes the same.
pub const SAME_ROWS: &str = "P4 one order";
/// What was erased stays so.
pub const ERASED: &str = "erased, gone";

/// The rules of owners and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Rows and state are one mutation.
    OneMutation,
    /// One batch of a conversation is in flight.
    OneBatch,
    /// A batch is repeated until it is acknowledged.
    UntilAcknowledged,
    /// Reads and writes need two of three replicas.
    Quorum,
    /// A cold load writes back what the former owner may have left on one replica.
    WriteBack,
    /// A read repairs nothing: it would copy the state without its rows.
    NoReadRepair,
    /// The state's timestamp is its own seq.
    StateBySeq,
    /// A row's timestamp is the append time of its record.
    RowByAppendTime,
    /// States in memory are dropped when the partition is lost or assigned.
    DropCache,
    /// A record that was decided is known by its place in the log.
    ComparePlaces,
    /// Places of another log are not compared.
    CompareEpochs,
    /// The commit waits for the batch.
    CommitAfterPersist,
}

/// What owners may go through.
#[derive(Debug, Clone, Copy)]
pub struct Takeover {
    /// The design, or less.
    pub rules: Rules<Rule>,
    /// What is in the log.
    pub log: Log,
    /// Assignments after the first.
    pub assignments: u8,
    /// Deaths of an owner.
    pub crashes: u8,
}

/// Owners, replicas, and what lies between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    owners: [Owner; 2],
    /// Who owns the partition. The other may not know.
    owner: usize,
    replicas: Replicas,
    /// Mutations that may still arrive.
    writes: Vec<Write>,
    committed: usize,
    /// The highest seq that devices were told of.
    told: u8,
    /// Time, where a rule is left out that does without.
    clock: u8,
    assignments: u8,
    crashes: u8,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The partition is assigned to this node.
    Assign(usize),
    /// A node hears that it is no owner any more.
    Revoke(usize),
    /// A node dies.
    Crash(usize),
    /// A node reads the state from this quorum.
    Load(usize, usize),
    /// A node takes so many records together.
    Take(usize, usize),
    /// A mutation arrives at a replica.
    Arrive(usize, usize),
    /// A node's batch is acknowledged, and carried out.
    Acknowledge(usize, usize),
}

impl Takeover {
    fn left(&self) -> Option<Left> {
        if !self.rules.hold(Rule::ComparePlaces) {
            return Some(Left::Positions);
        }
        (!self.rules.hold(Rule::CompareEpochs)).then_some(Left::Epochs)
    }

    fn acknowledged(&self, state: &State, batch: &Batch) -> bool {
        let enough = if self.rules.hold(Rule::Quorum) { 2 } else { 1 };
        !self.rules.hold(Rule::UntilAcknowledged)
            || batch.writes.iter().all(|id| {
                let write = state.writes.iter().find(|write| write.id == *id);
                // It has arrived everywhere.
                write.is_none_or(|write| write.arrived.iter().filter(|at| **at).count() >= enough)
            })
    }

    /// Sends a batch's rows and state on their way, as one mutation or as two.
    fn write(&self, state: &mut State, rows: Vec<u8>, sequence: Sequence) -> Vec<u8> {
        let mut ids = Vec::new();
        let parts = if self.rules.hold(Rule::OneMutation) {
            vec![(rows, Some(sequence))]
        } else {
            vec![(Vec::new(), Some(sequence)), (rows, None)]
        };
        for (rows, sequence) in parts {
            let id = state.writes.iter().map(|write| write.id + 1).max();
            ids.push(id.unwrap_or(0));
            state.writes.push(Write {
                id: id.unwrap_or(0),
                rows,
                state: sequence,
                arrived: [false; 3],
            });
        }
        ids
    }

    /// How many entries a node may take now. A log is drained, and left by everybody, before the next begins.
    fn ready(&self, state: &State, node: usize) -> usize {
        let taken = state.owners.get(node).map_or(0, Owner::taken);
        let begins = self.log.epoch_begins(taken);
        let mut others = state.owners.iter().filter(|owner| owner.owns);
        let left = others.all(|owner| owner.taken() >= begins && owner.next >= begins);
        if begins == 0 || (left && state.committed >= begins) {
            self.log.rest(taken)
        } else {
            0
        }
    }

    fn load(&self, state: &mut State, node: usize, quorum: usize) -> Option<()> {
        let quorum = *QUORUMS.get(quorum)?;
        let read = state.replicas.read(quorum);
        if !self.rules.hold(Rule::NoReadRepair) {
            state.replicas.repair(quorum);
        }
        let owner = state.owners.get(node)?;
        let begin = owner.begin.max(self.log.epoch_begins(owner.next));
        let begin = self.log.entry(begin)?.at;
        let Some(sequence) = read.state else {
            state.owners.get_mut(node)?.cache = Some(Sequence::default());
            return Some(());
        };
        let fresh = sequence
            .at
            .is_some_and(|at| at.epoch == begin.epoch && at.offset >= begin.offset);
        if fresh && self.rules.hold(Rule::WriteBack) {
            let rows = read.rows.iter().flatten().map(|row| row.record).collect();
            let writes = self.write(state, rows, sequence);
            let owner = state.owners.get_mut(node)?;
            owner
                .batches
                .push(Batch::of_load(owner.next, sequence, writes));
        } else {
            state.owners.get_mut(node)?.cache = Some(sequence);
        }
        Some(())
    }

    fn take(&self, state: &mut State, node: usize, records: usize) -> Option<()> {
        let owner = state.owners.get(node)?;
        let mut sequence = owner.newest()?;
        let (from, to) = (owner.taken(), owner.taken() + records);
        let (mut rows, mut says) = (Vec::new(), false);
        for at in from..to {
            let entry = self.log.entry(at)?;
            let outcome = sequence.apply(self.left(), &entry);
            rows.extend(outcome.sequenced.then_some(entry.record));
            says |= outcome.says_something;
        }
        let writes = match rows.is_empty() {
            true => Vec::new(),
            false => self.write(state, rows, sequence),
        };
        let owner = state.owners.get_mut(node)?;
        owner.batches.push(Batch {
            to,
            after: sequence,
            says,
            writes,
        });
        if !self.rules.hold(Rule::CommitAfterPersist) && state.owner == node {
            state.committed = state.committed.max(to);
        }
        Some(())
    }

    fn carry_out(&self, state: &mut State, node: usize, batch: usize) -> Option<()> {
        let owner = state.owners.get_mut(node)?;
        let batch = owner.batches.remove(batch);
        owner.cache = Some(batch.after);
        owner.next = owner.next.max(batch.to);
        if batch.says {
            state.told = state.told.max(batch.after.last_seq);
        }
        let owner = state.owners.get(node)?;
        // The commit of one who is no owner is refused.
        if owner.batches.is_empty() && state.owner == node {
            state.committed = state.committed.max(owner.next);
        }
        let open = |id: &u8| {
            let all = state.owners.iter().flat_map(|owner| &owner.batches);
            all.flat_map(|batch| &batch.writes).any(|open| open == id)
        };
        let done = |write: &Write| write.arrived == [true; 3] && !open(&write.id);
        let keep: Vec<_> = state.writes.iter().map(|write| !done(write)).collect();
        let mut keep = keep.into_iter();
        state.writes.retain(|_| keep.next().unwrap_or(true));
        Some(())
    }

    /// Whether this quorum has the row of this seq, as it should be.
    fn has(&self, state: &State, quorum: [usize; 2], seq: u8) -> bool {
        let read = state.replicas.read(quorum);
        let row = read.rows.get(usize::from(seq) - 1).copied().flatten();
        row.is_some_and(|row| Some(row.record) == self.log.row(seq))
    }
}

impl Model for Takeover {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            owners: [Owner::assigned(0), Owner::default()],
            owner: 0,
            replicas: Replicas::default(),
            writes: Vec::new(),
            committed: 0,
            told: 0,
            clock: 0,
            assignments: 0,
            crashes: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (node, owner) in state.owners.iter().enumerate() {
            if state.assignments < self.assignments {
                actions.push(Action::Assign(node));
            }
            if owner.owns && state.owner != node {
                actions.push(Action::Revoke(node));
            }
            if owner.owns && state.crashes < self.crashes {
                actions.push(Action::Crash(node));
            }
            let room = owner.batches.is_empty() || !self.rules.hold(Rule::OneBatch);
            let left = self.ready(state, node);
            if owner.owns && room && left > 0 {
                match owner.newest() {
                    Some(_) => actions.extend((1..=left.min(2)).map(|n| Action::Take(node, n))),
                    None => actions.extend((0..3).map(|quorum| Action::Load(node, quorum))),
                }
            }
            for (at, batch) in owner.batches.iter().enumerate() {
                if self.acknowledged(state, batch) {
                    actions.push(Action::Acknowledge(node, at));
                }
            }
        }
        for (at, write) in state.writes.iter().enumerate() {
            let missing = (0..3).filter(|replica| !write.arrived.get(*replica).unwrap_or(&true));
            actions.extend(missing.map(|replica| Action::Arrive(at, replica)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Assign(node) => {
                state.assignments += 1;
                state.owner = node;
                let drop = self.rules.hold(Rule::DropCache);
                state.owners.get_mut(node)?.assign(last.committed, drop);
            }
            Action::Revoke(node) => {
                let drop = self.rules.hold(Rule::DropCache);
                state.owners.get_mut(node)?.revoke(drop);
            }
            Action::Crash(node) => {
                state.crashes += 1;
                *state.owners.get_mut(node)? = Owner::default();
            }
            Action::Load(node, quorum) => self.load(&mut state, node, quorum)?,
            Action::Take(node, records) => self.take(&mut state, node, records)?,
            Action::Arrive(write, replica) => {
                let write = state.writes.get_mut(write)?;
                *write.arrived.get_mut(replica)? = true;
                let by_seq = self.rules.hold(Rule::StateBySeq);
                let by_append = self.rules.hold(Rule::RowByAppendTime);
                if !by_seq || !by_append {
                    state.clock += 1;
                }
                let times = replica::Times {
                    state: (!by_seq).then_some(state.clock),
                    rows: (!by_append).then_some(state.clock),
                };
                state.replicas.arrive(replica, write, times, &self.log)?;
            }
            Action::Acknowledge(node, batch) => self.carry_out(&mut state, node, batch)?,
        }
        state.sort_replicas();
        Some(state)
    }
}

impl State {
    /// Replicas differ in nothing but what they hold: their order is no difference of states.
    fn sort_replicas(&mut self) {
        let mut order = [0, 1, 2];
        let arrived = |at: usize| {
            let writes = self.writes.iter();
            writes.map(move |write| write.arrived.get(at).copied())
        };
        order.sort_by(|a, b| {
            let held = self.replicas.compare(*a, *b);
            held.then_with(|| arrived(*a).cmp(arrived(*b)))
        });
        self.replicas.reorder(order);
        for write in &mut self.writes {
            write.arrived = order.map(|at| write.arrived.get(at).copied().unwrap_or(false));
        }
    }
}

impl Promises for Takeover {
    fn broken(&self, state: &State) -> Option<&'static str> {
        let rows = state.replicas.all_rows();
        if rows
            .into_iter()
            .any(|(seq, row)| self.log.row(seq) != Some(row.record))
        {
            return Some(SAME_ROWS);
        }
        let lacks = |seq| QUORUMS.iter().any(|quorum| !self.has(state, *quorum, seq));
        if (1..=state.told).any(lacks) {
            return Some(READABLE);
        }
        if (1..=self.log.rows_before(state.committed)).any(lacks) {
            return Some(COMMITTED);
        }
        let erased = self.log.erased_before(state.committed)?;
        let shown = |quorum: &[usize; 2]| {
            let read = state.replicas.read(*quorum);
            let row = read.rows.get(usize::from(erased) - 1).copied().flatten();
            row.is_some_and(|row| !row.empty)
        };
        QUORUMS.iter().any(shown).then_some(ERASED)
    }

    fn is_done(&self, state: &State) -> bool {
        state.committed == self.log.len()
    }
}
