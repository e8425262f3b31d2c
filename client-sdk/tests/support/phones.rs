//! People with passwords, recovery keys and several phones.

use std::path::Path;

use sordino::{
    Client, Code, ConversationRow, DeviceId, Event, Events, Login, LoginStep, Password,
    RecoveryKey, Restoring, TimelineItem, Unlock, User, VaultPolicy,
};

use tempfile::TempDir;

use super::{Person, Reading, builder, open, until, within};

pub const PASSWORD: &str = "gravel-otter-lantern-nine";

pub fn code<T>(result: Result<T, sordino::Error>) -> Option<Code> {
    result.err().map(|error| error.code())
}

pub async fn with_password_too(url: &str, directory: &Path) -> Client {
    builder(url, directory)
        .vault(VaultPolicy::PasswordToo)
        .open()
        .await
        .expect("opened")
}

/// A person with a password, and the recovery key as it was written down.
pub async fn registered(url: &str, name: &str) -> (Person, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(url, directory.path()).await.expect("opened");
    made(client, directory, name).await
}

/// The same where the password opens the vault, too.
pub async fn registered_with_password_too(url: &str, name: &str) -> (Person, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let client = with_password_too(url, directory.path()).await;
    made(client, directory, name).await
}

async fn made(client: Client, directory: TempDir, name: &str) -> (Person, String) {
    let password = Password::new(PASSWORD);
    let user = client.register(name, Some(&password)).await;
    let user = user.expect("registered");
    let written = written_down(&client).await;
    let person = Person {
        client,
        user,
        directory,
    };
    (person, written)
}

pub async fn written_down(client: &Client) -> String {
    let key = client.recovery_key().await.expect("read");
    key.expect("a recovery key").text().to_string()
}

pub fn typed(key: &str) -> Unlock {
    Unlock::RecoveryKey(RecoveryKey::parse(key).expect("a key"))
}

pub async fn locked(client: &Client, name: &str) -> Login {
    match client.login(name, &Password::new(PASSWORD)).await {
        Ok(LoginStep::Locked(login)) => login,
        other => panic!("{other:?}"),
    }
}

/// Another phone of a person, logged in and about to be online, and all that it tells from there on.
pub async fn joining(
    url: &str,
    name: &str,
    unlock: &Unlock,
    instead_of: Option<DeviceId>,
) -> (Person, Events) {
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(url, directory.path()).await.expect("opened");
    let login = locked(&client, name).await;
    let user = login.unlock(unlock, instead_of).await.expect("unlocked");
    assert_eq!(client.me(), Some(user.clone()));
    let events = client.events();
    client.connect();
    let person = Person {
        client,
        user,
        directory,
    };
    (person, events)
}

/// A second phone of a person, logged in and online.
pub async fn second_phone(url: &str, name: &str, unlock: &Unlock) -> Person {
    let (person, _) = joining(url, name, unlock, None).await;
    person.until_live().await;
    person
}

/// Until a device shows these texts, in this order, as the newest of the conversation.
pub async fn until_shown(at: &Person, with: &User, texts: &[&str]) {
    let mut shown = Reading::new(at.client.conversation(with.id).timeline());
    shown
        .until(|items| {
            let found: Vec<_> = items.iter().filter_map(TimelineItem::message).collect();
            let from = found.len().saturating_sub(texts.len());
            found
                .iter()
                .skip(from)
                .map(|m| m.text.as_str())
                .eq(texts.iter().copied())
        })
        .await;
}

/// The conversation with `with` in a device's list.
pub async fn shown_row(at: &Person, with: &User) -> ConversationRow {
    let mut rows = Reading::new(at.client.conversations());
    let is_it = |row: &&ConversationRow| row.peer.id == with.id;
    rows.until(|rows| rows.iter().any(|row| is_it(&row))).await;
    rows.items.iter().find(is_it).expect("there").clone()
}

/// Until a new device has read the backup, or what another gave it; how many messages came back.
pub async fn until_restored(events: &mut Events) -> u64 {
    restored(events).await.1
}

async fn restored(events: &mut Events) -> (Vec<Restoring>, u64) {
    let mut told = Vec::new();
    within(async {
        loop {
            match events.next().await.expect("an event") {
                Event::Restoring(progress) => told.push(progress),
                Event::Restored { messages } => return (told, messages),
                _ => {}
            }
        }
    })
    .await
}

/// The same of a device that tells how far it is: forward, until `all` is read and so many messages are back.
pub async fn until_restored_forward(events: &mut Events, all: u64, messages: u64) {
    let (told, restored) = restored(events).await;
    assert_eq!(restored, messages);
    for (before, one) in told.iter().zip(told.iter().skip(1)) {
        let forward =
            before.read <= one.read && before.total <= one.total && before.messages <= one.messages;
        assert!(forward, "{told:?}");
    }
    for one in &told {
        assert!(one.read <= one.total, "{told:?}");
    }
    let end = Restoring {
        read: all,
        total: all,
        messages,
    };
    assert_eq!(told.last(), Some(&end), "{told:?}");
}

/// Until a client has put everything into the backup.
pub async fn until_backed_up(at: &Person) {
    until(async || {
        let state = at.client.backup().await.expect("read");
        state.on && state.waiting == 0
    })
    .await;
}
