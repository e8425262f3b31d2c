//! Passwords and keys that take the place of others.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use sordino::{Client, Code, LoginStep, Password, RecoveryKey, Unlock, VaultSecret};

use super::{
    CLOSED, EITHER_WAY, at_every_step, news, online, recovery_key, started, talk, this,
    until_agreed, until_end, until_end_of,
};
use crate::plenty::relay;
use crate::support::{
    Person,
    phones::{
        PASSWORD, code, registered, registered_with_password_too, until_shown, with_password_too,
        written_down,
    },
    until,
};

const PASSWORDS: [&str; 2] = [PASSWORD, "seven-lanterns-over-gravel"];

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_password() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.close().await;
    let passwords = PASSWORDS.map(Password::new);
    let right = AtomicUsize::new(0);
    let outside = tempfile::tempdir().expect("a directory");
    let outside = started(&url, outside.path()).await;
    let opens = async |password: &Password| match outside.login("alice", password).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), Code::WrongPassword);
            false
        }
    };
    at_every_step(CLOSED, 6, async |step| {
        let at = right.load(Ordering::Relaxed);
        let (old, new) = (&passwords[at], &passwords[1 - at]);
        let change = async |client: &Client| client.change_password(old, new).await;
        let home = phone.directory.path();
        let done = until_end(&url, home, step, &change).await;
        let client = started(&url, home).await;
        let is_new = opens(new).await;
        assert_ne!(opens(old).await, is_new, "{step:?}");
        if !is_new {
            change(&client).await.expect("changed");
            assert!(opens(new).await && !opens(old).await);
        }
        right.store(1 - at, Ordering::Relaxed);
        let renewed = client.renew_keys(&recovery_key(&written)).await;
        renewed.expect("the vault opens");
        client.close().await;
        done.is_none()
    })
    .await;
}

/// The relay takes password, vault, list and the end of a key backup together, or nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_password_that_opens_the_vault() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered_with_password_too(&url, "alice").await;
    phone.client.close().await;
    let bob = Person::online(&url, "bob").await;
    let passwords = PASSWORDS.map(Password::new);
    let kept = RefCell::new(Some((phone.directory, 0)));
    at_every_step(EITHER_WAY, 8, async |step| {
        let (home, at) = kept.take().expect("a phone");
        let (old, new) = (&passwords[at], &passwords[1 - at]);
        let change = async |client: &Client| client.change_password(old, new).await;
        let done = until_end_of(
            with_password_too,
            &url,
            home.path(),
            step,
            |_| true,
            &change,
        )
        .await;
        let directory = tempfile::tempdir().expect("a directory");
        let client = with_password_too(&url, directory.path()).await;
        let is_new = logs_in(&client, new).await;
        assert_ne!(logs_in(&client, old).await, is_new, "{step:?}");
        assert!(is_new || done.is_none(), "{step:?}");
        let right = if is_new { new } else { old };
        // The device goes on by itself, with the keys that are in the vault.
        let phone = online(with_password_too(&url, home.path()).await, home).await;
        talk(&bob, &[&phone]).await;
        until(async || phone.client.backup().await.expect("read").on).await;
        let Ok(LoginStep::Locked(login)) = client.login("alice", right).await else {
            panic!("{step:?}: not logged in");
        };
        let joined = login.unlock(&Unlock::Password, None).await;
        joined.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        let guest = online(client, directory).await;
        talk(&bob, &[&phone, &guest]).await;
        until_agreed(&[&phone, &guest]).await;
        // To its devices the vault opens by either secret.
        let leaves = this(&guest.client).await;
        let by_password = VaultSecret::Password(right.clone());
        let removed = phone.client.remove_device(leaves, Some(&by_password)).await;
        removed.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        let renewed = phone.client.renew_keys(&recovery_key(&written)).await;
        renewed.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        guest.client.close().await;
        if !is_new {
            change(&phone.client).await.expect("changed");
        }
        phone.client.close().await;
        kept.replace(Some((phone.directory, 1 - at)));
        done.is_none()
    })
    .await;
}

/// Whether it is the password of the account, whose vault is opened by it.
async fn logs_in(client: &Client, password: &Password) -> bool {
    match client.login("alice", password).await {
        Ok(LoginStep::Locked(login)) => {
            assert!(login.is_opened_by_password());
            true
        }
        Ok(done) => panic!("{done:?}"),
        Err(error) => {
            assert_eq!(error.code(), Code::WrongPassword);
            false
        }
    }
}

async fn kept(client: &Client, key: &str) {
    let key = RecoveryKey::parse(key).expect("a key");
    client.recovery_key_kept(&key).await.expect("kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_and_another_recovery_key() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    let home = phone.directory.path();
    let written = RefCell::new(written);
    let first = written.borrow().clone();
    kept(&phone.client, &first).await;
    phone.client.close().await;
    let bob = Person::online(&url, "bob").await;
    at_every_step(CLOSED, 5, async |step| {
        let before = written.borrow().clone();
        let secret = recovery_key(&before);
        let renew = async |client: &Client| client.renew_keys(&secret).await;
        let renewed = until_end(&url, home, step, &renew).await;
        let client = started(&url, home).await;
        renew(&client).await.expect("renewed");
        assert!(client.recovery_key().await.expect("read").is_none());
        client.close().await;

        let another = async |client: &Client| client.new_recovery_key(&secret).await;
        let made = until_end(&url, home, step, &another).await;
        let client = started(&url, home).await;
        match another(&client).await {
            Ok(()) => {}
            // It was made: the device has it.
            Err(error) => assert_eq!(error.code(), Code::WrongRecoveryKey, "{step:?}"),
        }
        let now = written_down(&client).await;
        assert_ne!(now, before);
        assert_eq!(code(renew(&client).await), Some(Code::WrongRecoveryKey));
        let by_new = recovery_key(&now);
        client.renew_keys(&by_new).await.expect("renewed");
        kept(&client, &now).await;
        assert!(client.recovery_key().await.expect("read").is_none());
        let user = client.me().expect("an account");
        client.connect();
        let text = news();
        client
            .conversation(bob.user.id)
            .send(&text)
            .await
            .expect("sent");
        until_shown(&bob, &user, &[&text]).await;
        client.close().await;
        written.replace(now);
        renewed.is_none() || made.is_none()
    })
    .await;
}

/// For who has lost the one before: afterwards one of the two opens the vault, and the password does.
#[tokio::test(flavor = "multi_thread")]
async fn another_recovery_key_by_the_password() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered_with_password_too(&url, "alice").await;
    let home = phone.directory.path();
    kept(&phone.client, &written).await;
    phone.client.close().await;
    let bob = Person::online(&url, "bob").await;
    let by_password = VaultSecret::Password(Password::new(PASSWORD));
    let written = RefCell::new(written);
    at_every_step(CLOSED, 8, async |step| {
        let before = written.borrow().clone();
        let another = async |client: &Client| client.new_recovery_key(&by_password).await;
        let made = until_end(&url, home, step, &another).await;
        let client = started(&url, home).await;
        client.connect();
        let text = news();
        let sent = client.conversation(bob.user.id).send(&text).await;
        sent.expect("sent");
        until_shown(&bob, &phone.user, &[&text]).await;
        let renewed = client.renew_keys(&by_password).await;
        renewed.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        // The device knows by now whether it was made.
        let shown = client.recovery_key().await.expect("read");
        assert!(shown.is_some() || made.is_none(), "{step:?}");
        if let Some(key) = shown {
            let now = key.text().to_string();
            let by_old = client.renew_keys(&recovery_key(&before)).await;
            assert_eq!(code(by_old), Some(Code::WrongRecoveryKey), "{step:?}");
            kept(&client, &now).await;
            written.replace(now);
        }
        let by_key = recovery_key(&written.borrow());
        let renewed = client.renew_keys(&by_key).await;
        renewed.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        client.close().await;
        made.is_none()
    })
    .await;
}
