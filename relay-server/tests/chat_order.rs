//! Two people who talk at once see one order.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use chat_support::{Device, Draft, Person, relay};
use sordino_protocol::{
    ConversationId, Header, hash::conversation_id, limits, pb::relay_frame::Frame,
};

/// Sends so many messages, as many at a time as a device may, and returns the rows that were pushed meanwhile.
async fn talk(
    me: &mut Device<'_>,
    draft: impl Fn(u64) -> Draft,
    messages: u64,
) -> Vec<(u64, Vec<u8>)> {
    let (mut sent, mut accepted, mut seen) = (0, 0, Vec::new());
    while accepted < messages {
        while sent < messages && sent < accepted + limits::IN_FLIGHT as u64 {
            sent += 1;
            me.send(draft(sent).frame()).await;
        }
        match me.frame().await {
            Frame::Accepted(frame) => {
                assert_eq!(frame.counter, accepted + 1, "in the order of sending");
                accepted += 1;
            }
            Frame::Deliver(deliver) => {
                let row = deliver.row.expect("a row");
                seen.push((row.seq, row.header.to_vec()));
            }
            Frame::Sync(_) => {}
            other => panic!("{other:?}"),
        }
    }
    seen
}

async fn all_rows(me: &mut Device<'_>, conversation: ConversationId) -> Vec<(u64, Vec<u8>)> {
    let mut rows = Vec::new();
    loop {
        let from = rows.len() as u64 + 1;
        let page = me.pull(conversation, from, u64::MAX).await.expect("pulled");
        rows.extend(
            page.rows
                .into_iter()
                .map(|row| (row.seq, row.header.to_vec())),
        );
        if page.complete {
            return rows;
        }
    }
}

#[tokio::test]
async fn both_people_see_one_dense_order_and_what_one_sends_keeps_its_own() {
    const MESSAGES: u64 = 150;
    let (relay, _dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    let (seen_by_a, seen_by_b) = tokio::join!(
        talk(
            &mut a,
            |n| Draft::new((&alice, 1), (&bob, &[2]), n),
            MESSAGES
        ),
        talk(
            &mut b,
            |n| Draft::new((&bob, 2), (&alice, &[1]), n),
            MESSAGES
        ),
    );
    let conversation = conversation_id(alice.user, bob.user);
    let rows = all_rows(&mut a, conversation).await;
    assert_eq!(rows, all_rows(&mut b, conversation).await);
    let seqs: Vec<_> = rows.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=2 * MESSAGES).collect::<Vec<_>>());
    for row in seen_by_a.iter().chain(&seen_by_b) {
        assert_eq!(rows[row.0 as usize - 1], *row, "pushed as it is stored");
    }
    for person in [&alice, &bob] {
        let headers = rows
            .iter()
            .map(|(_, header)| Header::parse(header).expect("a header"));
        let counters: Vec<_> = headers
            .filter(|header| header.sender == person.user)
            .map(|header| header.counter)
            .collect();
        assert_eq!(counters, (1..=MESSAGES).collect::<Vec<_>>());
    }
    relay.shutdown().await;
}
