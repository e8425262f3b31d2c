//! Signals over real sockets: passed on to who is there, and nothing else becomes of them.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod chat_support;

use chat_support::{Device, Draft, Person, device_id, is_draft, people, relay};
use sordino_protocol::{
    Code,
    hash::conversation_id,
    limits::{self, SIGNAL_BYTES},
    pb::{self, client_frame, relay_frame::Frame},
};

fn signal(to: &Person, devices: &[u8], what: u8) -> pb::Signal {
    let sealed = |device: &u8| pb::SealedSignal {
        device: device_id(*device).to_pb(),
        payload: payload(*device, what),
    };
    pb::Signal {
        recipient: to.user.to_pb(),
        sealed: devices.iter().map(sealed).collect(),
    }
}

fn payload(device: u8, what: u8) -> bytes::Bytes {
    let mut payload = vec![what; SIGNAL_BYTES];
    payload[0] = device;
    payload.into()
}

async fn say(device: &mut Device<'_>, signal: pb::Signal) {
    device.ask(client_frame::Frame::Signal(signal)).await;
}

/// The next signal. What else comes is dropped.
async fn heard(device: &mut Device<'_>) -> pb::Signalled {
    loop {
        if let Frame::Signalled(signal) = device.frame().await {
            return signal;
        }
    }
}

#[tokio::test]
async fn every_device_that_is_there_gets_its_own_and_nobody_else_anything() {
    let (relay, _dir) = relay().await;
    let (alice, bob, eve) = (Person::new(1), Person::new(2), Person::new(3));
    relay.register(&alice, &[1, 4]).await;
    relay.register(&bob, &[2, 5]).await;
    relay.register(&eve, &[3]).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut others = [
        relay.connect(&bob, 2).await,
        relay.connect(&bob, 5).await,
        relay.connect(&alice, 4).await,
        relay.connect(&eve, 3).await,
    ];
    say(&mut a, signal(&bob, &[2, 5], 7)).await;
    for other in &mut others[..2] {
        let device = other.device;
        let heard = heard(other).await;
        assert_eq!(heard.sender, alice.user.to_pb());
        assert_eq!(heard.sender_device, device_id(1).to_pb());
        assert_eq!(heard.payload, payload(device, 7));
    }
    // For one of them alone.
    say(&mut a, signal(&bob, &[5], 8)).await;
    assert_eq!(heard(&mut others[1]).await.payload, payload(5, 8));
    // What all of these get next is a message: nothing came before it.
    let mut draft = Draft::new((&alice, 1), (&bob, &[2, 5]), 1);
    (draft.header.sender_list, draft.header.recipient_list) = (2, 2);
    draft.targets.push((alice.user, device_id(4)));
    a.send(draft.frame()).await;
    for at in [0, 2] {
        match others[at].frame().await {
            Frame::Deliver(deliver) => is_draft(&deliver.row.unwrap(), &draft, others[at].device),
            other => panic!("{other:?}"),
        }
    }
    let marks = others[3].marks(None).await;
    assert!(marks.marks.is_empty());
    relay.shutdown().await;
}

#[tokio::test]
async fn it_waits_for_nobody_and_its_sender_learns_nothing() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    say(&mut a, signal(&bob, &[2], 1)).await;
    // To one that is away, to one that does not exist, and to nobody: there is no answer.
    say(&mut a, signal(&Person::new(9), &[1], 1)).await;
    let none = a.pull(conversation_id(alice.user, bob.user), 1, 9).await;
    assert_eq!(none.err(), Some(Code::Forbidden));
    let mut b = relay.connect(&bob, 2).await;
    assert!(b.marks(None).await.marks.is_empty());
    say(&mut a, signal(&bob, &[2], 2)).await;
    assert_eq!(
        heard(&mut b).await.payload,
        payload(2, 2),
        "the first was for then"
    );
    relay.shutdown().await;
}

#[tokio::test]
async fn of_a_blocked_person_none_is_passed_on() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    relay.block(&bob, &alice, true, 5).await;
    say(&mut a, signal(&bob, &[2], 1)).await;
    // In the other direction as ever; and what comes after it on that connection has been looked at.
    say(&mut b, signal(&alice, &[1], 2)).await;
    assert_eq!(heard(&mut a).await.payload, payload(1, 2));
    a.send(Draft::new((&alice, 1), (&bob, &[2]), 1).frame())
        .await;
    assert_eq!(a.answer().await, (1, None));
    relay.block(&bob, &alice, false, 6).await;
    say(&mut a, signal(&bob, &[2], 3)).await;
    assert_eq!(heard(&mut b).await.payload, payload(2, 3));
    relay.shutdown().await;
}

#[tokio::test]
async fn what_no_device_makes_ends_the_connection() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let good = signal(&bob, &[2], 1);
    let with = |change: &dyn Fn(&mut pb::Signal)| {
        let mut signal = good.clone();
        change(&mut signal);
        signal
    };
    let bad = [
        with(&|signal| signal.recipient = vec![1; 15].into()),
        with(&|signal| signal.recipient = alice.user.to_pb()),
        with(&|signal| signal.sealed.clear()),
        with(&|signal| signal.sealed[0].device = vec![1; 3].into()),
        with(&|signal| signal.sealed[0].payload = vec![1; SIGNAL_BYTES - 1].into()),
        with(&|signal| signal.sealed[0].payload = vec![1; SIGNAL_BYTES + 1].into()),
        with(&|signal| signal.sealed = vec![signal.sealed[0].clone(); limits::DEVICES + 1]),
    ];
    for signal in bad {
        let mut a = relay.connect(&alice, 1).await;
        say(&mut a, signal).await;
        assert_eq!(a.closed().await, (4003, "bad_frame".to_owned()));
    }
    relay.shutdown().await;
}

/// The flood stops at the relay, and the messages of the same connection do not.
#[tokio::test]
async fn a_flood_is_thinned_out_and_delays_no_message() {
    let (relay, _dir) = relay().await;
    let (alice, bob) = people(&relay).await;
    let mut a = relay.connect(&alice, 1).await;
    let mut b = relay.connect(&bob, 2).await;
    for _ in 0..400 {
        say(&mut a, signal(&bob, &[2], 1)).await;
    }
    let draft = Draft::new((&alice, 1), (&bob, &[2]), 1);
    a.send(draft.frame()).await;
    assert_eq!(a.answer().await, (1, None));
    let mut signals = 0;
    loop {
        match b.frame().await {
            Frame::Signalled(_) => signals += 1,
            Frame::Deliver(deliver) => {
                is_draft(&deliver.row.unwrap(), &draft, 2);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // So many at once, and what the time of this test gives.
    assert!((1..=60).contains(&signals), "{signals}");
    relay.shutdown().await;
}
