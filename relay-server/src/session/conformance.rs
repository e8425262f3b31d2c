//! What every registry must do. Each implementation runs [`all`].

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sordino_protocol::{ConversationId, DeviceId, MessageId, UserId};
use tokio::{sync::Notify, time::timeout};

use super::{Connection, Deliver, Event, Sessions, Signal};
use crate::history::StoredRow;

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the suite on two nodes of one registry (or one node that is both) which nobody uses yet.
pub(super) async fn all(one: &dyn Sessions, other: &dyn Sessions) {
    every_event_reaches_every_node(one, other).await;
    everybody_is_told_once(one, other).await;
    who_has_left_is_told_nothing(one, other).await;
    two_connections_of_a_device_are_two(one, other).await;
    who_is_gone_is_forgotten(one, other).await;
}

async fn every_event_reaches_every_node(one: &dyn Sessions, other: &dyn Sessions) {
    let (sink, connection) = Sink::connection(1, user(1));
    one.register(connection).await.expect("registered");
    let conversation = conversation();
    let events = [
        Event::Row {
            conversation,
            row: row(1),
        },
        Event::Nudge {
            conversation,
            last_seq: 2,
        },
        Event::Delivered {
            conversation,
            seq: 3,
        },
        Event::Signal(signal()),
        Event::ListChanged,
        Event::Sync,
    ];
    let mut said = Vec::new();
    for node in [one, other] {
        for event in &events {
            let took = node.publish(&[user(1)], event.clone()).await;
            assert_eq!(took.expect("published"), 1, "{event:?}");
            said.push(format!("{event:?}"));
            // One after the other: two nodes may well overtake each other.
            sink.wait("an event", |heard| heard.len() == said.len())
                .await;
        }
    }
    assert_eq!(sink.heard(), said);
    one.unregister(user(1), 1).await.expect("unregistered");
}

async fn everybody_is_told_once(one: &dyn Sessions, other: &dyn Sessions) {
    let mut sinks = Vec::new();
    for (node, id, of) in [(one, 10, 1), (other, 11, 1), (other, 12, 2), (one, 13, 3)] {
        let (sink, connection) = Sink::connection(id, user(of));
        node.register(connection).await.expect("registered");
        sinks.push(sink);
    }
    let users = [user(1), user(1), user(2), user(4)];
    for (at, node) in [one, other].into_iter().enumerate() {
        let took = node.publish(&users, nudge(1)).await.expect("published");
        assert_eq!(took, 3);
        for sink in &sinks[..3] {
            sink.wait("a nudge", |heard| heard.len() == at + 1).await;
        }
    }
    // What came late would have come by now: this one comes behind it.
    let both = [user(1), user(2), user(3)];
    one.publish(&both, nudge(2)).await.expect("published");
    for (sink, times) in sinks.iter().zip([3, 3, 3, 1]) {
        sink.wait("the last", |heard| heard.last() == Some(&said(2)))
            .await;
        assert_eq!(sink.heard().len(), times);
    }
    for (node, id, of) in [(one, 10, 1), (other, 11, 1), (other, 12, 2), (one, 13, 3)] {
        node.unregister(user(of), id).await.expect("unregistered");
    }
}

async fn who_has_left_is_told_nothing(one: &dyn Sessions, other: &dyn Sessions) {
    let (sink, connection) = Sink::connection(20, user(1));
    one.register(connection).await.expect("registered");
    one.unregister(user(1), 20).await.expect("unregistered");
    one.unregister(user(1), 20).await.expect("twice is no harm");
    for node in [one, other] {
        assert_eq!(node.publish(&[user(1)], nudge(1)).await.ok(), Some(0));
    }
    assert!(sink.heard().is_empty());
}

async fn two_connections_of_a_device_are_two(one: &dyn Sessions, other: &dyn Sessions) {
    let (first, connection) = Sink::connection(30, user(1));
    one.register(connection).await.expect("registered");
    let (second, connection) = Sink::connection(31, user(1));
    one.register(connection).await.expect("registered");
    assert_eq!(other.publish(&[user(1)], nudge(1)).await.ok(), Some(2));
    for sink in [&first, &second] {
        sink.wait("the first", |heard| heard == [said(1)]).await;
    }
    one.unregister(user(1), 30).await.expect("unregistered");
    assert_eq!(other.publish(&[user(1)], nudge(2)).await.ok(), Some(1));
    second.wait("both", |heard| heard.len() == 2).await;
    assert_eq!(first.heard(), [said(1)]);
    one.unregister(user(1), 31).await.expect("unregistered");
}

async fn who_is_gone_is_forgotten(one: &dyn Sessions, other: &dyn Sessions) {
    let (sink, connection) = Sink::connection(40, user(1));
    one.register(connection).await.expect("registered");
    sink.gone.store(true, Ordering::Relaxed);
    assert_eq!(one.publish(&[user(1)], nudge(1)).await.ok(), Some(0));
    let forgotten = async || other.publish(&[user(1)], nudge(1)).await.ok() == Some(0);
    eventually("forgotten", forgotten).await;
    one.unregister(user(1), 40).await.expect("no harm");
}

/// A connection that writes down what it is told.
#[derive(Default)]
pub(super) struct Sink {
    heard: Mutex<Vec<String>>,
    changed: Notify,
    pub(super) gone: AtomicBool,
}

impl Sink {
    pub(super) fn connection(id: u64, user: UserId) -> (Arc<Self>, Connection) {
        let sink = Arc::new(Self::default());
        let connection = Connection {
            id,
            user,
            device: DeviceId::from_bytes([1; 16]),
            sink: sink.clone(),
        };
        (sink, connection)
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("whole").clone()
    }

    pub(super) async fn wait(&self, what: &str, until: impl Fn(&[String]) -> bool) {
        let waited = timeout(PATIENCE, async {
            loop {
                let changed = self.changed.notified();
                if until(&self.heard()) {
                    return;
                }
                changed.await;
            }
        });
        if waited.await.is_err() {
            panic!("not heard in time: {what}; but {:?}", self.heard());
        }
    }
}

impl Deliver for Sink {
    fn deliver(&self, event: &Event) -> bool {
        self.heard.lock().expect("whole").push(format!("{event:?}"));
        self.changed.notify_waiters();
        !self.gone.load(Ordering::Relaxed)
    }
}

/// Asks again and again.
pub(super) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not in time: {what}");
}

pub(super) fn user(seed: u8) -> UserId {
    UserId::from_bytes([seed; 16])
}

pub(super) fn conversation() -> ConversationId {
    ConversationId::from_bytes([7; 16])
}

pub(super) fn nudge(last_seq: u64) -> Event {
    Event::Nudge {
        conversation: conversation(),
        last_seq,
    }
}

/// How a sink writes [`nudge`] down.
pub(super) fn said(last_seq: u64) -> String {
    format!("{:?}", nudge(last_seq))
}

pub(super) fn signal() -> Arc<Signal> {
    let sealed = |device| (DeviceId::from_bytes([device; 16]), vec![9; 52].into());
    Arc::new(Signal {
        sender: user(8),
        sender_device: DeviceId::from_bytes([4; 16]),
        sealed: (0..10).map(sealed).collect(),
    })
}

pub(super) fn row(seq: u64) -> Arc<StoredRow> {
    Arc::new(StoredRow {
        seq,
        message_id: MessageId(u64::MAX),
        header: vec![1; 100].into(),
        content_hash: [2; 32],
        content: Some(vec![3; 900].into()),
        wraps: Some(vec![4; 300].into()),
    })
}
