//! Passwords and keys that take the place of others.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use sordino::{Client, Code, Password, RecoveryKey};

use super::{at_every_step, news, recovery_key, started, until_end};
use crate::plenty::relay;
use crate::support::{
    Person,
    phones::{PASSWORD, code, registered, until_shown, written_down},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_password() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.close().await;
    let passwords = [PASSWORD, "seven-lanterns-over-gravel"].map(Password::new);
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
    at_every_step(6, async |step| {
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

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_and_another_recovery_key() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    let home = phone.directory.path();
    let written = RefCell::new(written);
    let kept = async |client: &Client, key: &str| {
        let key = RecoveryKey::parse(key).expect("a key");
        client.recovery_key_kept(&key).await.expect("kept");
    };
    let first = written.borrow().clone();
    kept(&phone.client, &first).await;
    phone.client.close().await;
    let bob = Person::online(&url, "bob").await;
    at_every_step(5, async |step| {
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
