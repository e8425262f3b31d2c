//! The end of an account: for its owner, on all devices, and for those who have talked with them.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{
    Client, Code, ConnectionState, Event, Events, Password, RecoveryKey, SendState, VaultSecret,
};
use sordino_testing::TestRelay;
use support::{
    Person, Reading, all,
    losing::{Lost, losing},
    open,
    phones::{
        PASSWORD, code, registered, second_phone, typed, until_backed_up, until_shown,
        with_password_too, written_down,
    },
    texts, within,
};

fn by_key(written: &str) -> VaultSecret {
    VaultSecret::RecoveryKey(RecoveryKey::parse(written).expect("a key"))
}

async fn until_stopped(client: &Client, mut events: Events) -> Code {
    within(async {
        loop {
            if let ConnectionState::Stopped { why } = client.connection() {
                return why.code();
            }
            events.next().await.expect("an event");
        }
    })
    .await
}

/// The state of the newest message that a person has written to another.
async fn until_failed(at: &Person, with: &Person) -> Code {
    let mut shown = Reading::new(at.with(with).timeline());
    let failed = |items: &[sordino::TimelineItem]| {
        let newest = items.iter().rev().find_map(|item| item.message());
        match newest.map(|message| message.state) {
            Some(SendState::Failed { code, .. }) => Some(code),
            _ => None,
        }
    };
    let items = shown.until(|items| failed(items).is_some()).await;
    failed(items).expect("failed")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_their_account_is_gone_for_everybody_and_nobody_loses_what_was_said() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let tablet = second_phone(&url, "alice", &typed(&written)).await;
    let mut bob = Person::online(&url, "bob").await;
    let carol = Person::online(&url, "carol").await;
    phone.with(&bob).send("hello bob").await.expect("sent");
    until_shown(&bob, &phone.user, &["hello bob"]).await;
    bob.with(&phone).send("hello alice").await.expect("sent");
    until_shown(&tablet, &bob.user, &["hello bob", "hello alice"]).await;
    // Bob's telephone is off when the last words come.
    bob.client.close().await;
    phone.with(&bob).send("goodbye").await.expect("sent");
    let mut states = Reading::new(phone.with(&bob).timeline());
    let accepted = |items: &[sordino::TimelineItem]| {
        let newest = items.iter().rev().find_map(|item| item.message());
        newest.is_some_and(|m| m.text == "goodbye" && m.state != SendState::Pending)
    };
    states.until(accepted).await;
    until_backed_up(&phone).await;
    // Written while nothing goes out, to somebody with whom nobody has talked.
    carol.client.disconnect();
    carol.until(&ConnectionState::Offline).await;
    carol
        .with(&phone)
        .send("are you there?")
        .await
        .expect("kept");

    let (on_phone, on_tablet) = (phone.client.events(), tablet.client.events());
    let wrong = by_key(&written_down(&carol.client).await);
    let refused = phone.client.delete_account(&wrong);
    assert_eq!(code(refused.await), Some(Code::WrongRecoveryKey));
    let refused = VaultSecret::Password(Password::new(PASSWORD));
    let refused = phone.client.delete_account(&refused).await;
    assert_eq!(code(refused), Some(Code::NoVault));
    let deleted = phone.client.delete_account(&by_key(&written)).await;
    deleted.expect("deleted");
    // All of its devices.
    for (client, events) in [(&phone.client, on_phone), (&tablet.client, on_tablet)] {
        assert_eq!(until_stopped(client, events).await, Code::AccountDeleted);
        let sent = client.conversation(bob.user.id).send("x").await;
        assert_eq!(code(sent), Some(Code::AccountDeleted));
        let found = client.find_user("bob").await;
        assert_eq!(code(found), Some(Code::AccountDeleted));
    }
    let again = phone.client.delete_account(&by_key(&written)).await;
    again.expect("it is done");
    // What is on them stays.
    let kept = all(&phone.with(&bob)).await;
    assert_eq!(texts(&kept), ["hello bob", "hello alice", "goodbye"]);

    // Bob has all of it, the last words as well, and learns that nothing more reaches her.
    bob.reopen(&url).await;
    bob.client.connect();
    until_shown(&bob, &phone.user, &["hello bob", "hello alice", "goodbye"]).await;
    assert!(
        !bob.client
            .contact(phone.user.id)
            .trust()
            .await
            .expect("read")
            .deleted
    );
    let mut events = bob.client.events();
    bob.with(&phone).send("where are you?").await.expect("kept");
    assert_eq!(until_failed(&bob, &phone).await, Code::UserDeleted);
    within(async {
        while events.next().await.expect("an event") != Event::TrustChanged(phone.user.id) {}
    })
    .await;
    assert!(
        bob.client
            .contact(phone.user.id)
            .trust()
            .await
            .expect("read")
            .deleted
    );
    let sent = bob.with(&phone).send("and now?").await;
    assert_eq!(code(sent), Some(Code::UserDeleted));
    bob.reopen(&url).await;
    let sent = bob.with(&phone).send("and now?").await;
    assert_eq!(code(sent), Some(Code::UserDeleted));
    let kept = all(&bob.with(&phone)).await;
    let said = ["hello bob", "hello alice", "goodbye", "where are you?"];
    assert_eq!(texts(&kept), said);
    // And so does somebody who begins.
    carol.client.connect();
    assert_eq!(until_failed(&carol, &phone).await, Code::UserDeleted);
    let sent = carol.with(&phone).send("and now?").await;
    assert_eq!(code(sent), Some(Code::UserDeleted));
    // Others go on.
    bob.client.connect();
    bob.with(&carol).send("she is gone").await.expect("sent");
    until_shown(&carol, &bob.user, &["she is gone"]).await;

    // The name is nobody's, and nobody gets in by it.
    assert_eq!(bob.client.find_user("alice").await, Ok(None));
    let directory = tempfile::tempdir().expect("a directory");
    let other = open(&url, directory.path()).await.expect("opened");
    let password = Password::new(PASSWORD);
    assert_eq!(
        code(other.login("alice", &password).await),
        Some(Code::WrongPassword)
    );
    assert_eq!(
        code(other.register("alice", None).await),
        Some(Code::NameTaken)
    );
    other.register("alice2", None).await.expect("another name");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_deletes_where_it_opens_the_vault() {
    let relay = TestRelay::start().await.expect("relay");
    let directory = tempfile::tempdir().expect("a directory");
    let client = with_password_too(&relay.url(), directory.path()).await;
    let password = Password::new(PASSWORD);
    client
        .register("alice", Some(&password))
        .await
        .expect("made");
    let wrong = VaultSecret::Password(Password::new("gravel-otter-lantern-ten"));
    assert_eq!(
        code(client.delete_account(&wrong).await),
        Some(Code::WrongPassword)
    );
    let right = VaultSecret::Password(password);
    client.delete_account(&right).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_breaks_off_anywhere_deletes_all_or_nothing() {
    for what in [Lost::Request, Lost::Answer] {
        for nth in 1.. {
            let relay = TestRelay::start().await.expect("relay");
            let (alice, written) = registered(&relay.url(), "alice").await;
            alice.client.close().await;
            let bob = Person::register(&relay.url(), "bob").await;
            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let here = async |url: &str| open(url, alice.directory.path()).await.expect("opened");
            let client = here(&url).await;
            let tried = client.delete_account(&by_key(&written)).await;
            client.close().await;
            // There is all of her, or nothing.
            if bob
                .client
                .find_user("alice")
                .await
                .expect("asked")
                .is_some()
            {
                assert!(tried.is_err(), "{what:?} {nth}");
                second_phone(&relay.url(), "alice", &typed(&written)).await;
            }
            // Begun anew it comes to its end.
            let client = here(&relay.url()).await;
            let again = client.delete_account(&by_key(&written)).await;
            again.unwrap_or_else(|error| panic!("{what:?} {nth}: {error}"));
            client.close().await;
            let client = here(&relay.url()).await;
            let sent = client.conversation(bob.user.id).send("x").await;
            assert_eq!(code(sent), Some(Code::AccountDeleted), "{what:?} {nth}");
            assert_eq!(bob.client.find_user("alice").await, Ok(None));
            if !has_lost() {
                assert!(nth > 4, "too few requests were lost: {nth}");
                break;
            }
        }
    }
}
