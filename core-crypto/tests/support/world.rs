//! Two devices with their books, and a network between them that the test controls.

use std::{collections::HashSet, mem};

use sordino_crypto::{
    message, pqxdh,
    prekeys::verify_bundle,
    receive::{Decision, Outcome, Pass, RowDecision},
    sessions::{Book, REPAIR_EVERY_MS, Retired},
};
use sordino_protocol::{Header, SessionId, pb, pb::content::Body};

use super::{
    NOW,
    device::{Device, account, row},
    store::Store,
};

pub struct Side {
    pub device: Device,
    pub book: Book,
    pub counter: u64,
    /// On the way to this side.
    pub inbox: Vec<pb::Row>,
    /// Counters of the other side's messages that were read.
    pub read: HashSet<u64>,
    /// A repair is due.
    pub repair: bool,
}

pub struct World {
    pub sides: [Side; 2],
    pub now_ms: u64,
}

impl Default for World {
    fn default() -> Self {
        let ((_, mut alice), (_, mut bob)) = (account(10), account(20));
        alice.meet(&mut bob);
        let side = |device| Side {
            device,
            book: Book::default(),
            counter: 0,
            inbox: Vec::new(),
            read: HashSet::new(),
            repair: false,
        };
        Self {
            sides: [side(alice), side(bob)],
            now_ms: NOW,
        }
    }
}

impl World {
    /// This side first.
    pub fn pair(&mut self, side: usize) -> (&mut Side, &mut Side) {
        let [alice, bob] = &mut self.sides;
        match side {
            0 => (alice, bob),
            _ => (bob, alice),
        }
    }

    /// Sends as the book says, a new session's news of dead ones first.
    pub fn send(&mut self, from: usize) {
        let now = self.now_ms;
        let (side, to) = self.pair(from);
        let plan = side.book.plan(now);
        let sid = match plan.begin {
            Some(born) => side.begin(to, born, now),
            None => plan.current.unwrap(),
        };
        side.post(to, sid, text());
    }

    /// Begins a session although there may be one.
    pub fn begin(&mut self, from: usize) {
        let now = self.now_ms;
        let (side, to) = self.pair(from);
        let sid = side.begin(to, side.book.next_born(now), now);
        side.post(to, sid, text());
    }

    /// Takes the message at `at` of the inbox. The network reorders, which a log does not: counters are not looked at.
    pub fn deliver(&mut self, to: usize, at: usize) -> Option<RowDecision> {
        let row = self.sides[to].inbox.remove(at);
        self.show(to, &row, Pass::Again)
    }

    /// `None`: the row needs a list that does not exist.
    pub fn show(&mut self, to: usize, row: &pb::Row, pass: Pass) -> Option<RowDecision> {
        let now = self.now_ms;
        let (side, from) = self.pair(to);
        side.take(from, row, pass, now)
    }

    pub fn deliver_all(&mut self) {
        while let Some(to) = (0..2).find(|to| !self.sides[*to].inbox.is_empty()) {
            self.deliver(to, 0);
        }
    }

    /// One message there, one back and one there again, repairs at once where they are due: then both send on one session and
    /// read each other.
    pub fn converges(&mut self) {
        self.deliver_all();
        self.now_ms += REPAIR_EVERY_MS;
        for from in [0, 1, 0] {
            self.send(from);
            self.deliver_all();
            for side in 0..2 {
                if mem::take(&mut self.sides[side].repair) {
                    self.send(side);
                    self.deliver_all();
                }
            }
        }
        let [alice, bob] = &self.sides;
        assert!(alice.book.sending().is_some());
        assert_eq!(alice.book.sending(), bob.book.sending());
        for from in [0, 1] {
            let before = self.sides[1 - from].read.len();
            self.send(from);
            self.deliver_all();
            assert_eq!(self.sides[1 - from].read.len(), before + 1);
        }
    }
}

fn text() -> Body {
    Body::Text(pb::Text {
        text: "x".into(),
        reply_to: None,
    })
}

impl Side {
    fn begin(&mut self, to: &mut Self, born: u64, now: u64) -> SessionId {
        let offered = to.device.bundle(true);
        let bundle = verify_bundle(&to.device.list, offered, NOW).ok().unwrap();
        let (me, keys) = (&self.device.peer, &self.device.keys);
        let session = pqxdh::initiate(&mut rand::rng(), me, keys, &bundle, born).unwrap();
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

    fn take(
        &mut self,
        from: &mut Self,
        row: &pb::Row,
        pass: Pass,
        now: u64,
    ) -> Option<RowDecision> {
        let conversation = self.device.header(&from.device.list, 1).conversation;
        let decision = match self.device.receive_in(conversation, pass, row) {
            Decision::Row(decision) => *decision,
            Decision::NeedsList { .. } => return None,
        };
        self.device.store.apply(row.seq, &decision);
        match &decision.outcome {
            Outcome::Message(message) => {
                let header = Header::parse(&row.header).unwrap();
                assert!(header.counter <= from.counter, "never sent");
                assert!(self.read.insert(header.counter), "read twice");
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
            Outcome::Undecryptable {
                cause,
                session: Some(sid),
            } if cause.breaks_session() => self.repair |= self.book.broken(*sid, now),
            _ => {}
        }
        Some(decision)
    }

    fn retire(&mut self, with: &Self, retired: &[Retired]) {
        for retired in retired {
            let peer = with.device.peer;
            let key = (peer.user, peer.device, retired.sid);
            assert!(self.device.store.sessions.remove(&key).is_some());
            if retired.answered_spk.is_some() {
                self.device.store.retired.insert(key);
            }
        }
    }

    /// Every session is gone.
    pub fn forget(&mut self) {
        self.device.store.sessions.clear();
        self.book = Book::default();
    }

    pub fn copy(&self) -> (Book, Store) {
        (self.book.clone(), self.device.store.clone())
    }

    /// Back to an old copy, and what follows from it.
    pub fn restore(&mut self, (book, store): (Book, Store), now: u64) {
        let prekeys = mem::replace(&mut self.device.store, store);
        // All prekeys are replaced after a rollback; to these tests it is the same that none is used twice.
        self.device.store.opk = prekeys.opk;
        self.device.store.pq_one_time = prekeys.pq_one_time;
        self.device.store.spk = prekeys.spk;
        self.book = book;
        self.book.stop_sending(now);
    }
}
