//! How people come in: by password, by invite, by the app's own login.

use std::time::Duration;

use sordino::{Code, ExternalToken, LoginStep, Password, SignUp};
use sordino_relay::{
    accounts,
    config::{Policy, Registration},
};
use sordino_testing::TestLogin;

use crate::{
    client,
    cluster_support::{name, pair::pair, url},
    door, on_both,
    support::{
        Person,
        phones::{PASSWORD, code, registered, second_phone, typed, until_shown, written_down},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_up_at_one_node_logs_in_at_another_and_nobody_learns_who_is_there() {
    let Some(pair) = pair().await else {
        return;
    };
    let alice = name("alice");
    let (phone, key) = registered(&pair.one(), &alice).await;
    let (stranger, _kept) = client(&pair.two()).await;
    let right = Password::new(PASSWORD);
    let wrong = Password::new("gravel-otter-lantern-ten");
    let refused = stranger.login(&alice, &wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::WrongPassword);
    let nobody = name("nobody");
    assert_eq!(
        stranger.login(&nobody, &right).await.unwrap_err(),
        refused,
        "word for word"
    );
    let taken = stranger.register(&alice, None).await;
    assert_eq!(code(taken), Some(Code::NameTaken));
    let tablet = second_phone(&pair.two(), &alice, &typed(&key)).await;
    assert_eq!(tablet.user, phone.user);
    phone.client.connect();
    let bob = Person::online(&pair.one(), &name("bob")).await;
    bob.with(&phone).send("to both").await.unwrap();
    for device in [&phone, &tablet] {
        until_shown(device, &bob.user, &["to both"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_that_are_tried_at_several_nodes_are_counted_together() {
    const BURST: usize = 12;
    let Some(pair) = pair().await else {
        return;
    };
    let alice = name("alice");
    registered(&pair.one(), &alice).await;
    let strangers = [client(&pair.one()).await, client(&pair.two()).await];
    let wrong = Password::new("gravel-otter-lantern-ten");
    // The password that was set is the first.
    let mut tries = 1;
    loop {
        let tried = strangers[tries % 2].0.login(&alice, &wrong).await;
        match code(tried) {
            Some(Code::WrongPassword) => tries += 1,
            Some(Code::RateLimited) => break,
            other => panic!("{other:?}"),
        }
    }
    // A question that Redis does not answer in time is not counted there. By itself each node would take all of them.
    assert!((BURST..2 * BURST - 1).contains(&tries), "{tries}");
    for (stranger, _) in &strangers {
        let right = stranger.login(&alice, &Password::new(PASSWORD)).await;
        assert_eq!(code(right), Some(Code::RateLimited));
    }
    // Others are not concerned.
    let (other, _kept) = &strangers[0];
    let nobody = other.login(&name("bob"), &wrong).await;
    assert_eq!(code(nobody), Some(Code::WrongPassword));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed_at_one_node_is_another_at_the_other() {
    let Some(pair) = pair().await else {
        return;
    };
    let (phone, tablet, key) = on_both(pair, "alice").await;
    let name = &phone.user.username;
    let (old, new) = (Password::new(PASSWORD), Password::new("a new one, longer"));
    let changed = phone.client.change_password(&old, &new).await;
    changed.unwrap();
    let (third, _kept) = client(&pair.two()).await;
    assert_eq!(
        code(third.login(name, &old).await),
        Some(Code::WrongPassword)
    );
    let Ok(LoginStep::Locked(login)) = third.login(name, &new).await else {
        panic!("not logged in");
    };
    login.unlock(&typed(&key), None).await.unwrap();
    // Those that were there need neither.
    tablet.with(&phone).send("note").await.unwrap();
    until_shown(&phone, &phone.user, &["note"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_good_at_every_node_and_once() {
    let Some(pair) = pair().await else {
        return;
    };
    let by_invite = || Registration {
        policy: Policy::Invite,
        ..Registration::default()
    };
    let three = door(&pair.shared, "three", by_invite()).await;
    let four = door(&pair.shared, "four", by_invite()).await;
    let config = toml::from_str(&pair.shared).unwrap();
    let valid = Duration::from_secs(3600);
    let invite = accounts::invite(&config, 1, valid).await.unwrap();
    let with = || SignUp::new().invite(invite.text().to_string());
    let (alice, _kept) = client(&url(&three)).await;
    let refused = alice.register(&name("alice"), None).await;
    assert_eq!(code(refused), Some(Code::InviteNeeded));
    alice.register(&name("alice"), with()).await.unwrap();
    for node in [&three, &four] {
        let (bob, _kept) = client(&url(node)).await;
        let refused = bob.register(&name("bob"), with()).await;
        assert_eq!(code(refused), Some(Code::InviteRefused));
    }
    three.shutdown().await;
    four.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_by_the_apps_login_at_one_node_is_known_at_the_other() {
    let Some(pair) = pair().await else {
        return;
    };
    let login = TestLogin::new().unwrap();
    let five = door(&pair.shared, "five", login.registration()).await;
    let six = door(&pair.shared, "six", login.registration()).await;
    let subject = name("subject");
    let token = || ExternalToken::new(login.token(&subject));
    let (phone, _kept) = client(&url(&five)).await;
    let with = || SignUp::new().external(&token());
    let alice = phone.register(&name("alice"), with()).await.unwrap();
    let key = written_down(&phone).await;
    let (tablet, _kept) = client(&url(&six)).await;
    let second = tablet.register(&name("alice"), with()).await;
    assert_eq!(code(second), Some(Code::HasAccount));
    let Ok(LoginStep::Locked(locked)) = tablet.login_external(&token()).await else {
        panic!("the account is not found");
    };
    let joined = locked.unlock(&typed(&key), None).await.unwrap();
    assert_eq!(joined, alice);
    five.shutdown().await;
    six.shutdown().await;
}
