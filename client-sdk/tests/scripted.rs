//! The client against a relay that is slow, broken or hostile.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use futures_util::FutureExt as _;
use sordino::{Code, ConnectionState, Event, SendState, TimelineItem};
use sordino_protocol::{
    hash,
    pb::{self, client_frame, relay_frame},
};
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
async fn a_relay_that_takes_nothing_is_said_until_it_does() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 1).await;
    play.begin(Vec::new()).await;
    let (_, send) = play.hear_send().await;
    alice.until_live().await;
    play.say(refused(&send, "busy", 20)).await;
    let why = Code::Busy;
    alice.until(&ConnectionState::Degraded { why }).await;
    let (_, send) = play.hear_send().await;
    play.say(accepted(&send)).await;
    alice.until_live().await;
    // Nor does it give what it says that it holds.
    let next = relay_frame::Frame::Nudge(pb::Nudge {
        conversation: hash::conversation_id(alice.user.id, alice.user.id).to_pb(),
        last_seq: 1,
    });
    play.say(next).await;
    let client_frame::Frame::Pull(pull) = play.hear().await else {
        panic!("no pull")
    };
    let problem = pb::Problem {
        request: pull.request,
        code: "internal".to_owned(),
        ..Default::default()
    };
    play.say(relay_frame::Frame::Problem(problem)).await;
    let why = Code::Internal;
    alice.until(&ConnectionState::Degraded { why }).await;
    let client_frame::Frame::Pull(pull) = play.hear().await else {
        panic!("no pull")
    };
    let pulled = pb::Pulled {
        request: pull.request,
        conversation: pull.conversation,
        rows: vec![own_row(1, &send)],
        last_seq: 1,
        complete: true,
    };
    play.say(relay_frame::Frame::Pulled(pulled)).await;
    alice.until_live().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_leaves_a_message_unanswered_has_trouble() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 1).await;
    play.begin(Vec::new()).await;
    let (_, send) = play.hear_send().await;
    let why = Code::Timeout;
    alice.until(&ConnectionState::Degraded { why }).await;
    play.say(accepted(&send)).await;
    alice.until_live().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_waits_for_what_it_has_stored_is_left_for_a_new_connection() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 2).await;
    play.begin(Vec::new()).await;
    let (_, first) = play.hear_send().await;
    let (_, second) = play.hear_send().await;
    // The append of the first timed out, though it was stored: its row comes.
    let row = Some(own_row(1, &first));
    play.say(relay_frame::Frame::Deliver(pb::Deliver { row }))
        .await;
    play.say(refused(&first, "internal", 1)).await;
    play.say(refused(&second, "counter_gap", 0)).await;
    for _ in 0..3 {
        let send = next_send(&mut play).await;
        assert_eq!(send, second);
        play.say(refused(&send, "counter_gap", 0)).await;
    }
    let sent = |frame: &client_frame::Frame| matches!(frame, client_frame::Frame::Send(_));
    assert!(!play.until_closed().await.iter().any(sent));
    let mut play = script.accept().await;
    play.begin(vec![mark(alice.user.id, 1)]).await;
    // A relay that has lost rows goes on so: other conversations have use for the connection, and another one helps nobody.
    for _ in 0..6 {
        let send = next_send(&mut play).await;
        assert_eq!(send, second);
        play.say(refused(&send, "counter_gap", 0)).await;
    }
    let send = next_send(&mut play).await;
    assert_eq!(send, second);
    play.say(accepted(&send)).await;
    until_state(&alice, 2, SendState::Accepted).await;
}

/// The next message, whatever is acknowledged before it.
async fn next_send(play: &mut script::Play) -> pb::Send {
    loop {
        match play.hear().await {
            client_frame::Frame::Send(send) => return send,
            client_frame::Frame::Ack(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_moved_is_served_until_the_next_connection_is() {
    let mut script = Script::start().await;
    let (alice, mut old) = with_messages(&mut script, 2).await;
    old.begin(Vec::new()).await;
    alice.until_live().await;
    let mut events = alice.client.events();
    let (_, first) = old.hear_send().await;
    let (_, second) = old.hear_send().await;
    old.say(relay_frame::Frame::Moving(pb::Moving {})).await;
    old.say(relay_frame::Frame::Moving(pb::Moving {})).await;
    let mut new = script.accept().await;
    let welcome = relay_frame::Frame::Welcome(pb::Welcome::default());
    new.say(welcome).await;
    // It is open, and not registered yet.
    old.say(accepted(&first)).await;
    alice.with(&alice).send("2").await.expect("sent");
    let third = next_send(&mut old).await;
    // Its answer, and that of the second, are lost with the connection. The first has no row yet.
    new.say(relay_frame::Frame::Sync(pb::Sync {})).await;
    old.until_closed().await;
    let client_frame::Frame::ListConversations(ask) = new.hear().await else {
        panic!("not the list")
    };
    new.say(relay_frame::Frame::Conversations(pb::Conversations {
        request: ask.request,
        marks: Vec::new(),
        more: false,
    }))
    .await;
    for send in [first, second, third] {
        assert_eq!(next_send(&mut new).await, send);
        new.say(accepted(&send)).await;
    }
    until_state(&alice, 3, SendState::Accepted).await;
    assert!(!script.has_connection(), "moved once");
    while let Some(event) = events.next().now_or_never() {
        // Nobody has to know.
        assert!(!matches!(event, Some(Event::Connection(_))), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_completed_where_the_old_connection_ends_first() {
    let mut script = Script::start().await;
    let (alice, mut old) = with_messages(&mut script, 0).await;
    old.begin(Vec::new()).await;
    alice.until_live().await;
    let mut events = alice.client.events();
    old.say(relay_frame::Frame::Moving(pb::Moving {})).await;
    // The first attempt meets a relay that is busy, the second is under way when the old connection ends.
    script.accept().await.close(4001).await;
    let mut new = script.accept().await;
    old.close(4000).await;
    new.begin(Vec::new()).await;
    alice.with(&alice).send("0").await.expect("sent");
    let send = next_send(&mut new).await;
    new.say(accepted(&send)).await;
    until_state(&alice, 1, SendState::Accepted).await;
    assert!(!script.has_connection(), "no third");
    while let Some(event) = events.next().now_or_never() {
        assert!(!matches!(event, Some(Event::Connection(_))), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_asks_again_and_again_moves_a_device_once() {
    let mut script = Script::start().await;
    let (alice, mut old) = with_messages(&mut script, 0).await;
    old.begin(Vec::new()).await;
    alice.until_live().await;
    for _ in 0..4 {
        old.say(relay_frame::Frame::Moving(pb::Moving {})).await;
        script.accept().await.close(4001).await;
    }
    for _ in 0..8 {
        old.say(relay_frame::Frame::Moving(pb::Moving {})).await;
    }
    // What it says after that it says having read them.
    old.hear_the_rest().await;
    assert!(!script.has_connection());
    alice.with(&alice).send("0").await.expect("sent");
    let send = next_send(&mut old).await;
    old.say(accepted(&send)).await;
    until_state(&alice, 1, SendState::Accepted).await;
    assert!(!script.has_connection());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_fails_leaves_the_connection_as_it_is() {
    let mut script = Script::start().await;
    let (alice, mut old) = with_messages(&mut script, 0).await;
    old.begin(Vec::new()).await;
    alice.until_live().await;
    old.say(relay_frame::Frame::Moving(pb::Moving {})).await;
    // It drains as well.
    script.accept().await.close(4001).await;
    alice.with(&alice).send("0").await.expect("sent");
    let send = next_send(&mut old).await;
    old.say(accepted(&send)).await;
    until_state(&alice, 1, SendState::Accepted).await;
    old.close(4000).await;
    let mut new = script.accept().await;
    new.begin(Vec::new()).await;
    alice.until_live().await;
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

/// A conversation with somebody whose rows the relay announces and does not give.
fn barren(me: sordino::UserId) -> pb::ConversationMark {
    let peer = sordino::UserId::from_bytes([7; 16]);
    pb::ConversationMark {
        conversation: hash::conversation_id(me, peer).to_pb(),
        peer: peer.to_pb(),
        last_seq: 1 << 62,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_cannot_be_had_does_not_keep_the_others_from_sending() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 1).await;
    play.begin(vec![barren(alice.user.id)]).await;
    let mut refused = 0;
    let send = loop {
        match play.hear().await {
            client_frame::Frame::Pull(pull) => {
                refused += 1;
                let problem = pb::Problem {
                    request: pull.request,
                    code: "internal".to_owned(),
                    ..Default::default()
                };
                play.say(relay_frame::Frame::Problem(problem)).await;
            }
            client_frame::Frame::Send(send) => break send,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused > 0);
    play.say(accepted(&send)).await;
    until_state(&alice, 1, SendState::Accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_conversations_that_goes_round_ends() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 1).await;
    play.say(relay_frame::Frame::Sync(pb::Sync {})).await;
    let mut asked = 0;
    let send = loop {
        match play.hear().await {
            client_frame::Frame::ListConversations(ask) => {
                asked += 1;
                let page = pb::Conversations {
                    request: ask.request,
                    marks: vec![mark(alice.user.id, 0)],
                    more: true,
                };
                play.say(relay_frame::Frame::Conversations(page)).await;
            }
            client_frame::Frame::Send(send) => break send,
            other => panic!("{other:?}"),
        }
    };
    // The first page, and one after it, which was the same.
    assert_eq!(asked, 2);
    play.say(accepted(&send)).await;
    until_state(&alice, 1, SendState::Accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_has_lost_rows_is_told_of() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 2).await;
    let mut events = alice.client.events();
    play.begin(Vec::new()).await;
    for seq in 1..=2 {
        let (_, send) = play.hear_send().await;
        play.say(accepted(&send)).await;
        let row = Some(own_row(seq, &send));
        play.say(relay_frame::Frame::Deliver(pb::Deliver { row }))
            .await;
    }
    until_state(&alice, 2, SendState::Accepted).await;
    play.hear_the_rest().await;
    play.close(4000).await;
    let mut play = script.accept().await;
    play.begin(vec![mark(alice.user.id, 1)]).await;
    within(async {
        while !matches!(
            events.next().await,
            Some(sordino::Event::RelayMisbehaved {
                conversation: Some(_),
                ..
            })
        ) {}
    })
    .await;
    alice.until_live().await;
}

/// Marks, nudges and answers of what does not exist, the greatest numbers, endless refusals.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_of_every_kind_costs_nothing_that_was_sent() {
    let mut script = Script::start().await;
    let (alice, mut play) = with_messages(&mut script, 2).await;
    play.begin(Vec::new()).await;
    let (_, first) = play.hear_send().await;
    let (_, second) = play.hear_send().await;
    for n in 0..1_000_u32 {
        let [a, b, c, d] = n.to_be_bytes();
        let mut id = [0; 16];
        id[..4].copy_from_slice(&[a, b, c, d]);
        let stranger = hash::conversation_id(alice.user.id, sordino::UserId::from_bytes(id));
        let mark = pb::Delivered {
            conversation: stranger.to_pb(),
            seq: u64::MAX,
        };
        play.say(relay_frame::Frame::Delivered(mark)).await;
    }
    let me = hash::conversation_id(alice.user.id, alice.user.id);
    for seq in [0, 1 << 63, u64::MAX] {
        let conversation = me.to_pb();
        let mark = pb::Delivered { conversation, seq };
        play.say(relay_frame::Frame::Delivered(mark)).await;
        let mut row = own_row(seq, &first);
        row.content_hash = vec![1; 5].into();
        let row = Some(row);
        play.say(relay_frame::Frame::Deliver(pb::Deliver { row }))
            .await;
    }
    play.say(refused(&first, "counter_gap", u32::MAX)).await;
    // What was on its way is refused with it.
    play.say(refused(&second, "counter_gap", 0)).await;
    let mut sends = Vec::new();
    while sends.len() < 2 {
        match play.hear().await {
            client_frame::Frame::Send(send) => sends.push(send),
            client_frame::Frame::Pull(pull) => {
                play.say(relay_frame::Frame::Pulled(pb::Pulled {
                    request: pull.request,
                    conversation: pull.conversation,
                    ..Default::default()
                }))
                .await;
            }
            client_frame::Frame::ListConversations(_) | client_frame::Frame::Ack(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sends, [first, second]);
    for send in &sends {
        play.say(accepted(send)).await;
    }
    let mut shown = Reading::new(alice.with(&alice).timeline());
    shown
        .until(|items| {
            let mut messages = items.iter().filter_map(TimelineItem::message);
            messages.clone().count() == 2 && messages.all(|m| m.state != SendState::Pending)
        })
        .await;
    // Nobody wrote: there is the one conversation.
    let conversations = alice.client.conversations().next().await;
    let Some(sordino::ListDiff::Reset(rows)) = conversations else {
        panic!("no list")
    };
    assert_eq!(rows.len(), 1);
}
