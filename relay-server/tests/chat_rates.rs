//! Frames that come faster than their user may send them are read later, and nobody else waits.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use std::time::{Duration, Instant};

use chat_support::{Draft, Relay, people, serves};
use sordino_protocol::pb::{self, client_frame};
use sordino_relay::{chat::Settings, config, ops::rates::Rates};

/// So many at once, and then one in a second.
const BURST: u32 = 5;

fn slow() -> Rates {
    let n = |n: u32| n.try_into().expect("not zero");
    Rates::new(&config::Rates {
        user_frames_per_second: n(1),
        user_frames_burst: n(BURST),
        ..config::Rates::default()
    })
}

fn question(request: u32) -> client_frame::Frame {
    client_frame::Frame::ListConversations(pb::ListConversations {
        request,
        ..Default::default()
    })
}

#[tokio::test]
async fn a_flood_is_read_later_and_in_order_while_others_are_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::start_rated(dir.path(), Settings::default(), slow()).await;
    let (alice, bob) = people(&relay).await;
    let mut first = relay.connect(&alice, 1).await;
    let mut second = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    let begun = Instant::now();
    // Over two connections of one user: they share.
    for request in 1..=BURST {
        first.ask(question(request)).await;
        second.ask(question(request)).await;
    }
    serves(&mut b).await;
    for device in [&mut first, &mut second] {
        for request in 1..=BURST {
            let pb::relay_frame::Frame::Conversations(page) = device.frame().await else {
                panic!("not a page")
            };
            assert_eq!(page.request, request);
        }
    }
    // Each connection reads one frame more than is paid for, and waits then.
    let least = Duration::from_secs(u64::from(BURST) - 3);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    // Nothing was lost on the way, and nothing is remembered against the user.
    let draft = Draft::new((&alice, 1), (&bob, &[2]), 1);
    first.send(draft.frame()).await;
    assert_eq!(first.answer().await, (1, None));
    chat_support::is_draft(&b.row().await, &draft, 2);
    relay.shutdown().await;
}
