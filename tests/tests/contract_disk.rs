//! A relay whose disk is full: new messages are refused and wait with their senders, old ones stay, and sending goes on
//! when there is space again.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod contract_support;

use std::path::Path;

use contract_support::{Person, until};
use sordino::{Code, ConnectionState, SendState};
use sordino_tests::contract::{
    disk::SmallDisk,
    outcome,
    process::{Process, RelayPlace, free_port},
};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;
/// Of the small disk.
const SIZE: u64 = 160 * MIB;

struct World {
    dir: TempDir,
    disk: Option<SmallDisk>,
    place: RelayPlace,
    relay: Option<Process>,
}

impl World {
    /// A relay on a disk of its own. Where the system mounts none, a reserve larger than any disk stands for a full one.
    fn start(reserve: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mounted = dir.path().join("disk");
        std::fs::create_dir(&mounted).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_contract_relay"));
        let port = || free_port(&mut rand::rng()).unwrap();
        let mut place = RelayPlace::new(program, dir.path(), port());
        place.ops = Some(port());
        place.reserve = reserve;
        let disk = SmallDisk::mount(&mounted, SIZE);
        let disk = match disk {
            Ok(disk) => {
                (place.program, place.before) = disk.enter(program);
                place.data = mounted.join("data");
                Some(disk)
            }
            Err(error) => {
                eprintln!("no disk of its own: {error}");
                None
            }
        };
        let relay = Some(place.start().unwrap());
        Self {
            dir,
            disk,
            place,
            relay,
        }
    }

    async fn person(&self, name: &str) -> Person {
        let dir = self.dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        Person::online(&self.place.url(), &dir, name).await
    }

    /// Leaves the disk so many bytes.
    fn fill(&mut self, left: u64) {
        match &self.disk {
            Some(disk) => disk.fill(left).unwrap(),
            None => self.restart_with_reserve(u64::MAX),
        }
    }

    fn empty(&mut self) {
        match &self.disk {
            Some(disk) => disk.empty().unwrap(),
            None => self.restart_with_reserve(0),
        }
    }

    fn restart_with_reserve(&mut self, reserve: u64) {
        self.kill();
        self.place.reserve = reserve;
        self.relay = Some(self.place.start().unwrap());
    }

    fn kill(&mut self) {
        self.relay.take().unwrap().kill().unwrap();
    }

    /// Messages that the relay has refused for want of space.
    async fn refused(&self) -> u64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.place.ops.unwrap());
        let Ok(answer) = reqwest::get(url).await else {
            return 0;
        };
        let text = answer.text().await.unwrap();
        let counter = "sordino_chat_refused_total{code=\"storage_full\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(counter));
        line.map_or(0, |n| n.parse().unwrap())
    }

    /// Ends the relay and compares its only conversation with a timeline.
    async fn judge(mut self, one: &Person, other: &Person) {
        let seen = one.messages(other).await;
        let ids = |messages: &[sordino::Message]| -> Vec<_> {
            messages.iter().map(|m| (m.at.place, m.id)).collect()
        };
        assert_eq!(ids(&seen), ids(&other.messages(one).await));
        self.kill();
        let data = match &self.disk {
            Some(disk) => disk.seen_from_outside(&self.place.data),
            None => self.place.data.clone(),
        };
        let rows = outcome::rows(&data).unwrap();
        let rows: Vec<_> = rows.into_values().flatten().collect();
        assert!(rows.iter().map(|r| r.seq).eq(1..=rows.len() as u64));
        let rows = rows.iter().filter(|row| row.message);
        assert_eq!(rows.map(|r| (r.seq, r.id)).collect::<Vec<_>>(), ids(&seen));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_below_its_reserve_refuses_keeps_and_goes_on() {
    let reserve = 16 * MIB;
    let mut world = World::start(reserve);
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    alice.send(&bob, &["one", "two"]).await;
    bob.send(&alice, &["three"]).await;
    alice.until_delivered(&bob, 2).await;
    bob.until_delivered(&alice, 1).await;

    world.fill(reserve * 3 / 4);
    alice.send(&bob, &["four", "five"]).await;
    bob.send(&alice, &["six"]).await;
    until(async || (world.refused().await >= 2).then_some(())).await;
    // What was accepted can be had all the while.
    let why = Code::StorageFull;
    for person in [&alice, &bob] {
        person.reconnect().await;
        person.until(&ConnectionState::Degraded { why }).await;
    }
    let kept: Vec<_> = bob.messages(&alice).await;
    let theirs: Vec<_> = kept.iter().filter(|m| !m.mine).map(|m| &m.text).collect();
    assert_eq!(theirs, ["one", "two"]);
    let waiting = alice.messages(&bob).await;
    let waiting = waiting.iter().filter(|m| m.state == SendState::Pending);
    assert_eq!(
        waiting.map(|m| &m.text).collect::<Vec<_>>(),
        ["four", "five"]
    );

    world.empty();
    alice.reconnect().await;
    bob.reconnect().await;
    alice.until_delivered(&bob, 4).await;
    bob.until_delivered(&alice, 2).await;
    bob.until_heard(&alice, &["one", "two", "four", "five"])
        .await;
    alice.until_heard(&bob, &["three", "six"]).await;
    world.judge(&alice, &bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_to_the_last_byte_loses_nothing_that_was_accepted() {
    // Nothing is kept in reserve: the engine itself meets the end of the disk.
    let mut world = World::start(0);
    if world.disk.is_none() {
        return;
    }
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    alice.send(&bob, &["one", "two"]).await;
    alice.until_delivered(&bob, 2).await;

    world.fill(0);
    let mut sent = vec!["one".to_owned(), "two".to_owned()];
    let text = |n: usize| format!("{n}{}", "·".repeat(4000));
    until(async || {
        // What the engine had taken of the disk before it was full still holds some.
        sent.push(text(sent.len()));
        alice
            .with(&bob)
            .send(sent.last().unwrap().as_str())
            .await
            .unwrap();
        (world.refused().await >= 1).then_some(())
    })
    .await;
    let pending = alice.messages(&bob).await;
    assert_eq!(pending.last().unwrap().state, SendState::Pending);

    // The engine writes again only once it is opened again: the relay ends, and its supervisor starts it.
    world.empty();
    alice.reconnect().await;
    let ended = tokio::task::spawn_blocking({
        let relay = world.relay.take().unwrap();
        move || relay.wait()
    });
    assert!(!ended.await.unwrap().unwrap().success());
    let log = std::fs::read_to_string(&world.place.log).unwrap();
    assert!(log.contains("start it again"), "{log}");
    world.relay = Some(world.place.start().unwrap());
    alice.until_delivered(&bob, sent.len()).await;
    assert_eq!(bob.texts(&alice).await, sent);
    world.judge(&alice, &bob).await;
}
