//! Who may make an account: by invite, not at all, or by the app's own login; and what breaks on the way.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{Client, Code, ExternalToken, LoginStep, Password, SignUp};
use sordino_testing::{Policy, TestLogin, TestRelay};
use support::{
    Person,
    losing::{Lost, losing, losing_from},
    open,
    phones::{PASSWORD, code, registered, second_phone, typed, until_shown, written_down},
};
use tempfile::TempDir;

async fn relay_by(policy: Policy) -> TestRelay {
    let relay = TestRelay::configured(move |config| config.registration.policy = policy).await;
    relay.expect("relay")
}

async fn relay_of(login: &TestLogin) -> TestRelay {
    let registration = login.registration();
    let relay = TestRelay::configured(move |config| config.registration = registration.clone());
    relay.await.expect("relay")
}

async fn client(url: &str) -> (Client, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(url, directory.path()).await.expect("opened");
    (client, directory)
}

/// Calls again after every failure, each time as a program that was started anew.
async fn until_done<T>(
    directory: &TempDir,
    urls: [&str; 2],
    attempt: impl AsyncFn(&Client) -> Result<T, sordino::Error>,
) -> T {
    for url in [urls[0], urls[1], urls[1]] {
        let client = open(url, directory.path()).await.expect("opened");
        let tried = attempt(&client).await;
        client.close().await;
        match tried {
            Ok(done) => return done,
            Err(error) => assert_eq!(error.code(), Code::Busy, "{error}"),
        }
    }
    panic!("it fails again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_by_invite() {
    let relay = relay_by(Policy::Invite).await;
    let url = relay.url();
    let invite = relay.invite(1).await.expect("an invite");
    let (alice, _kept) = client(&url).await;
    let password = Password::new(PASSWORD);
    let with = || SignUp::new().password(&password);
    let refused = alice.register("alice", Some(&password)).await;
    assert_eq!(code(refused), Some(Code::InviteNeeded));
    let refused = alice.register("alice", with().invite("0000")).await;
    assert_eq!(code(refused), Some(Code::InviteRefused));
    assert_eq!(alice.me(), None);
    let made = alice.register("alice", with().invite(&invite)).await;
    assert_eq!(made.expect("made").username, "alice");
    // It was for one. Who is registered needs none on another device.
    let (bob, _kept) = client(&url).await;
    let refused = bob.register("bob", with().invite(invite)).await;
    assert_eq!(code(refused), Some(Code::InviteRefused));
    second_phone(&url, "alice", &typed(&written_down(&alice).await)).await;
    // A name that is taken uses nothing up.
    let invite = relay.invite(1).await.expect("an invite");
    let refused = bob.register("alice", with().invite(&invite)).await;
    assert_eq!(code(refused), Some(Code::NameTaken));
    bob.register("bob", with().invite(&invite))
        .await
        .expect("made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_breaks_off_anywhere_uses_an_invite_once() {
    for what in [Lost::Request, Lost::Answer] {
        for nth in 1.. {
            let relay = relay_by(Policy::Invite).await;
            let invite = relay.invite(1).await.expect("an invite");
            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let directory = tempfile::tempdir().expect("a directory");
            let password = Password::new(PASSWORD);
            let register = async |client: &Client| {
                let with = SignUp::new().password(&password).invite(&invite);
                client.register("alice", with).await
            };
            let user = until_done(&directory, [&url, &relay.url()], register).await;
            let alice = open(&relay.url(), directory.path()).await.expect("opened");
            assert_eq!(alice.me(), Some(user), "{what:?} {nth}");
            let (bob, _kept) = client(&relay.url()).await;
            let refused = bob.register("bob", SignUp::new().invite(&invite)).await;
            assert_eq!(code(refused), Some(Code::InviteRefused), "{what:?} {nth}");
            if !has_lost() {
                assert!(nth > 3, "too few requests were lost: {nth}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_relay_takes_nobody_and_those_who_are_there_go_on() {
    let mut relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (alice, written) = registered(&url, "alice").await;
    // Made, and not heard of, when it closes.
    let proxy = losing_from(&url, "/v1/users", 1).await;
    let directory = tempfile::tempdir().expect("a directory");
    let carol = open(&proxy, directory.path()).await.expect("opened");
    let lost = carol.register("carol", None).await;
    assert_eq!(code(lost), Some(Code::Busy));
    carol.close().await;
    let closed = |config: &mut sordino_testing::Config| {
        config.registration.policy = Policy::Closed;
    };
    relay.restart_with(closed).await.expect("restarted");

    let (bob, _kept) = client(&url).await;
    for with in [
        SignUp::new(),
        SignUp::new().password(&Password::new(PASSWORD)),
    ] {
        let refused = bob.register("bob", with).await;
        assert_eq!(code(refused), Some(Code::RegistrationClosed));
    }
    let tablet = second_phone(&url, "alice", &typed(&written)).await;
    let carol = open(&url, directory.path()).await.expect("opened");
    let user = carol.register("carol", None).await.expect("it is there");
    carol.connect();
    let carol = Person {
        client: carol,
        user,
        directory,
    };
    carol.until_live().await;
    carol.with(&alice).send("hello").await.expect("sent");
    until_shown(&tablet, &carol.user, &["hello"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_an_app_need_no_second_password() {
    let login = TestLogin::new().expect("a login");
    let relay = relay_of(&login).await;
    let url = relay.url();
    let token = |subject: &str| ExternalToken::new(login.token(subject));
    let (phone, _kept) = client(&url).await;
    for with in [
        SignUp::new(),
        SignUp::new().password(&Password::new(PASSWORD)),
    ] {
        let refused = phone.register("alice", with).await;
        assert_eq!(code(refused), Some(Code::ExternalTokenNeeded));
    }
    let other = TestLogin::new().expect("a login").token("7");
    let forged = SignUp::new().external(&ExternalToken::new(other));
    let refused = phone.register("alice", forged).await;
    assert_eq!(code(refused), Some(Code::ExternalTokenRefused));
    let nobody = phone.login_external(&token("7")).await;
    assert_eq!(code(nobody), Some(Code::UserNotFound));
    let alice = phone
        .register("alice", SignUp::new().external(&token("7")))
        .await
        .expect("made");
    phone.connect();
    let written = written_down(&phone).await;

    // The same person has no other account, and comes in on another device.
    let (tablet, kept) = client(&url).await;
    let second = tablet
        .register("alice2", SignUp::new().external(&token("7")))
        .await;
    assert_eq!(code(second), Some(Code::HasAccount));
    let Ok(LoginStep::Locked(locked)) = tablet.login_external(&token("7")).await else {
        panic!("the account is not found");
    };
    assert!(!locked.is_opened_by_password());
    assert_eq!(locked.devices().len(), 1);
    let joined = locked
        .unlock(&typed(&written), None)
        .await
        .expect("unlocked");
    assert_eq!(joined, alice);
    tablet.connect();
    let tablet = Person {
        client: tablet,
        user: joined,
        directory: kept,
    };
    tablet.until_live().await;

    // Or by a link, without the recovery key.
    let (watch, _kept) = client(&url).await;
    let Ok(LoginStep::Locked(locked)) = watch.login_external(&token("7")).await else {
        panic!("the account is not found");
    };
    let linking = locked.link();
    let (request, met) = tokio::join!(tablet.client.link(linking.code()), linking.met());
    met.expect("met");
    let request = request.expect("met");
    let (confirmed, joined) = tokio::join!(request.confirm(), linking.join(request.digits()));
    confirmed.expect("confirmed");
    assert_eq!(joined.expect("joined"), alice);

    // While the app's login is away, those who are in talk.
    login.publish(false).expect("gone");
    let (bob, _kept) = client(&url).await;
    bob.register("bob", SignUp::new().external(&token("8")))
        .await
        .expect("the relay knows the key for a while");
    let me = tablet.client.me().expect("registered");
    bob.connect();
    let sent = bob.conversation(me.id).send("hello").await;
    sent.expect("sent");
    until_shown(&tablet, &bob.me().expect("registered"), &["hello"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_by_the_apps_login_and_breaks_off_anywhere_is_one_person() {
    let login = TestLogin::new().expect("a login");
    for what in [Lost::Request, Lost::Answer] {
        for nth in 1.. {
            let relay = relay_of(&login).await;
            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let directory = tempfile::tempdir().expect("a directory");
            let token = || ExternalToken::new(login.token("7"));
            let register = async |client: &Client| {
                let with = SignUp::new().external(&token());
                client.register("alice", with).await
            };
            let user = until_done(&directory, [&url, &relay.url()], register).await;
            let phone = open(&relay.url(), directory.path()).await.expect("opened");
            let written = written_down(&phone).await;
            let lost_by_registration = has_lost();

            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let directory = tempfile::tempdir().expect("a directory");
            let join = async |client: &Client| match client.login_external(&token()).await? {
                LoginStep::Done(user) => Ok(user),
                LoginStep::Locked(login) => login.unlock(&typed(&written), None).await,
            };
            let joined = until_done(&directory, [&url, &relay.url()], join).await;
            assert_eq!(joined, user, "{what:?} {nth}");
            let (third, _kept) = client(&relay.url()).await;
            let Ok(LoginStep::Locked(third)) = third.login_external(&token()).await else {
                panic!("the account is not found");
            };
            assert_eq!(third.devices().len(), 2, "{what:?} {nth}");
            if !lost_by_registration && !has_lost() {
                assert!(nth > 3, "too few requests were lost: {nth}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_another_person_of_the_app_made_is_not_taken_up_as_ones_own() {
    let login = TestLogin::new().expect("a login");
    let relay = relay_of(&login).await;
    let token = |subject: &str| ExternalToken::new(login.token(subject));
    for by_login in [true, false] {
        let (first, other) = if by_login { ("7", "8") } else { ("9", "10") };
        let name = if by_login { "alice" } else { "carol" };
        let proxy = losing_from(&relay.url(), "/v1/users", 1).await;
        let (client, _kept) = client(&proxy).await;
        let with = SignUp::new().external(&token(first));
        let lost = client.register(name, with).await;
        assert_eq!(code(lost), Some(Code::Busy));
        // They log out of the app, and somebody else logs in.
        let told = match by_login {
            true => code(client.login_external(&token(other)).await),
            false => {
                let with = SignUp::new().external(&token(other));
                code(client.register(name, with).await)
            }
        };
        assert_eq!(told, Some(Code::AlreadyRegistered));
        assert_eq!(client.me().map(|me| me.username).as_deref(), Some(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_token_goes_to_no_other_relay() {
    let login = TestLogin::new().expect("a login");
    let registration = login.registration();
    let relay = TestRelay::configured(move |config| {
        config.registration = registration.clone();
        "evil.example".clone_into(&mut config.server.name);
    });
    let relay = relay.await.expect("relay");
    let (client, _kept) = client(&relay.url()).await;
    let token = ExternalToken::new(login.token("7"));
    let with = SignUp::new().external(&token);
    assert_eq!(
        code(client.register("alice", with).await),
        Some(Code::OtherRelay)
    );
    assert_eq!(
        code(client.login_external(&token).await),
        Some(Code::OtherRelay)
    );
}
