//! Accounts as people use them: a password, a recovery key, a second phone, and what breaks on the way.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use futures_util::FutureExt as _;
use sordino::{
    Client, Code, ConnectionState, Event, LoginStep, Message, Password, RecoveryKey, SendState,
    TimelineItem, Unlock,
};
use sordino_testing::TestRelay;
use support::{
    Person, Reading,
    losing::{Lost, losing, losing_from},
    open,
    phones::{
        PASSWORD, code, locked, registered, second_phone, shown_row, typed, until_backed_up,
        until_shown, with_password_too, written_down,
    },
    within,
};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_phone_joins_by_password_and_recovery_key() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&url, "bob").await;
    phone.with(&bob).send("before").await.expect("sent");
    until_shown(&bob, &phone.user, &["before"]).await;
    until_backed_up(&phone).await;

    let tablet = second_phone(&url, "alice", &typed(&written.to_lowercase())).await;
    assert_eq!(tablet.user, phone.user);
    assert!(tablet.client.recovery_key().await.expect("read").is_none());
    // Both get what Bob writes, and what the other writes.
    bob.with(&phone).send("to both").await.expect("sent");
    until_shown(&phone, &bob.user, &["before", "to both"]).await;
    until_shown(&tablet, &bob.user, &["to both"]).await;
    tablet
        .with(&bob)
        .send("from the tablet")
        .await
        .expect("sent");
    until_shown(&phone, &bob.user, &["before", "to both", "from the tablet"]).await;
    phone.with(&bob).send("from the phone").await.expect("sent");
    let all = ["before", "to both", "from the tablet", "from the phone"];
    until_shown(&bob, &phone.user, &all).await;
    until_shown(&tablet, &bob.user, &all).await;
    // What either device wrote is the person's own on both, and reached Bob.
    for device in [&phone, &tablet] {
        let mut shown = Reading::new(device.with(&bob).timeline());
        shown
            .until(|items| {
                let own = |message: &&Message| message.author == phone.user.id;
                let mine: Vec<_> = items
                    .iter()
                    .filter_map(TimelineItem::message)
                    .filter(own)
                    .collect();
                let delivered = |m: &&Message| m.mine && m.state == SendState::Delivered;
                mine.len() == 3 && mine.iter().all(delivered)
            })
            .await;
        let row = shown_row(device, &bob.user).await;
        assert_eq!(row.unread, 1, "Bob's message alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_secrets_gets_nowhere() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (alice, written) = registered(&url, "alice").await;
    let directory = tempfile::tempdir().expect("a directory");
    let thief = open(&url, directory.path()).await.expect("opened");
    let wrong = Password::new("gravel-otter-lantern-ten");
    let right = Password::new(PASSWORD);
    assert_eq!(
        code(thief.login("alice", &wrong).await),
        Some(Code::WrongPassword)
    );
    assert_eq!(
        code(thief.login("nobody", &right).await),
        Some(Code::WrongPassword)
    );
    assert_eq!(
        code(thief.login("No Name", &right).await),
        Some(Code::BadRequest)
    );
    // The password alone opens nothing, and neither does the key of another account.
    let login = locked(&thief, "alice").await;
    assert!(!login.is_opened_by_password());
    assert_eq!(
        code(login.unlock(&Unlock::Password, None).await),
        Some(Code::NoVault)
    );
    let (_bob, other) = registered(&url, "bob").await;
    let refused = login.unlock(&typed(&other), None).await;
    assert_eq!(code(refused), Some(Code::WrongRecoveryKey));
    let mut typo: Vec<char> = written.chars().collect();
    typo.swap(0, 5);
    let typo: String = typo.into_iter().collect();
    if typo != written {
        assert_eq!(code(RecoveryKey::parse(&typo)), Some(Code::BadRequest));
    }
    assert_eq!(thief.me(), None);
    // Who is not registered has no account to lose: the same store may register.
    thief.register("mallory", None).await.expect("registered");

    // The key is forgotten once it was written down.
    let (key, other) = [&written, &other]
        .map(|key| RecoveryKey::parse(key).expect("a key"))
        .into();
    alice
        .client
        .recovery_key_kept(&other)
        .await
        .expect("ignored");
    assert!(alice.client.recovery_key().await.expect("read").is_some());
    alice.client.recovery_key_kept(&key).await.expect("kept");
    assert!(alice.client.recovery_key().await.expect("read").is_none());
    let joined = alice.client.login("alice", &right).await;
    assert_eq!(code(joined), Some(Code::AlreadyRegistered));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_opens_the_vault_where_the_app_wants_it() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let first = tempfile::tempdir().expect("a directory");
    let phone = with_password_too(&url, first.path()).await;
    let weak = phone
        .register("alice", Some(&Password::new("password")))
        .await;
    assert_eq!(code(weak), Some(Code::WeakPassword));
    assert_eq!(phone.me(), None);
    let password = Password::new(PASSWORD);
    phone
        .register("alice", Some(&password))
        .await
        .expect("registered");
    let tablet = second_phone(&url, "alice", &Unlock::Password).await;
    assert_eq!(Some(tablet.user.clone()), phone.me());
    // And so does the recovery key.
    let written = written_down(&phone).await;
    second_phone(&url, "alice", &typed(&written)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_phone_leaves_when_the_next_one_comes() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (lost, written) = registered(&url, "alice").await;
    lost.client.connect();
    lost.until_live().await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&lost).send("hello").await.expect("sent");
    until_shown(&lost, &bob.user, &["hello"]).await;
    let mut events = lost.client.events();

    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&url, directory.path()).await.expect("opened");
    let login = locked(&client, "alice").await;
    let devices = login.devices();
    assert_eq!(devices.len(), 1);
    let nobody = sordino::DeviceId::from_bytes([7; 16]);
    let refused = login.unlock(&typed(&written), Some(nobody)).await;
    assert_eq!(code(refused), Some(Code::BadRequest));
    let user = login.unlock(&typed(&written), Some(devices[0].id)).await;
    let user = user.expect("unlocked");
    client.connect();
    // The lost one is logged out, and gets nothing more.
    within(async {
        loop {
            match events.next().await.expect("an event") {
                Event::SignedOut | Event::Connection(ConnectionState::Stopped { .. }) => return,
                _ => {}
            }
        }
    })
    .await;
    let next = Person {
        client,
        user,
        directory,
    };
    next.until_live().await;
    bob.with(&next).send("to the new one").await.expect("sent");
    until_shown(&next, &bob.user, &["to the new one"]).await;
    next.with(&bob).send("I lost my phone").await.expect("sent");
    until_shown(&bob, &next.user, &["I lost my phone"]).await;
    // The vault was written anew, for the same key.
    second_phone(&url, "alice", &typed(&written)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_when_the_account_was_changed_meanwhile() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (_phone, written) = registered(&url, "alice").await;
    let directory = tempfile::tempdir().expect("a directory");
    let slow = open(&url, directory.path()).await.expect("opened");
    let login = locked(&slow, "alice").await;
    second_phone(&url, "alice", &typed(&written)).await;
    let ended = login.unlock(&typed(&written), None).await;
    assert_eq!(code(ended), Some(Code::NotAuthenticated));
    assert_eq!(slow.me(), None);
    let again = locked(&slow, "alice").await;
    again
        .unlock(&typed(&written), None)
        .await
        .expect("unlocked");
}

/// Calls again after every failure, each time as a program that was started anew.
async fn until_done<T>(
    directory: &TempDir,
    urls: [&str; 2],
    attempt: impl AsyncFn(&Client) -> Result<T, sordino::Error>,
) -> T {
    let mut client = open(urls[0], directory.path()).await.expect("opened");
    for _ in 0..3 {
        match attempt(&client).await {
            Ok(done) => {
                client.close().await;
                return done;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::Busy, "{error}");
                client.close().await;
                client = open(urls[1], directory.path()).await.expect("opened");
            }
        }
    }
    panic!("it fails again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_breaks_off_anywhere_makes_one_whole_account() {
    for what in [Lost::Request, Lost::Answer] {
        for nth in 1.. {
            let relay = TestRelay::start().await.expect("relay");
            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let directory = tempfile::tempdir().expect("a directory");
            let password = Password::new(PASSWORD);
            let register = async |client: &Client| client.register("alice", Some(&password)).await;
            let user = until_done(&directory, [&url, &relay.url()], register).await;
            let client = open(&relay.url(), directory.path()).await.expect("opened");
            assert_eq!(client.me(), Some(user), "{what:?} {nth}");
            let written = written_down(&client).await;
            // Password and recovery key are those of the account.
            second_phone(&relay.url(), "alice", &typed(&written)).await;
            if !has_lost() {
                assert!(nth > 3, "too few requests were lost: {nth}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_breaks_off_anywhere_neither_locks_out_nor_half_joins() {
    for what in [Lost::Request, Lost::Answer] {
        for nth in 1.. {
            let relay = TestRelay::start().await.expect("relay");
            let (phone, written) = registered(&relay.url(), "alice").await;
            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let directory = tempfile::tempdir().expect("a directory");
            let password = Password::new(PASSWORD);
            let join = async |client: &Client| match client.login("alice", &password).await? {
                LoginStep::Done(user) => Ok(user),
                LoginStep::Locked(login) => login.unlock(&typed(&written), None).await,
            };
            let user = until_done(&directory, [&url, &relay.url()], join).await;
            assert_eq!(user, phone.user);
            // Both devices write and read, and there is no third one that nobody holds.
            let client = open(&relay.url(), directory.path()).await.expect("opened");
            client.connect();
            let tablet = Person {
                client,
                user,
                directory,
            };
            tablet.until_live().await;
            phone.client.connect();
            phone.until_live().await;
            tablet.with(&phone).send("note").await.expect("sent");
            until_shown(&phone, &tablet.user, &["note"]).await;
            let third = tempfile::tempdir().expect("a directory");
            let third = open(&relay.url(), third.path()).await.expect("opened");
            let devices = locked(&third, "alice").await.devices();
            assert_eq!(devices.len(), 2, "{what:?} {nth}");
            if !has_lost() {
                assert!(nth > 5, "too few requests were lost: {nth}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_login_may_be_tried_again_and_again() {
    let relay = TestRelay::start().await.expect("relay");
    let (phone, written) = registered(&relay.url(), "alice").await;
    phone.client.connect();
    phone.until_live().await;
    // From the list on nothing comes back for a while: neither that it was stored, nor whether it was.
    let proxy = losing_from(&relay.url(), "PUT", 3).await;
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&proxy, directory.path()).await.expect("opened");
    let login = locked(&client, "alice").await;
    let key = typed(&written);
    let mut attempts = 0;
    let user = loop {
        attempts += 1;
        match login.unlock(&key, None).await {
            Ok(user) => break user,
            Err(error) => assert_eq!(error.code(), Code::Busy, "{error}"),
        }
    };
    assert!(attempts > 1, "nothing was lost");
    client.close().await;
    let client = open(&relay.url(), directory.path()).await.expect("opened");
    client.connect();
    let tablet = Person {
        client,
        user,
        directory,
    };
    tablet.until_live().await;
    // Others can write to it: what it vouches for is the list that the relay has.
    let mut events = phone.client.events();
    let bob = Person::online(&relay.url(), "bob").await;
    bob.with(&phone).send("to both").await.expect("sent");
    until_shown(&phone, &bob.user, &["to both"]).await;
    until_shown(&tablet, &bob.user, &["to both"]).await;
    tablet.with(&bob).send("from it").await.expect("sent");
    until_shown(&bob, &phone.user, &["to both", "from it"]).await;
    until_shown(&phone, &bob.user, &["to both", "from it"]).await;
    while let Some(Some(event)) = events.next().now_or_never() {
        assert!(!matches!(event, Event::RelayMisbehaved { .. }), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_attempt_may_have_made_is_not_thrown_away() {
    let relay = TestRelay::start().await.expect("relay");
    let (bob, of_bob) = registered(&relay.url(), "bob").await;
    let password = Password::new(PASSWORD);
    // The account is made, and its answer is lost, as are those to what is asked next.
    let proxy = losing_from(&relay.url(), "/v1/users", 2).await;
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&proxy, directory.path()).await.expect("opened");
    let lost = client.register("alice", Some(&password)).await;
    assert_eq!(code(lost), Some(Code::Busy));
    assert_eq!(client.me(), None);
    let key = RecoveryKey::parse(&of_bob).expect("a key");
    let unsent = client.conversation(bob.user.id).send("x").await;
    assert_eq!(code(unsent), Some(Code::NotRegistered));
    assert_eq!(
        code(client.recovery_key_kept(&key).await),
        Some(Code::NotRegistered)
    );
    client.close().await;

    // Whoever wants another account with this store is told of the one that there is.
    let client = open(&relay.url(), directory.path()).await.expect("opened");
    let other = client.login("bob", &password).await;
    assert_eq!(code(other), Some(Code::AlreadyRegistered));
    assert_eq!(client.me().map(|me| me.username).as_deref(), Some("alice"));
    let written = written_down(&client).await;
    assert_ne!(written, of_bob);
    second_phone(&relay.url(), "alice", &typed(&written)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_registration_is_taken_up_with_its_password_alone() {
    let relay = TestRelay::start().await.expect("relay");
    let password = Password::new(PASSWORD);
    let other = Password::new("quite another password");
    for by_login in [true, false] {
        let name = if by_login { "alice" } else { "carol" };
        let proxy = losing_from(&relay.url(), "/v1/users", 1).await;
        let directory = tempfile::tempdir().expect("a directory");
        let client = open(&proxy, directory.path()).await.expect("opened");
        let lost = client.register(name, Some(&password)).await;
        assert_eq!(code(lost), Some(Code::Busy));
        if by_login {
            assert_eq!(
                code(client.login(name, &other).await),
                Some(Code::WrongPassword)
            );
            let done = client.login(name, &password).await;
            assert!(matches!(done, Ok(LoginStep::Done(_))), "{done:?}");
        } else {
            let refused = client.register(name, Some(&other)).await;
            assert_eq!(code(refused), Some(Code::AlreadyRegistered));
        }
        let me = client.me().map(|me| me.username);
        assert_eq!(me.as_deref(), Some(name));
        let written = written_down(&client).await;
        second_phone(&relay.url(), name, &typed(&written)).await;
    }
}
