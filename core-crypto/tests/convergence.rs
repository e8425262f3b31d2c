//! Two devices that begin sessions at once, lose their state, are restored from old copies, over a network that delivers in
//! any order: whatever happened, three messages later both send on one session and read each other.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::mem;

use proptest::prelude::*;
use sordino_crypto::{
    message, pqxdh,
    prekeys::verify_bundle,
    receive::{Outcome, Pass},
    sessions::{Book, REPAIR_EVERY_MS},
};
use sordino_protocol::{Header, SessionId, pb, pb::content::Body};
use support::{
    NOW,
    device::{Device, account, decided, row},
};

struct Side {
    device: Device,
    book: Book,
    counter: u64,
    /// On the way to this side.
    inbox: Vec<pb::Row>,
    read: Vec<u64>,
    repair: bool,
}

struct World {
    sides: [Side; 2],
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let ((_, mut alice), (_, mut bob)) = (account(10), account(20));
        alice.meet(&mut bob);
        let side = |device| Side {
            device,
            book: Book::default(),
            counter: 0,
            inbox: Vec::new(),
            read: Vec::new(),
            repair: false,
        };
        Self {
            sides: [side(alice), side(bob)],
            now_ms: NOW,
        }
    }

    fn pair(&mut self, from: usize) -> (&mut Side, &mut Side) {
        let [alice, bob] = &mut self.sides;
        match from {
            0 => (alice, bob),
            _ => (bob, alice),
        }
    }

    /// Sends as the book says, a new session's news of dead ones first.
    fn send(&mut self, from: usize) {
        let now = self.now_ms;
        let (side, to) = self.pair(from);
        let plan = side.book.plan(now);
        let sid = match plan.begin {
            Some(born) => side.begin(to, born, now),
            None => plan.current.unwrap(),
        };
        side.post(to, sid, Body::Text(pb::Text { text: "x".into() }));
    }

    /// Takes the message at `at` of the inbox.
    fn deliver(&mut self, to: usize, at: usize) {
        let now = self.now_ms;
        let (side, from) = self.pair(to);
        let row = side.inbox.remove(at);
        side.take(from, &row, now);
    }

    fn deliver_all(&mut self) {
        while let Some(to) = (0..2).find(|to| !self.sides[*to].inbox.is_empty()) {
            self.deliver(to, 0);
        }
    }
}

impl Side {
    fn begin(&mut self, to: &mut Self, born: u64, now: u64) -> SessionId {
        let offered = to.device.bundle(true);
        let bundle = verify_bundle(&to.device.list, offered, NOW).ok().unwrap();
        let rng = &mut rand::rng();
        let session =
            pqxdh::initiate(rng, &self.device.peer, &self.device.keys, &bundle, born).unwrap();
        let sid = session.meta().sid;
        self.device.store.put_session(&session);
        let begun = self.book.begun(session.meta(), now);
        self.retire(to, &begun.retired);
        if !begun.dead.is_empty() {
            let sessions = begun.dead.iter().map(|sid| sid.to_pb()).collect();
            self.post(to, sid, Body::DeadSessions(pb::DeadSessions { sessions }));
        }
        sid
    }

    fn post(&mut self, to: &mut Self, sid: SessionId, body: Body) {
        self.counter += 1;
        let header = self.device.header(&to.device.list, self.counter);
        let content = pb::Content {
            body: Some(body),
            ..self.device.content("")
        };
        let sealed = message::seal(&mut rand::rng(), header, &content).unwrap();
        let wrap = self.device.wrap(&to.device.peer, sid, &sealed);
        self.book.sent(sid);
        to.inbox.push(row(self.counter, &sealed, Some(&wrap)));
    }

    fn take(&mut self, from: &mut Self, row: &pb::Row, now: u64) {
        let header = Header::parse(&row.header).unwrap();
        // The network reorders, which a log does not: order is not what is tested here.
        let judged = self
            .device
            .receive_in(header.conversation, Pass::Again, row);
        let decision = decided(judged);
        self.device.store.apply(row.seq, &decision);
        match &decision.outcome {
            Outcome::Message(message) => {
                assert!(!self.read.contains(&header.counter), "read twice");
                self.read.push(header.counter);
                let meta = decision.session.as_ref().unwrap().meta();
                let dead: Vec<_> = match &message.opened.content.body {
                    Some(Body::DeadSessions(dead)) => {
                        let sids = dead.sessions.iter();
                        sids.map(|sid| SessionId::from_slice(sid).unwrap())
                            .collect()
                    }
                    _ => Vec::new(),
                };
                let retired = self.book.received(meta, &dead, now);
                self.retire(from, &retired);
            }
            Outcome::Undecryptable { cause, session } => {
                assert!(cause.breaks_session(), "{cause}");
                self.repair |= self.book.broken(session.unwrap(), now);
            }
            _ => panic!("an honest row"),
        }
    }

    fn retire(&mut self, with: &Self, retired: &[sordino_crypto::sessions::Retired]) {
        for retired in retired {
            let peer = with.device.peer;
            let key = (peer.user, peer.device, retired.sid);
            assert!(self.device.store.sessions.remove(&key).is_some());
            if retired.answered_spk.is_some() {
                self.device.store.retired.insert(key);
            }
        }
    }

    fn copy(&self) -> (Book, support::store::Store) {
        (self.book.clone(), self.device.store.clone())
    }

    fn restore(&mut self, (book, store): (Book, support::store::Store), now: u64) {
        let prekeys = mem::replace(&mut self.device.store, store);
        // All prekeys are replaced after a rollback; to these tests it is the same that none is used twice.
        self.device.store.opk = prekeys.opk;
        self.device.store.pq_one_time = prekeys.pq_one_time;
        self.device.store.spk = prekeys.spk;
        self.book = book;
        self.book.stop_sending(now);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    /// Begin a session although there is one.
    Begin(usize),
    Deliver(usize, prop::sample::Index),
    Lose(usize, prop::sample::Index),
    /// Every session of this side is gone.
    Forget(usize),
    Copy(usize),
    Restore(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0usize..2;
    let at = any::<prop::sample::Index>();
    prop_oneof![
        4 => side.clone().prop_map(Step::Send),
        2 => side.clone().prop_map(Step::Begin),
        6 => (side.clone(), at.clone()).prop_map(|(side, at)| Step::Deliver(side, at)),
        2 => (side.clone(), at).prop_map(|(side, at)| Step::Lose(side, at)),
        1 => side.clone().prop_map(Step::Forget),
        1 => side.clone().prop_map(Step::Copy),
        1 => side.prop_map(Step::Restore),
        1 => (1u64..REPAIR_EVERY_MS).prop_map(Step::Wait),
    ]
}

fn run(world: &mut World, steps: Vec<Step>) {
    let mut copies = [None, None];
    for step in steps {
        let now = world.now_ms;
        match step {
            Step::Send(from) => world.send(from),
            Step::Begin(from) => {
                let (side, to) = world.pair(from);
                let sid = side.begin(to, side.book.next_born(now), now);
                side.post(to, sid, Body::Text(pb::Text { text: "x".into() }));
            }
            Step::Deliver(to, at) if !world.sides[to].inbox.is_empty() => {
                let at = at.index(world.sides[to].inbox.len());
                world.deliver(to, at);
            }
            Step::Lose(to, at) if !world.sides[to].inbox.is_empty() => {
                let at = at.index(world.sides[to].inbox.len());
                world.sides[to].inbox.remove(at);
            }
            Step::Deliver(..) | Step::Lose(..) => {}
            Step::Forget(side) => {
                let side = &mut world.sides[side];
                side.device.store.sessions.clear();
                side.book = Book::default();
            }
            Step::Copy(side) => copies[side] = Some(world.sides[side].copy()),
            Step::Restore(side) => {
                if let Some(copy) = copies[side].take() {
                    world.sides[side].restore(copy, now);
                }
            }
            Step::Wait(ms) => world.now_ms += ms,
        }
    }
}

/// One message each way and back, answered by repairs where they are due. Then both agree.
fn converges(world: &mut World) {
    world.deliver_all();
    world.now_ms += REPAIR_EVERY_MS;
    for from in [0, 1, 0] {
        world.send(from);
        world.deliver_all();
        // A repair is a message as well: it goes at once.
        for side in 0..2 {
            if mem::take(&mut world.sides[side].repair) {
                world.send(side);
                world.deliver_all();
            }
        }
    }
    let [alice, bob] = &world.sides;
    assert!(alice.book.sending().is_some());
    assert_eq!(alice.book.sending(), bob.book.sending());
    for from in [0, 1] {
        let before = world.sides[1 - from].read.len();
        world.send(from);
        world.deliver_all();
        assert_eq!(world.sides[1 - from].read.len(), before + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happened_three_messages_later_both_agree(steps in prop::collection::vec(step(), 0..24)) {
        let mut world = World::new();
        run(&mut world, steps);
        converges(&mut world);
    }
}

#[test]
fn two_sessions_begun_at_once_become_one() {
    let mut world = World::new();
    world.send(0);
    world.send(1);
    world.deliver_all();
    let [alice, bob] = &world.sides;
    assert_eq!(alice.book.sending(), bob.book.sending());
    assert_eq!((alice.read.len(), bob.read.len()), (1, 1));
    converges(&mut world);
}

#[test]
fn a_side_that_forgot_everything_is_read_again_after_one_repair() {
    let mut world = World::new();
    world.send(0);
    world.deliver_all();
    world.send(1);
    world.deliver_all();
    run(&mut world, vec![Step::Forget(1)]);
    world.send(0);
    world.deliver_all();
    assert!(world.sides[1].repair);
    world.send(1);
    world.deliver_all();
    let [alice, bob] = &world.sides;
    assert_eq!(alice.book.sending(), bob.book.sending());
    converges(&mut world);
}
