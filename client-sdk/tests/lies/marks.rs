//! What a relay says of conversations: how far they go, who has what, and that it has taken a message.

use sordino::{Code, ConnectionState, SendState, TimelineItem};
use sordino_protocol::{
    Class, Header,
    pb::{self, client_frame, relay_frame},
};

use super::{Two, header, until_said};
use crate::plenty::relay;
use crate::support::{Person, Reading, liar::Frame, until};

/// How far the newest message that somebody wrote has come, once it has its place.
async fn state_of_newest(at: &Person, with: &Person) -> SendState {
    let mut shown = Reading::new(at.with(with).timeline());
    let newest = |items: &[TimelineItem]| {
        let mine = items.iter().filter(|item| item.at().is_final());
        let mut mine = mine.filter_map(TimelineItem::message).filter(|m| m.mine);
        mine.next_back().map(|message| message.state)
    };
    let items = shown.until(|items| {
        let all = items.iter().all(|item| item.at().is_final());
        all && newest(items).is_some()
    });
    newest(items.await).expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_only_said_to_be_taken() {
    let relay = relay().await;
    let lie = "accepted, and never passed on";
    let mut two = Two::acquainted(&relay.url(), lie, 0).await;
    // What was sent first is dropped, all of it.
    let mut drops = 2;
    two.liar.hears(move |frame| {
        let client_frame::Frame::Send(send) = &frame else {
            return vec![Frame::Relay(frame)];
        };
        if drops == 0 {
            return vec![Frame::Relay(frame)];
        }
        drops -= 1;
        let header = Header::parse(&send.header).expect("a header");
        vec![Frame::Client(relay_frame::Frame::Accepted(pb::Accepted {
            conversation: header.conversation.to_pb(),
            client_message_id: header.client_message_id.to_pb(),
            counter: header.counter,
        }))]
    });
    for text in ["one", "two"] {
        two.fooled_sends(text).await;
    }
    let mut shown = Reading::new(two.fooled.with(&two.honest).timeline());
    let is_accepted = |item: &TimelineItem| {
        let message = item.message();
        message.is_some_and(|m| m.text == "two" && m.state == SendState::Accepted)
    };
    shown.until(|items| items.iter().any(is_accepted)).await;
    // Without its place it is sent again, on the same connection, which is not shown as whole meanwhile.
    let why = Code::Timeout;
    let degraded = ConnectionState::Degraded { why };
    two.fooled.until(&degraded).await;
    two.until_honest_sees(&["> hello", "< hi", "< one", "< two"])
        .await;
    two.fooled.until_live().await;
    two.goes_on(
        &["< hello", "> hi", "> one", "> two"],
        &["> hello", "< hi", "< one", "< two"],
    )
    .await;
    two.has_said(&[]);
}

/// On a connection on which the list of conversations is this one, with a message that waits there.
async fn told_of_conversations(
    relay: &str,
    number: usize,
    lie: &'static str,
    tell: fn(&mut Vec<pb::ConversationMark>),
    said: &str,
) {
    let mut two = Two::acquainted(relay, lie, number).await;
    two.fooled_leaves().await;
    two.honest_sends("one").await;
    two.until_placed(&two.honest, &two.fooled).await;
    two.liar.says(move |mut frame| {
        if let relay_frame::Frame::Conversations(page) = &mut frame {
            tell(&mut page.marks);
        }
        vec![frame]
    });
    two.fooled_returns().await;
    until_said(lie, &mut two.told, said).await;
    two.until_fooled_sees(&["< hello", "> hi"]).await;
    two.repents().await;
    let seen = ["< hello", "> hi", "< one"];
    two.until_fooled_sees(&seen).await;
    two.goes_on(&seen, &["> hello", "< hi", "> one"]).await;
    two.has_said(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_that_are_said_to_be_shorter_or_not_to_be() {
    let relay = relay().await;
    let url = relay.url();
    tokio::join!(
        told_of_conversations(
            &url,
            0,
            "a seq that goes back",
            |marks| marks.iter_mut().for_each(|mark| mark.last_seq = 1),
            "it holds 1 rows, and showed",
        ),
        told_of_conversations(
            &url,
            1,
            "a conversation left out",
            Vec::clear,
            "conversations of which it has shown rows",
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_beyond_what_was_sent_is_worth_nothing_afterwards() {
    let relay = relay().await;
    let lie = "delivered, far beyond what was sent";
    let mut two = Two::acquainted(&relay.url(), lie, 0).await;
    two.honest.client.disconnect();
    two.honest.until(&sordino::ConnectionState::Offline).await;
    two.liar.says(|frame| {
        let mark = match &frame {
            relay_frame::Frame::Accepted(accepted) => pb::Delivered {
                conversation: accepted.conversation.clone(),
                seq: 1 << 40,
            },
            _ => return vec![frame],
        };
        vec![frame, relay_frame::Frame::Delivered(mark)]
    });
    two.fooled_sends("one").await;
    // The relay's word, which says no more.
    let state = state_of_newest(&two.fooled, &two.honest).await;
    assert!(matches!(state, SendState::Accepted | SendState::Delivered));
    two.repents().await;
    two.fooled_sends("two").await;
    let state = state_of_newest(&two.fooled, &two.honest).await;
    assert_eq!(state, SendState::Accepted);
    two.honest.client.connect();
    two.goes_on(
        &["< hello", "> hi", "> one", "> two"],
        &["> hello", "< hi", "< one", "< two"],
    )
    .await;
    until(async || state_of_newest(&two.fooled, &two.honest).await == SendState::Delivered).await;
    two.has_said(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_row_in_a_place_that_was_shown() {
    let relay = relay().await;
    let lie = "another row in the place of one that was shown";
    let mut two = Two::acquainted(&relay.url(), lie, 0).await;
    let honest = two.honest.user.id;
    let mut first = None;
    two.liar.says(move |frame| {
        let relay_frame::Frame::Deliver(pb::Deliver { row: Some(row) }) = &frame else {
            return vec![frame];
        };
        if header(row).sender != honest {
            return vec![frame];
        }
        let place = *first.get_or_insert(row.seq);
        let other = pb::Row {
            seq: place,
            ..row.clone()
        };
        let again = relay_frame::Frame::Deliver(pb::Deliver { row: Some(other) });
        vec![frame, again]
    });
    for text in ["one", "two"] {
        two.honest_sends(text).await;
    }
    let seen = ["< hello", "> hi", "< one", "< two"];
    two.until_fooled_sees(&seen).await;
    until_said(lie, &mut two.told, "it shows another row").await;
    two.liar.repents();
    two.goes_on(&seen, &["> hello", "< hi", "> one", "> two"])
        .await;
    two.has_said(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_in_the_place_of_a_message() {
    let relay = relay().await;
    let lie = "a receipt once more";
    let mut two = Two::acquainted(&relay.url(), lie, 0).await;
    let honest = two.honest.user.id;
    let mut receipt = None;
    two.liar.says(move |mut frame| {
        if let relay_frame::Frame::Deliver(pb::Deliver { row: Some(row) }) = &mut frame
            && header(row).sender == honest
        {
            match (header(row).class, receipt.take()) {
                (Class::Control, _) => receipt = Some(row.clone()),
                (_, Some(again)) => {
                    *row = pb::Row {
                        seq: row.seq,
                        ..again
                    }
                }
                _ => {}
            }
        }
        vec![frame]
    });
    let seen = newest_of_others(&two.honest, &two.fooled).await;
    two.honest
        .with(&two.fooled)
        .mark_read(seen)
        .await
        .expect("read");
    let read = async || state_of_newest(&two.fooled, &two.honest).await == SendState::Read;
    until(read).await;
    two.honest_sends("one").await;
    until_said(lie, &mut two.told, "was shown again").await;
    two.liar.repents();
    // The message was not given. What comes after it is.
    two.goes_on(&["< hello", "> hi"], &["> hello", "< hi", "> one"])
        .await;
    two.has_said(&["were withheld", "views differ"]);
}

/// The newest message of somebody else.
async fn newest_of_others(at: &Person, with: &Person) -> sordino::MessageId {
    let items = at.with(with).history(None, 10).await.expect("read");
    let mut messages = items.iter().filter_map(TimelineItem::message);
    messages.rfind(|message| !message.mine).expect("one").id
}
