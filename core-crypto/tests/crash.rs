//! A crash at every step of a message's way: what is committed decides, no key encrypts two messages, none is read twice.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::collections::HashMap;

use prost::Message as _;
use sordino_crypto::{
    receive::{Bad, Outcome},
    rollback::{OwnRow, Sent, Verdict, judge},
};
use sordino_protocol::{Header, SessionId, pb};
use support::{
    NOW,
    device::{Device, account},
    store::Store,
};

/// Where the process of one side ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Never,
    /// Encrypted, not committed: nothing has left.
    BeforeCommit,
    /// Committed with the outbox row, not sent.
    BeforeSend,
    /// Sent; that it was accepted is not known.
    BeforeAnswer,
    /// The receiver has decrypted and not committed.
    ReceiverBeforeCommit,
    /// The receiver has committed and not acknowledged: the relay shows the row again.
    ReceiverBeforeAck,
}

const ALL: [Crash; 6] = [
    Crash::Never,
    Crash::BeforeCommit,
    Crash::BeforeSend,
    Crash::BeforeAnswer,
    Crash::ReceiverBeforeCommit,
    Crash::ReceiverBeforeAck,
];

struct Side {
    device: Device,
    /// What survives a crash.
    disk: Store,
    outbox: Option<pb::Row>,
    read: Vec<String>,
}

impl Side {
    fn new(device: Device) -> Self {
        Self {
            disk: device.store.clone(),
            device,
            outbox: None,
            read: Vec::new(),
        }
    }

    fn commit(&mut self) {
        self.disk = self.device.store.clone();
    }

    fn crash(&mut self) {
        self.device.store = self.disk.clone();
    }
}

/// Every ratchet message that left a device, by its place in the ratchet (version, tag, length, key; then the index).
#[derive(Default)]
struct Wire(HashMap<Vec<u8>, Vec<u8>>);

impl Wire {
    fn transmit(&mut self, row: &pb::Row) {
        let wrap = pb::WrapPayload::decode(row.wrap.clone().unwrap()).unwrap();
        let place = wrap.message[..37].to_vec();
        let before = self.0.entry(place).or_insert_with(|| wrap.message.to_vec());
        assert_eq!(
            before.as_slice(),
            wrap.message.as_ref(),
            "one key, two messages"
        );
    }
}

fn say(
    from: &mut Side,
    to: &mut Side,
    sid: SessionId,
    wire: &mut Wire,
    (counter, seq): (u64, u64),
    crash: Crash,
) {
    let text = format!("{counter} {crash:?}");
    let encrypt = |from: &mut Side| {
        let row = from.device.send(&to.device, sid, counter, &text);
        pb::Row { seq, ..row }
    };
    let mut row = encrypt(from);
    if crash == Crash::BeforeCommit {
        from.crash();
        row = encrypt(from);
    }
    from.commit();
    from.outbox = Some(row);
    if crash == Crash::BeforeSend {
        from.crash();
    }
    let row = from.outbox.clone().unwrap();
    wire.transmit(&row);
    if crash == Crash::BeforeAnswer {
        from.crash();
        wire.transmit(from.outbox.as_ref().unwrap());
    }

    let decision = to.device.take(&row);
    assert!(matches!(decision.outcome, Outcome::Message(_)));
    if crash == Crash::ReceiverBeforeCommit {
        to.crash();
        let decision = to.device.take(&row);
        assert!(matches!(decision.outcome, Outcome::Message(_)));
    }
    to.commit();
    to.read.push(text);
    if crash == Crash::ReceiverBeforeAck {
        to.crash();
        let decision = to.device.take(&row);
        assert!(matches!(decision.outcome, Outcome::Bad(Bad::Replay)));
        assert!(decision.session.is_none());
    }

    // The own row comes back: the store knows it.
    let own = pb::Row {
        content: None,
        wrap: None,
        ..row.clone()
    };
    let decision = from.device.take(&own);
    assert!(matches!(decision.outcome, Outcome::Own));
    from.commit();
    let header = Header::parse(&row.header).unwrap();
    let sent = from.outbox.take().map(|row| Sent {
        client_message_id: Header::parse(&row.header).unwrap().client_message_id,
        versions: vec![decision.env_hash],
    });
    let row = OwnRow {
        client_message_id: header.client_message_id,
        env_hash: decision.env_hash,
    };
    assert_eq!(judge(&row, sent.as_ref(), None, NOW), Verdict::Sequenced(0));
}

/// Each crash in the first message, in a chain, and at a step of the ratchet.
#[test]
fn a_crash_at_any_step_loses_nothing_and_repeats_nothing() {
    for crash in ALL {
        for at in 0..5 {
            let ((_, mut alice), (_, mut bob)) = (account(10), account(20));
            alice.meet(&mut bob);
            let sid = alice.begin(&mut bob, 1);
            let (mut alice, mut bob) = (Side::new(alice), Side::new(bob));
            let mut wire = Wire::default();
            let (mut seq, mut counters) = (0, [0, 0]);
            for (n, speaker) in [0, 0, 1, 0, 1].into_iter().enumerate() {
                let (from, to) = match speaker {
                    0 => (&mut alice, &mut bob),
                    _ => (&mut bob, &mut alice),
                };
                seq += 1;
                counters[speaker] += 1;
                let crash = if n == at { crash } else { Crash::Never };
                say(from, to, sid, &mut wire, (counters[speaker], seq), crash);
            }
            assert_eq!((alice.read.len(), bob.read.len()), (2, 3));
            assert_eq!(wire.0.len(), 5, "a wrap each");
        }
    }
}

/// What the committed order protects from: a store that goes back behind a message that has left uses its key again.
#[test]
fn sending_before_committing_would_use_a_key_twice() {
    let ((_, mut alice), (_, mut bob)) = (account(10), account(20));
    alice.meet(&mut bob);
    let sid = alice.begin(&mut bob, 1);
    let mut alice = Side::new(alice);
    let place = |row: &pb::Row| {
        let wrap = pb::WrapPayload::decode(row.wrap.clone().unwrap()).unwrap();
        (wrap.message[..37].to_vec(), wrap.message.to_vec())
    };
    let (one_place, one) = place(&alice.device.send(&bob, sid, 1, "one"));
    alice.crash();
    let (other_place, other) = place(&alice.device.send(&bob, sid, 1, "other"));
    assert_eq!(one_place, other_place);
    assert_ne!(one, other);
}
