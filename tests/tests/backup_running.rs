//! A relay is backed up while people talk; the restored one has what was delivered before, and people go on with it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "../../client-sdk/tests/support/mod.rs"]
mod support;

use std::{path::Path, time::Duration};

use sordino_relay::{
    backup,
    history::{
        StoredRow,
        embedded::{Store, StoreOptions},
    },
    relay::{Config, start},
};
use support::{Person, received, within};

fn rows(data: &Path) -> Vec<StoredRow> {
    let store = Store::open(StoreOptions::new(data.join("messages"))).unwrap();
    store.every_row().map(|row| row.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_p1_a_backup_under_load_has_what_was_delivered_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, back, file) = (
        dir.path().join("data"),
        dir.path().join("back"),
        dir.path().join("file"),
    );
    let relay = start(Config::new(&data)).await.unwrap();
    let address = relay.addr();
    let url = format!("http://{address}");
    let mut people = Vec::new();
    for name in ["alice", "bob", "carol", "dave"] {
        people.push(Person::online(&url, name).await);
    }
    let [alice, bob, mut carol, mut dave] = people.try_into().ok().unwrap();
    let mut heard = dave.client.events();
    carol.with(&dave).send("before").await.unwrap();
    assert_eq!(received(&mut heard).await.text, "before");
    // They are away from now on: the relay will be as they know it.
    carol.client.close().await;
    dave.client.close().await;

    let mut heard = bob.client.events();
    let talk = async {
        for n in 0.. {
            alice.with(&bob).send(format!("{n}")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let take = async {
        for n in 0..100 {
            assert_eq!(received(&mut heard).await.text, format!("{n}"));
        }
        backup::backup(&data, &file, Box::new(|_, _| {}))
            .await
            .unwrap()
    };
    let (_, counts) = within(async {
        tokio::select! {
            done = take => done,
            () = talk => unreachable!(),
        }
    })
    .await;
    assert!(counts.rows > 100 && counts.users == 4, "{counts:?}");
    alice.client.close().await;
    bob.client.close().await;
    relay.shutdown().await;

    backup::restore(&file, &back, Box::new(|_, _| {}))
        .await
        .unwrap();
    let (original, restored) = (rows(&data), rows(&back));
    assert_eq!(restored.len() as u64, counts.rows);
    // As far as it goes, row by row the same.
    assert!(restored.iter().all(|row| original.contains(row)));

    let mut config = Config::new(&back);
    config.server.listen = address;
    let relay = start(config).await.unwrap();
    for person in [&mut carol, &mut dave] {
        person.reopen(&url).await;
        person.client.connect();
        person.until_live().await;
    }
    let mut heard = dave.client.events();
    carol.with(&dave).send("after").await.unwrap();
    assert_eq!(received(&mut heard).await.text, "after");
    relay.shutdown().await;
}
