//! What the user sets on one device counts on all; and who has lost every device finds it again, with whom they trusted.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{Code, ConversationRow, Event, Events, PresencePolicy, Setting};
use sordino_testing::TestRelay;
use support::{
    Person, Reading, all,
    phones::{code, joining, registered, shown_row, typed, until_backed_up, until_shown},
    texts, until, within,
};

async fn until_event(events: &mut Events, wanted: impl Fn(&Event) -> bool) {
    within(async { while !wanted(&events.next().await.expect("an event")) {} }).await;
}

async fn until_named(at: &Person, who: &Person, name: Option<&str>) {
    let mut rows = Reading::new(at.client.conversations());
    let is_named = |row: &ConversationRow| {
        row.peer.id == who.user.id && row.peer.display_name.as_deref() == name
    };
    rows.until(|rows| rows.iter().any(is_named)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_the_name_are_the_accounts() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let early = Setting::DisplayName("Alice".to_owned());
    phone.client.set(early).await.expect("set");
    let bad = Setting::DisplayName("a\nb".to_owned());
    assert_eq!(code(phone.client.set(bad).await), Some(Code::BadRequest));
    // Another device learns what was set before it, and what is set then.
    let (tablet, mut events) = joining(&url, "alice", &typed(&written), None).await;
    until_event(&mut events, |event| *event == Event::SettingsChanged).await;
    let set = Setting::Presence(PresencePolicy::Nobody);
    phone.client.set(set).await.expect("set");
    let off = Setting::ReadReceipts(false);
    phone.client.set(off).await.expect("set");
    until(async || {
        let settings = tablet.client.settings().await.expect("read");
        settings.presence == PresencePolicy::Nobody && !settings.read_receipts
    })
    .await;
    assert_eq!(
        tablet.client.settings().await.expect("read"),
        phone.client.settings().await.expect("read")
    );
    // Whoever is written to sees the name beside the user name.
    let bob = Person::online(&url, "bob").await;
    tablet.with(&bob).send("hello").await.expect("sent");
    until_named(&bob, &phone, Some("Alice")).await;
    until(async || {
        let row = shown_row(&bob, &phone.user).await;
        row.peer.username.as_deref() == Some("alice")
    })
    .await;
    let contact = bob.client.contact(phone.user.id);
    let name = contact.display_name().await.expect("read");
    assert_eq!(name.as_deref(), Some("Alice"));
    let none = Setting::DisplayName(String::new());
    phone.client.set(none).await.expect("set");
    phone
        .with(&bob)
        .send("nobody in particular")
        .await
        .expect("sent");
    until_named(&bob, &phone, None).await;
    let nameless = tablet.client.settings();
    assert_eq!(nameless.await.expect("read").display_name, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_every_device_finds_whom_they_trusted() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let (bob, carol) = (
        Person::online(&url, "bob").await,
        Person::online(&url, "carol").await,
    );
    phone.with(&bob).send("hello, Bob").await.expect("sent");
    until_shown(&bob, &phone.user, &["hello, Bob"]).await;
    carol.with(&phone).send("hello, Alice").await.expect("sent");
    until_shown(&phone, &carol.user, &["hello, Alice"]).await;
    let contact = phone.client.contact(bob.user.id);
    let number = contact.safety_number().await.expect("a number");
    contact.verify(&number).await.expect("verified");
    let contact = phone.client.contact(carol.user.id);
    contact.block(true).await.expect("blocked");
    let name = Setting::DisplayName("Alice A.".to_owned());
    phone.client.set(name).await.expect("set");
    // After it in the same conversation: what was before it has its place when this has.
    let oneself = phone.client.conversation(phone.user.id);
    oneself.send("a note").await.expect("sent");
    until(async || all(&oneself).await.iter().all(|note| note.at.is_final())).await;
    until_backed_up(&phone).await;
    let lost = phone.client.devices().await.expect("read")[0].id;
    phone.client.close().await;
    carol
        .with(&phone)
        .send("are you there?")
        .await
        .expect("sent");

    let (new, mut events) = joining(&url, "alice", &typed(&written), Some(lost)).await;
    until_event(&mut events, |event| {
        *event == Event::Restored { messages: 3 }
    })
    .await;
    assert_eq!(new.client.devices().await.expect("read").len(), 1);
    let of_bob = new.client.contact(bob.user.id);
    assert_eq!(of_bob.safety_number().await.expect("a number"), number);
    let trust = of_bob.trust().await.expect("read");
    assert!(trust.verified && trust.withheld.is_empty(), "{trust:?}");
    let of_carol = new.client.contact(carol.user.id);
    assert!(of_carol.trust().await.expect("read").blocked);
    assert_eq!(texts(&all(&new.with(&carol)).await), ["hello, Alice"]);
    let settings = new.client.settings().await.expect("read");
    assert_eq!(settings.display_name, "Alice A.");
    // No record shows; what the person wrote does.
    let oneself = new.client.conversation(new.user.id);
    assert_eq!(texts(&all(&oneself).await), ["a note"]);
    let row = shown_row(&new, &new.user).await;
    assert_eq!(row.unread, 0);
    new.with(&bob).send("here I am").await.expect("sent");
    until_shown(&bob, &new.user, &["hello, Bob", "here I am"]).await;
    until_named(&bob, &new, Some("Alice A.")).await;
}
