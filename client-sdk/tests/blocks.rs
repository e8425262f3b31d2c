//! Whom a person blocks the relay refuses, too: it is told by the person's devices, and nothing of it reaches them.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use sordino::{ConnectionState, SendState};
use sordino_testing::TestRelay;
use support::{
    Person, all,
    phones::{registered, second_phone, typed, until_shown},
    texts, until, within,
};

/// How many people are blocked at the relay, of all users.
fn blocked(data: &Path) -> u32 {
    let file = data.join("users.sqlite");
    let opened = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let count =
        opened
            .expect("opened")
            .query_row("SELECT count(*) FROM blocks WHERE blocked", [], |row| {
                row.get(0)
            });
    count.expect("read")
}

async fn until_blocked(relay: &TestRelay, count: u32) {
    until(async || blocked(relay.data()) == count).await;
}

async fn until_delivered(from: &Person, to: &Person) {
    until(async || {
        let shown = all(&from.with(to)).await;
        shown.iter().all(|m| m.state == SendState::Delivered)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_is_told_and_what_it_drops_never_comes_back() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (bob, written) = registered(&url, "bob").await;
    bob.client.connect();
    bob.until_live().await;
    let tablet = second_phone(&url, "bob", &typed(&written)).await;
    let alice = Person::online(&url, "alice").await;
    alice.with(&bob).send("hello").await.expect("sent");
    until_shown(&bob, &alice.user, &["hello"]).await;
    until_shown(&tablet, &alice.user, &["hello"]).await;

    let contact = bob.client.contact(alice.user.id);
    contact.block(true).await.expect("blocked");
    until_blocked(&relay, 1).await;
    alice.with(&bob).send("unheard").await.expect("sent");
    // She sees what she would see otherwise.
    until_delivered(&alice, &bob).await;
    contact.block(false).await.expect("lifted");
    until_blocked(&relay, 0).await;
    alice.with(&bob).send("heard").await.expect("sent");
    for device in [&bob, &tablet] {
        until_shown(device, &alice.user, &["hello", "heard"]).await;
    }
    // Nor on a device that comes later, and reads what was before it.
    let late = second_phone(&url, "bob", &typed(&written)).await;
    until_shown(&late, &alice.user, &["hello", "heard"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_offline_is_said_later_and_by_whichever_device() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (mut bob, written) = registered(&url, "bob").await;
    bob.client.connect();
    bob.until_live().await;
    let tablet = second_phone(&url, "bob", &typed(&written)).await;
    let alice = Person::online(&url, "alice").await;
    alice.with(&bob).send("hello").await.expect("sent");
    until_shown(&bob, &alice.user, &["hello"]).await;
    bob.client.disconnect();
    // The connection that was there would still tell it.
    bob.until(&ConnectionState::Offline).await;
    let contact = bob.client.contact(alice.user.id);
    contact.block(true).await.expect("blocked");
    bob.reopen(&url).await;
    assert_eq!(blocked(relay.data()), 0);
    bob.client.connect();
    until_blocked(&relay, 1).await;
    // The tablet knows by now, or soon, and lifts it.
    let of_tablet = tablet.client.contact(alice.user.id);
    within(async {
        while !of_tablet.trust().await.expect("read").blocked {
            tokio::task::yield_now().await;
        }
    })
    .await;
    of_tablet.block(false).await.expect("lifted");
    until_blocked(&relay, 0).await;
    alice.with(&bob).send("again").await.expect("sent");
    until_shown(&bob, &alice.user, &["hello", "again"]).await;
    assert_eq!(texts(&all(&bob.with(&alice)).await), ["hello", "again"]);
}
