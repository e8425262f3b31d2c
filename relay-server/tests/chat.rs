//! Messages over real sockets: sent, accepted, delivered, kept, read again.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use std::time::Duration;

use chat_support::{Draft, Person, device_id, is_draft, relay, relay_with, until};
use sordino_protocol::{
    Class, Code, ConversationId, hash::conversation_id, limits, pb::relay_frame::Frame,
};
use sordino_relay::chat::Settings;

#[tokio::test]
async fn contract_p5_messages_are_pushed_both_ways_and_own_rows_come_back_without_content() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;

    let hello = Draft::new((&alice, 1), (&bob, &[2]), 1);
    a.send(hello.frame()).await;
    let row = b.row().await;
    assert_eq!(row.seq, 1);
    is_draft(&row, &hello, 2);
    // Accepted and the own row come in either order.
    let (mut accepted, mut own) = (None, None);
    while accepted.is_none() || own.is_none() {
        match a.frame().await {
            Frame::Accepted(frame) => accepted = Some(frame),
            Frame::Deliver(deliver) => own = deliver.row,
            other => panic!("{other:?}"),
        }
    }
    let (accepted, own) = (accepted.expect("accepted"), own.expect("a row"));
    assert_eq!(accepted.conversation, hello.header.conversation.to_pb());
    assert_eq!(
        accepted.client_message_id,
        hello.header.client_message_id.to_pb()
    );
    assert_eq!((own.seq, own.message_id), (1, row.message_id));
    assert_eq!(own.header, row.header);
    assert_eq!(own.content_hash, row.content_hash);
    assert_eq!((own.content, own.wrap), (None, None));

    let answer = Draft::new((&bob, 2), (&alice, &[1]), 1);
    b.send(answer.frame()).await;
    let row = a.row().await;
    assert_eq!(row.seq, 2);
    is_draft(&row, &answer, 1);
    relay.shutdown().await;
}

#[tokio::test]
async fn every_device_gets_the_row_with_its_own_wrap() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1, 3]).await;
    relay.register(&bob, &[2, 4]).await;
    let mut sender = relay.connect(&alice, 1).await;
    let mut others = [
        relay.connect(&alice, 3).await,
        relay.connect(&bob, 2).await,
        relay.connect(&bob, 4).await,
    ];
    let mut draft = Draft::new((&alice, 1), (&bob, &[2, 4]), 1);
    draft.header.sender_list = 2;
    draft.header.recipient_list = 2;
    draft.targets.push((alice.user, device_id(3)));
    sender.send(draft.frame()).await;
    assert_eq!(sender.answer().await, (1, None));
    for other in &mut others {
        let reader = other.device;
        is_draft(&other.row().await, &draft, reader);
    }
    relay.shutdown().await;
}

#[tokio::test]
async fn what_was_sent_to_an_absent_device_waits_and_is_read_page_by_page() {
    const MESSAGES: u64 = 300;
    let (relay, _dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let conversation = conversation_id(alice.user, bob.user);
    let mut a = relay.connect(&alice, 1).await;
    let mut drafts = Vec::new();
    for counter in 1..=MESSAGES {
        let mut draft = Draft::new((&alice, 1), (&bob, &[2]), counter);
        draft.content.resize(300, b'#');
        a.send(draft.frame()).await;
        drafts.push(draft);
        // As many on the way as a device may have.
        if counter > 50 {
            assert_eq!(a.answer().await, (counter - 50, None));
        }
    }
    for counter in MESSAGES - 49..=MESSAGES {
        assert_eq!(a.answer().await, (counter, None));
    }
    let mut b = relay.connect(&bob, 2).await;
    let marks = b.marks(None).await;
    assert!(!marks.more);
    let [mark] = marks.marks.as_slice() else {
        panic!("{marks:?}")
    };
    assert_eq!(mark.conversation, conversation.to_pb());
    assert_eq!(mark.peer, alice.user.to_pb());
    assert_eq!(
        (mark.last_seq, mark.own_acked, mark.peer_acked),
        (MESSAGES, 0, 0)
    );

    let (mut cursor, mut pages) = (0, 0);
    loop {
        let page = b
            .pull(conversation, cursor + 1, u64::MAX)
            .await
            .expect("pulled");
        pages += 1;
        assert_eq!(page.last_seq, MESSAGES);
        for row in &page.rows {
            cursor += 1;
            assert_eq!(row.seq, cursor);
            is_draft(row, &drafts[cursor as usize - 1], 2);
        }
        if page.complete {
            break;
        }
    }
    assert_eq!(cursor, MESSAGES);
    assert!(pages > 1);
    let middle = b.pull(conversation, 10, 12).await.expect("pulled");
    assert_eq!(
        middle.rows.iter().map(|row| row.seq).collect::<Vec<_>>(),
        [10, 11, 12]
    );
    assert!(middle.complete);
    let beyond = b
        .pull(conversation, MESSAGES + 1, u64::MAX)
        .await
        .expect("pulled");
    assert!(beyond.rows.is_empty() && beyond.complete);
    relay.shutdown().await;
}

#[tokio::test]
async fn the_largest_rows_are_pushed_and_pulled() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    for counter in 1..=5 {
        let mut draft = Draft::new((&alice, 1), (&bob, &[2]), counter);
        draft.content = vec![counter as u8; limits::CONTENT_BYTES];
        a.send(draft.frame()).await;
        is_draft(&b.row().await, &draft, 2);
    }
    let conversation = conversation_id(alice.user, bob.user);
    let mut cursor = 0;
    while cursor < 5 {
        let page = b.pull(conversation, cursor + 1, 5).await.expect("pulled");
        cursor = page.rows.last().expect("at least one row").seq;
    }
    relay.shutdown().await;
}

#[tokio::test]
async fn an_acknowledgement_is_told_to_the_sender_once_and_kept() {
    let (relay, _dir) = relay_with(Settings {
        ack_every: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let conversation = conversation_id(alice.user, bob.user);
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    for counter in 1..=3 {
        a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
            .await;
        b.row().await;
    }
    b.ack(conversation, 2).await;
    assert_eq!(a.delivered().await, 2);
    // Lower, repeated, of nobody, and beyond the end: the last counts as the end.
    b.ack(conversation, 1).await;
    b.ack(conversation, 2).await;
    b.ack(conversation_id(alice.user, alice.user), 9).await;
    b.ack(conversation, u64::MAX).await;
    assert_eq!(a.delivered().await, 3);
    let own = b.marks(None).await.marks[0].own_acked;
    let of_peer = a.marks(None).await.marks[0].peer_acked;
    assert_eq!((own, of_peer), (3, 3));
    relay.shutdown().await;
}

#[tokio::test]
async fn what_a_blocked_person_sends_is_taken_and_holds_nothing_for_who_has_blocked_them() {
    let (relay, _dir) = relay_with(Settings {
        ack_every: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1, 3]).await;
    relay.register(&bob, &[2]).await;
    let conversation = conversation_id(alice.user, bob.user);
    let mut a = relay.connect(&alice, 1).await;
    let mut a_too = relay.connect(&alice, 3).await;
    let mut b = relay.connect(&bob, 2).await;
    let draft = |counter| {
        let mut draft = Draft::new((&alice, 1), (&bob, &[2]), counter);
        draft.header.sender_list = 2;
        draft.targets.push((alice.user, device_id(3)));
        draft
    };
    relay.block(&bob, &alice, true, 5).await;
    // As ever, for the sender: accepted, at their other device, delivered.
    a.send(draft(1).frame()).await;
    assert_eq!(a.answer().await, (1, None));
    is_draft(&a_too.row().await, &draft(1), 3);
    let row = b.row().await;
    assert_eq!((row.seq, row.wrap), (1, None));
    b.ack(conversation, 1).await;
    assert_eq!(a.delivered().await, 1);
    // Still refused for what it would be refused for otherwise.
    let mut other = draft(2);
    other.targets.pop();
    a.send(other.frame()).await;
    assert_eq!(a.answer().await, (2, Some(Code::WrongTargets)));
    // What they wrote before they may take back.
    let mut erasure = draft(2);
    erasure.header.class = Class::Erase;
    erasure.header.erase = vec![1];
    a.send(erasure.frame()).await;
    let row = b.row().await;
    assert!(row.seq == 2 && row.wrap.is_some());
    assert_eq!(a_too.row().await.seq, 2);
    // In the other direction nothing is held back.
    let mut answer = Draft::new((&bob, 2), (&alice, &[1, 3]), 1);
    answer.header.recipient_list = 2;
    b.send(answer.frame()).await;
    is_draft(&a_too.row().await, &answer, 3);

    relay.block(&bob, &alice, false, 6).await;
    a.send(draft(3).frame()).await;
    let mut row = b.row().await;
    while row.seq < 4 {
        row = b.row().await;
    }
    is_draft(&row, &draft(3), 2);
    // What was sent before stays closed.
    let pulled = b.pull(conversation, 1, 1).await.expect("pulled");
    assert_eq!(pulled.rows[0].wrap, None);
    relay.shutdown().await;
}

#[tokio::test]
async fn an_acknowledgement_on_the_way_is_written_when_the_connection_closes() {
    let (relay, _dir) = relay_with(Settings {
        ack_every: Duration::from_secs(3600),
        ..Settings::default()
    })
    .await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let conversation = conversation_id(alice.user, bob.user);
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    for counter in 1..=2 {
        a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
            .await;
        b.row().await;
    }
    b.ack(conversation, 1).await;
    assert_eq!(a.delivered().await, 1);
    b.ack(conversation, 2).await;
    // Answered after the acknowledgement was read, which waits for its hour.
    assert_eq!(b.marks(None).await.marks[0].own_acked, 1);
    drop(b);
    assert_eq!(a.delivered().await, 2);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_page_of_conversations_is_followed_by_the_next() {
    let (relay, _dir) = relay().await;
    let bob = Person::new(2);
    relay.register(&bob, &[2]).await;
    let mut b = relay.connect(&bob, 2).await;
    let people: Vec<_> = (3..8).map(Person::new).collect();
    for person in &people {
        relay.register(person, &[1]).await;
        b.send(Draft::new((&bob, 2), (person, &[1]), 1).frame())
            .await;
        assert_eq!(b.answer().await, (1, None));
    }
    let all = b.marks(None).await;
    assert_eq!(all.marks.len(), people.len());
    assert!(all.marks.is_sorted_by_key(|mark| mark.conversation.clone()));
    let second = ConversationId::from_slice(&all.marks[1].conversation);
    let rest = b.marks(Some(second.expect("an id"))).await;
    assert_eq!(rest.marks, all.marks[2..]);
    relay.shutdown().await;
}

#[tokio::test]
async fn rows_of_others_are_not_read() {
    let (relay, _dir) = relay().await;
    let (alice, bob, eve) = (Person::new(1), Person::new(2), Person::new(3));
    for (person, device) in [(&alice, 1), (&bob, 2), (&eve, 3)] {
        relay.register(person, &[device]).await;
    }
    let conversation = conversation_id(alice.user, bob.user);
    let mut a = relay.connect(&alice, 1).await;
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 1).frame())
        .await;
    assert_eq!(a.answer().await, (1, None));
    let mut e = relay.connect(&eve, 3).await;
    assert_eq!(e.pull(conversation, 1, 1).await, Err(Code::Forbidden));
    // One that nobody has looks the same.
    let nobodys = conversation_id(eve.user, eve.user);
    assert_eq!(e.pull(nobodys, 1, 1).await, Err(Code::Forbidden));
    assert!(e.marks(None).await.marks.is_empty());
    relay.shutdown().await;
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart_and_a_retry_is_not_doubled() {
    const MESSAGES: u64 = 40;
    let (relay, dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let conversation = conversation_id(alice.user, bob.user);
    let mut a = relay.connect(&alice, 1).await;
    for counter in 1..=MESSAGES {
        a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
            .await;
    }
    let mut accepted = 0;
    while accepted < 20 {
        let (counter, refused) = a.answer().await;
        assert_eq!((counter, refused), (accepted + 1, None));
        accepted = counter;
    }
    // The rest is on its way: accepted, refused or unanswered.
    let stop = tokio::spawn(relay.shutdown());
    let close = loop {
        match a.next().await {
            Ok(Frame::Accepted(frame)) => accepted = frame.counter,
            Ok(_) => {}
            Err(closed) => break closed,
        }
    };
    assert_eq!(close.0, 4000);
    stop.await.expect("stopped");

    let relay = chat_support::Relay::start(dir.path(), Settings::default()).await;
    let mut a = relay.connect(&alice, 1).await;
    let kept = a.marks(None).await.marks[0].last_seq;
    assert!(kept >= accepted, "{accepted} accepted, {kept} kept");
    for counter in 1..=MESSAGES {
        a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
            .await;
        assert_eq!(a.answer().await, (counter, None));
    }
    let mut b = relay.connect(&bob, 2).await;
    let (mut cursor, mut complete) = (0, false);
    while !complete {
        let page = b
            .pull(conversation, cursor + 1, u64::MAX)
            .await
            .expect("pulled");
        assert_eq!(page.last_seq, MESSAGES);
        for row in &page.rows {
            cursor += 1;
            assert_eq!(row.seq, cursor);
            is_draft(row, &Draft::new((&alice, 1), (&bob, &[2]), cursor), 2);
        }
        complete = page.complete;
    }
    assert_eq!(cursor, MESSAGES);
    relay.shutdown().await;
}

#[tokio::test]
async fn two_connections_of_one_device_both_hear_and_a_fifth_replaces_the_first() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2]).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut first = relay.connect(&bob, 2).await;
    let mut second = relay.connect(&bob, 2).await;
    let draft = Draft::new((&alice, 1), (&bob, &[2]), 1);
    a.send(draft.frame()).await;
    is_draft(&first.row().await, &draft, 2);
    is_draft(&second.row().await, &draft, 2);
    let _more = [
        relay.connect(&bob, 2).await,
        relay.connect(&bob, 2).await,
        relay.connect(&bob, 2).await,
    ];
    assert_eq!(first.closed().await.0, 4006);
    until(async || relay.chat.open() == 5).await;
    relay.shutdown().await;
}

/// Device ids are chosen by their owners.
#[tokio::test]
async fn devices_of_two_people_may_bear_one_id_and_count_for_themselves() {
    let (relay, _dir) = relay().await;
    let (alice, mallory) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&mallory, &[1]).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut m = relay.connect(&mallory, 1).await;
    for counter in 1..=3 {
        m.send(Draft::new((&mallory, 1), (&alice, &[1]), counter).frame())
            .await;
        assert_eq!(m.answer().await, (counter, None));
    }
    let mine = Draft::new((&alice, 1), (&mallory, &[1]), 1);
    a.send(mine.frame()).await;
    assert_eq!(a.answer().await, (1, None));
    let rows = a.pull(mine.header.conversation, 4, 4).await.expect("rows");
    assert_eq!(rows.last_seq, 4);
    assert_eq!(rows.rows[0].header, mine.header.encode());
    relay.shutdown().await;
}
