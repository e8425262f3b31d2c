use std::sync::Mutex;

use prost::bytes::Bytes;
use sordino_protocol::{Class, DeviceId, UserId};
use tokio::sync::oneshot;

use super::*;

/// A log whose outcomes the test decides.
#[derive(Default)]
struct Slow(Mutex<HashMap<u64, oneshot::Sender<Result<(), AppendError>>>>);

impl Log for Slow {
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), AppendError>> {
        let (outcome, wait) = oneshot::channel();
        let mut open = self.0.lock().expect("whole");
        open.insert(record.header.counter, outcome);
        Box::pin(async move { wait.await.expect("decided") })
    }
}

impl Slow {
    fn decide(&self, counter: u64, outcome: Result<(), AppendError>) {
        let open = self.0.lock().expect("whole").remove(&counter);
        open.expect("appended").send(outcome).expect("waited for");
    }
}

fn conversation(n: u16) -> ConversationId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    ConversationId::from_bytes(id)
}

fn record(conversation: ConversationId, counter: u64) -> Record {
    let header = Header {
        class: Class::Message,
        conversation,
        counter,
        client_message_id: id(counter),
        sender: UserId::from_bytes([1; 16]),
        sender_device: DeviceId::from_bytes([2; 16]),
        recipient: UserId::from_bytes([3; 16]),
        sender_list: 1,
        recipient_list: 1,
        list_digest: [0; 16],
        erase: vec![],
        commit: [0; 32],
    };
    Record {
        header_bytes: header.encode().into(),
        header,
        content: Bytes::new(),
        content_hash: [0; 32],
        wraps: Bytes::new(),
    }
}

fn id(counter: u64) -> ClientMessageId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&counter.to_be_bytes());
    ClientMessageId::from_bytes(id)
}

struct Sender {
    log: Slow,
    pipeline: Pipeline,
}

impl Sender {
    fn new() -> Self {
        let (log, pipeline) = (Slow::default(), Pipeline::default());
        Self { log, pipeline }
    }

    fn send(&mut self, n: u16, counter: u64) -> Result<(), Overrun> {
        let record = record(conversation(n), counter);
        let checked = match self.pipeline.refuses(&record.header) {
            Some(code) => Err(code.into()),
            None => Ok(record),
        };
        let named = (conversation(n), counter, id(counter));
        self.pipeline.push(&self.log, named, checked)
    }

    fn refuse(&mut self, n: u16, counter: u64, code: Code) {
        let named = (conversation(n), counter, id(counter));
        let pushed = self.pipeline.push(&self.log, named, Err(code.into()));
        pushed.expect("room");
    }

    fn answers(&mut self, n: u16) -> Vec<(u64, Option<Code>)> {
        std::iter::from_fn(|| self.pipeline.answer(conversation(n)))
            .map(|answer| (answer.counter, answer.outcome.err().map(|r| r.code)))
            .collect()
    }
}

#[tokio::test]
async fn answers_wait_for_their_turn() {
    let mut sender = Sender::new();
    for counter in 1..=3 {
        sender.send(1, counter).expect("room");
    }
    sender.log.decide(3, Ok(()));
    sender.pipeline.settle().await;
    assert_eq!(sender.answers(1), []);
    sender.log.decide(1, Ok(()));
    sender.pipeline.settle().await;
    assert_eq!(sender.answers(1), [(1, None)]);
    sender.log.decide(2, Ok(()));
    sender.pipeline.settle().await;
    assert_eq!(sender.answers(1), [(2, None), (3, None)]);
    assert!(sender.pipeline.lanes.is_empty());
    assert_eq!((sender.pipeline.waiting, sender.pipeline.bytes), (0, 0));
}

#[tokio::test]
async fn what_was_on_its_way_across_a_hole_is_refused_and_other_conversations_go_on() {
    let mut sender = Sender::new();
    for counter in 1..=2 {
        sender.send(1, counter).expect("room");
    }
    sender.log.decide(1, Err(AppendError::Unknown));
    sender.pipeline.settle().await;
    assert_eq!(sender.answers(1), [(1, Some(Code::Internal))]);
    // Repeated while the second is still on its way from before: that one must not pass behind it.
    sender.send(1, 1).expect("room");
    sender.log.decide(2, Ok(()));
    sender.pipeline.settle().await;
    assert_eq!(sender.answers(1), [(2, Some(Code::CounterGap))]);
    sender.send(2, 7).expect("room");
    sender.log.decide(7, Ok(()));
    sender.pipeline.settle().await;
    assert_eq!(sender.answers(2), [(7, None)]);
    sender.send(1, 2).expect("room");
    for counter in 1..=2 {
        sender.log.decide(counter, Ok(()));
        sender.pipeline.settle().await;
    }
    assert_eq!(sender.answers(1), [(1, None), (2, None)]);
    assert!(sender.pipeline.lanes.is_empty());
}

#[tokio::test]
async fn behind_a_hole_nothing_is_appended() {
    let mut sender = Sender::new();
    sender.refuse(1, 4, Code::ListsChanged);
    assert_eq!(sender.answers(1), [(4, Some(Code::ListsChanged))]);
    sender.send(1, 5).expect("room");
    assert!(sender.pipeline.is_idle());
    assert_eq!(sender.answers(1), [(5, Some(Code::CounterGap))]);
}

#[tokio::test]
async fn a_conversation_has_so_many_in_flight_and_the_rest_is_shed() {
    let mut sender = Sender::new();
    for counter in 1..=limits::IN_FLIGHT as u64 + 1 {
        sender.send(1, counter).expect("room");
    }
    assert_eq!(sender.pipeline.appends.len(), limits::IN_FLIGHT);
    for counter in 1..=limits::IN_FLIGHT as u64 {
        sender.log.decide(counter, Ok(()));
        sender.pipeline.settle().await;
    }
    let answers = sender.answers(1);
    assert_eq!(answers.len(), limits::IN_FLIGHT + 1);
    assert_eq!(answers.last(), Some(&(65, Some(Code::Busy))));
}

#[tokio::test]
async fn a_connection_has_so_many_in_flight() {
    let mut sender = Sender::new();
    for n in 0..5u16 {
        for counter in 0..limits::IN_FLIGHT as u64 {
            sender
                .send(n, u64::from(n) * 64 + counter + 1)
                .expect("room");
        }
    }
    assert_eq!(sender.pipeline.appends.len(), IN_FLIGHT);
}

#[tokio::test]
async fn who_heeds_no_answer_is_cut_off() {
    let mut sender = Sender::new();
    let sent = (1..=MOST as u64 + 1).map(|counter| sender.send(1, counter));
    let failed = sent.filter(Result::is_err).count();
    assert_eq!((failed, sender.pipeline.waiting), (1, MOST));

    let mut sender = Sender::new();
    for n in 0..HOLES as u16 {
        sender.refuse(n, 1, Code::Busy);
        sender.answers(n);
    }
    assert!(sender.send(HOLES as u16, 1).is_err(), "a hole too many");
    assert!(sender.send(0, 1).is_ok());
    sender.log.decide(1, Ok(()));
    sender.pipeline.settle().await;
    assert_eq!(sender.answers(0), [(1, None)]);
    assert!(sender.send(HOLES as u16, 1).is_ok(), "one hole fewer");
}

fn held(pipeline: &Pipeline) -> usize {
    let slots = pipeline.lanes.values().map(|lane| lane.slots.capacity());
    let place = size_of::<(ConversationId, Lane)>() + 1;
    // A map keeps an eighth of its places free.
    slots.sum::<usize>() * size_of::<Slot>() + pipeline.lanes.capacity() * 8 / 7 * place
}

#[tokio::test]
async fn what_was_answered_is_not_held_in_memory() {
    let mut sender = Sender::new();
    for n in 0..HOLES as u16 {
        for counter in 1..=limits::IN_FLIGHT as u64 {
            sender.refuse(n, counter, Code::ListsChanged);
        }
        sender.answers(n);
    }
    assert_eq!(sender.pipeline.lanes.len(), HOLES);
    assert!(
        held(&sender.pipeline) < 16 * 1024,
        "{}",
        held(&sender.pipeline)
    );

    let mut sender = Sender::new();
    for n in 0..IN_FLIGHT as u16 {
        sender.send(n, u64::from(n) + 1).expect("no hole");
    }
    for n in 0..IN_FLIGHT as u16 {
        sender.log.decide(u64::from(n) + 1, Ok(()));
        sender.pipeline.settle().await;
        sender.answers(n);
    }
    assert!(
        held(&sender.pipeline) < 16 * 1024,
        "{}",
        held(&sender.pipeline)
    );
}
