//! Clients in this process, and waits on conditions.

#![allow(dead_code, reason = "each test program uses a part")]

use std::{future::Future, path::Path, time::Duration};

use sordino::{
    Client, ConnectionState, Conversation, Event, Events, FileKey, Message, MessageId, SendState,
    TimelineItem, User, UserId,
};
use tokio::time::{sleep, timeout};

/// However slow the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A registered person.
pub struct Person {
    pub client: Client,
    pub user: User,
}

/// Opens the client whose store and key are in a directory.
pub async fn open(url: &str, dir: &Path) -> Result<Client, sordino::Error> {
    Client::builder(url)
        .store(dir.join("store"))
        .keys(FileKey::new(dir.join("key")))
        .open()
        .await
}

impl Person {
    /// Registers, as soon as the relay listens, and connects.
    pub async fn online(url: &str, dir: &Path, name: &str) -> Self {
        let client = open(url, dir).await.unwrap();
        let user = until(async || client.register(name, None).await.ok()).await;
        client.connect();
        let person = Self { client, user };
        person.until_live().await;
        person
    }

    pub fn with(&self, other: &Self) -> Conversation {
        self.client.conversation(other.user.id)
    }

    pub async fn until_live(&self) {
        self.until(&ConnectionState::Live).await;
    }

    pub async fn until(&self, state: &ConnectionState) {
        until(async || (self.client.connection() == *state).then_some(())).await;
    }

    /// A new connection: what waits is tried at once.
    pub async fn reconnect(&self) {
        self.client.disconnect();
        let offline = || self.client.connection() == ConnectionState::Offline;
        until(async || offline().then_some(())).await;
        self.client.connect();
    }

    pub async fn send(&self, other: &Self, texts: &[&str]) {
        for text in texts {
            self.with(other).send(*text).await.unwrap();
        }
    }

    /// The messages of a conversation, oldest first.
    pub async fn messages(&self, other: &Self) -> Vec<Message> {
        messages(&self.with(other)).await
    }

    pub async fn texts(&self, other: &Self) -> Vec<String> {
        let messages = self.messages(other).await;
        messages.into_iter().map(|message| message.text).collect()
    }

    /// Until so many own messages are there and all of them are delivered.
    pub async fn until_delivered(&self, other: &Self, count: usize) {
        until(async || {
            let messages = self.messages(other).await;
            let mut own = messages.iter().filter(|message| message.mine);
            let done = own.clone().count() == count && own.all(|m| m.state == SendState::Delivered);
            done.then_some(())
        })
        .await;
    }

    /// Until the other person's messages are these.
    pub async fn until_heard(&self, other: &Self, texts: &[&str]) {
        until(async || {
            let messages = self.messages(other).await;
            let theirs = messages.iter().filter(|message| !message.mine);
            theirs
                .map(|m| m.text.as_str())
                .eq(texts.iter().copied())
                .then_some(())
        })
        .await;
    }
}

/// The messages of a conversation, oldest first.
pub async fn messages(conversation: &Conversation) -> Vec<Message> {
    let items = conversation.history(None, 5000).await.unwrap();
    let messages = items.into_iter().filter_map(|item| match item {
        TimelineItem::Message(message) => Some(message),
        _ => None,
    });
    messages.collect()
}

/// What both people of a conversation must be shown alike.
pub fn content(messages: &[Message]) -> Vec<(u64, MessageId, UserId, &str)> {
    let content = |m: &Message| (m.at.place, m.id, m.author);
    let texts = messages.iter().map(|message| message.text.as_str());
    let content = messages.iter().map(content).zip(texts);
    content
        .map(|((place, id, author), text)| (place, id, author, text))
        .collect()
}

/// Asks until there is an answer.
pub async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// The result, or a failure after a long time.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

/// Until this is told.
pub async fn until_told(events: &mut Events, wanted: Event) {
    within(async { while events.next().await.expect("an event") != wanted {} }).await;
}
