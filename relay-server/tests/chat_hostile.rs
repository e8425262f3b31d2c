//! Devices that lie, break the protocol, or do not heed the answers.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use chat_support::{Draft, Person, Relay, device_id, now_ms, people, relay, serves, soon, until};
use futures_util::{SinkExt, StreamExt};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sordino_protocol::{
    Class, Code, ConversationId,
    frame::encode_client,
    hash::conversation_id,
    limits,
    pb::{self, client_frame, relay_frame::Frame},
};
use sordino_relay::{chat::Settings, delivery::embedded::Options};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn nobody_sends_in_the_name_of_another_or_into_their_conversation() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let eve = Person::new(3);
    relay.register(&eve, &[3]).await;
    let mut b = relay.connect(&bob, 2).await;
    let mut e = relay.connect(&eve, 3).await;
    let spoofed = Draft::new((&alice, 1), (&bob, &[2]), 1);
    let mut other_device = Draft::new((&eve, 3), (&bob, &[2]), 1);
    other_device.header.sender_device = device_id(4);
    let mut other_place = Draft::new((&eve, 3), (&bob, &[2]), 1);
    other_place.header.conversation = conversation_id(alice.user, bob.user);
    for draft in [spoofed, other_device, other_place] {
        e.send(draft.frame()).await;
        assert_eq!(e.answer().await, (1, Some(Code::BadHeader)));
    }
    let mut nobody = Draft::new((&eve, 3), (&Person::new(9), &[1]), 1);
    nobody.targets.clear();
    e.send(nobody.frame()).await;
    assert_eq!(e.answer().await, (1, Some(Code::UserNotFound)));
    // What is her own still goes, and is the first that Bob sees.
    let own = Draft::new((&eve, 3), (&bob, &[2]), 1);
    e.send(own.frame()).await;
    chat_support::is_draft(&b.row().await, &own, 2);
    relay.shutdown().await;
}

/// They are refused one by one, without order, and nothing of them is remembered.
#[tokio::test]
async fn made_up_conversations_leave_nothing_behind() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    for n in 1..=1_100 {
        let mut draft = Draft::new((&alice, 1), (&bob, &[2]), n);
        let mut id = [7; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        draft.header.conversation = ConversationId::from_bytes(id);
        a.send(draft.frame()).await;
        assert_eq!(a.answer().await, (n, Some(Code::BadHeader)));
    }
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 1).frame())
        .await;
    assert_eq!(a.answer().await, (1, None));
    relay.shutdown().await;
}

#[tokio::test]
async fn a_message_for_old_lists_is_answered_with_the_new_ones() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let first = bob.list(None, &[2]);
    let second = bob.list(Some(&first), &[2, 4]);
    relay
        .api
        .users
        .put_list(&second, &sordino_relay::user::Credentials::NONE)
        .await
        .expect("replaced");
    let mut a = relay.connect(&alice, 1).await;
    let mut draft = Draft::new((&alice, 1), (&bob, &[2]), 1);
    a.send(draft.frame()).await;
    let Frame::Refused(refused) = a.frame().await else {
        panic!("not refused")
    };
    assert_eq!(
        (refused.code.as_str(), refused.counter),
        ("lists_changed", 1)
    );
    assert_eq!(
        refused.client_message_id,
        draft.header.client_message_id.to_pb()
    );
    assert_eq!(refused.sender_list, Some(alice.list(None, &[1]).signed));
    assert_eq!(refused.recipient_list, Some(second.signed));
    // The new device has no prekeys yet: dormant, so it need not be reached.
    draft.header.recipient_list = 2;
    a.send(draft.frame()).await;
    assert_eq!(a.answer().await, (1, None));
    relay.shutdown().await;
}

#[tokio::test]
async fn a_message_is_for_every_device_that_can_be_reached() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let (relay, _dir) = relay().await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay.register(&alice, &[1]).await;
    relay.register(&bob, &[2, 4]).await;
    let mut a = relay.connect(&alice, 1).await;
    let draft = |counter, targets: &[u8]| {
        let mut draft = Draft::new((&alice, 1), (&bob, targets), counter);
        draft.header.recipient_list = 2;
        draft
    };
    // One is left out, one is not listed, one stands twice.
    for targets in [&[2][..], &[2, 4, 5], &[2, 4, 4]] {
        a.send(draft(1, targets).frame()).await;
        assert_eq!(
            a.answer().await,
            (1, Some(Code::WrongTargets)),
            "{targets:?}"
        );
    }
    let mut on_purpose = draft(1, &[2]);
    on_purpose.withheld.push(device_id(4));
    a.send(on_purpose.frame()).await;
    assert_eq!(a.answer().await, (1, None));

    let mut control = draft(2, &[2]);
    control.header.class = Class::Control;
    a.send(control.frame()).await;
    assert_eq!(a.answer().await, (2, None));

    // Its prekey is about to end: both ways.
    relay.prekey(&bob, 4, now_ms() + DAY_MS).await;
    for (counter, targets) in [(3, &[2][..]), (4, &[2, 4])] {
        a.send(draft(counter, targets).frame()).await;
        assert_eq!(a.answer().await, (counter, None));
    }
    relay.prekey(&bob, 4, now_ms() + 3 * DAY_MS).await;
    a.send(draft(5, &[2]).frame()).await;
    assert_eq!(a.answer().await, (5, Some(Code::WrongTargets)));
    relay.shutdown().await;
}

#[tokio::test]
async fn after_a_refusal_later_messages_wait_for_the_earlier_one() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let eve = Person::new(3);
    relay.register(&eve, &[3]).await;
    let mut a = relay.connect(&alice, 1).await;
    let draft = |counter| Draft::new((&alice, 1), (&bob, &[2]), counter);
    a.send(draft(1).frame()).await;
    let mut wrong = draft(2);
    wrong.header.recipient_list = 9;
    a.send(wrong.frame()).await;
    a.send(draft(3).frame()).await;
    a.send(draft(4).frame()).await;
    a.send(Draft::new((&alice, 1), (&eve, &[3]), 1).frame())
        .await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(a.answer().await);
    }
    // The other conversation has no order with this one.
    let other = (1, None);
    let at = answers.iter().rposition(|answer| *answer == other);
    answers.remove(at.expect("the other conversation goes on"));
    let gap = Some(Code::CounterGap);
    let expected = [(1, None), (2, Some(Code::ListsChanged)), (3, gap), (4, gap)];
    assert_eq!(answers, expected);
    for counter in 2..=4 {
        a.send(draft(counter).frame()).await;
    }
    for counter in 2..=4 {
        assert_eq!(a.answer().await, (counter, None));
    }
    // A gap that the log finds, on a new connection.
    let mut again = relay.connect(&alice, 1).await;
    again.send(draft(6).frame()).await;
    assert_eq!(again.answer().await, (6, gap));
    again.send(draft(5).frame()).await;
    again.send(draft(6).frame()).await;
    assert_eq!(again.answer().await, (5, None));
    assert_eq!(again.answer().await, (6, None));
    relay.shutdown().await;
}

#[tokio::test]
async fn what_is_not_a_frame_closes_the_connection_and_nothing_else() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut other = relay.connect(&bob, 2).await;
    let good = encode_client(client_frame::Frame::Send(
        Draft::new((&alice, 1), (&bob, &[2]), 1).frame(),
    ));
    let mut bad_header = Draft::new((&alice, 1), (&bob, &[2]), 1).frame();
    bad_header.header = vec![1; 147].into();
    let bad_ack = pb::Ack {
        conversation: vec![1; 15].into(),
        seq: 1,
    };
    let mut many = Draft::new((&alice, 1), (&bob, &[2]), 1).frame();
    many.wraps = vec![many.wraps[0].clone(); limits::WRAPS + 1];
    let cases = [
        (Message::binary(Vec::new()), "bad_frame"),
        (Message::binary(good.slice(..good.len() - 1)), "bad_frame"),
        (
            Message::binary(vec![0; limits::FRAME_BYTES + 1]),
            "bad_frame",
        ),
        (Message::text("hello"), "bad_frame"),
        (
            Message::binary(encode_client(client_frame::Frame::Send(bad_header))),
            "bad_header",
        ),
        (
            Message::binary(encode_client(client_frame::Frame::Ack(bad_ack))),
            "bad_frame",
        ),
        (
            Message::binary(encode_client(client_frame::Frame::Send(many))),
            "bad_frame",
        ),
    ];
    for (at, (message, code)) in cases.into_iter().enumerate() {
        let mut a = relay.connect(&alice, 1).await;
        // Half of an oversized frame may meet a closed door.
        let _ = soon(a.socket.send(message)).await;
        assert_eq!(a.closed().await, (4003, code.to_owned()), "case {at}");
        serves(&mut other).await;
    }
    until(async || relay.chat.open() == 1).await;
    relay.shutdown().await;
}

#[tokio::test]
async fn random_bytes_are_answered_or_close_the_connection() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut other = relay.connect(&bob, 2).await;
    let good = encode_client(client_frame::Frame::Send(
        Draft::new((&alice, 1), (&bob, &[2]), 1).frame(),
    ));
    let mut random = StdRng::seed_from_u64(7);
    let mut closed = 0;
    for round in 0..150 {
        let bytes = if round % 2 == 0 {
            let len = random.random_range(0..2000);
            (0..len).map(|_| random.random()).collect()
        } else {
            let mut bytes = good.to_vec();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            bytes
        };
        let mut a = relay.connect(&alice, 1).await;
        a.raw(Message::binary(bytes)).await;
        // A flipped bit may leave a frame that is refused, or even an honest message.
        match a.next().await {
            Ok(Frame::Refused(_) | Frame::Accepted(_) | Frame::Problem(_) | Frame::Deliver(_)) => {}
            Ok(Frame::Nudge(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err((code, reason)) => {
                assert_eq!(code, 4003, "{reason}");
                closed += 1;
            }
        }
    }
    assert!(closed >= 75, "{closed}");
    serves(&mut other).await;
    relay.shutdown().await;
}

#[tokio::test]
async fn random_bytes_below_the_frames_do_no_harm() {
    use tokio::io::AsyncWriteExt;
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut other = relay.connect(&bob, 2).await;
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..40 {
        let mut a = relay.connect(&alice, 1).await;
        let bytes: Vec<u8> = (0..500).map(|_| random.random()).collect();
        let tokio_tungstenite::MaybeTlsStream::Plain(stream) = a.socket.get_mut() else {
            panic!("not plain")
        };
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        soon(async { while let Some(Ok(_)) = a.socket.next().await {} }).await;
    }
    until(async || relay.chat.open() == 1).await;
    serves(&mut other).await;
    relay.shutdown().await;
}

#[tokio::test]
async fn a_full_log_and_a_full_disk_are_said_and_stop_nothing_else() {
    let changes: [(fn(&mut Options), _); 2] = [
        (|options| options.queue.records = 0, Code::Busy),
        (
            |options| options.store.reserve_bytes = u64::MAX,
            Code::StorageFull,
        ),
    ];
    for (change, code) in changes {
        let dir = tempfile::tempdir().expect("a directory");
        let relay = Relay::start_with(dir.path(), Settings::default(), change).await;
        let (alice, bob) = people(&relay).await;
        let mut a = relay.connect(&alice, 1).await;
        for counter in 1..=2 {
            a.send(Draft::new((&alice, 1), (&bob, &[2]), counter).frame())
                .await;
        }
        assert_eq!(a.answer().await, (1, Some(code)));
        let (counter, refused) = a.answer().await;
        assert_eq!(counter, 2);
        // The log may have had the second one already.
        assert!(refused == Some(Code::CounterGap) || refused == Some(code));
        serves(&mut a).await;
        relay.shutdown().await;
    }
}

#[tokio::test]
async fn who_sends_on_without_heeding_the_answers_is_told_to_come_back_later() {
    let (relay, _dir) = relay().await;
    let (alice, _) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    // Each to another stranger: so many conversations with a hole are not remembered.
    let mut closed = None;
    for n in 0..=64u32 {
        let mut draft = Draft::new((&alice, 1), (&alice, &[]), 1);
        let mut id = [9; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        draft.header.recipient = sordino_protocol::UserId::from_bytes(id);
        draft.header.conversation = conversation_id(alice.user, draft.header.recipient);
        a.send(draft.frame()).await;
        match a.next().await {
            Ok(Frame::Refused(refused)) => assert_eq!(refused.code, "user_not_found"),
            Ok(other) => panic!("{other:?}"),
            Err(end) => closed = Some((n, end.0)),
        }
    }
    assert_eq!(closed, Some((64, 4001)));
    relay.shutdown().await;
}
