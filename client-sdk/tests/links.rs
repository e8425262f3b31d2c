//! A device that another one of the account links: no recovery key, six digits, and everything that was said before.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "support/plenty.rs"]
mod plenty;
mod support;

use std::time::Duration;

use futures_util::future::join_all;
use sordino::{
    Client, Code, ConnectionState, Device, DeviceId, Event, LinkRequest, Linking, LoginStep,
    Password, RecoveryKey, SendState, VaultSecret,
};
use sordino_protocol::limits;
use sordino_testing::TestRelay;
use support::{
    Person, all,
    losing::{Lost, losing},
    open,
    phones::{
        PASSWORD, code, locked, registered, typed, until_backed_up, until_restored,
        until_restored_forward, until_shown,
    },
    texts, until, within,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Nobody waits five minutes for what was lost.
const SOON: Duration = Duration::from_secs(3);
const AT_A_TIME: usize = 8;

/// A client that has an account's password, and shows a code.
async fn shown(url: &str, name: &str) -> (TempDir, Client, Linking) {
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(url, directory.path()).await.expect("opened");
    let linking = locked(&client, name).await.link();
    (directory, client, linking)
}

/// The code was read.
async fn met(at: &Client, linking: &Linking) -> LinkRequest {
    let (request, met) = tokio::join!(at.link(linking.code()), linking.met());
    met.expect("met");
    let request = request.expect("met");
    assert_eq!(request.digits().len(), 6);
    request
}

/// The person confirms, and the device is on the account.
async fn link(at: &Client, linking: &Linking) -> DeviceId {
    let request = met(at, linking).await;
    let (confirmed, joined) = tokio::join!(request.confirm(), linking.join(request.digits()));
    joined.expect("joined");
    confirmed.expect("confirmed")
}

async fn devices(at: &Client) -> Vec<Device> {
    at.devices().await.expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_phone_reads_what_was_before_and_is_one_like_the_others() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, _) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&url, "bob").await;
    let carol = Person::online(&url, "carol").await;
    // More than one message with keys.
    let drafts: Vec<_> = (0..450).map(|n| format!("message {n}")).collect();
    for (n, text) in drafts.iter().enumerate() {
        let conversation = match n % 2 {
            0 => phone.with(&bob),
            _ => bob.with(&phone),
        };
        conversation.send(text).await.expect("sent");
    }
    carol.with(&phone).send("hello").await.expect("sent");
    until_shown(&phone, &carol.user, &["hello"]).await;
    until(async || {
        let shown = all(&phone.with(&bob)).await;
        shown.len() == drafts.len()
            && shown
                .iter()
                .all(|m| !m.mine || m.state == SendState::Delivered)
    })
    .await;

    let (directory, client, linking) = shown(&url, "alice").await;
    let mut of_bob = bob.client.events();
    let id = link(&phone.client, &linking).await;
    let user = client.me().expect("registered");
    let tablet = Person {
        client,
        user,
        directory,
    };
    let mut events = tablet.client.events();
    tablet.client.connect();
    until_restored_forward(&mut events, 451, 451).await;
    let read = all(&tablet.with(&bob)).await;
    assert_eq!(texts(&read), texts(&all(&phone.with(&bob)).await));
    assert_eq!(texts(&all(&tablet.with(&carol)).await), ["hello"]);
    assert_eq!(tablet.client.backup().await.expect("read").restoring, None);

    // It gets what comes, sends, fills the backup, and may remove the one that linked it.
    bob.with(&tablet).send("to two").await.expect("sent");
    until_shown(&tablet, &bob.user, &["to two"]).await;
    // A device that is known vouched for it.
    within(async {
        loop {
            if let Event::DeviceAdded { device, loud, .. } = of_bob.next().await.expect("an event")
            {
                assert_eq!((device, loud), (id, false));
                return;
            }
        }
    })
    .await;
    tablet.with(&bob).send("from two").await.expect("sent");
    until_shown(&phone, &bob.user, &["to two", "from two"]).await;
    until_backed_up(&tablet).await;
    let on_phone = devices(&phone.client).await;
    assert_eq!(on_phone[1].id, id);
    // It looks once more for what came late: until then somebody is asked whether it is to go.
    let first = on_phone[0].id;
    let too_soon = tablet.client.remove_device(first, None).await;
    assert_eq!(code(too_soon), Some(Code::HistoryOwed));
    let too_soon = phone.client.remove_device(first, None).await;
    assert_eq!(code(too_soon), Some(Code::HistoryOwed));
    let removed = tablet.client.remove_device_anyway(first, None).await;
    removed.expect("removed");
    within(async { while events.next().await.expect("an event") != Event::HistoryCutOff {} }).await;
    bob.with(&tablet).send("to one").await.expect("sent");
    until_shown(&tablet, &bob.user, &["from two", "to one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_confirmed_changes_nothing_and_gives_nothing() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, _) = registered(&url, "alice").await;
    let (bob, _) = registered(&url, "bob").await;
    let (_directory, client, linking) = shown(&url, "alice").await;

    let not_one = phone.client.link("SORDINO:SN1:012345").await;
    assert_eq!(code(not_one), Some(Code::BadRequest));
    let elsewhere = format!("{}.example", linking.code());
    assert_eq!(
        code(phone.client.link(&elsewhere).await),
        Some(Code::BadRequest)
    );

    // The digits are not the same, or the person thinks otherwise of it.
    let request = met(&phone.client, &linking).await;
    let digits = request.digits().to_owned();
    drop(request);
    let other = if digits == "000000" {
        "000001"
    } else {
        "000000"
    };
    for wrong in ["", other] {
        assert_eq!(code(linking.join(wrong).await), Some(Code::BadRequest));
    }
    assert_eq!(client.me(), None);
    assert_eq!(devices(&phone.client).await.len(), 1);

    // Another link of the same login; the first one is over then.
    let LoginStep::Locked(login) = client
        .login("alice", &Password::new(PASSWORD))
        .await
        .expect("logged in")
    else {
        panic!("not locked");
    };
    let another = login.link();
    link(&phone.client, &another).await;
    assert!(client.me().is_some());
    let late = linking.join(&digits).await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(devices(&phone.client).await.len(), 2);
    assert_eq!(devices(&bob.client).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_when_the_account_changes_in_between() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    let (_one, first, linking) = shown(&url, "alice").await;
    let request = met(&phone.client, &linking).await;
    let secret = RecoveryKey::parse(&written).expect("a key");
    let secret = VaultSecret::RecoveryKey(secret);
    phone.client.renew_keys(&secret).await.expect("renewed");
    let (confirmed, joined) = tokio::join!(
        timeout(SOON, request.confirm()),
        linking.join(request.digits())
    );
    // The new device's login is over: it stores nothing, and says nothing more.
    assert_eq!(code(joined), Some(Code::NotAuthenticated));
    assert!(confirmed.is_err(), "it waits for the new device");
    assert_eq!(first.me(), None);
    assert_eq!(devices(&phone.client).await.len(), 1);
}

/// Through a proxy that loses one request or answer of either device, each of them in turn: the new device is on the account, or it
/// is not and can begin anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_breaks_off_anywhere_neither_locks_out_nor_half_joins() {
    for what in [Lost::Request, Lost::Answer] {
        // Several at a time: most of it is waiting.
        for first in (1..).step_by(AT_A_TIME) {
            let attempts = (first..first + AT_A_TIME).map(|nth| breaking_off(what, nth));
            let lost = join_all(attempts).await;
            if !lost.iter().all(|lost| *lost) {
                assert!(first > 8, "too few requests were lost: {first}");
                break;
            }
        }
    }
}

/// Whether there was such a request.
async fn breaking_off(what: Lost, nth: usize) -> bool {
    let relay = TestRelay::start().await.expect("relay");
    let (alice, _) = registered(&relay.url(), "alice").await;
    alice.client.close().await;
    let (url, has_lost) = losing(&relay.url(), nth, what).await;
    let phone = open(&url, alice.directory.path()).await.expect("opened");
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = open(&url, directory.path()).await.expect("opened");
    for attempt in 0.. {
        // On a machine with much else to do an attempt may not be done in time.
        assert!(attempt < 8, "{what:?} {nth}");
        if try_to_link(&phone, &client).await == Ok(true) {
            break;
        }
        // As a program that was started anew.
        client.close().await;
        client = open(&url, directory.path()).await.expect("opened");
    }
    assert_eq!(devices(&client).await.len(), 2, "{what:?} {nth}");
    client.close().await;
    phone.close().await;
    // What the phone was not told it sees when it looks.
    let phone = open(&relay.url(), alice.directory.path())
        .await
        .expect("opened");
    phone.connect();
    until(async || devices(&phone).await.len() == 2).await;
    phone.close().await;
    has_lost()
}

/// Whether the new device is on the account.
async fn try_to_link(phone: &Client, client: &Client) -> Result<bool, Code> {
    let password = Password::new(PASSWORD);
    let login = match client.login("alice", &password).await {
        Ok(LoginStep::Locked(login)) => login,
        Ok(LoginStep::Done(_)) => return Ok(true),
        Err(error) => return Err(error.code()),
    };
    let linking = login.link();
    let met = tokio::try_join!(phone.link(linking.code()), linking.met());
    let (request, ()) = met.map_err(|error| error.code())?;
    let both = async { tokio::join!(request.confirm(), linking.join(request.digits())) };
    match timeout(SOON, both).await {
        Ok((_, joined)) => Ok(joined.is_ok()),
        Err(_) => Ok(false),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_before_comes_however_often_either_is_away() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (mut phone, _) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("one").await.expect("sent");
    until_shown(&phone, &bob.user, &["one"]).await;

    let (directory, client, linking) = shown(&url, "alice").await;
    link(&phone.client, &linking).await;
    phone.client.close().await;
    client.connect();
    let user = client.me().expect("registered");
    let mut tablet = Person {
        client,
        user,
        directory,
    };
    tablet.until_live().await;
    tablet.reopen(&url).await;
    assert_eq!(texts(&all(&tablet.with(&bob)).await), [""; 0]);
    phone.reopen(&url).await;
    phone.client.connect();
    phone.until_live().await;
    let mut events = tablet.client.events();
    tablet.client.connect();
    assert_eq!(until_restored(&mut events).await, 1);
    assert_eq!(texts(&all(&tablet.with(&bob)).await), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_other_side_is_slow_holds_up_nothing_else() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    let (_directory, _client, linking) = shown(&url, "alice").await;
    let request = met(&phone.client, &linking).await;
    // The person has confirmed here and types nothing there: it goes on waiting, also when nobody waits for it.
    assert!(timeout(SOON, request.confirm()).await.is_err());
    let secret = RecoveryKey::parse(&written).expect("a key");
    let secret = VaultSecret::RecoveryKey(secret);
    let renewed = within(phone.client.renew_keys(&secret)).await;
    renewed.expect("renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_restarts_ends_a_link_within_seconds_and_not_one_that_nobody_has_read() {
    const SECONDS: Duration = Duration::from_secs(30);
    let mut relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, _) = registered(&url, "alice").await;

    // Nobody reads the code before the restart: it is as good after it.
    let (_one, client, linking) = shown(&url, "alice").await;
    let waiting = linking.met();
    let reading = async {
        relay.restart().await.expect("restarted");
        phone.client.link(linking.code()).await
    };
    let (request, met_there) = within(async { tokio::join!(reading, waiting) }).await;
    met_there.expect("met");
    let request = request.expect("met");

    // The two have met.
    relay.restart().await.expect("restarted");
    let both = async { tokio::join!(request.confirm(), linking.join(request.digits())) };
    let (confirmed, joined) = timeout(SECONDS, both).await.expect("within seconds");
    assert_eq!(code(confirmed), Some(Code::LinkEnded));
    assert_eq!(code(joined), Some(Code::LinkEnded));
    assert_eq!(client.me(), None);

    // One waits for the other, which is told nothing of it.
    let (_two, client, linking) = shown(&url, "alice").await;
    let request = met(&phone.client, &linking).await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let confirming = async {
        begun.send(()).expect("heard");
        request.confirm().await
    };
    let restarting = async {
        has_begun.await.expect("begun");
        tokio::time::sleep(Duration::from_secs(1)).await;
        relay.restart().await.expect("restarted");
    };
    let both = async { tokio::join!(confirming, restarting) };
    let (confirmed, ()) = timeout(SECONDS, both).await.expect("within seconds");
    assert_eq!(code(confirmed), Some(Code::LinkEnded));
    let joined = timeout(SECONDS, linking.join(request.digits())).await;
    assert_eq!(code(joined.expect("within seconds")), Some(Code::LinkEnded));
    assert_eq!(client.me(), None);

    // A relay that stays away.
    let (_three, client, linking) = shown(&url, "alice").await;
    relay.stop().await;
    let met_there = timeout(SECONDS, linking.met()).await;
    assert_eq!(
        code(met_there.expect("within seconds")),
        Some(Code::Unreachable)
    );
    relay.restart().await.expect("restarted");
    let LoginStep::Locked(login) = client
        .login("alice", &Password::new(PASSWORD))
        .await
        .expect("logged in")
    else {
        panic!("not locked");
    };
    link(&phone.client, &login.link()).await;
    assert_eq!(devices(&phone.client).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_goes_on_where_the_store_failed_in_between() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, _) = registered(&url, "alice").await;
    let (_directory, client, linking) = shown(&url, "alice").await;
    let request = met(&phone.client, &linking).await;
    client.suspend().await.expect("suspended");
    let joined = async {
        let failed = linking.join(request.digits()).await;
        assert_eq!(code(failed), Some(Code::Stopped));
        client.resume().await.expect("resumed");
        linking.join(request.digits()).await
    };
    let (confirmed, joined) = tokio::join!(request.confirm(), joined);
    joined.expect("joined");
    confirmed.expect("confirmed");
    assert_eq!(devices(&client).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_ten_devices_another_comes_only_when_one_goes() {
    let relay = plenty::relay().await;
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&url, "bob").await;
    let key = typed(&written);
    let joined = async || {
        let directory = tempfile::tempdir().expect("a directory");
        let client = open(&url, directory.path()).await.expect("opened");
        let login = locked(&client, "alice").await;
        login.unlock(&key, None).await.expect("joined");
        (directory, client)
    };
    let mut others = Vec::new();
    for _ in 1..limits::DEVICES {
        others.push(joined().await);
    }

    // By the recovery key, in the place of one that the person chooses.
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&url, directory.path()).await.expect("opened");
    let login = locked(&client, "alice").await;
    let refused = login.unlock(&key, None).await;
    assert_eq!(code(refused), Some(Code::DeviceLimit));
    assert_eq!(client.me(), None);
    let choice = login.devices();
    assert_eq!(choice.len(), limits::DEVICES);
    let (_, lost) = &others[4];
    let leaves = choice[5].id;
    let is_lost = |device: &Device| device.is_this && device.id == leaves;
    assert!(devices(lost).await.iter().any(is_lost));
    let mut told = lost.events();
    lost.connect();
    let user = login.unlock(&key, Some(leaves)).await.expect("joined");
    assert_eq!(user, phone.user);
    within(async {
        while !matches!(
            told.next().await.expect("an event"),
            Event::SignedOut | Event::Connection(ConnectionState::Stopped { .. })
        ) {}
    })
    .await;
    client.connect();
    let next = Person {
        client,
        user,
        directory,
    };
    next.until_live().await;
    bob.with(&phone).send("to all").await.expect("sent");
    for at in [&phone, &next] {
        until_shown(at, &bob.user, &["to all"]).await;
        let listed = devices(&at.client).await;
        assert_eq!(listed.len(), limits::DEVICES);
        assert!(listed.iter().all(|device| device.id != leaves));
    }

    // By a link both are told before they meet.
    let (_directory, client, linking) = shown(&url, "alice").await;
    let asked = phone.client.link(linking.code());
    let (asked, met_there) = within(async { tokio::join!(asked, linking.met()) }).await;
    assert_eq!(code(asked), Some(Code::DeviceLimit));
    assert_eq!(code(met_there), Some(Code::DeviceLimit));
    assert_eq!(client.me(), None);
    let listed = devices(&phone.client).await;
    assert_eq!(listed.len(), limits::DEVICES);
    // Of whoever came last and was never online this one has no keys.
    let secret = RecoveryKey::parse(&written).expect("a key");
    let secret = VaultSecret::RecoveryKey(secret);
    let remove = async |device: &Device| {
        let removed = phone.client.remove_device(device.id, Some(&secret)).await;
        removed.expect("removed");
    };
    remove(&listed[1]).await;

    // Or when the person confirms, where the tenth has come in between.
    let (_directory, client, linking) = shown(&url, "alice").await;
    let request = met(&phone.client, &linking).await;
    others.push(joined().await);
    let both = async { tokio::join!(request.confirm(), linking.join(request.digits())) };
    let (confirmed, ended) = within(both).await;
    assert_eq!(code(confirmed), Some(Code::DeviceLimit));
    assert_eq!(code(ended), Some(Code::NotAuthenticated));
    assert_eq!(client.me(), None);
    remove(&listed[2]).await;
    let LoginStep::Locked(login) = client
        .login("alice", &Password::new(PASSWORD))
        .await
        .expect("logged in")
    else {
        panic!("not locked");
    };
    link(&phone.client, &login.link()).await;
    assert_eq!(devices(&client).await.len(), limits::DEVICES);
}
