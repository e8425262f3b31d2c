//! A device that does not read costs the relay a bounded window, and in the end its connection.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use std::{sync::LazyLock, time::Duration};

use chat_support::{Device, Draft, Person, people, relay_with, until};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use sordino_protocol::{hash::conversation_id, limits, pb::relay_frame::Frame};
use sordino_relay::chat::Settings;

static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| {
    PrometheusBuilder::new()
        .install_recorder()
        .expect("the only recorder")
});

fn metric(name: &str) -> u64 {
    let text = METRICS.render();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().expect("a number"))
}

/// Sends large messages until it is so; how many were accepted.
async fn flood(
    a: &mut Device<'_>,
    (alice, bob): (&Person, &Person),
    mut enough: impl FnMut() -> bool,
) -> u64 {
    let mut counter = 0;
    while !enough() {
        for _ in 0..32 {
            counter += 1;
            let mut draft = Draft::new((alice, 1), (bob, &[2]), counter);
            draft.content = vec![7; limits::CONTENT_BYTES];
            a.send(draft.frame()).await;
        }
        for before in (0..32).rev() {
            assert_eq!(a.answer().await, (counter - before, None));
        }
        assert!(counter < 20_000, "the kernel takes everything");
    }
    counter
}

#[tokio::test]
async fn a_reader_that_stops_is_closed_and_one_that_comes_back_misses_nothing() {
    LazyLock::force(&METRICS);
    let (relay, _dir) = relay_with(Settings::default()).await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    let closed = "sordino_chat_window_closed_total ";
    // Bob does not read: the kernel's buffers fill, then the window, and the rest is one flag.
    let sent = flood(&mut a, (&alice, &bob), || metric(closed) > 10).await;
    let mut cursor = 0;
    loop {
        match b.frame().await {
            Frame::Deliver(deliver) => {
                let seq = deliver.row.expect("a row").seq;
                assert_eq!(seq, cursor + 1, "in order, up to the hole");
                cursor = seq;
            }
            Frame::Sync(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(cursor < sent);
    let conversation = conversation_id(alice.user, bob.user);
    while cursor < sent {
        let page = b
            .pull(conversation, cursor + 1, sent)
            .await
            .expect("pulled");
        for row in page.rows {
            cursor += 1;
            assert_eq!(row.seq, cursor);
        }
    }
    // The window is open again.
    a.send(Draft::new((&alice, 1), (&bob, &[2]), sent + 1).frame())
        .await;
    assert_eq!(b.row().await.seq, sent + 1);
    relay.shutdown().await;

    let (relay, _dir) = relay_with(Settings {
        stuck_after: Duration::from_millis(200),
        ..Settings::default()
    })
    .await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut reads = relay.connect(&bob, 2).await;
    let stuck = relay.connect(&bob, 2).await;
    let too_slow = r#"sordino_chat_closed_total{why="too_slow"} "#;
    let reading = tokio::spawn(async move { while reads_on(&mut reads.socket).await {} });
    flood(&mut a, (&alice, &bob), || metric(too_slow) == 1).await;
    until(async || relay.chat.open() == 2).await;
    assert!(!reading.is_finished(), "who reads stays");
    drop(stuck);
    relay.shutdown().await;
    reading.await.expect("read to the end");
}

async fn reads_on(socket: &mut chat_support::Socket) -> bool {
    use futures_util::StreamExt;
    matches!(socket.next().await, Some(Ok(message)) if !message.is_close())
}
