//! Programs that end at any step of what an account does: at each request in turn, before the relay has it or before the answer
//! comes. Then they are started anew, as people do. The account is never locked out, and never half-changed.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod backup;
mod links;
mod members;
#[path = "../support/plenty.rs"]
mod plenty;
mod secrets;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use plenty::relay;
use sordino::{Client, DeviceId, Error, Password, RecoveryKey, VaultSecret};
use support::{
    Person,
    liar::Liar,
    losing::Lost,
    open,
    phones::{PASSWORD, joining, typed, until_shown, written_down},
    until,
};
use tempfile::TempDir;

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It closes, as far as it still can.
    Closed,
    /// The process is gone: what is in its files at that moment is all there is.
    Killed,
}

const CLOSED: &[Ending] = &[Ending::Closed];
const EITHER_WAY: &[Ending] = &[Ending::Closed, Ending::Killed];

/// Where a program ends.
#[derive(Debug, Clone, Copy)]
struct Step {
    number: usize,
    what: Lost,
    ending: Ending,
}

/// Each step in turn, until one is not reached any more. `run` says whether it was; `least`: so many there are at least.
async fn at_every_step(endings: &[Ending], least: usize, run: impl AsyncFn(Step) -> bool) {
    for ending in endings.iter().copied() {
        for what in [Lost::Request, Lost::Answer] {
            for number in 1.. {
                let step = Step {
                    number,
                    what,
                    ending,
                };
                if !run(step).await {
                    let enough = number > least || what == Lost::Answer;
                    assert!(enough, "too few steps: {number}");
                    break;
                }
            }
        }
    }
}

/// Whether it changes something at the relay. What does not might as well not have come: its answer need not be lost.
fn changes(said: &str) -> bool {
    said == "POST /v1/users" || said.starts_with("PUT") || said.ends_with("/deletion")
}

/// Does something in a program that ends at a step. `None`: it was reached.
async fn until_end<T>(
    relay: &str,
    directory: &Path,
    step: Step,
    ask: impl AsyncFn(&Client) -> Result<T, Error>,
) -> Option<T> {
    until_end_of(started, relay, directory, step, |_| true, ask).await
}

/// The same of a program that is started so, where only requests like these are steps.
async fn until_end_of<T>(
    start: impl AsyncFn(&str, &Path) -> Client,
    relay: &str,
    directory: &Path,
    step: Step,
    counts: fn(&str) -> bool,
    ask: impl AsyncFn(&Client) -> Result<T, Error>,
) -> Option<T> {
    let liar = Liar::before(relay).await;
    let answers = step.what == Lost::Answer;
    liar.counts(move |said| counts(said) && (changes(said) || !answers));
    liar.cuts_at(step.number, step.what);
    // The tasks of who is killed live on here, and close its files at some time: it has its own, which nobody reads any more.
    let doomed = tempfile::tempdir().expect("a directory");
    let home = match step.ending {
        Ending::Closed => directory,
        Ending::Killed => {
            copy_store(directory, doomed.path());
            doomed.path()
        }
    };
    let client = start(&liar.url, home).await;
    let done = tokio::select! {
        done = ask(&client) => Some(done.unwrap_or_else(|error| panic!("{step:?}: {error}"))),
        () = liar.cut() => None,
    };
    match step.ending {
        Ending::Closed => client.close().await,
        Ending::Killed => copy_store(home, directory),
    }
    done
}

/// The files of a store as they are, the write-ahead log included. Nobody writes to them but who waits for an answer.
fn copy_store(from: &Path, to: &Path) {
    let store = to.join("store");
    let _ = fs::remove_dir_all(&store);
    let Ok(files) = fs::read_dir(from.join("store")) else {
        return;
    };
    fs::create_dir(&store).expect("made");
    for file in files {
        let file = file.expect("a file");
        let name = file.file_name();
        // What the process has in memory of the log.
        if !name.to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), store.join(name)).expect("copied");
        }
    }
    fs::copy(from.join("key"), to.join("key")).expect("copied");
}

/// The program of this store, started anew.
async fn started(relay: &str, directory: &Path) -> Client {
    open(relay, directory).await.expect("opened")
}

async fn person(relay: &str, directory: TempDir) -> Person {
    online(started(relay, directory.path()).await, directory).await
}

async fn online(client: Client, directory: TempDir) -> Person {
    let user = client.me().expect("an account");
    client.connect();
    let person = Person {
        client,
        user,
        directory,
    };
    person.until_live().await;
    person
}

fn recovery_key(written: &str) -> VaultSecret {
    VaultSecret::RecoveryKey(RecoveryKey::parse(written).expect("a key"))
}

/// What nobody has said before.
fn news() -> String {
    static SAID: AtomicUsize = AtomicUsize::new(0);
    format!("news {}", SAID.fetch_add(1, Ordering::Relaxed))
}

/// What either side writes comes to all.
async fn talk(bob: &Person, devices: &[&Person]) {
    let text = news();
    bob.with(devices[0]).send(&text).await.expect("sent");
    for device in devices {
        until_shown(device, &bob.user, &[&text]).await;
    }
    for device in devices {
        let text = news();
        device.with(bob).send(&text).await.expect("sent");
        until_shown(bob, &device.user, &[&text]).await;
        for other in devices {
            until_shown(other, &bob.user, &[&text]).await;
        }
    }
}

/// All devices of an account, which have just written, believe the same list: the relay takes nothing of who holds an older one.
async fn until_agreed(devices: &[&Person]) {
    until(async || {
        let mut lists = Vec::new();
        for device in devices {
            let known = device.client.devices().await.expect("read");
            lists.push(known.iter().map(|known| known.id).collect::<Vec<_>>());
        }
        lists
            .iter()
            .all(|list| list.len() == devices.len() && *list == lists[0])
    })
    .await;
}

/// Which device a client is.
async fn this(client: &Client) -> DeviceId {
    let devices = client.devices().await.expect("read");
    let this = devices.iter().find(|device| device.is_this);
    this.expect("this device").id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration() {
    let relay = relay().await;
    let url = relay.url();
    let bob = Person::online(&url, "bob").await;
    let password = Password::new(PASSWORD);
    at_every_step(EITHER_WAY, 6, async |step| {
        let (what, ending) = (step.what as u8, step.ending as u8);
        let name = format!("alice-{}-{what}-{ending}", step.number);
        let directory = tempfile::tempdir().expect("a directory");
        let register = async |client: &Client| client.register(&name, Some(&password)).await;
        let done = until_end(&url, directory.path(), step, &register).await;
        let client = started(&url, directory.path()).await;
        if client.me().is_none() {
            register(&client).await.expect("registered");
        }
        let written = written_down(&client).await;
        client.close().await;
        let phone = person(&url, directory).await;
        // Password and recovery key are those of the account.
        let (tablet, _) = joining(&url, &name, &typed(&written), None).await;
        tablet.until_live().await;
        talk(&bob, &[&phone, &tablet]).await;
        until_agreed(&[&phone, &tablet]).await;
        done.is_none()
    })
    .await;
}
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_account() {
    let relay = relay().await;
    let url = relay.url();
    let bob = Person::online(&url, "bob").await;
    at_every_step(CLOSED, 3, async |step| {
        let name = format!("alice-{}-{}", step.number, step.what as u8);
        let alice = Person::register(&url, &name).await;
        let secret = recovery_key(&written_down(&alice.client).await);
        alice.client.close().await;
        let delete = async |client: &Client| client.delete_account(&secret).await;
        let home = alice.directory.path();
        let done = until_end(&url, home, step, &delete).await;
        let there = bob.client.find_user(&name).await.expect("an answer");
        let client = started(&url, home).await;
        if there.is_some() {
            // Nothing of it is gone.
            client.connect();
            let text = news();
            let sent = client.conversation(bob.user.id).send(&text).await;
            sent.expect("sent");
            until_shown(&bob, &alice.user, &[&text]).await;
        }
        delete(&client).await.expect("deleted");
        let there = bob.client.find_user(&name).await.expect("an answer");
        assert_eq!(there, None);
        client.close().await;
        done.is_none()
    })
    .await;
}
