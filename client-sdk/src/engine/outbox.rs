//! What goes out: in order, a window for each conversation and a bound for the socket.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use sordino_protocol::{ClientMessageId, Code, ConversationId, UserId, hash, pb};

use super::{
    flight::{Answer, SOCKET_BYTES},
    now_ms,
    session::{Errand, Session},
};
use crate::{
    machine::AfterRefusal,
    net::{LONGEST_WAIT, socket::End},
};

/// Places in the queue of the socket that are left to acknowledgements and questions.
const RESERVED: usize = 64;
/// Before a refusal is taken up again that the outbox knows nothing of.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);
/// Before a message is sent again that was refused for lists that do not verify.
const BAD_KEYS_WAIT: Duration = Duration::from_secs(60);

/// After something was read, before its author is told.
const RECEIPTS: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Nothing goes out before the process has caught up once: an own row may still be on its way here.
    pub(super) fn may_send(&self) -> bool {
        self.listing.done && self.core.has_caught_up()
    }

    /// The app has something for these people.
    pub(super) fn look_at_waiting(&mut self) {
        // One for all that is read together.
        if self.core.take_read() {
            self.start_later(Errand::Receipts, RECEIPTS);
        }
        if self.core.take_decided() {
            self.start(Errand::Blocks);
        }
        for peer in self.core.take_waiting() {
            self.learn_name(peer);
            self.prepare(hash::conversation_id(self.me, peer), peer);
        }
    }

    /// Encrypts and sends what there is for a person.
    pub(super) fn prepare(&mut self, conversation: ConversationId, peer: UserId) {
        self.peers.insert(conversation, peer);
        self.to_send.insert(conversation);
        self.start(Errand::Prepare(peer));
    }

    /// What waited for lists or sessions is encrypted.
    pub(super) fn prepared(&mut self, peer: UserId) {
        let conversation = hash::conversation_id(self.me, peer);
        if let Some(flight) = self.flights.get_mut(&conversation) {
            flight.release();
        }
        self.to_send.insert(conversation);
    }

    /// Sends what may be sent.
    pub(super) async fn send_waiting(&mut self) -> Result<(), End> {
        if !self.may_send() {
            return Ok(());
        }
        for conversation in std::mem::take(&mut self.to_send) {
            // It is looked at again when it has caught up.
            if !self.pulls.is_behind(conversation) {
                self.send_of(conversation).await?;
            }
        }
        Ok(())
    }

    async fn send_of(&mut self, conversation: ConversationId) -> Result<(), End> {
        loop {
            let flight = self.flights.entry(conversation).or_default();
            let Some((after, window)) = flight.window() else {
                return Ok(());
            };
            let room = self.writer.room().saturating_sub(RESERVED);
            let bytes = SOCKET_BYTES.saturating_sub(self.bytes);
            if room == 0 || bytes == 0 {
                self.to_send.insert(conversation);
                return Ok(());
            }
            let limit = window.min(room);
            let out = self
                .work(move |machine| {
                    let out = machine.outgoing(conversation, after, limit, bytes)?;
                    Ok((out, Vec::new()))
                })
                .await?;
            if out.is_empty() {
                let flight = self.flights.entry(conversation).or_default();
                flight.nothing_waits();
                return Ok(());
            }
            for message in out {
                let mut frame = BytesMut::with_capacity(message.send.len() + 8);
                // `ClientFrame` with field 1, `send`, whose bytes are never encoded anew.
                frame.put_u8(0x0a);
                let len = prost::encode_length_delimiter(message.send.len(), &mut frame);
                len.map_err(|_| End::LOST)?;
                frame.extend_from_slice(&message.send);
                if !self.writer.send_encoded(frame.freeze()) {
                    return Err(End::LOST);
                }
                self.bytes += message.send.len();
                let flight = self.flights.entry(conversation).or_default();
                flight.sent(message.counter, message.send.len(), now_ms());
            }
        }
    }

    pub(super) async fn accepted(&mut self, accepted: pb::Accepted) -> Result<(), End> {
        let ids = (
            ConversationId::from_slice(&accepted.conversation),
            ClientMessageId::from_slice(&accepted.client_message_id),
        );
        let (Ok(conversation), Ok(id)) = ids else {
            return Err(End::LOST);
        };
        let counter = accepted.counter;
        self.answered(conversation, counter)?;
        if let Some(flight) = self.flights.get_mut(&conversation) {
            flight.accepted(counter, now_ms());
        }
        self.core.goes_on(conversation);
        self.to_send.insert(conversation);
        self.change(move |machine| machine.accepted(conversation, id, counter))
            .await
    }

    pub(super) async fn refused(&mut self, refused: pb::Refused) -> Result<(), End> {
        let Ok(conversation) = ConversationId::from_slice(&refused.conversation) else {
            return Err(End::LOST);
        };
        let counter = refused.counter;
        self.to_send.insert(conversation);
        if self.answered(conversation, counter)? == Answer::Old {
            return Ok(());
        }
        // Quoted: it is the relay's text.
        tracing::info!(code = ?refused.code, "a message was not accepted");
        let code = Code::from_name(&refused.code);
        let gap = code == Some(Code::CounterGap);
        let after = self.try_work(move |machine| machine.refused(&refused, now_ms()));
        let after = match after.await {
            Ok(after) => after,
            Err(error) if error.code() == Code::BadKeys => {
                self.tell_of_relay(None, error.detail().to_owned());
                AfterRefusal::Wait {
                    wait: BAD_KEYS_WAIT,
                    from: counter,
                }
            }
            Err(error) => return Err(End::from_error(&error)),
        };
        let flight = self.flights.entry(conversation).or_default();
        flight.refused(code);
        // The relay waits for an earlier one whose outcome it did not know. It was stored, its row came, and it is never sent
        // again. A new connection has forgotten it. One that has not is of a relay that lost rows: no other will help.
        if gap
            && after == (AfterRefusal::Resend { from: counter })
            && flight.is_refused_repeatedly()
            && self.core.may_begin_anew(conversation)
        {
            return Err(End::LOST);
        }
        let mut restart = |from, wait: Duration| {
            flight.restart(from, wait.min(LONGEST_WAIT), rand::random(), now_ms());
        };
        match after {
            AfterRefusal::Resend { from } => restart(from, Duration::ZERO),
            AfterRefusal::Prepare { from } => {
                flight.hold(from);
                if let Some(peer) = self.peers.get(&conversation) {
                    self.start(Errand::Prepare(*peer));
                }
            }
            AfterRefusal::Wait { wait, from } => restart(from, wait),
            AfterRefusal::Blocked(code) => {
                tracing::warn!(code = code.as_str(), "a conversation is blocked");
                flight.hold(counter);
            }
            AfterRefusal::Nothing => restart(0, UNKNOWN_WAIT),
        }
        Ok(())
    }

    /// Sends again what was accepted, and whose row does not come.
    pub(super) async fn look_at_places(
        &mut self,
        conversations: Vec<ConversationId>,
    ) -> Result<(), End> {
        for conversation in conversations {
            if self.pulls.is_behind(conversation) {
                let flight = self.flights.entry(conversation).or_default();
                flight.look_later(now_ms());
                continue;
            }
            let first =
                self.work(move |machine| Ok((machine.first_waiting(conversation)?, Vec::new())));
            let first = first.await?;
            let flight = self.flights.entry(conversation).or_default();
            // What holds it up otherwise ends first.
            if let Some(from) = flight.looked(first, now_ms())
                && !flight.is_paused()
            {
                tracing::warn!("the relay has accepted a message that it does not pass on");
                flight.restart(from, Duration::ZERO, rand::random(), now_ms());
                self.to_send.insert(conversation);
            }
        }
        Ok(())
    }

    fn answered(&mut self, conversation: ConversationId, counter: u64) -> Result<Answer, End> {
        let flight = self.flights.entry(conversation).or_default();
        let (bytes, answer) = flight.answered(counter);
        self.bytes = self.bytes.saturating_sub(bytes);
        if answer == Answer::Unexpected {
            tracing::warn!("the relay answers out of order");
            return Err(End::LOST);
        }
        Ok(answer)
    }
}
