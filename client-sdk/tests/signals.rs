//! Who types and who is there, between clients over a relay.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{ClientBuilder, Event, Events, Presence, PresencePolicy, UserId};
use sordino_protocol::pb::{self, client_frame, relay_frame};
use sordino_testing::TestRelay;
use support::{
    Person, builder, received,
    script::{Script, accepted},
    within,
};

async fn person(
    relay: &TestRelay,
    name: &str,
    set: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Person {
    let directory = tempfile::tempdir().expect("a directory");
    let client = set(builder(&relay.url(), directory.path())).open().await;
    let client = client.expect("opened");
    let user = client.register(name, None).await.expect("registered");
    client.connect();
    let person = Person {
        client,
        user,
        directory,
    };
    person.until_live().await;
    person
}

/// Two who have written to each other.
async fn acquainted(relay: &TestRelay) -> (Person, Person) {
    let (alice, bob) = (
        person(relay, "alice", |builder| builder).await,
        person(relay, "bob", |builder| builder).await,
    );
    meet(&alice, &bob).await;
    (alice, bob)
}

async fn meet(one: &Person, other: &Person) {
    for (from, to) in [(one, other), (other, one)] {
        let mut heard = to.client.events();
        from.with(to).send("hello").await.expect("sent");
        received(&mut heard).await;
    }
}

/// The next that is told of typing.
async fn typing(events: &mut Events) -> (UserId, bool) {
    within(async {
        loop {
            if let Event::Typing { user, on } = events.next().await.expect("an event") {
                return (user, on);
            }
        }
    })
    .await
}

/// The next that is told of presence.
async fn presence(events: &mut Events) -> (UserId, Presence) {
    within(async {
        loop {
            if let Event::Presence { user, presence } = events.next().await.expect("an event") {
                return (user, presence);
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_types_is_shown_until_the_message_comes() {
    let relay = TestRelay::start().await.expect("relay");
    let (alice, bob) = acquainted(&relay).await;
    let mut at_bob = bob.client.events();
    alice.with(&bob).typing(true);
    assert_eq!(typing(&mut at_bob).await, (alice.user.id, true));
    assert!(bob.with(&alice).is_typing());
    alice.with(&bob).typing(false);
    assert_eq!(typing(&mut at_bob).await, (alice.user.id, false));
    assert!(!bob.with(&alice).is_typing());

    let mut at_alice = alice.client.events();
    bob.with(&alice).typing(true);
    assert_eq!(typing(&mut at_alice).await, (bob.user.id, true));
    bob.with(&alice).send("this").await.expect("sent");
    assert_eq!(typing(&mut at_alice).await, (bob.user.id, false));
    // At once again.
    bob.with(&alice).typing(true);
    assert_eq!(typing(&mut at_alice).await, (bob.user.id, true));
    // Who goes does not type.
    bob.client.close().await;
    assert_eq!(typing(&mut at_alice).await, (bob.user.id, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_is_shown_and_when_they_were() {
    let relay = TestRelay::start().await.expect("relay");
    let (alice, mut bob) = acquainted(&relay).await;
    let (a, b) = (alice.user.id, bob.user.id);
    let mut at_alice = alice.client.events();
    assert_eq!(alice.client.contact(b).presence(), Presence::Unknown);
    alice.client.watch(&[b]);
    assert_eq!(presence(&mut at_alice).await, (b, Presence::Online));
    assert_eq!(alice.client.contact(b).presence(), Presence::Online);
    bob.client.set_active(false);
    let (_, Presence::LastSeen { at_ms }) = presence(&mut at_alice).await else {
        panic!("not away")
    };
    bob.client.set_active(true);
    assert_eq!(presence(&mut at_alice).await, (b, Presence::Online));
    bob.client.disconnect();
    let (_, Presence::LastSeen { at_ms: left_ms }) = presence(&mut at_alice).await else {
        panic!("not gone")
    };
    assert!(left_ms >= at_ms);

    // Without a connection nothing is known; what was heard is known again with it.
    alice.client.suspend().await.expect("suspended");
    assert_eq!(presence(&mut at_alice).await, (b, Presence::Unknown));
    assert_eq!(alice.client.contact(b).presence(), Presence::Unknown);
    alice.client.resume().await.expect("resumed");
    let again = presence(&mut at_alice).await;
    assert_eq!(again, (b, Presence::LastSeen { at_ms: left_ms }));

    // Another process of hers knows it, too.
    let mut alice = alice;
    alice.reopen(&relay.url()).await;
    let mut at_alice = alice.client.events();
    alice.client.watch(&[b]);
    alice.client.connect();
    let (_, Presence::LastSeen { at_ms: kept_ms }) = presence(&mut at_alice).await else {
        panic!("not kept")
    };
    assert!((at_ms..=left_ms).contains(&kept_ms), "to the minute");
    bob.reopen(&relay.url()).await;
    let mut at_bob = bob.client.events();
    bob.client.watch(&[a]);
    bob.client.connect();
    // Whoever asks shows that they are there.
    assert_eq!(presence(&mut at_bob).await, (a, Presence::Online));
    assert_eq!(presence(&mut at_alice).await, (b, Presence::Online));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_nothing_sees_nothing_and_looks_like_one_who_is_away() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = person(&relay, "alice", |builder| builder).await;
    let hidden = |builder: ClientBuilder| builder.presence(PresencePolicy::Nobody).typing(false);
    let bob = person(&relay, "bob", hidden).await;
    let carol = person(&relay, "carol", |builder| builder).await;
    meet(&alice, &bob).await;
    meet(&alice, &carol).await;
    let (mut at_alice, mut at_bob) = (alice.client.events(), bob.client.events());
    alice.client.watch(&[bob.user.id, carol.user.id]);
    bob.client.watch(&[alice.user.id]);
    alice.with(&bob).typing(true);
    bob.with(&alice).typing(true);
    assert_eq!(
        presence(&mut at_alice).await,
        (carol.user.id, Presence::Online)
    );
    carol.client.close().await;
    let (gone, Presence::LastSeen { .. }) = presence(&mut at_alice).await else {
        panic!("not gone")
    };
    assert_eq!(gone, carol.user.id);
    // What was said to him came before this.
    alice.with(&bob).send("are you there?").await.expect("sent");
    within(async {
        loop {
            match at_bob.next().await.expect("an event") {
                Event::Received(message) => return assert_eq!(message.text, "are you there?"),
                Event::Typing { .. } | Event::Presence { .. } => panic!("he sees something"),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(
        alice.client.contact(bob.user.id).presence(),
        Presence::Unknown
    );
    assert_eq!(
        bob.client.contact(alice.user.id).presence(),
        Presence::Unknown
    );
    assert!(!alice.with(&bob).is_typing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_does_not_know_signals_gets_none() {
    let mut script = Script::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let client = builder(&script.url, directory.path()).open().await;
    let client = client.expect("opened");
    let me = client.register("alice", None).await.expect("registered");
    let conversation = client.conversation(me.id);
    conversation.send("note").await.expect("sent");
    client.connect();
    let mut play = script.accept().await;
    play.begin(Vec::new()).await;
    let (_, send) = play.hear_send().await;
    play.say(accepted(&send)).await;
    client.watch(&[UserId::from_bytes([3; 16])]);
    conversation.typing(true);
    // What comes out of nowhere is nothing.
    for payload in [Vec::new(), vec![1; 52]] {
        let signal = pb::Signalled {
            sender: vec![3; 16].into(),
            sender_device: vec![4; 16].into(),
            payload: payload.into(),
        };
        play.say(relay_frame::Frame::Signalled(signal)).await;
    }
    let rest = play.hear_the_rest().await;
    let signals = |frame: &client_frame::Frame| matches!(frame, client_frame::Frame::Signal(_));
    assert!(!rest.iter().any(signals), "{rest:?}");
}
