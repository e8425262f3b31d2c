//! What the client costs on the device, beside the bare rows in the same database in the same run: a slow machine changes the times, not the
//! ratios. `cargo xtask bench client`.

#![allow(missing_docs, reason = "a program")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use sordino::{
    BackupPolicy, Client, Conversation, Error, Event, Events, FixedKey, LoginStep, Password,
    RecoveryKey, SendState, StoreKey, Unlock, User,
    bench::{Bare, KEY, fill_store, open_bare},
};
use sordino_testing::TestRelay;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const TEXT: usize = 500;
/// One by one.
const SENDS: usize = 500;
/// At once.
const BURST: usize = 2_000;
/// Messages of one commit, as the engine puts those together that wait.
const TOGETHER: usize = 64;
const HISTORY: usize = 10_000;
const OPENINGS: usize = 7;
const PASSWORD: &str = "gravel-otter-lantern-nine";
/// Where nothing tells of it.
const LOOK: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Result<()> {
    let is_json = std::env::args().any(|arg| arg == "--json");
    let relay = TestRelay::start().await?;
    let dir = tempfile::tempdir()?;
    let mut rows = messages(&relay, dir.path()).await?;
    rows.extend(new_device(&relay, dir.path()).await?);
    rows.push(opening(&relay, dir.path()).await?);
    if is_json {
        let rows = rows.iter().map(|row| {
            let ratio = row.bare.map(|bare| row.client / bare);
            json!({ "what": row.what, "unit": row.unit, "client": row.client, "bare": row.bare, "ratio": ratio })
        });
        let rows: Vec<_> = rows.collect();
        println!("{}", json!({ "text_bytes": TEXT, "rows": rows }));
        return Ok(());
    }
    println!("{:<66}{:>10}{:>10}{:>8}", "", "client", "bare", "ratio");
    for row in rows {
        let bare = row.bare.map(|bare| format!("{bare:.2}"));
        let ratio = row.bare.map(|bare| format!("{:.2}", row.client / bare));
        println!(
            "{:<66}{:>10.2}{:>10}{:>8}",
            format!("{}, {}", row.what, row.unit),
            row.client,
            bare.unwrap_or_default(),
            ratio.unwrap_or_default()
        );
    }
    Ok(())
}

struct Row {
    what: &'static str,
    unit: &'static str,
    client: f64,
    bare: Option<f64>,
}

const fn row(what: &'static str, unit: &'static str, client: f64, bare: Option<f64>) -> Row {
    Row {
        what,
        unit,
        client,
        bare,
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

#[allow(clippy::cast_precision_loss, reason = "thousands")]
fn each(since: Instant, count: usize) -> f64 {
    ms(since) / count as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn text() -> String {
    "word ".repeat(TEXT / 5)
}

async fn open(relay: &TestRelay, dir: &Path, name: &str) -> std::result::Result<Client, Error> {
    let mut key = KEY;
    Client::builder(relay.url())
        .store(dir.join(name))
        .keys(FixedKey::new(StoreKey::take(&mut key)))
        .backup(BackupPolicy::After(Duration::from_millis(100)))
        .open()
        .await
}

async fn person(relay: &TestRelay, dir: &Path, name: &str) -> Result<(Client, User)> {
    let client = open(relay, dir, name).await?;
    let password = Password::new(PASSWORD);
    let user = client.register(name, Some(&password)).await?;
    client.connect();
    Ok((client, user))
}

async fn receive(events: &mut Events, count: usize) -> Result<()> {
    let mut left = count;
    while left > 0 {
        match events.next().await {
            Some(Event::Received(_)) => left -= 1,
            Some(Event::Lagged { missed }) => {
                return Err(format!("{missed} events were missed").into());
            }
            Some(_) => {}
            None => return Err("the client ended".into()),
        }
    }
    Ok(())
}

/// All at once.
async fn send(to: &Conversation, count: usize) -> Result<()> {
    let send = |_| {
        let to = to.clone();
        tokio::spawn(async move { to.send(text()).await })
    };
    let sends: Vec<_> = (0..count).map(send).collect();
    for sent in sends {
        sent.await??;
    }
    Ok(())
}

/// Sending with encryption and commit, offline; receiving with decryption and commit, from a relay that has it all.
async fn messages(relay: &TestRelay, dir: &Path) -> Result<Vec<Row>> {
    eprintln!("bench: sending and receiving");
    let (alice, a) = person(relay, dir, "alice").await?;
    let (bob, b) = person(relay, dir, "bob").await?;
    let (mut at_alice, mut at_bob) = (alice.events(), bob.events());
    let (to_bob, to_alice) = (alice.conversation(b.id), bob.conversation(a.id));
    to_bob.send("hello").await?;
    receive(&mut at_bob, 1).await?;
    to_alice.send("hello").await?;
    receive(&mut at_alice, 1).await?;
    alice.disconnect();
    bob.disconnect();

    let mut bare = Bare::new(&dir.join("bare"), TEXT)?;
    let (mut sends, mut bare_sends) = (Vec::new(), Vec::new());
    for _ in 0..SENDS {
        let start = Instant::now();
        to_bob.send(text()).await?;
        sends.push(ms(start));
        let start = Instant::now();
        bare.send()?;
        bare_sends.push(ms(start));
    }
    let start = Instant::now();
    send(&to_bob, BURST).await?;
    let burst = each(start, BURST);
    let start = Instant::now();
    for sent in (0..BURST).step_by(TOGETHER) {
        bare.send_together(TOGETHER.min(BURST - sent))?;
    }
    let bare_burst = each(start, BURST);

    // All of it to the relay first: what is measured is the one who receives.
    alice.connect();
    until_accepted(&to_bob).await?;
    let total = SENDS + BURST;
    let start = Instant::now();
    bob.connect();
    receive(&mut at_bob, total).await?;
    let received = each(start, total);
    let start = Instant::now();
    for _ in 0..total {
        bare.receive()?;
    }
    let bare_received = each(start, total);
    alice.close().await;
    bob.close().await;
    Ok(vec![
        row(
            "send: encrypted and on the disk, one by one",
            "ms",
            median(sends),
            Some(median(bare_sends)),
        ),
        row(
            "the same, 2 000 at once (bare: in as many commits)",
            "ms each",
            burst,
            Some(bare_burst),
        ),
        row(
            "receive from the relay: decrypted and stored",
            "ms each",
            received,
            Some(bare_received),
        ),
    ])
}

async fn until_accepted(to: &Conversation) -> Result<()> {
    loop {
        let newest = to.history(None, 1).await?;
        let state = newest.last().and_then(|item| Some(item.message()?.state));
        if state.is_some_and(|state| state != SendState::Pending) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A second device of somebody with 10 000 messages.
async fn new_device(relay: &TestRelay, dir: &Path) -> Result<Vec<Row>> {
    eprintln!("bench: {HISTORY} messages, and a new device that reads them");
    let (carol, c) = person(relay, dir, "carol").await?;
    let (dave, _) = person(relay, dir, "dave").await?;
    let key = carol.recovery_key().await?.ok_or("no recovery key")?;
    let key = key.text().to_string();
    let to_carol = dave.conversation(c.id);
    let mut at_carol = carol.events();
    let start = Instant::now();
    // No more at once than a listener may fall behind.
    for _ in 0..HISTORY / 500 {
        send(&to_carol, 500).await?;
        receive(&mut at_carol, 500).await?;
    }
    let talked = each(start, HISTORY);
    loop {
        let state = carol.backup().await?;
        if state.on && state.waiting == 0 {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }

    let tablet = open(relay, dir, "tablet").await?;
    let start = Instant::now();
    let login = match tablet.login("carol", &Password::new(PASSWORD)).await? {
        LoginStep::Locked(login) => login,
        LoginStep::Done(_) => return Err("an account on a new store".into()),
    };
    let password = ms(start);
    let start = Instant::now();
    let key = Unlock::RecoveryKey(RecoveryKey::parse(&key)?);
    login.unlock(&key, None).await?;
    let unlocked = ms(start);
    let mut events = tablet.events();
    let start = Instant::now();
    tablet.connect();
    let mut first = None;
    loop {
        match events.next().await {
            Some(Event::Restoring(progress)) if progress.messages > 0 => {
                first.get_or_insert_with(|| ms(start));
                if progress.messages >= HISTORY as u64 {
                    break;
                }
            }
            Some(_) => {}
            None => return Err("the client ended".into()),
        }
    }
    let (restored, restored_each) = (ms(start), each(start, HISTORY));
    for client in [carol, dave, tablet] {
        client.close().await;
    }
    Ok(vec![
        row(
            "login with a password (Argon2id, 64 MiB, by design)",
            "ms",
            password,
            None,
        ),
        row(
            "unlock with the recovery key, onto the device list",
            "ms",
            unlocked,
            None,
        ),
        row(
            "then: the first messages are back after",
            "ms",
            first.unwrap_or(restored),
            None,
        ),
        row("then: all 10 000 are back after", "ms", restored, None),
        row(
            "restored (bare: sent and received the first time)",
            "ms each",
            restored_each,
            Some(talked),
        ),
    ])
}

/// From nothing to what a person sees.
async fn opening(relay: &TestRelay, dir: &Path) -> Result<Row> {
    eprintln!("bench: a store of 100 000 messages, opened");
    let (erin, me) = person(relay, dir, "erin").await?;
    erin.conversation(me.id).send("a note").await?;
    erin.close().await;
    let store = dir.join("erin").join("sordino.db");
    fill_store(&store)?;
    let (mut shown, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let start = Instant::now();
        let client = open(relay, dir, "erin").await?;
        let conversation = client.conversation(me.id);
        let (mut list, mut timeline) = (client.conversations(), conversation.timeline());
        list.next().await.ok_or("no list")?;
        timeline.next().await.ok_or("no timeline")?;
        shown.push(ms(start));
        client.close().await;
        let start = Instant::now();
        open_bare(&store)?;
        bare.push(ms(start));
    }
    Ok(row(
        "100 000 messages: from nothing to the list and the newest",
        "ms",
        median(shown),
        Some(median(bare)),
    ))
}
