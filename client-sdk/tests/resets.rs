//! Another identity for an account: by a phone and a login, or by a login alone after a wait; and what everybody else sees of it.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::time::Duration;

use sordino::{
    Client, Code, ConnectionState, Credential, Event, Events, LoginStep, Password, ResetStep,
    SendState, TimelineItem,
};
use sordino_testing::{TestLogin, TestRelay};
use support::{
    Person, Reading, all,
    losing::{Lost, losing},
    open,
    phones::{
        PASSWORD, code, joining, locked, registered, second_phone, typed, until_backed_up,
        until_shown, written_down,
    },
    texts, until, within,
};

fn password() -> Credential {
    Credential::Password(Password::new(PASSWORD))
}

async fn until_event(events: &mut Events, wanted: impl Fn(&Event) -> bool) {
    within(async {
        loop {
            let event = events.next().await.expect("an event");
            assert!(!matches!(event, Event::RelayMisbehaved { .. }), "{event:?}");
            if wanted(&event) {
                return;
            }
        }
    })
    .await;
}

async fn until_signed_out(events: &mut Events) {
    until_event(events, |event| {
        matches!(
            event,
            Event::SignedOut | Event::Connection(ConnectionState::Stopped { .. })
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_and_the_password_give_the_account_another_identity() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, old_key) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let tablet = second_phone(&url, "alice", &typed(&old_key)).await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("before").await.expect("sent");
    until_shown(&tablet, &bob.user, &["before"]).await;
    tablet
        .with(&bob)
        .send("from the tablet")
        .await
        .expect("sent");
    for device in [&phone, &tablet, &bob] {
        let with = if device.user == bob.user {
            &phone.user
        } else {
            &bob.user
        };
        until_shown(device, with, &["before", "from the tablet"]).await;
    }
    let alice = bob.client.contact(phone.user.id);
    let number = alice.safety_number().await.expect("a number");
    alice.verify(&number).await.expect("verified");
    until_backed_up(&phone).await;

    // One phone that was left open is not enough.
    let wrong = Credential::Password(Password::new("another-password-than-it-is"));
    for (credential, why) in [(None, Code::Forbidden), (Some(&wrong), Code::WrongPassword)] {
        let refused = phone.client.reset_identity(credential).await;
        assert_eq!(code(refused), Some(why));
    }
    let (mut at_tablet, mut at_bob) = (tablet.client.events(), bob.client.events());
    let mut at_phone = phone.client.events();
    let done = phone.client.reset_identity(Some(&password())).await;
    done.expect("another identity");
    until_event(&mut at_phone, |event| *event == Event::NewRecoveryKey).await;
    let new_key = written_down(&phone.client).await;
    assert_ne!(new_key, old_key);
    until_signed_out(&mut at_tablet).await;
    assert_eq!(phone.client.devices().await.expect("read").len(), 1);

    // Who has the conversation in sight is told before anybody writes, and who had compared the old key writes nothing to the new one
    // unawares.
    bob.client.watch(&[phone.user.id]);
    let changed = Event::IdentityChanged(phone.user.id);
    until_event(&mut at_bob, |event| *event == changed).await;
    phone.with(&bob).send("it is me").await.expect("sent");
    until_shown(&bob, &phone.user, &["it is me"]).await;
    bob.with(&phone).send("is it?").await.expect("sent");
    let number = alice.safety_number().await.expect("a number");
    let shown = bob.with(&phone).history(None, 9).await.expect("history");
    let waits = shown.last().and_then(TimelineItem::message);
    let waits = waits.map(|message| (message.text.as_str(), message.state));
    assert_eq!(waits, Some(("is it?", SendState::Pending)));
    alice.verify(&number).await.expect("verified");
    until_shown(&phone, &bob.user, &["it is me", "is it?"]).await;

    // The new key opens a new vault, with all that this phone had, also of the tablet.
    until_backed_up(&phone).await;
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&url, directory.path()).await.expect("opened");
    let login = locked(&client, "alice").await;
    let refused = login.unlock(&typed(&old_key), None).await;
    assert_eq!(code(refused), Some(Code::WrongRecoveryKey));
    let (next, mut at_next) = joining(&url, "alice", &typed(&new_key), None).await;
    until_event(&mut at_next, |event| {
        matches!(event, Event::Restored { .. })
    })
    .await;
    let said = ["before", "from the tablet", "it is me", "is it?"];
    assert_eq!(texts(&all(&next.with(&bob)).await), said);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_everything_waits_and_any_phone_refuses() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let mut relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, _) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("before").await.expect("sent");
    until_shown(&phone, &bob.user, &["before"]).await;
    let mut events = phone.client.events();

    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&url, directory.path()).await.expect("opened");
    let login = locked(&client, "alice").await;
    for _ in 0..2 {
        let ResetStep::Waits(wait) = login.reset().await.expect("asked") else {
            panic!("at once");
        };
        assert!(wait > 6 * DAY && wait <= 7 * DAY, "{wait:?}");
    }
    let pending = |event: &Event| matches!(event, Event::ResetPending { ready_ms: Some(_) });
    let over = Event::ResetPending { ready_ms: None };
    until_event(&mut events, pending).await;
    assert!(phone.client.pending_reset().is_some());
    // Also who comes later hears of it, and is asked.
    relay.restart().await.expect("restarted");
    phone.until_live().await;
    assert!(phone.client.pending_reset().is_some());
    phone.client.refuse_reset().await.expect("refused");
    until_event(&mut events, |event| *event == over).await;
    assert_eq!(phone.client.pending_reset(), None);

    relay
        .restart_with(|config| config.auth.reset_wait_days = 0)
        .await
        .expect("restarted");
    let login = locked(&client, "alice").await;
    let mut at_bob = bob.client.events();
    let done = login.reset().await.expect("another identity");
    assert!(matches!(done, ResetStep::Done(user) if user == phone.user));
    until_signed_out(&mut events).await;
    let key = written_down(&client).await;
    client.connect();
    let alice = Person {
        client,
        user: phone.user.clone(),
        directory,
    };
    alice.until_live().await;
    alice.with(&bob).send("again").await.expect("sent");
    let changed = Event::IdentityChanged(alice.user.id);
    until_event(&mut at_bob, |event| *event == changed).await;
    until_shown(&bob, &alice.user, &["again"]).await;
    bob.with(&alice).send("welcome").await.expect("sent");
    let mut shown = Reading::new(alice.with(&bob).timeline());
    shown
        .until(|items| {
            let said = items.iter().filter_map(TimelineItem::message);
            said.map(|message| message.text.as_str())
                .eq(["again", "welcome"])
        })
        .await;
    until_backed_up(&alice).await;
    let next = second_phone(&url, "alice", &typed(&key)).await;
    until(async || all(&next.with(&bob)).await.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_own_login_counts_as_one() {
    let login = TestLogin::new().expect("a login");
    let registration = login.registration();
    let relay = TestRelay::configured(move |config| config.registration = registration.clone());
    let relay = relay.await.expect("relay");
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&relay.url(), directory.path()).await.expect("opened");
    let token = |subject| sordino::ExternalToken::new(login.token(subject));
    let with = sordino::SignUp::new().external(&token("a"));
    client.register("alice", with).await.expect("registered");
    let before = written_down(&client).await;
    assert_eq!(
        code(client.reset_identity(None).await),
        Some(Code::Forbidden)
    );
    let other = tempfile::tempdir().expect("a directory");
    let other = open(&relay.url(), other.path()).await.expect("opened");
    let with = sordino::SignUp::new().external(&token("b"));
    other.register("bob", with).await.expect("registered");
    let credential = |subject| Credential::External(token(subject));
    let refused = client.reset_identity(Some(&credential("b"))).await;
    assert_eq!(code(refused), Some(Code::ExternalTokenRefused));
    let done = client.reset_identity(Some(&credential("a"))).await;
    done.expect("another identity");
    assert_ne!(written_down(&client).await, before);
}

/// Loses each request and each answer in turn; whatever is lost, the account is whole: the recovery key that the device shows opens it.
async fn losing_each(
    prepare: impl AsyncFn(&TestRelay) -> Begun,
    ask: impl AsyncFn(&Client) -> bool,
) {
    for what in [Lost::Request, Lost::Answer] {
        for nth in 1.. {
            let relay = TestRelay::configured(|config| config.auth.reset_wait_days = 0);
            let relay = relay.await.expect("relay");
            let Begun { directory, kept } = prepare(&relay).await;
            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let mut client = open(&url, directory.path()).await.expect("opened");
            let mut attempts = 0;
            while !ask(&client).await {
                attempts += 1;
                assert!(attempts < 3, "{what:?} {nth}");
                client.close().await;
                client = open(&relay.url(), directory.path()).await.expect("opened");
            }
            client.connect();
            until(async || {
                let shown = client.recovery_key().await.expect("read");
                let shown = shown.map(|key| key.text().to_string());
                let is_new = shown.is_some() && shown != kept;
                let Some(key) = shown.filter(|_| is_new) else {
                    return false;
                };
                let next = tempfile::tempdir().expect("a directory");
                let next = open(&relay.url(), next.path()).await.expect("opened");
                let login = locked(&next, "alice").await;
                login.unlock(&typed(&key), None).await.is_ok()
            })
            .await;
            client.close().await;
            if !has_lost() {
                assert!(nth > 4, "too few requests were lost: {nth}");
                break;
            }
        }
    }
}

/// Where the device's store is, and the recovery key that it had shown.
struct Begun {
    directory: tempfile::TempDir,
    kept: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_by_a_phone_that_breaks_off_anywhere_leaves_a_whole_account() {
    losing_each(
        async |relay| {
            let (phone, written) = registered(&relay.url(), "alice").await;
            phone.client.close().await;
            Begun {
                directory: phone.directory,
                kept: Some(written),
            }
        },
        async |client| match client.reset_identity(Some(&password())).await {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.code(), Code::Busy, "{error}");
                false
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_by_login_that_breaks_off_anywhere_leaves_a_whole_account() {
    losing_each(
        async |relay| {
            let (phone, _) = registered(&relay.url(), "alice").await;
            phone.client.close().await;
            let directory = tempfile::tempdir().expect("a directory");
            Begun {
                directory,
                kept: None,
            }
        },
        async |client| {
            let done = match client.login("alice", &Password::new(PASSWORD)).await {
                Ok(LoginStep::Done(_)) => Ok(true),
                Ok(LoginStep::Locked(login)) => {
                    let step = login.reset().await;
                    step.map(|step| matches!(step, ResetStep::Done(_)))
                }
                Err(error) => Err(error),
            };
            done.unwrap_or_else(|error| {
                assert_eq!(error.code(), Code::Busy, "{error}");
                false
            })
        },
    )
    .await;
}
