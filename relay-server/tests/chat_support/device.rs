//! One device of a person: its connection, and what it sends.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sordino_protocol::{
    Class, ClientMessageId, Code, ConversationId, DeviceId, Header, UserId, frame,
    hash::{self, conversation_id},
    pb::{self, client_frame, relay_frame},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use super::{Person, device_id, soon};

pub type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// One device of a person, connected.
pub struct Device<'a> {
    pub person: &'a Person,
    pub device: u8,
    pub socket: Socket,
}

/// How a connection ended: code and reason.
pub type Closed = (u16, String);

impl Device<'_> {
    /// The next frame.
    pub async fn frame(&mut self) -> relay_frame::Frame {
        match self.next().await {
            Ok(frame) => frame,
            Err(closed) => panic!("closed: {closed:?}"),
        }
    }

    /// The next frame, or the end.
    pub async fn next(&mut self) -> Result<relay_frame::Frame, Closed> {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => {
                    return Ok(frame::decode_relay(bytes).expect("a frame"));
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err((close.code.into(), close.reason.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return Err((0, format!("{other:?}"))),
            }
        }
    }

    /// Reads until the end.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }

    pub async fn ask(&mut self, frame: client_frame::Frame) {
        let bytes = frame::encode_client(frame);
        self.raw(Message::Binary(bytes)).await;
    }

    pub async fn raw(&mut self, message: Message) {
        soon(self.socket.send(message)).await.expect("sent");
    }

    pub async fn send(&mut self, send: pb::Send) {
        self.ask(client_frame::Frame::Send(send)).await;
    }

    /// The next answer to a message: its counter, and the code if it was refused. What else comes is dropped.
    pub async fn answer(&mut self) -> (u64, Option<Code>) {
        loop {
            match self.frame().await {
                relay_frame::Frame::Accepted(accepted) => return (accepted.counter, None),
                relay_frame::Frame::Refused(refused) => {
                    return (refused.counter, Code::from_name(&refused.code));
                }
                _ => {}
            }
        }
    }

    /// The next row that is pushed. What else comes is dropped.
    pub async fn row(&mut self) -> pb::Row {
        loop {
            if let relay_frame::Frame::Deliver(pb::Deliver { row: Some(row) }) = self.frame().await
            {
                return row;
            }
        }
    }

    pub async fn pull(
        &mut self,
        conversation: ConversationId,
        from_seq: u64,
        to_seq: u64,
    ) -> Result<pb::Pulled, Code> {
        let pull = pb::Pull {
            request: 7,
            conversation: conversation.to_pb(),
            from_seq,
            to_seq,
        };
        self.ask(client_frame::Frame::Pull(pull)).await;
        loop {
            match self.frame().await {
                relay_frame::Frame::Pulled(pulled) => {
                    assert_eq!(pulled.request, 7);
                    return Ok(pulled);
                }
                relay_frame::Frame::Problem(problem) => {
                    assert_eq!(problem.request, 7);
                    return Err(Code::from_name(&problem.code).expect("a code"));
                }
                _ => {}
            }
        }
    }

    pub async fn marks(&mut self, after: Option<ConversationId>) -> pb::Conversations {
        let list = pb::ListConversations {
            request: 9,
            after: after.map(ConversationId::to_pb).unwrap_or_default(),
        };
        self.ask(client_frame::Frame::ListConversations(list)).await;
        loop {
            if let relay_frame::Frame::Conversations(marks) = self.frame().await {
                assert_eq!(marks.request, 9);
                return marks;
            }
        }
    }

    pub async fn ack(&mut self, conversation: ConversationId, seq: u64) {
        let ack = pb::Ack {
            conversation: conversation.to_pb(),
            seq,
        };
        self.ask(client_frame::Frame::Ack(ack)).await;
    }

    /// The next `Delivered`. What else comes is dropped.
    pub async fn delivered(&mut self) -> u64 {
        loop {
            if let relay_frame::Frame::Delivered(delivered) = self.frame().await {
                return delivered.seq;
            }
        }
    }
}

/// A message, to be changed before it is sent.
pub struct Draft {
    pub header: Header,
    pub content: Vec<u8>,
    pub targets: Vec<(UserId, DeviceId)>,
    pub withheld: Vec<DeviceId>,
}

impl Draft {
    /// From a device of one person to these devices of another, for version 1 of both lists.
    pub fn new(from: (&Person, u8), to: (&Person, &[u8]), counter: u64) -> Self {
        let (sender, recipient) = (from.0.user, to.0.user);
        let mut id = [from.1; 16];
        id[..8].copy_from_slice(&counter.to_be_bytes());
        let targets = to.1.iter().map(|device| (recipient, device_id(*device)));
        Self {
            header: Header {
                class: Class::Message,
                conversation: conversation_id(sender, recipient),
                counter,
                client_message_id: ClientMessageId::from_bytes(id),
                sender,
                sender_device: device_id(from.1),
                recipient,
                sender_list: 1,
                recipient_list: 1,
                list_digest: [1; 16],
                erase: vec![],
                commit: [2; 32],
            },
            content: format!("message {counter} of device {}", from.1).into_bytes(),
            targets: targets.collect(),
            withheld: vec![],
        }
    }

    pub fn frame(&self) -> pb::Send {
        let wrap = |(user, device): &(UserId, DeviceId)| pb::Wrap {
            user: user.to_pb(),
            device: device.to_pb(),
            payload: wrap_for(*device),
        };
        pb::Send {
            header: self.header.encode().into(),
            content: self.content.clone().into(),
            wraps: self.targets.iter().map(wrap).collect(),
            withheld: self.withheld.iter().map(|id| id.to_pb()).collect(),
        }
    }
}

/// The payload of a device's wrap: names the device, so that a mix-up shows.
pub fn wrap_for(device: DeviceId) -> Bytes {
    Bytes::from(format!("for {device}"))
}

/// Checks that a row is this draft as its recipient reads it.
pub fn is_draft(row: &pb::Row, draft: &Draft, reader: u8) {
    assert_eq!(row.header, draft.header.encode());
    assert_eq!(row.content.as_deref(), Some(draft.content.as_slice()));
    assert_eq!(row.content_hash, hash::sha256(&draft.content)[..]);
    assert_eq!(row.wrap, Some(wrap_for(device_id(reader))));
}
