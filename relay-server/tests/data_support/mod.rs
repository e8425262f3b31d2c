//! What the tests of the data path share.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod conformance;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use prost::Message as _;
use sordino_protocol::{
    Class, ClientMessageId, ConversationId, DeviceId, Header, UserId,
    hash::{conversation_id, sha256},
    pb,
};
use sordino_relay::{
    broker::Record,
    delivery::embedded::{Options, Running, start},
    session::{Connection, Event, SessionError, Sessions},
};

pub fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}

pub fn conversation(a: u8, b: u8) -> ConversationId {
    conversation_id(user(a), user(b))
}

/// Content that names its message, so that a mix-up shows.
pub fn content(from: u8, to: u8, dev: u8, counter: u64) -> Vec<u8> {
    let mut bytes = format!("{from} to {to}, device {dev}, counter {counter}.").into_bytes();
    bytes.resize(200 + (counter % 300) as usize, b'#');
    bytes
}

pub fn record(from: u8, to: u8, dev: u8, counter: u64) -> Record {
    build(from, to, dev, counter, Class::Message, vec![])
}

pub fn erase(from: u8, to: u8, dev: u8, counter: u64, seqs: Vec<u64>) -> Record {
    build(from, to, dev, counter, Class::Erase, seqs)
}

fn build(from: u8, to: u8, dev: u8, counter: u64, class: Class, erase: Vec<u64>) -> Record {
    let header = Header {
        class,
        conversation: conversation(from, to),
        counter,
        client_message_id: ClientMessageId::from_bytes([counter as u8; 16]),
        sender: user(from),
        sender_device: device(dev),
        recipient: user(to),
        sender_list: 1,
        recipient_list: 1,
        list_digest: [1; 16],
        erase,
        commit: [2; 32],
    };
    let content = content(from, to, dev, counter);
    let wraps = pb::Wraps {
        wraps: vec![pb::Wrap {
            user: user(to).to_pb(),
            device: device(to).to_pb(),
            payload: counter.to_be_bytes().to_vec().into(),
        }],
    };
    Record {
        header_bytes: header.encode().into(),
        header,
        content_hash: sha256(&content),
        content: content.into(),
        wraps: wraps.encode_to_vec().into(),
    }
}

/// A registry that writes down what it was told, and may fail.
#[derive(Default)]
pub struct Recorder {
    pub told: Mutex<Vec<(Vec<UserId>, Event)>>,
    pub failures: Mutex<u32>,
    /// Whoever tells has to wait.
    pub held: tokio::sync::watch::Sender<bool>,
    grew: tokio::sync::Notify,
}

impl Recorder {
    pub async fn wait_for(&self, events: usize) {
        while self.told.lock().unwrap().len() < events {
            self.grew.notified().await;
        }
    }
}

#[async_trait]
impl Sessions for Recorder {
    async fn register(&self, _: Connection) -> Result<(), SessionError> {
        Ok(())
    }
    async fn unregister(&self, _: UserId, _: u64) -> Result<(), SessionError> {
        Ok(())
    }
    async fn publish(&self, users: &[UserId], event: Event) -> Result<usize, SessionError> {
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(SessionError("not now".into()));
        }
        self.told.lock().unwrap().push((users.to_vec(), event));
        self.grew.notify_one();
        Ok(0)
    }
}

/// Small reserve: test machines are not asked for disk space.
pub fn options(path: &Path) -> Options {
    let mut options = Options::new(path);
    options.store.reserve_bytes = 1024 * 1024;
    options
}

pub async fn run(path: &Path) -> (Running, Arc<Recorder>) {
    let sessions = Arc::new(Recorder::default());
    let running = start(options(path), sessions.clone()).await.unwrap();
    (running, sessions)
}
