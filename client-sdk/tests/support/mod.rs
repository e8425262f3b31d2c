//! Clients on temporary stores, and waits on conditions.

#![allow(dead_code, reason = "each test program uses a part")]

pub mod liar;
pub mod losing;
pub mod phones;
pub mod script;

use std::{future::Future, path::Path, time::Duration};

use sordino::{
    BackupPolicy, Client, ClientBuilder, ConnectionState, Conversation, Event, Events, FileKey,
    ListDiff, LiveList, Message, TimelineItem, User,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// However slow the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A person: a client and where its store is.
pub struct Person {
    pub client: Client,
    pub user: User,
    pub directory: TempDir,
}

/// Opens the client in a directory.
pub async fn open(url: &str, directory: &Path) -> Result<Client, sordino::Error> {
    builder(url, directory).open().await
}

/// What [`open`] opens.
pub fn builder(url: &str, directory: &Path) -> ClientBuilder {
    Client::builder(url)
        .store(directory.join("store"))
        .keys(FileKey::new(directory.join("key")))
        .backup(BackupPolicy::After(Duration::from_millis(300)))
}

impl Person {
    /// A registered person who is offline.
    pub async fn register(url: &str, name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let client = open(url, directory.path()).await.expect("opened");
        let user = client.register(name, None).await.expect("registered");
        Self {
            client,
            user,
            directory,
        }
    }

    /// A registered person who is online.
    pub async fn online(url: &str, name: &str) -> Self {
        let person = Self::register(url, name).await;
        person.client.connect();
        person.until_live().await;
        person
    }

    /// The conversation with another.
    pub fn with(&self, other: &Self) -> Conversation {
        self.client.conversation(other.user.id)
    }

    /// Until the client is up to date.
    pub async fn until_live(&self) {
        self.until(&ConnectionState::Live).await;
    }

    /// Until the connection is in this state.
    pub async fn until(&self, state: &ConnectionState) {
        let mut events = self.client.events();
        within(async {
            while self.client.connection() != *state {
                events.next().await.expect("an event");
            }
        })
        .await;
    }

    /// Closes the client and opens it again on its store.
    pub async fn reopen(&mut self, url: &str) {
        self.client.close().await;
        self.client = open(url, self.directory.path()).await.expect("opened");
    }
}

/// The result, or a failure after a long time.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

/// Until it is so, where nothing tells of it.
pub async fn until(is_so: impl AsyncFn() -> bool) {
    within(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// The next message of somebody else.
pub async fn received(events: &mut Events) -> Message {
    within(async {
        loop {
            match events.next().await.expect("an event") {
                Event::Received(message) => return message,
                Event::Lagged { missed } => panic!("{missed} events missed"),
                _ => {}
            }
        }
    })
    .await
}

/// A list that is read until it is as wanted.
pub struct Reading<T> {
    list: LiveList<T>,
    pub items: Vec<T>,
}

impl<T: Clone> Reading<T> {
    pub fn new(list: LiveList<T>) -> Self {
        Self {
            list,
            items: Vec::new(),
        }
    }

    /// Until the list is as wanted.
    pub async fn until(&mut self, wanted: impl Fn(&[T]) -> bool) -> &[T] {
        within(async {
            loop {
                let diff: ListDiff<T> = self.list.next().await.expect("a change");
                diff.apply(&mut self.items);
                if wanted(&self.items) {
                    return;
                }
            }
        })
        .await;
        &self.items
    }
}

/// The messages of a whole conversation, oldest first.
pub async fn all(conversation: &Conversation) -> Vec<Message> {
    let mut items: Vec<TimelineItem> = Vec::new();
    loop {
        let before = items.first().map(TimelineItem::at);
        let page = conversation.history(before, 500).await.expect("history");
        if page.is_empty() {
            break;
        }
        items.splice(..0, page);
    }
    items
        .into_iter()
        .map(|item| match item {
            TimelineItem::Message(message) => message,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The texts of messages.
pub fn texts(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.text.as_str())
        .collect()
}
