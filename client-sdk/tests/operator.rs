//! What the relay's operator does with accounts: disables them for a while, and has their e-mail addresses.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{
    Client, Code, ConnectionState, Password, RecoveryKey, SendState, SignUp, TimelineItem,
    VaultSecret,
};
use sordino_testing::{Emails, Policy, TestRelay};
use support::{
    Person, Reading, open,
    phones::{PASSWORD, code, registered, second_phone, typed, until_shown},
    within,
};

async fn until_disabled(client: &Client) {
    let mut events = client.events();
    within(async {
        loop {
            if let ConnectionState::Stopped { why } = client.connection() {
                assert_eq!(why.code(), Code::AccountDisabled);
                break;
            }
            events.next().await.expect("an event");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_for_a_while_has_lost_nothing_afterwards() {
    let mut relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let tablet = second_phone(&url, "alice", &typed(&written)).await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("before").await.expect("sent");
    until_shown(&tablet, &bob.user, &["before"]).await;

    // While the relay runs; all of her devices are told, and those of nobody else.
    relay.set_disabled("alice", true).await.expect("disabled");
    for client in [&phone.client, &tablet.client] {
        until_disabled(client).await;
        let found = client.find_user("bob").await;
        assert_eq!(code(found), Some(Code::AccountDisabled));
    }
    // Written meanwhile by both; one of her devices is started anew.
    bob.with(&phone).send("are you there?").await.expect("sent");
    phone.with(&bob).send("not quite").await.expect("kept");
    let mut states = Reading::new(bob.with(&phone).timeline());
    let accepted = |items: &[TimelineItem]| {
        let newest = items.iter().rev().find_map(TimelineItem::message);
        newest.is_some_and(|m| m.text == "are you there?" && m.state == SendState::Accepted)
    };
    states.until(accepted).await;
    phone.client.connect();
    until_disabled(&phone.client).await;
    // Nobody comes in by the right password, and by a wrong one nobody learns why.
    let directory = tempfile::tempdir().expect("a directory");
    let other = open(&url, directory.path()).await.expect("opened");
    let login = async |password| code(other.login("alice", &Password::new(password)).await);
    assert_eq!(login(PASSWORD).await, Some(Code::AccountDisabled));
    assert_eq!(login("nothing of it").await, Some(Code::WrongPassword));
    let key = VaultSecret::RecoveryKey(RecoveryKey::parse(&written).expect("a key"));
    let deleted = phone.client.delete_account(&key).await;
    assert_eq!(code(deleted), Some(Code::AccountDisabled));
    // It holds after a restart of the relay.
    relay.restart().await.expect("restarted");
    phone.client.connect();
    until_disabled(&phone.client).await;
    let found = within(bob.client.find_user("alice")).await.expect("asked");
    assert!(found.is_some());

    relay.set_disabled("alice", false).await.expect("enabled");
    // A relay that runs notices within seconds; this one at its start.
    relay.restart().await.expect("restarted");
    for client in [&phone.client, &tablet.client] {
        client.connect();
    }
    let said = ["before", "are you there?", "not quite"];
    until_shown(&tablet, &bob.user, &said).await;
    until_shown(&bob, &phone.user, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_for_the_operator_and_of_one_account() {
    let mut relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let person = async |name: &'static str, with: SignUp| {
        let directory = tempfile::tempdir().expect("a directory");
        let client = open(&url, directory.path()).await.expect("opened");
        let made = client.register(name, with).await;
        (client, directory, made)
    };
    let with = |email: &str| SignUp::new().email(email);
    let (alice, _kept, made) = person("alice", with(" Alice@Example.org\n")).await;
    made.expect("made");
    let email = async |client: &Client| client.email().await.expect("asked");
    assert_eq!(email(&alice).await.as_deref(), Some("Alice@example.org"));
    let (bob, _kept, refused) = person("bob", with("alice@example.ORG")).await;
    assert_eq!(code(refused), Some(Code::EmailTaken));
    assert_eq!(code(bob.email().await), Some(Code::NotRegistered));
    let refused = bob.register("bob", with("nothing")).await;
    assert_eq!(code(refused), Some(Code::BadRequest));
    let shown = format!("{:?}", with("alice@example.org"));
    assert!(!shown.contains("alice"), "{shown}");
    bob.register("bob", None).await.expect("made");
    assert_eq!(email(&bob).await, None);
    let set = bob.set_email(Some("alice@example.org")).await;
    assert_eq!(code(set), Some(Code::EmailTaken));
    alice.set_email(None).await.expect("removed");
    let set = bob.set_email(Some("alice@example.org ")).await;
    set.expect("it is free");
    assert_eq!(email(&bob).await.as_deref(), Some("alice@example.org"));

    let required = |config: &mut sordino_testing::Config| {
        config.registration.email = Emails::Required;
        config.registration.policy = Policy::Open;
    };
    relay.restart_with(required).await.expect("restarted");
    assert_eq!(code(bob.set_email(None).await), Some(Code::EmailNeeded));
    let (carol, _kept, refused) = person("carol", SignUp::new()).await;
    assert_eq!(code(refused), Some(Code::EmailNeeded));
    let made = carol.register("carol", with("carol@x")).await;
    made.expect("made");
}
