//! What a device asks for, frame by frame.

use sordino_protocol::{
    Code, ConversationId, Header,
    pb::{self, client_frame, relay_frame::Frame},
};

use super::{
    accept,
    close::Close,
    pipeline::{Answer, Overrun},
    read, signal,
    socket::{Connection, End},
    token::TokenEnd,
};
use crate::http::caller::Caller;

impl Connection<'_> {
    pub(super) async fn handle(&mut self, frame: client_frame::Frame) -> Result<(), End> {
        match frame {
            client_frame::Frame::Send(send) => self.take(send).await,
            client_frame::Frame::Ack(ack) => {
                let conversation = ConversationId::from_slice(&ack.conversation)
                    .map_err(|_| Close::ProtocolError(Code::BadFrame))?;
                self.acks.add(conversation, ack.seq);
                Ok(())
            }
            client_frame::Frame::Pull(pull) => {
                let answer = read::pull(&self.chat.api, &self.identity, &pull).await;
                self.write(answer).await
            }
            client_frame::Frame::ListConversations(list) => {
                let answer = read::list(&self.chat.api, &self.identity, &list).await;
                self.write(answer).await
            }
            client_frame::Frame::RefreshToken(refresh) => {
                let answer = self.refresh(&refresh.token).await;
                self.write(answer).await
            }
            client_frame::Frame::Signal(signal) => {
                signal::pass(self.chat, &mut self.signals, &self.identity, signal)?;
                Ok(())
            }
        }
    }

    async fn take(&mut self, send: pb::Send) -> Result<(), End> {
        // Without a header there is no message to refuse by name.
        let header =
            Header::parse(&send.header).map_err(|_| Close::ProtocolError(Code::BadHeader))?;
        let named = (
            header.conversation,
            header.counter,
            header.client_message_id,
        );
        if !accept::is_by(&self.identity, &header) {
            // Not this device's counter, or no conversation: there is no order to keep, and nothing to remember.
            let answer = Answer::refused(named, Code::BadHeader);
            answer.count();
            return self.write(answer.into()).await;
        }
        let api = &self.chat.api;
        let checked = match self.pipeline.refuses(&header) {
            Some(code) => Err(code.into()),
            None => accept::check(api, &self.identity, header, send).await,
        };
        // Told to come back: a connection of its own has nothing that it could be refused for.
        self.pipeline
            .push(&*api.log, named, checked)
            .map_err(|Overrun| Close::RetryLater(self.chat.settings.drain_retry))?;
        self.answer(named.0).await
    }

    /// Says what can be said of this conversation, in the order of sending.
    pub(super) async fn answer(&mut self, conversation: ConversationId) -> Result<(), End> {
        while let Some(answer) = self.pipeline.answer(conversation) {
            answer.count();
            self.write(answer.into()).await?;
        }
        Ok(())
    }

    async fn refresh(&mut self, token: &str) -> Frame {
        let caller = match Caller::of_token(&self.chat.api, token).await {
            Ok(caller) if self.identity.is(&caller) => caller,
            Ok(_) => return read::problem(0, Code::NotAuthenticated),
            Err(code) => return read::problem(0, code),
        };
        self.token = TokenEnd::new(caller.expires_ms);
        Frame::TokenRefreshed(pb::TokenRefreshed {
            expires_ms: caller.expires_ms,
        })
    }
}
