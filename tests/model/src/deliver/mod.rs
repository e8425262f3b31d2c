//! From the log to an online device: persist, registers, look-up, push; Redis and the device's node between them.
//!
//! One conversation with a few records, one owner that may die and read them again, one device on another node.

mod device;
mod node;

use stateright::Model;

use self::{
    device::{Device, Event},
    node::{Link, Node},
};
use crate::{explore::Promises, rules::Rules};

/// P1: no device shows what is not stored.
pub const STORED: &str = "P1 shown, stored";
/// P2: an online device has every row when nothing more happens.
pub const DELIVERED: &str = "P2 delivered in the end";
/// P3 and P4: a device shows every row once and in order.
pub const IN_ORDER: &str = "P3 P4 once, in order";

/// The rules of delivery and of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Rows are written before anybody is looked up.
    PersistFirst,
    /// Registers are raised before anybody is looked up.
    RegistersFirst,
    /// A replay raises the registers again.
    ReplayRegisters,
    /// A replay nudges the devices.
    ReplayNudges,
    /// The commit waits until the devices are told.
    CommitAfterTelling,
    /// A look-up that fails, or a publication that reaches nobody, is repeated.
    RepeatUnknown,
    /// A device is registered before it reads.
    RegisterBeforeRead,
    /// After a node has registered its connections again it tells them to look.
    SyncAfterRegistration,
    /// A node subscribes before it sets its key.
    SubscribeFirst,
    /// A beat renews the node's key where it stands, and never sets it anew.
    BeatAsks,
    /// A node whose channel is silent begins anew.
    SilenceEnds,
    /// What does not fit into a device's window becomes a `Sync`.
    FullWindowSyncs,
    /// A device shows what comes next, and pulls what lies before the rest.
    Cursor,
}

/// What a row may go through.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// The design, or less.
    pub rules: Rules<Rule>,
    /// Records in the log.
    pub records: u8,
    /// Things that go wrong.
    pub faults: u8,
}

/// What the owner of the partition does next with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Persist,
    Register,
    LookUp,
    Publish,
}

/// A record in work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Work {
    steps: Vec<Step>,
    at: usize,
    replay: bool,
}

/// Owner, stores, registry, node and device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The record that the owner works on, or takes next.
    record: u8,
    work: Option<Work>,
    committed: u8,
    rows: u8,
    register: u8,
    node: Node,
    device: Device,
    faults: u8,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The owner takes the next record.
    Take,
    /// The owner does the next step of it.
    Work,
    /// The look-up fails.
    LookUpFails,
    /// The owner dies, and another begins at the commit.
    Crash,
    /// The device connects.
    Connect,
    /// The device's node writes the connection to Redis, where that comes last.
    RegisterLate,
    /// What was published arrives at the device's connection.
    Arrive,
    /// The device takes what its connection has for it.
    Hear,
    /// The node goes on with announcing itself.
    Announce,
    /// A beat arrives.
    Beat,
    /// The node finds its channel silent.
    Silence,
    /// Redis forgets everything it holds.
    Wipe,
    /// The node's subscription ends, with what was on its way.
    Unsubscribe,
    /// The node is cut off from Redis.
    CutOff,
    /// Its key ends meanwhile.
    Expire,
    /// It reaches Redis again.
    Regain,
}

impl Delivery {
    fn steps(&self, replay: bool) -> Vec<Step> {
        use Step::*;
        let hold = |rule| self.rules.hold(rule);
        match replay {
            true if !hold(Rule::ReplayRegisters) => vec![LookUp, Publish],
            true if !hold(Rule::ReplayNudges) => vec![Register],
            true => vec![Register, LookUp, Publish],
            false if !hold(Rule::PersistFirst) => vec![LookUp, Publish, Persist, Register],
            false if !hold(Rule::RegistersFirst) => vec![Persist, LookUp, Publish, Register],
            false => vec![Persist, Register, LookUp, Publish],
        }
    }

    /// Does a step. Says whether it is done.
    fn work(&self, state: &mut State, step: Step, replay: bool) -> bool {
        let seq = state.record + 1;
        match step {
            Step::Persist => {
                state.rows = state.rows.max(seq);
                if !self.rules.hold(Rule::CommitAfterTelling) {
                    state.committed = state.committed.max(seq);
                }
            }
            Step::Register => {
                let newest = if replay { state.rows } else { seq };
                state.register = state.register.max(newest);
            }
            Step::LookUp => state.node.found = state.node.entry && state.node.key,
            Step::Publish if state.node.found && state.node.subscribed => {
                let event = match replay {
                    true => Event::Nudge(state.rows),
                    false => Event::Row(seq),
                };
                state.node.channel.push(event);
            }
            Step::Publish => return !state.node.found || !self.rules.hold(Rule::RepeatUnknown),
        }
        true
    }

    fn step_done(&self, state: &mut State, steps: usize) {
        let Some(work) = &mut state.work else { return };
        work.at += 1;
        if work.at == steps {
            state.work = None;
            state.record += 1;
            state.committed = state.committed.max(state.record);
        }
    }

    fn is_quiet(&self, state: &State) -> bool {
        use Action::*;
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        let fault = |action| {
            matches!(
                action,
                LookUpFails | Crash | Wipe | Unsubscribe | CutOff | Expire
            )
        };
        actions.into_iter().all(fault)
    }
}

impl Model for Delivery {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            record: 0,
            work: None,
            committed: 0,
            rows: 0,
            register: 0,
            node: Node::default(),
            device: Device::default(),
            faults: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        use Action::*;
        let (node, device) = (&state.node, &state.device);
        let fails = state.faults < self.faults;
        match &state.work {
            None => actions.extend((state.record < self.records).then_some(Take)),
            Some(work) => {
                actions.push(Work);
                let looks = work.steps.get(work.at) == Some(&Step::LookUp);
                actions.extend((fails && looks).then_some(LookUpFails));
            }
        }
        if !device.connected && !device.early {
            actions.push(Connect);
        }
        if device.early && device.inbox.is_empty() {
            actions.push(RegisterLate);
        }
        actions.extend((!node.cut_off && !node.channel.is_empty()).then_some(Arrive));
        actions.extend((!device.inbox.is_empty() || device.missed).then_some(Hear));
        if !node.cut_off {
            actions.extend((node.link != Link::Up).then_some(Announce));
            let up = node.link == Link::Up;
            actions.extend((up && node.subscribed && !node.key).then_some(Beat));
            let ends = self.rules.hold(Rule::SilenceEnds);
            actions.extend((up && !node.subscribed && ends).then_some(Silence));
        } else {
            actions.extend(node.key.then_some(Expire));
            actions.push(Regain);
        }
        if fails {
            actions.push(Crash);
            actions.extend((node.key || node.entry).then_some(Wipe));
            actions.extend(node.subscribed.then_some(Unsubscribe));
            actions.extend((!node.cut_off).then_some(CutOff));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let fault = |state: &mut State| state.faults += 1;
        match action {
            Action::Take => {
                let replay = state.record < state.rows;
                state.work = Some(Work {
                    steps: self.steps(replay),
                    at: 0,
                    replay,
                });
            }
            Action::Work => {
                let work = state.work.clone()?;
                let step = *work.steps.get(work.at)?;
                if self.work(&mut state, step, work.replay) {
                    self.step_done(&mut state, work.steps.len());
                } else {
                    // Unknown: looked up again, then said again.
                    state.work.as_mut()?.at -= 1;
                }
            }
            Action::LookUpFails => {
                fault(&mut state);
                if !self.rules.hold(Rule::RepeatUnknown) {
                    state.node.found = false;
                    let steps = state.work.as_ref()?.steps.len();
                    self.step_done(&mut state, steps);
                }
            }
            Action::Crash => {
                fault(&mut state);
                state.work = None;
                state.record = state.committed;
            }
            Action::Connect => {
                let first = self.rules.hold(Rule::RegisterBeforeRead);
                if first {
                    state.device.connected = true;
                    state.node.register();
                } else {
                    state.device.early = true;
                }
                state.device.tell(Event::Sync, self.rules);
            }
            Action::RegisterLate => {
                state.device.early = false;
                state.device.connected = true;
                state.node.register();
            }
            Action::Arrive => {
                let event = state.node.channel.remove(0);
                if state.device.connected {
                    state.device.tell(event, self.rules);
                }
            }
            Action::Hear => {
                let (rows, register) = (state.rows, state.register);
                state.device.hear(rows, register, self.rules);
            }
            Action::Announce => {
                if state.node.announce(state.device.connected, self.rules) {
                    state.device.tell(Event::Sync, self.rules);
                }
            }
            Action::Beat => state.node.beat(self.rules),
            Action::Silence => state.node.link = Link::Down,
            Action::Wipe => {
                fault(&mut state);
                (state.node.key, state.node.entry) = (false, false);
            }
            Action::Unsubscribe => {
                fault(&mut state);
                state.node.subscribed = false;
                state.node.channel.clear();
            }
            Action::CutOff => {
                fault(&mut state);
                state.node.cut_off = true;
            }
            Action::Expire => state.node.key = false,
            Action::Regain => state.node.cut_off = false,
        }
        Some(state)
    }
}

impl Promises for Delivery {
    fn broken(&self, state: &State) -> Option<&'static str> {
        if state.device.cursor > state.rows || state.device.missing {
            return Some(STORED);
        }
        if state.device.disordered {
            return Some(IN_ORDER);
        }
        (state.device.cursor < self.records && self.is_quiet(state)).then_some(DELIVERED)
    }

    fn is_done(&self, state: &State) -> bool {
        state.device.cursor == self.records && state.committed == self.records
    }
}
