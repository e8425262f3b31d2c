//! Devices that come onto an account and leave it.

use std::cell::RefCell;

use sordino::{
    Client, ConnectionState, DeviceId, Error, Event, LoginStep, Password, Unlock, User, VaultSecret,
};

use super::{
    CLOSED, EITHER_WAY, Ending, at_every_step, person, recovery_key, started, talk, this,
    until_agreed, until_end,
};
use crate::plenty::relay;
use crate::support::{
    Person, all,
    phones::{
        PASSWORD, joining, registered, registered_with_password_too, typed, until_backed_up,
        until_restored,
    },
    until, within,
};

/// On a store without an account: a device that joins one, `instead_of` another.
pub async fn join(
    client: &Client,
    name: &str,
    unlock: &Unlock,
    instead_of: Option<DeviceId>,
) -> Result<User, Error> {
    match client.login(name, &Password::new(PASSWORD)).await? {
        LoginStep::Done(user) => Ok(user),
        LoginStep::Locked(login) => {
            let listed = login.devices();
            let leaves = instead_of.filter(|id| listed.iter().any(|device| device.id == *id));
            login.unlock(unlock, leaves).await
        }
    }
}

/// A guest comes and goes, again and again; at the end whoever was in the way of the removal has gone once.
async fn guests(
    url: &str,
    phone: Person,
    unlock: &Unlock,
    secret: Option<&VaultSecret>,
    endings: &[Ending],
) {
    let name = phone.user.username.as_str();
    phone.client.close().await;
    let bob = Person::online(url, &format!("friend-of-{name}")).await;
    let phone = RefCell::new(Some(phone.directory));
    at_every_step(endings, 7, async |step| {
        let home = tempfile::tempdir().expect("a directory");
        let joins = async |client: &Client| join(client, name, unlock, None).await;
        let joined = until_end(url, home.path(), step, &joins).await;
        let client = started(url, home.path()).await;
        if client.me().is_none() {
            joins(&client).await.expect("joined");
        }
        client.close().await;
        let guest = person(url, home).await;
        let first = person(url, phone.take().expect("a directory")).await;
        talk(&bob, &[&first, &guest]).await;
        until_agreed(&[&first, &guest]).await;

        // The keys that came with the guest.
        until(async || first.client.backup().await.expect("read").on).await;
        let id = this(&guest.client).await;
        let mut told = guest.client.events();
        let Person {
            client, directory, ..
        } = first;
        client.close().await;
        let leaves = async |client: &Client| client.remove_device(id, secret).await;
        let removed = until_end(url, directory.path(), step, &leaves).await;
        let first = person(url, directory).await;
        talk(&bob, &[&first]).await;
        // Where it is still listed, it is asked for again.
        if first.client.devices().await.expect("read").len() > 1 {
            leaves(&first.client).await.expect("removed");
        }
        within(async {
            while !matches!(
                told.next().await.expect("an event"),
                Event::SignedOut | Event::Connection(ConnectionState::Stopped { .. })
            ) {}
        })
        .await;
        talk(&bob, &[&first]).await;
        until_agreed(&[&first]).await;
        first.client.close().await;
        phone.replace(Some(first.directory));
        joined.is_none() || removed.is_none()
    })
    .await;
    // Of all versions of keys and backup nothing was lost.
    let said = {
        let first = person(url, phone.take().expect("a directory")).await;
        until_backed_up(&first).await;
        all(&first.with(&bob)).await.len()
    };
    let (last, mut events) = joining(url, name, unlock, None).await;
    until_restored(&mut events).await;
    assert_eq!(all(&last.with(&bob)).await.len(), said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_removal() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    guests(&url, phone, &typed(&written), None, EITHER_WAY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_removal_with_new_keys() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    let secret = recovery_key(&written);
    guests(&url, phone, &typed(&written), Some(&secret), CLOSED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_removal_with_new_keys_by_the_password() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, _) = registered_with_password_too(&url, "alice").await;
    let secret = VaultSecret::Password(Password::new(PASSWORD));
    guests(&url, phone, &Unlock::Password, Some(&secret), CLOSED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_password_alone_in_the_place_of_another_device() {
    let relay = relay().await;
    let url = relay.url();
    let (phone, _) = registered_with_password_too(&url, "alice").await;
    phone.client.close().await;
    let bob = Person::online(&url, "bob").await;
    let before = RefCell::new(Some(person(&url, phone.directory).await));
    at_every_step(CLOSED, 7, async |step| {
        let lost = before.take().expect("a phone");
        let id = this(&lost.client).await;
        let home = tempfile::tempdir().expect("a directory");
        let joins =
            async |client: &Client| join(client, "alice", &Unlock::Password, Some(id)).await;
        let joined = until_end(&url, home.path(), step, &joins).await;
        let client = started(&url, home.path()).await;
        if client.me().is_none() {
            joins(&client).await.expect("joined");
        }
        client.close().await;
        let next = person(&url, home).await;
        talk(&bob, &[&next]).await;
        until_agreed(&[&next]).await;
        before.replace(Some(next));
        joined.is_none()
    })
    .await;
}
