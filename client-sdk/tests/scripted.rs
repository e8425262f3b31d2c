//! The client against a relay that is slow, broken or hostile.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{ConnectionState, SendState, TimelineItem};
use sordino_protocol::pb::{self, client_frame, relay_frame};
use support::script::{self, Script, accepted, mark, own_row, refused};
use support::{Person, Reading, within};

/// A person with messages to themselves in the outbox, and the connection to the script.
async fn with_messages(script: &mut Script, count: usize) -> (Person, script::Play) {
    let alice = Person::register(&script.url, "alice").await;
    for n in 0..count {
        alice.with(&alice).send(n.to_string()).await.expect("sent");
    }
    alice.client.connect();
    let play = script.accept().await;
    (alice, play)
}

async fn until_state(alice: &Person, count: usize, state: SendState) {
    let mut shown = Reading::new(alice.with(alice).timeline());
    shown
        .until(|items| {
            let messages: Vec<_> = items.iter().filter_map(TimelineItem::message).collect();
            messages.len() == count && messages.iter().all(|m| m.state == state)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_is_renewed_on_the_open_socket() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 0).await;
    play.begin(Vec::new()).await;
    alice.until_live().await;
    let soon = pb::TokenExpiring { expires_ms: 1 };
    play.say(relay_frame::Frame::TokenExpiring(soon)).await;
    let client_frame::Frame::RefreshToken(refresh) = play.hear().await else {
        panic!("no token")
    };
    // The first was of the registration's login.
    assert_eq!(refresh.token, "token-2");
    assert!(!script.has_connection());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusal_in_a_pipeline_means_one_resend_in_order() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 5).await;
    play.begin(Vec::new()).await;
    let mut sends = Vec::new();
    for counter in 1..=5 {
        let (heard, send) = play.hear_send().await;
        assert_eq!(heard, counter);
        sends.push(send);
    }
    play.say(accepted(&sends[0])).await;
    play.say(refused(&sends[1], "busy", 50)).await;
    for send in &sends[2..] {
        play.say(refused(send, "counter_gap", 0)).await;
    }
    for counter in 2..=5 {
        let (heard, send) = play.hear_send().await;
        assert_eq!(heard, counter);
        // The stored bytes, not a new encryption.
        assert_eq!(send, sends[usize::try_from(counter - 1).expect("small")]);
        play.say(accepted(&send)).await;
    }
    until_state(&alice, 5, SendState::Accepted).await;
    assert!(play.hear_the_rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_the_own_rows_are_here() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 1).await;
    play.begin(Vec::new()).await;
    let (_, send) = play.hear_send().await;
    // The relay took it, and its answer was lost.
    play.close(4000).await;
    let mut play = script.accept().await;
    play.begin(vec![mark(alice.user.id, 1)]).await;
    let client_frame::Frame::Pull(pull) = play.hear().await else {
        panic!("not a pull")
    };
    assert_eq!((pull.from_seq, pull.to_seq), (1, 1));
    let row = own_row(1, &send);
    play.say(relay_frame::Frame::Pulled(pb::Pulled {
        request: pull.request,
        conversation: pull.conversation,
        rows: vec![row],
        last_seq: 1,
        complete: true,
    }))
    .await;
    let client_frame::Frame::Ack(ack) = play.hear().await else {
        panic!("not an acknowledgement")
    };
    assert_eq!(ack.seq, 1);
    until_state(&alice, 1, SendState::Accepted).await;
    assert!(play.hear_the_rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_asked_for_again() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 3).await;
    play.begin(Vec::new()).await;
    let mut rows = Vec::new();
    for seq in 1..=3 {
        rows.push(own_row(seq, &play.hear_send().await.1));
    }
    play.close(4000).await;
    let mut play = script.accept().await;
    play.begin(vec![mark(alice.user.id, 3)]).await;
    let mut hole = vec![rows[0].clone(), rows[2].clone()];
    for (from, ack) in [(1, 1), (2, 3)] {
        let client_frame::Frame::Pull(pull) = play.hear().await else {
            panic!("not a pull")
        };
        assert_eq!((pull.from_seq, pull.to_seq), (from, 3));
        play.say(relay_frame::Frame::Pulled(pb::Pulled {
            request: pull.request,
            conversation: pull.conversation,
            rows: std::mem::replace(&mut hole, rows[1..].to_vec()),
            last_seq: 3,
            complete: true,
        }))
        .await;
        let client_frame::Frame::Ack(heard) = play.hear().await else {
            panic!("not an acknowledgement")
        };
        assert_eq!(heard.seq, ack);
    }
    until_state(&alice, 3, SendState::Accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_any_order_and_as_often_as_the_relay_likes() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 3).await;
    play.begin(Vec::new()).await;
    let mut rows = Vec::new();
    for seq in 1..=3 {
        let (_, send) = play.hear_send().await;
        play.say(accepted(&send)).await;
        rows.push(own_row(seq, &send));
    }
    for at in [0, 0, 1, 0, 2, 1, 2] {
        let row = Some(rows[at].clone());
        play.say(relay_frame::Frame::Deliver(pb::Deliver { row }))
            .await;
    }
    within(async {
        loop {
            match play.hear().await {
                client_frame::Frame::Ack(ack) if ack.seq == 3 => return,
                client_frame::Frame::Ack(_) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    until_state(&alice, 3, SendState::Accepted).await;
    assert!(play.hear_the_rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_out_of_order_or_rubbish_costs_the_connection_and_nothing_else() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 2).await;
    play.begin(Vec::new()).await;
    let (_, first) = play.hear_send().await;
    let (_, second) = play.hear_send().await;
    play.say(accepted(&second)).await;
    play.until_closed().await;

    let mut play = script.accept().await;
    play.say_bytes(vec![0xff; 100]).await;
    play.until_closed().await;

    let mut play = script.accept().await;
    play.begin(Vec::new()).await;
    // Answers to nothing are passed over.
    play.say(relay_frame::Frame::Pulled(pb::Pulled {
        request: 77,
        ..Default::default()
    }))
    .await;
    play.say(relay_frame::Frame::Conversations(
        pb::Conversations::default(),
    ))
    .await;
    play.say(relay_frame::Frame::Deliver(pb::Deliver { row: None }))
        .await;
    let nonsense = pb::Row {
        seq: 9,
        header: vec![1; 148].into(),
        ..Default::default()
    };
    play.say(relay_frame::Frame::Deliver(pb::Deliver {
        row: Some(nonsense),
    }))
    .await;
    for send in [&first, &second] {
        let (_, again) = play.hear_send().await;
        assert_eq!(&again, send);
        play.say(accepted(&again)).await;
    }
    until_state(&alice, 2, SendState::Accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_told_to_stop_stops_until_the_app_asks_again() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 0).await;
    let mut events = alice.client.events();
    play.begin(Vec::new()).await;
    alice.until_live().await;
    play.close(4005).await;
    within(async {
        while !matches!(alice.client.connection(), ConnectionState::Stopped { .. }) {
            events.next().await.expect("an event");
        }
    })
    .await;
    assert!(!script.has_connection());
    alice.client.connect();
    let mut play = script.accept().await;
    play.begin(Vec::new()).await;
    alice.until_live().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_do_not_verify_are_told_of_and_hold_one_message_only() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 1).await;
    let mut events = alice.client.events();
    play.begin(Vec::new()).await;
    let (_, send) = play.hear_send().await;
    let relay_frame::Frame::Refused(mut answer) = refused(&send, "lists_changed", 0) else {
        panic!("not a refusal")
    };
    let forged = pb::Signed {
        body: vec![1; 100].into(),
        signature: vec![1; 64].into(),
    };
    answer.sender_list = Some(forged.clone());
    answer.recipient_list = Some(forged);
    play.say(relay_frame::Frame::Refused(answer)).await;
    within(async {
        while !matches!(
            events.next().await,
            Some(sordino::Event::RelayMisbehaved { .. })
        ) {}
    })
    .await;
    assert!(play.hear_the_rest().await.is_empty());
    assert_eq!(alice.client.connection(), ConnectionState::Live);
}
