//! What is said of messages, over a real relay: answers, edits, reactions, erasures, messages that do not last.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sordino::{Code, Draft, Event, Message, TimelineItem};
use sordino_testing::TestRelay;
use support::{Person, Reading, received, until, within};

fn newest(items: &[TimelineItem]) -> Option<&Message> {
    items.iter().rev().find_map(TimelineItem::message)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_see_answers_edits_reactions_and_what_is_erased() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let mut heard = bob.client.events();
    let mut at_alice = Reading::new(alice.with(&bob).timeline());
    let mut at_bob = Reading::new(bob.with(&alice).timeline());

    let id = alice.with(&bob).send("lunch?").await.expect("sent");
    assert_eq!(received(&mut heard).await.id, id);
    let answer = Draft::new("yes").reply_to(id);
    bob.with(&alice).send(answer).await.expect("sent");
    alice
        .with(&bob)
        .edit(id, "lunch at one?")
        .await
        .expect("edited");
    bob.with(&alice).react(id, "👍").await.expect("reacted");
    for shown in [&mut at_alice, &mut at_bob] {
        shown
            .until(|items| {
                let quote = newest(items).and_then(|m| m.reply_to.as_ref());
                let first = items.first().and_then(TimelineItem::message);
                quote.is_some_and(|quote| quote.text.as_deref() == Some("lunch at one?"))
                    && first.is_some_and(|m| m.edited && m.reactions.len() == 1)
            })
            .await;
        assert_eq!(shown.items.len(), 2, "no messages of their own");
    }
    within(async {
        loop {
            let event = heard.next().await.expect("an event");
            if matches!(&event, Event::Updated(TimelineItem::Message(m)) if m.id == id && m.edited)
            {
                return;
            }
        }
    })
    .await;
    let others = bob.with(&alice).edit(id, "dinner?").await.unwrap_err();
    assert_eq!(others.code(), Code::UnknownMessage);

    alice.with(&bob).erase(id).await.expect("erased");
    for shown in [&mut at_alice, &mut at_bob] {
        shown
            .until(|items| {
                let quote = newest(items).and_then(|m| m.reply_to.as_ref());
                matches!(items.first(), Some(TimelineItem::Erased { .. }))
                    && quote.is_some_and(|quote| quote.text.is_none())
            })
            .await;
    }
    // The relay has it no more either: who comes later is shown nothing of it.
    let later = alice.with(&bob).erase(id).await.unwrap_err();
    assert_eq!(later.code(), Code::UnknownMessage);
    assert!(
        bob.client
            .search("lunch")
            .await
            .expect("searched")
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_last_goes_by_itself_also_while_the_app_is_closed() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let mut heard = bob.client.events();
    let second = Duration::from_secs(1);
    alice.with(&bob).set_timer(Some(second)).await.expect("set");
    let id = alice.with(&bob).send("gone soon").await.expect("sent");
    let message = received(&mut heard).await;
    assert_eq!((message.id, message.timer), (id, Some(second)));
    let mut at_alice = Reading::new(alice.with(&bob).timeline());
    let mut at_bob = Reading::new(bob.with(&alice).timeline());
    let is_gone = |items: &[TimelineItem]| {
        newest(items).is_none()
            && matches!(items, [TimelineItem::TimerChanged { timer: Some(_), .. }])
    };
    at_alice.until(is_gone).await;
    // He has not read it yet.
    at_bob.until(|items| newest(items).is_some()).await;
    assert_eq!(newest(&at_bob.items).and_then(|m| m.expires_ms), None);
    bob.with(&alice).mark_read(id).await.expect("read");
    let runs = |items: &[TimelineItem]| newest(items).is_some_and(|m| m.expires_ms.is_some());
    at_bob.until(runs).await;
    at_bob.until(is_gone).await;

    let id = alice.with(&bob).send("once more").await.expect("sent");
    assert_eq!(received(&mut heard).await.id, id);
    bob.with(&alice).mark_read(id).await.expect("read");
    let read = bob.with(&alice).history(None, 10).await.expect("read");
    let ends = newest(&read).and_then(|m| m.expires_ms);
    bob.client.suspend().await.expect("suspended");
    until(async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        ends.is_some_and(|ends| u128::from(ends) <= now.expect("a clock").as_millis())
    })
    .await;
    bob.client.resume().await.expect("resumed");
    let shown = bob.with(&alice).history(None, 10).await.expect("read");
    assert!(is_gone(&shown), "{shown:?}");
    let wrong = alice.with(&bob).set_timer(Some(Duration::ZERO)).await;
    assert_eq!(wrong.unwrap_err().code(), Code::BadTimer);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_nothing_happens_goes_all_the_same() {
    let relay = TestRelay::start().await.expect("relay");
    let mut alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let mut heard = bob.client.events();
    let lasts = Some(Duration::from_secs(3));
    alice.with(&bob).set_timer(lasts).await.expect("set");
    alice.with(&bob).send("gone soon").await.expect("sent");
    received(&mut heard).await;
    let mut shown = Reading::new(alice.with(&bob).timeline());
    let runs = |items: &[TimelineItem]| newest(items).is_some_and(|m| m.expires_ms.is_some());
    shown.until(runs).await;
    // Opened again, without a connection.
    alice.reopen(&relay.url()).await;
    let mut shown = Reading::new(alice.with(&bob).timeline());
    shown.until(|items| newest(items).is_some()).await;
    shown.until(|items| newest(items).is_none()).await;
}
