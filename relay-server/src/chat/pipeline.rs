//! Messages on their way to the log, and their answers in the order of sending.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use sordino_protocol::{
    ClientMessageId, Code, ConversationId, Header, limits, pb, pb::relay_frame,
};

use super::{accept::Refusal, hole::Hole};
use crate::broker::{AppendError, Log, Record};

/// Messages that one connection may have in the log unanswered. One more is refused as busy.
const IN_FLIGHT: usize = 4 * limits::IN_FLIGHT;
/// Their bytes.
const IN_FLIGHT_BYTES: usize = 1024 * 1024;
/// Answers that may wait for an earlier one of the same conversation, and conversations with a hole. A device that goes
/// on sending past either is cut off.
const MOST: usize = 1024;

/// The device sends on and on without heeding the answers.
#[derive(Debug)]
pub(super) struct Overrun;

/// Every message of a connection that has no answer yet.
#[derive(Default)]
pub(super) struct Pipeline {
    appends: FuturesUnordered<Append>,
    bytes: usize,
    lanes: HashMap<ConversationId, Lane>,
    waiting: usize,
}

/// One conversation.
#[derive(Default)]
struct Lane {
    hole: Hole,
    /// The number of the first slot; they go on without a gap.
    first: u64,
    slots: VecDeque<Slot>,
}

/// One message.
struct Slot {
    counter: u64,
    id: ClientMessageId,
    outcome: Option<Result<(), Refusal>>,
}

/// One message in the log.
struct Append {
    conversation: ConversationId,
    number: u64,
    bytes: usize,
    outcome: BoxFuture<'static, Result<(), AppendError>>,
}

impl Future for Append {
    type Output = (ConversationId, u64, usize, Result<(), AppendError>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(self.outcome.as_mut().poll(cx));
        Poll::Ready((self.conversation, self.number, self.bytes, outcome))
    }
}

/// What is said about a message.
pub(super) struct Answer {
    conversation: ConversationId,
    counter: u64,
    id: ClientMessageId,
    outcome: Result<(), Refusal>,
}

impl Pipeline {
    /// Whether a message would be refused whatever it says, so that nothing need be checked.
    pub(super) fn refuses(&self, header: &Header) -> Option<Code> {
        let lane = self.lanes.get(&header.conversation);
        let behind = |lane: &Lane| {
            // The repetition of the missing one may be on its way: then its answer decides.
            let first = lane.hole.before(header.counter)?;
            (!lane.slots.iter().any(|slot| slot.counter == first)).then_some(Code::CounterGap)
        };
        if let Some(code) = lane.and_then(behind) {
            return Some(code);
        }
        let full = lane.is_some_and(|lane| lane.slots.len() >= limits::IN_FLIGHT)
            || self.appends.len() >= IN_FLIGHT
            || self.bytes >= IN_FLIGHT_BYTES;
        full.then_some(Code::Busy)
    }

    /// Takes the next message in: to the log, or to its refusal.
    pub(super) fn push(
        &mut self,
        log: &dyn Log,
        (conversation, counter, id): (ConversationId, u64, ClientMessageId),
        checked: Result<Record, Refusal>,
    ) -> Result<(), Overrun> {
        if self.waiting >= MOST
            || (self.lanes.len() >= MOST && !self.lanes.contains_key(&conversation))
        {
            return Err(Overrun);
        }
        let lane = self.lanes.entry(conversation).or_default();
        let number = lane.first + lane.slots.len() as u64;
        let outcome = match checked {
            Ok(record) => {
                let bytes = record.header_bytes.len() + record.content.len() + record.wraps.len();
                self.bytes += bytes;
                self.appends.push(Append {
                    conversation,
                    number,
                    bytes,
                    outcome: log.append(record),
                });
                None
            }
            Err(refusal) => Some(Err(refusal)),
        };
        lane.slots.push_back(Slot {
            counter,
            id,
            outcome,
        });
        self.waiting += 1;
        Ok(())
    }

    /// Whether nothing is in the log.
    pub(super) fn is_idle(&self) -> bool {
        self.appends.is_empty()
    }

    /// Waits for an outcome and says whose it was. Not to be called while idle.
    pub(super) async fn settle(&mut self) -> Option<ConversationId> {
        let (conversation, number, bytes, outcome) = self.appends.next().await?;
        self.bytes = self.bytes.saturating_sub(bytes);
        let lane = self.lanes.get_mut(&conversation)?;
        let at = usize::try_from(number.checked_sub(lane.first)?).ok()?;
        lane.slots.get_mut(at)?.outcome = Some(outcome.map_err(Refusal::from));
        Some(conversation)
    }

    /// The next answer of a conversation, if it is due.
    pub(super) fn answer(&mut self, conversation: ConversationId) -> Option<Answer> {
        let Entry::Occupied(mut entry) = self.lanes.entry(conversation) else {
            return None;
        };
        let lane = entry.get_mut();
        let outcome = lane.slots.front_mut()?.outcome.take()?;
        let Slot { counter, id, .. } = lane.slots.pop_front()?;
        lane.first += 1;
        self.waiting = self.waiting.saturating_sub(1);
        let accepted = lane.hole.answer(counter, outcome.is_ok());
        let outcome = match outcome {
            Ok(()) if !accepted => Err(Code::CounterGap.into()),
            outcome => outcome,
        };
        if lane.slots.is_empty() && lane.hole.closed() {
            entry.remove();
        }
        Some(Answer {
            conversation,
            counter,
            id,
            outcome,
        })
    }
}

impl From<Answer> for relay_frame::Frame {
    fn from(answer: Answer) -> Self {
        let (conversation, client_message_id) = (answer.conversation.to_pb(), answer.id.to_pb());
        let counter = answer.counter;
        match answer.outcome {
            Ok(()) => Self::Accepted(pb::Accepted {
                conversation,
                client_message_id,
                counter,
            }),
            Err(Refusal { code, lists }) => {
                let (sender_list, recipient_list) = match lists.map(|lists| *lists) {
                    Some([sender, recipient]) => (Some(sender), Some(recipient)),
                    None => (None, None),
                };
                Self::Refused(pb::Refused {
                    conversation,
                    client_message_id,
                    counter,
                    code: code.as_str().to_owned(),
                    detail: code.meaning().to_owned(),
                    retry_after_ms: 0,
                    sender_list,
                    recipient_list,
                })
            }
        }
    }
}

impl Answer {
    /// Counts it.
    pub(super) fn count(&self) {
        match &self.outcome {
            Ok(()) => metrics::counter!("sordino_chat_accepted_total").increment(1),
            Err(refusal) => {
                let code = refusal.code.as_str();
                metrics::counter!("sordino_chat_refused_total", "code" => code).increment(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        for n in 0..MOST as u16 {
            sender.refuse(n, 1, Code::Busy);
            sender.answers(n);
        }
        assert!(sender.send(MOST as u16, 1).is_err(), "a hole too many");
        assert!(sender.send(0, 1).is_ok());
    }
}
