//! Two clients and a relay.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{Code, ConnectionState, Event, MessageId, Query, Retry, SendState, TimelineItem};
use sordino_protocol::UserId;
use sordino_testing::TestRelay;
use support::{Person, Reading, all, received, texts, within};

fn last(items: &[TimelineItem]) -> Option<SendState> {
    items.last()?.message().map(|message| message.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_and_its_sender_learns_it() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let mut heard = bob.client.events();
    let mut shown = Reading::new(alice.with(&bob).timeline());
    let mut told = alice.client.events();

    let id = alice.with(&bob).send("hello").await.expect("sent");
    let message = received(&mut heard).await;
    assert_eq!((message.id, message.text.as_str()), (id, "hello"));
    assert_eq!((message.author, message.mine), (alice.user.id, false));
    shown
        .until(|items| last(items) == Some(SendState::Delivered))
        .await;
    assert_eq!(shown.items.len(), 1);
    let mut states = Vec::new();
    while states.last() != Some(&SendState::Delivered) {
        if let Some(Event::StateChanged { state, .. }) = within(told.next()).await {
            assert!(!states.contains(&state), "{state:?} is told twice");
            states.push(state);
        }
    }

    let mut heard = alice.client.events();
    bob.with(&alice).send("hi").await.expect("sent");
    assert_eq!(received(&mut heard).await.text, "hi");
    for (one, other) in [(&alice, &bob), (&bob, &alice)] {
        let messages = all(&one.with(other)).await;
        assert_eq!(texts(&messages), ["hello", "hi"]);
        assert!(messages.iter().all(|m| m.mine == (m.author == one.user.id)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_offline_goes_out_with_the_connection() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let bob = Person::register(&relay.url(), "bob").await;
    for n in 0..5 {
        let text = format!("message {n}");
        alice.with(&bob).send(text).await.expect("sent");
    }
    let mut shown = Reading::new(alice.with(&bob).timeline());
    shown.until(|items| items.len() == 5).await;
    assert_eq!(last(&shown.items), Some(SendState::Pending));
    alice.client.connect();
    shown
        .until(|items| last(items) == Some(SendState::Accepted))
        .await;

    // Bob was away all the time.
    let mut heard = bob.client.events();
    bob.client.connect();
    for n in 0..5 {
        assert_eq!(received(&mut heard).await.text, format!("message {n}"));
    }
    shown
        .until(|items| last(items) == Some(SendState::Delivered))
        .await;

    bob.client.disconnect();
    within(async {
        while bob.client.connection() != ConnectionState::Offline {
            heard.next().await.expect("an event");
        }
    })
    .await;
    alice.with(&bob).send("are you there?").await.expect("sent");
    shown
        .until(|items| items.len() == 6 && last(items) == Some(SendState::Accepted))
        .await;
    bob.client.connect();
    assert_eq!(received(&mut heard).await.text, "are you there?");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_nobody_is_given_up_and_may_be_tried_again() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let nobody = alice.client.conversation(UserId::from_bytes([7; 16]));
    let mut shown = Reading::new(nobody.timeline());
    let mut told = alice.client.events();
    // Until the relay was asked, nobody knows.
    let mut id = nobody.send("hello?").await.expect("kept");
    shown
        .until(|items| last(items) == Some(SendState::Pending))
        .await;
    alice.client.connect();
    let is_failed = |state: &SendState| matches!(state, SendState::Failed { code, .. } if *code == Code::UserNotFound);
    for attempt in 0..2 {
        if attempt > 0 {
            id = nobody.retry(id).await.expect("taken");
        }
        within(async {
            loop {
                if let Event::StateChanged { id: of, state, .. } =
                    told.next().await.expect("an event")
                    && of == id
                    && is_failed(&state)
                {
                    return;
                }
            }
        })
        .await;
        shown
            .until(|items| last(items).as_ref().is_some_and(is_failed))
            .await;
    }
    // It keeps nothing else back.
    let bob = Person::online(&relay.url(), "bob").await;
    alice.with(&bob).send("hello").await.expect("sent");
    let mut shown = Reading::new(alice.with(&bob).timeline());
    shown
        .until(|items| last(items) == Some(SendState::Delivered))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_conversations_shows_the_newest_message_and_what_is_unread() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let carol = Person::online(&relay.url(), "carol").await;
    let mut rows = Reading::new(alice.client.conversations());
    rows.until(<[_]>::is_empty).await;

    for n in 0..3 {
        let text = format!("from bob {n}");
        bob.with(&alice).send(text).await.expect("sent");
    }
    rows.until(|rows| rows.first().is_some_and(|row| row.unread == 3))
        .await;
    carol.with(&alice).send("from carol").await.expect("sent");
    rows.until(|rows| {
        let names: Vec<_> = rows
            .iter()
            .map(|row| row.peer.username.as_deref())
            .collect();
        names == [Some("carol"), Some("bob")]
    })
    .await;
    let newest = rows.items[1].last.as_ref().and_then(TimelineItem::message);
    let newest = newest.expect("a message").clone();
    assert_eq!(newest.text, "from bob 2");
    alice.with(&bob).mark_read(newest.id).await.expect("marked");
    rows.until(|rows| rows.get(1).is_some_and(|row| row.unread == 0))
        .await;
    assert_eq!(rows.items[0].unread, 1);
    alice.with(&bob).send("answer").await.expect("sent");
    rows.until(|rows| rows.first().is_some_and(|row| row.peer.id == bob.user.id))
        .await;
    assert_eq!(rows.items[0].unread, 0);
    let unknown = carol.with(&bob).mark_read(newest.id).await;
    assert_eq!(
        unknown.err().map(|error| error.code()),
        Some(Code::UnknownMessage)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_messages_both_ways_come_once_and_in_order() {
    const COUNT: usize = 500;
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let send = async |from: &Person, to: &Person| {
        let conversation = from.with(to);
        for n in 0..COUNT {
            conversation.send(n.to_string()).await.expect("sent");
        }
    };
    let listen = async |person: &Person| {
        let mut events = person.client.events();
        for n in 0..COUNT {
            assert_eq!(received(&mut events).await.text, n.to_string());
        }
    };
    tokio::join!(
        listen(&alice),
        listen(&bob),
        send(&alice, &bob),
        send(&bob, &alice)
    );
    let mut shown = Reading::new(alice.with(&bob).timeline());
    shown
        .until(|items| {
            let states = items.iter().filter_map(TimelineItem::message);
            let mut mine = states.filter(|message| message.mine);
            mine.all(|message| message.state == SendState::Delivered)
        })
        .await;
    let seen = all(&alice.with(&bob)).await;
    assert_eq!(seen.len(), 2 * COUNT);
    let same = all(&bob.with(&alice)).await;
    // One order for both.
    assert_eq!(texts(&seen), texts(&same));
    let ids = |messages: &[sordino::Message]| messages.iter().map(|m| m.id).collect::<Vec<_>>();
    assert_eq!(ids(&seen), ids(&same));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_without_a_network_and_shown_where_it_stands() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let carol = Person::register(&relay.url(), "carol").await;
    let mut heard = bob.client.events();
    let id = alice.with(&bob).send("Bis Café, 明天").await.expect("sent");
    received(&mut heard).await;
    bob.client.find_user("alice").await.expect("asked");
    for n in 0..300 {
        let text = format!("cafe {n}");
        bob.with(&alice).send(text).await.expect("sent");
    }
    bob.with(&carol).send("CAFE").await.expect("sent");
    bob.client.disconnect();

    let search = async |query: Query| bob.client.search(query).await.expect("searched");
    let found = search("CAFÉ 明".into()).await;
    let [hit] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((hit.message.id, hit.peer.id), (id, alice.user.id));
    assert_eq!(hit.peer.username.as_deref(), Some("alice"));
    let marked: Vec<_> = hit
        .ranges
        .iter()
        .map(|range| &hit.message.text[range.clone()])
        .collect();
    assert_eq!(marked, ["Café", "明"]);

    // The newest first, page by page.
    let all = Query::new("caf").limit(150);
    let mut hits = search(all.clone()).await;
    assert_eq!(hits[0].message.text, "CAFE");
    while let next = search(all.clone().before(&hits[hits.len() - 1])).await
        && !next.is_empty()
    {
        hits.extend(next);
    }
    assert_eq!(hits.len(), 302);
    assert_eq!(hits[301].message, hit.message);
    assert_eq!(search(all.with(carol.user.id)).await.len(), 1);
    assert_eq!(search("\"*\0".into()).await, []);

    let conversation = bob.with(&alice);
    let mut shown = Reading::new(conversation.timeline());
    let loaded = conversation.load_back_to(hit.message.at, 10).await;
    assert_eq!(loaded, Ok(true));
    shown.until(|items| items.len() == 301).await;
    assert_eq!(shown.items[0].message(), Some(&hit.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn older_items_are_put_before_those_that_are_shown() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let bob = Person::register(&relay.url(), "bob").await;
    let conversation = alice.with(&bob);
    for n in 0..70 {
        conversation.send(n.to_string()).await.expect("sent");
    }
    assert_eq!(conversation.load_older(5).await.expect("loaded"), 0);
    {
        let mut waiting = Reading::new(conversation.timeline());
        waiting.until(|items| items.len() == 70).await;
        alice.client.connect();
        waiting
            .until(|items| items.iter().all(|item| item.at().is_final()))
            .await;
    }
    let mut shown = Reading::new(conversation.timeline());
    shown.until(|items| items.len() == 50).await;
    assert_eq!(conversation.load_older(15).await.expect("loaded"), 15);
    shown.until(|items| items.len() == 65).await;
    assert_eq!(conversation.load_older(15).await.expect("loaded"), 5);
    shown.until(|items| items.len() == 70).await;
    assert_eq!(conversation.load_older(15).await.expect("loaded"), 0);
    let items: Vec<_> = shown
        .items
        .iter()
        .filter_map(TimelineItem::message)
        .collect();
    let expected: Vec<_> = (0..70).map(|n| n.to_string()).collect();
    assert!(items.iter().map(|item| &item.text).eq(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_oneself_is_a_note() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let mut shown = Reading::new(alice.with(&alice).timeline());
    alice.with(&alice).send("note").await.expect("sent");
    // Accepted first, then placed: before that it moves while it is read.
    shown
        .until(|items| items.last().is_some_and(|item| item.at().place == 1))
        .await;
    assert_eq!(shown.items.len(), 1);
    assert!(last(&shown.items).is_some_and(|state| state != SendState::Pending));
    assert_eq!(texts(&all(&alice.with(&alice)).await), ["note"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_at_once() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let code = async |text: String| {
        let sent = alice.with(&alice).send(text).await;
        sent.err().map(|error| error.code())
    };
    assert_eq!(code(String::new()).await, Some(Code::TextEmpty));
    assert_eq!(
        code("x".repeat(16 * 1024 + 1)).await,
        Some(Code::TextTooLong)
    );
    assert_eq!(code("x".repeat(16 * 1024)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_how_the_connection_goes() {
    let mut relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let mut events = alice.client.events();
    let mut next = async || {
        within(async {
            loop {
                if let Event::Connection(state) = events.next().await.expect("an event") {
                    return state;
                }
            }
        })
        .await
    };
    alice.client.connect();
    assert_eq!(next().await, ConnectionState::Connecting);
    assert!(matches!(next().await, ConnectionState::CatchingUp { .. }));
    while next().await != ConnectionState::Live {}
    relay.stop().await;
    assert!(matches!(next().await, ConnectionState::Lost { .. }));
    assert_eq!(next().await, ConnectionState::Connecting);
    relay.restart().await.expect("restarted");
    while next().await != ConnectionState::Live {}
    alice.client.disconnect();
    assert_eq!(next().await, ConnectionState::Offline);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_write_at_once_is_shown_to_both_in_one_order() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let bob = Person::register(&relay.url(), "bob").await;
    let mut shown = [
        Reading::new(alice.with(&bob).timeline()),
        Reading::new(bob.with(&alice).timeline()),
    ];
    // More than a timeline begins with: all of it waits while the other's messages come in.
    for n in 0..60 {
        for (one, other) in [(&alice, &bob), (&bob, &alice)] {
            let text = format!("{} {n}", one.user.username);
            one.with(other).send(text).await.expect("sent");
        }
    }
    let mut late = Reading::new(bob.with(&alice).timeline());
    alice.client.connect();
    bob.client.connect();
    let settled = |items: &[TimelineItem]| {
        items.len() == 120 && items.iter().all(|item| item.at().is_final())
    };
    let mut orders = Vec::new();
    for shown in shown.iter_mut().chain([&mut late]) {
        let items = within(shown.until(settled)).await;
        let messages = items.iter().filter_map(TimelineItem::message);
        orders.push(messages.map(|m| m.text.clone()).collect::<Vec<_>>());
    }
    assert_eq!(orders[0], orders[1]);
    assert_eq!(orders[0], orders[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_cancelled_in_time_reaches_nobody() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::register(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let conversation = alice.with(&bob);
    let rash = conversation.send("rash").await.expect("sent");
    conversation.send("considered").await.expect("sent");
    conversation.cancel(rash).await.expect("cancelled");
    let again = conversation.cancel(MessageId::from_bytes([9; 16])).await;
    assert_eq!(
        again.map_err(|error| error.code()),
        Err(Code::UnknownMessage)
    );
    let mut events = bob.client.events();
    alice.client.connect();
    assert_eq!(received(&mut events).await.text, "considered");
    let shown = all(&conversation).await;
    let state = |text: &str| shown.iter().find(|m| m.text == text).map(|m| m.state);
    let cancelled = SendState::Failed {
        code: Code::Cancelled,
        retry: Retry::Never,
    };
    assert_eq!(state("rash"), Some(cancelled));
    assert_eq!(texts(&all(&bob.with(&alice)).await), ["considered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_told_to_its_author() {
    let relay = TestRelay::start().await.expect("relay");
    let alice = Person::online(&relay.url(), "alice").await;
    let bob = Person::online(&relay.url(), "bob").await;
    let mut heard = bob.client.events();
    let mut told = alice.client.events();
    bob.with(&alice).send("hello").await.expect("sent");
    let id = alice.with(&bob).send("hello").await.expect("sent");
    let message = received(&mut heard).await;
    assert_eq!(message.id, id);
    bob.with(&alice).mark_read(id).await.expect("marked");
    within(async {
        loop {
            if let Event::StateChanged { id: of, state, .. } = told.next().await.expect("an event")
                && (of, state) == (id, SendState::Read)
            {
                return;
            }
        }
    })
    .await;
}
