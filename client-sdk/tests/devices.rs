//! Several phones of one person: what they tell each other, how one leaves, and what a new one reads of before.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use sordino::{
    Client, Code, ConnectionState, ConversationRow, Device, DeviceId, Event, Events, LoginStep,
    Message, Password, RecoveryKey, Restoring, SendState, Unlock, VaultSecret,
};
use sordino_testing::TestRelay;
use support::{
    Person, all, builder,
    liar::Liar,
    losing::{Lost, losing},
    open,
    phones::{
        PASSWORD, code, joining, locked, registered, second_phone, shown_row, typed,
        until_backed_up, until_restored, until_restored_forward, until_shown, with_password_too,
        written_down,
    },
    texts, until, within,
};

fn recovery_key(written: &str) -> VaultSecret {
    VaultSecret::RecoveryKey(RecoveryKey::parse(written).expect("a key"))
}

/// Until the devices that a client knows are as wanted.
async fn until_devices(at: &Client, wanted: impl Fn(&[Device]) -> bool) -> Vec<Device> {
    within(async {
        loop {
            let devices = at.devices().await.expect("read");
            if wanted(&devices) {
                return devices;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

async fn kept(client: &Client, written: &str) {
    let key = RecoveryKey::parse(written).expect("a key");
    client.recovery_key_kept(&key).await.expect("kept");
}

async fn until_signed_out(events: &mut Events) {
    within(async {
        loop {
            match events.next().await.expect("an event") {
                Event::SignedOut | Event::Connection(ConnectionState::Stopped { .. }) => return,
                _ => {}
            }
        }
    })
    .await;
}

fn id(person: &Person) -> impl Future<Output = DeviceId> {
    let client = person.client.clone();
    async move {
        let devices = client.devices().await.expect("read");
        let own = devices.into_iter().find(|device| device.is_this);
        own.expect("this device").id
    }
}

async fn online(person: &Person) {
    person.client.connect();
    person.until_live().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_of_one_person_know_each_other_by_name() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    phone.client.name_device("Phone").await.expect("named");
    let long = phone.client.name_device(&"x".repeat(65)).await;
    assert_eq!(code(long), Some(Code::BadRequest));
    online(&phone).await;

    let directory = tempfile::tempdir().expect("a directory");
    let unusable = builder(&url, directory.path()).device_name("a\nb");
    assert_eq!(code(unusable.open().await), Some(Code::BadRequest));
    let client = builder(&url, directory.path()).device_name("Tablet");
    let client = client.open().await.expect("opened");
    let login = locked(&client, "alice").await;
    login.unlock(&typed(&written), None).await.expect("joined");
    client.connect();
    let named = |devices: &[Device], names: [&str; 2]| {
        devices.len() == 2 && devices.iter().map(|d| d.name.as_str()).eq(names)
    };
    for at in [&phone.client, &client] {
        until_devices(at, |devices| named(devices, ["Phone", "Tablet"])).await;
    }
    client.name_device("Kitchen").await.expect("named");
    let devices = until_devices(&phone.client, |d| named(d, ["Phone", "Kitchen"])).await;
    assert_eq!(
        devices.iter().map(|d| d.is_this).collect::<Vec<_>>(),
        [true, false]
    );
    // What they say to each other is no conversation of the person's.
    let mut rows = support::Reading::new(client.conversations());
    rows.until(<[_]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_phone_removes_another_also_after_the_keys_were_renewed() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    online(&phone).await;
    let tablet = second_phone(&url, "alice", &typed(&written)).await;
    let stolen = second_phone(&url, "alice", &typed(&written)).await;
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("to three").await.expect("sent");
    for device in [&phone, &tablet, &stolen] {
        until_shown(device, &bob.user, &["to three"]).await;
    }
    let mut events = stolen.client.events();
    let nobody = DeviceId::from_bytes([7; 16]);
    let refused = phone.client.remove_device(nobody, None).await;
    assert_eq!(code(refused), Some(Code::BadRequest));

    // The recovery key makes new keys, which the tablet gets: the next removal needs none.
    let stolen_id = id(&stolen).await;
    let wrong = registered(&url, "carol").await.1;
    let secret = recovery_key(&wrong);
    let refused = phone.client.remove_device(stolen_id, Some(&secret));
    assert_eq!(code(refused.await), Some(Code::WrongRecoveryKey));
    let secret = recovery_key(&written);
    let removed = phone.client.remove_device(stolen_id, Some(&secret));
    removed.await.expect("removed");
    until_signed_out(&mut events).await;
    let due = async |phone: &Person| phone.client.renewal_is_due().await.expect("told");
    assert!(!due(&phone).await);
    bob.with(&phone).send("to two").await.expect("sent");
    for device in [&phone, &tablet] {
        until_shown(device, &bob.user, &["to three", "to two"]).await;
    }
    assert_eq!(texts(&all(&stolen.with(&bob)).await), ["to three"]);
    let fourth = second_phone(&url, "alice", &typed(&written)).await;
    let fourth_id = id(&fourth).await;
    let mut events = fourth.client.events();
    until(async || {
        let removed = tablet.client.remove_device(fourth_id, None).await;
        if let Err(error) = &removed {
            assert_eq!(error.code(), Code::KeysMissing, "{error}");
        }
        removed.is_ok()
    })
    .await;
    until_signed_out(&mut events).await;
    until_devices(&phone.client, |devices| devices.len() == 2).await;
    // Whoever has it knows what is in use.
    assert!(due(&phone).await && due(&tablet).await);
    tablet.client.renew_keys(&secret).await.expect("renewed");
    assert!(!due(&tablet).await);

    // Itself, too; but the last one stays.
    let phone_id = id(&phone).await;
    let mut events = phone.client.events();
    until(async || {
        let removed = phone.client.remove_device(phone_id, None).await;
        code(removed) != Some(Code::KeysMissing)
    })
    .await;
    until_signed_out(&mut events).await;
    let tablet_id = id(&tablet).await;
    let last = tablet.client.remove_device(tablet_id, None).await;
    assert_eq!(code(last), Some(Code::BadRequest));
    bob.with(&tablet).send("to one").await.expect("sent");
    until_shown(&tablet, &bob.user, &["to two", "to one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_was_offline_asks_for_the_keys_that_it_missed() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    online(&phone).await;
    let mut tablet = second_phone(&url, "alice", &typed(&written)).await;
    tablet.client.close().await;
    for _ in 0..2 {
        phone
            .client
            .renew_keys(&recovery_key(&written))
            .await
            .expect("renewed");
    }
    tablet.reopen(&url).await;
    let phone_id = id(&phone).await;
    let offline = tablet.client.remove_device(phone_id, None).await;
    assert_eq!(code(offline), Some(Code::KeysMissing));
    online(&tablet).await;
    until_backed_up(&tablet).await;
    tablet
        .client
        .remove_device(phone_id, None)
        .await
        .expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_reads_what_was_before_it() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    online(&phone).await;
    let bob = Person::online(&url, "bob").await;
    let carol = Person::online(&url, "carol").await;
    let mut expected = Vec::new();
    // More than one batch.
    for n in 0..600 {
        let text = format!("message {n}");
        let conversation = match n % 2 {
            0 => phone.with(&bob),
            _ => bob.with(&phone),
        };
        conversation.send(&text).await.expect("sent");
        expected.push(text);
    }
    carol.with(&phone).send("hello").await.expect("sent");
    until_shown(&phone, &carol.user, &["hello"]).await;
    let has_come = |m: &Message| !m.mine || m.state == SendState::Delivered;
    until(async || {
        let shown = all(&phone.with(&bob)).await;
        shown.len() == expected.len() && shown.iter().all(has_come)
    })
    .await;
    until_backed_up(&phone).await;

    let (tablet, mut events) = joining(&url, "alice", &typed(&written), None).await;
    until_restored_forward(&mut events, 2, 601).await;
    let read = all(&tablet.with(&bob)).await;
    let on_phone = all(&phone.with(&bob)).await;
    assert_eq!(texts(&read), texts(&on_phone), "in the same order");
    let found = tablet.client.search("\"message 77\"").await;
    assert_eq!(found.expect("searched").len(), 1);
    let mut texts_read: Vec<_> = read.iter().map(|m| m.text.clone()).collect();
    texts_read.sort();
    expected.sort();
    assert_eq!(texts_read, expected);
    for message in &read {
        assert_eq!(message.mine, message.author == tablet.user.id);
        assert!(has_come(message), "{message:?}");
    }
    // Read on the phone: nothing is new; and the newest conversation stands first.
    for peer in [&bob, &carol] {
        assert_eq!(shown_row(&tablet, &peer.user).await.unread, 0);
    }
    let mut rows = support::Reading::new(tablet.client.conversations());
    let rows = rows.until(|rows| rows.len() == 2).await;
    assert_eq!(rows[0].peer.id, carol.user.id);
    // It goes on where that ended.
    bob.with(&tablet).send("after").await.expect("sent");
    until_shown(&tablet, &bob.user, &["after"]).await;
    let mut rows = support::Reading::new(tablet.client.conversations());
    let unread = |rows: &[ConversationRow]| rows[0].peer.id == bob.user.id && rows[0].unread == 1;
    rows.until(|rows| rows.len() == 2 && unread(rows)).await;
    // What came back is not put into the backup once more, and what opens it is gone.
    until_backed_up(&tablet).await;
    assert_eq!(tablet.client.backup().await.expect("read").restoring, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_reads_all_versions_of_the_backup() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    online(&phone).await;
    let bob = Person::online(&url, "bob").await;
    let tablet = second_phone(&url, "alice", &typed(&written)).await;
    bob.with(&phone).send("one").await.expect("sent");
    for device in [&phone, &tablet] {
        until_shown(device, &bob.user, &["one"]).await;
        until_backed_up(device).await;
    }
    // The tablet is lost, the keys change, and only the phone goes on.
    let tablet_id = id(&tablet).await;
    let secret = recovery_key(&written);
    let removed = phone.client.remove_device(tablet_id, Some(&secret));
    removed.await.expect("removed");
    phone.with(&bob).send("two").await.expect("sent");
    until_shown(&bob, &phone.user, &["one", "two"]).await;
    until_shown(&phone, &bob.user, &["one", "two"]).await;
    until_backed_up(&phone).await;

    // In place of the phone, which is lost as well.
    let phone_id = id(&phone).await;
    let (next, mut events) = joining(&url, "alice", &typed(&written), Some(phone_id)).await;
    assert_eq!(until_restored(&mut events).await, 2);
    assert_eq!(texts(&all(&next.with(&bob)).await), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_breaks_off_goes_on_at_the_next_start() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    online(&phone).await;
    let bob = Person::online(&url, "bob").await;
    for n in 0..40 {
        bob.with(&phone).send(&n.to_string()).await.expect("sent");
    }
    until_shown(&phone, &bob.user, &["38", "39"]).await;
    until_backed_up(&phone).await;
    // Cut off when it has the keys of all messages, and asks for the first of those.
    let liar = Liar::before(&url).await;
    liar.counts(|said| said.contains("/messages?"));
    liar.cuts_at(1, Lost::Request);
    let (mut tablet, _) = joining(&liar.url, "alice", &typed(&written), None).await;
    liar.cut().await;
    let so_far = Restoring {
        read: 1,
        total: 1,
        messages: 0,
    };
    let restoring = async |at: &Client| at.backup().await.expect("read").restoring;
    assert_eq!(restoring(&tablet.client).await, Some(so_far));
    tablet.reopen(&url).await;
    assert_eq!(restoring(&tablet.client).await, Some(so_far));
    let mut events = tablet.client.events();
    online(&tablet).await;
    assert_eq!(until_restored(&mut events).await, 40);
    assert_eq!(all(&tablet.with(&bob)).await.len(), 40);
    assert_eq!(restoring(&tablet.client).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_recovery_key_takes_the_place_of_the_first() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    kept(&phone.client, &written).await;
    let secret = recovery_key(&written);
    phone.client.new_recovery_key(&secret).await.expect("made");
    let next = written_down(&phone.client).await;
    assert_ne!(next, written);
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&url, directory.path()).await.expect("opened");
    let login = locked(&client, "alice").await;
    let old = login.unlock(&typed(&written), None).await;
    assert_eq!(code(old), Some(Code::WrongRecoveryKey));
    login.unlock(&typed(&next), None).await.expect("joined");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_takes_the_place_of_the_first() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let (phone, written) = registered(&url, "alice").await;
    online(&phone).await;
    let (old, new) = (Password::new(PASSWORD), Password::new("a new one, longer"));
    let wrong = phone.client.change_password(&new, &old).await;
    assert_eq!(code(wrong), Some(Code::WrongPassword));
    let short = Password::new("x");
    let weak = phone.client.change_password(&old, &short);
    assert_eq!(code(weak.await), Some(Code::WeakPassword));
    phone
        .client
        .change_password(&old, &new)
        .await
        .expect("changed");
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&url, directory.path()).await.expect("opened");
    assert_eq!(
        code(client.login("alice", &old).await),
        Some(Code::WrongPassword)
    );
    let Ok(LoginStep::Locked(login)) = client.login("alice", &new).await else {
        panic!("not logged in");
    };
    login.unlock(&typed(&written), None).await.expect("joined");
    // The phone needs neither.
    let bob = Person::online(&url, "bob").await;
    bob.with(&phone).send("still there?").await.expect("sent");
    until_shown(&phone, &bob.user, &["still there?"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_password_opens_the_vault_the_next_one_does() {
    let relay = TestRelay::start().await.expect("relay");
    let url = relay.url();
    let first = tempfile::tempdir().expect("a directory");
    let phone = with_password_too(&url, first.path()).await;
    let (old, new) = (
        Password::new(PASSWORD),
        Password::new("seven-lanterns-over-gravel"),
    );
    phone.register("alice", Some(&old)).await.expect("made");
    phone.change_password(&old, &new).await.expect("changed");
    let by_old = VaultSecret::Password(old);
    assert_eq!(
        code(phone.renew_keys(&by_old).await),
        Some(Code::WrongPassword)
    );
    let by_new = VaultSecret::Password(new.clone());
    phone.renew_keys(&by_new).await.expect("renewed");
    let directory = tempfile::tempdir().expect("a directory");
    let client = open(&url, directory.path()).await.expect("opened");
    let Ok(LoginStep::Locked(login)) = client.login("alice", &new).await else {
        panic!("not logged in");
    };
    login.unlock(&Unlock::Password, None).await.expect("joined");
}

/// Asks through a proxy that loses one request or answer, each of them in turn; then, as a program that was started anew, until it is done.
/// `then`: what has to be true of the account afterwards.
async fn losing_each(
    ask: impl AsyncFn(&Client, &str) -> Result<(), sordino::Error>,
    then: impl AsyncFn(&str, &Client, &str),
) {
    for what in [Lost::Request, Lost::Answer] {
        for nth in 1.. {
            let relay = TestRelay::start().await.expect("relay");
            let (phone, written) = registered(&relay.url(), "alice").await;
            kept(&phone.client, &written).await;
            phone.client.close().await;
            let (url, has_lost) = losing(&relay.url(), nth, what).await;
            let mut client = open(&url, phone.directory.path()).await.expect("opened");
            let mut attempts = 0;
            while let Err(error) = ask(&client, &written).await {
                attempts += 1;
                assert!(attempts < 3, "{what:?} {nth}: {error}");
                let found = [Code::Busy, Code::WrongRecoveryKey, Code::WrongPassword];
                assert!(found.contains(&error.code()), "{what:?} {nth}: {error}");
                client.close().await;
                client = open(&relay.url(), phone.directory.path())
                    .await
                    .expect("opened");
                if error.code() != Code::Busy {
                    break;
                }
            }
            then(&relay.url(), &client, &written).await;
            client.close().await;
            if !has_lost() {
                assert!(nth > 4, "too few requests were lost: {nth}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_key_whose_making_breaks_off_is_never_lost() {
    losing_each(
        async |client, written| client.new_recovery_key(&recovery_key(written)).await,
        async |url, client, written| {
            client.connect();
            let directory = tempfile::tempdir().expect("a directory");
            let next = open(url, directory.path()).await.expect("opened");
            // The new one, if it was made; the device has it, however it was interrupted.
            until(async || {
                let known = client.recovery_key().await.expect("read");
                let known = known.map(|key| key.text().to_string());
                let key = known.as_deref().unwrap_or(written);
                let login = locked(&next, "alice").await;
                match login.unlock(&typed(key), None).await {
                    Ok(_) => {
                        assert!(known.is_some(), "it was asked for until it was made");
                        true
                    }
                    Err(error) => {
                        assert_eq!(error.code(), Code::WrongRecoveryKey);
                        false
                    }
                }
            })
            .await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_whose_change_breaks_off_is_the_old_one_or_the_new_one() {
    let new = || Password::new("a new one, longer");
    losing_each(
        async |client, _| {
            client
                .change_password(&Password::new(PASSWORD), &new())
                .await
        },
        async |url, _, written| {
            let directory = tempfile::tempdir().expect("a directory");
            let next = open(url, directory.path()).await.expect("opened");
            let Ok(LoginStep::Locked(login)) = next.login("alice", &new()).await else {
                panic!("it was asked for until it was changed");
            };
            login.unlock(&typed(written), None).await.expect("joined");
        },
    )
    .await;
}
