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
/// Answers that may wait for an earlier one of the same conversation. A device that goes on sending past it is cut off.
const MOST: usize = 1024;
/// Conversations with a hole, which are remembered until the device has sent again. One that begins another conversation
/// instead is cut off: what it has forgotten, its next connection forgets too.
const HOLES: usize = 64;

/// The device sends on and on without heeding the answers.
#[derive(Debug)]
pub(super) struct Overrun;

/// Every message of a connection that has no answer yet.
#[derive(Default)]
pub(super) struct Pipeline {
    appends: FuturesUnordered<Append>,
    bytes: usize,
    /// Those with something in them, and those with a hole.
    lanes: HashMap<ConversationId, Lane>,
    holes: usize,
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
        if self.waiting >= MOST || (self.holes >= HOLES && !self.lanes.contains_key(&conversation))
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
        self.holes = self.holes.saturating_sub(usize::from(!lane.hole.closed()));
        let accepted = lane.hole.answer(counter, outcome.is_ok());
        self.holes += usize::from(!lane.hole.closed());
        let outcome = match outcome {
            Ok(()) if !accepted => Err(Code::CounterGap.into()),
            outcome => outcome,
        };
        if lane.slots.is_empty() {
            if lane.hole.closed() {
                entry.remove();
            } else {
                lane.slots = VecDeque::new();
            }
            self.lanes.shrink_to(HOLES);
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
    /// The answer to a message that never was in the pipeline: it waits for no other, and makes no hole.
    pub(super) fn refused(
        (conversation, counter, id): (ConversationId, u64, ClientMessageId),
        code: Code,
    ) -> Self {
        Self {
            conversation,
            counter,
            id,
            outcome: Err(code.into()),
        }
    }

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
mod tests;
