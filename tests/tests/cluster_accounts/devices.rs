//! Devices of one person at different nodes: linked, removed, and asked whether the account may get another identity.

use std::time::Duration;

use sordino::{Client, Code, DeviceId, Event, ResetStep, UserId};
use sordino_relay::config::Registration;
use sordino_tests::faults::front::Front;

use crate::{
    client,
    cluster_support::{
        name,
        pair::{Tap, pair},
        servers, url,
    },
    door, on_both,
    support::{
        Person, all,
        phones::{
            code, locked, registered, second_phone, typed, until_backed_up, until_restored,
            until_shown,
        },
        texts, until, within,
    },
    until_event, until_stopped,
};

async fn id(client: &Client) -> DeviceId {
    let devices = client.devices().await.unwrap();
    devices.iter().find(|device| device.is_this).unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_at_one_node_links_another_at_the_other() {
    let Some(pair) = pair().await else {
        return;
    };
    let alice = name("alice");
    let (phone, _) = registered(&pair.one(), &alice).await;
    phone.client.connect();
    phone.until_live().await;
    let bob = Person::online(&pair.two(), &name("bob")).await;
    for n in 0..4 {
        phone.with(&bob).send(format!("ping {n}")).await.unwrap();
        until_shown(&bob, &phone.user, &[&format!("ping {n}")]).await;
        bob.with(&phone).send(format!("pong {n}")).await.unwrap();
        until_shown(&phone, &bob.user, &[&format!("pong {n}")]).await;
    }

    let (client, directory) = client(&pair.two()).await;
    let linking = locked(&client, &alice).await.link();
    let (request, met) = tokio::join!(phone.client.link(linking.code()), linking.met());
    met.unwrap();
    let request = request.unwrap();
    let (confirmed, joined) = tokio::join!(request.confirm(), linking.join(request.digits()));
    let user = joined.unwrap();
    assert_eq!(user, phone.user);
    let mut events = client.events();
    client.connect();
    assert_eq!(until_restored(&mut events).await, 8);
    assert_eq!(id(&client).await, confirmed.unwrap());
    let tablet = Person {
        client,
        user,
        directory,
    };
    let (new, old) = (all(&tablet.with(&bob)).await, all(&phone.with(&bob)).await);
    assert_eq!(texts(&new), texts(&old));
    // And goes on from there.
    tablet.with(&bob).send("from two").await.unwrap();
    until_shown(&phone, &bob.user, &["pong 3", "from two"]).await;
    bob.with(&phone).send("to two").await.unwrap();
    until_shown(&tablet, &bob.user, &["from two", "to two"]).await;
}

async fn remove(at: &Person, device: DeviceId) {
    until(async || {
        let removed = code(at.client.remove_device(device, None).await);
        // It has yet to hear of what the new one brought along.
        assert!(
            matches!(removed, None | Some(Code::KeysMissing)),
            "{removed:?}"
        );
        removed.is_none()
    })
    .await;
}

/// What a node says to a token: the HTTP status, and the code of the error.
async fn answer(node: &str, user: UserId, token: &str) -> (u16, String) {
    let url = format!("{node}/v1/users/{user}");
    let asked = reqwest::Client::new().get(url).bearer_auth(token);
    let answer = within(asked.send()).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_removed_at_one_node_is_sent_away_by_the_other() {
    let Some(pair) = pair().await else {
        return;
    };
    let alice = name("alice");
    let (phone, key) = registered(&pair.one(), &alice).await;
    phone.client.connect();
    phone.until_live().await;
    let tap = Tap::open(&pair.two()).await;
    let stolen = second_phone(&tap.url(), &alice, &typed(&key)).await;
    let bob = Person::online(&pair.two(), &name("bob")).await;
    bob.with(&phone).send("to two").await.unwrap();
    for device in [&phone, &stolen] {
        until_shown(device, &bob.user, &["to two"]).await;
    }
    let nodes = [pair.one(), pair.two()];
    let user = phone.user.id;
    for node in &nodes {
        assert_eq!(answer(node, user, &tap.token()).await.0, 200);
    }

    let stolen_id = id(&stolen.client).await;
    until_backed_up(&phone).await;
    tap.only_sockets();
    remove(&phone, stolen_id).await;
    assert_eq!(until_stopped(&stolen.client).await, Code::DeviceRevoked);
    for node in &nodes {
        // Another node hears of the list in its own time.
        until(async || {
            let (status, body) = answer(node, user, &tap.token()).await;
            assert!(status == 200 || body.contains("device_revoked"), "{body}");
            status == 403
        })
        .await;
    }
    bob.with(&phone).send("to one").await.unwrap();
    until_shown(&phone, &bob.user, &["to two", "to one"]).await;
    assert_eq!(texts(&all(&stolen.with(&bob)).await), ["to two"]);
}

/// Nodes tell each other over Redis, and what a node keeps of the users in memory it forgets when PostgreSQL says so: either may come
/// first.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_sent_away_by_a_node_that_hears_late_of_its_list() {
    let Some(pair) = pair().await else {
        return;
    };
    let postgres = servers().unwrap().postgres;
    let (_, server) = postgres.rsplit_once('@').unwrap();
    let (server, _) = server.split_once('/').unwrap();
    let way = Front::new(vec![server.parse().unwrap()]);
    let there = way.open(0).await.unwrap().to_string();
    let shared = pair.shared.replace(server, &there);
    let late = door(&shared, "late", Registration::default()).await;
    let alice = name("alice");
    let (phone, key) = registered(&pair.one(), &alice).await;
    phone.client.connect();
    phone.until_live().await;
    let tap = Tap::open(&url(&late)).await;
    let stolen = second_phone(&tap.url(), &alice, &typed(&key)).await;
    let stolen_id = id(&stolen.client).await;
    until_backed_up(&phone).await;
    tap.only_sockets();
    way.delay(Duration::from_millis(400));
    remove(&phone, stolen_id).await;
    assert_eq!(until_stopped(&stolen.client).await, Code::DeviceRevoked);
    way.delay(Duration::ZERO);
    late.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_is_asked_for_at_one_node_is_refused_at_the_other() {
    let Some(pair) = pair().await else {
        return;
    };
    let (phone, mut tablet, _) = on_both(pair, "alice").await;
    let (mut at_phone, mut at_tablet) = (phone.client.events(), tablet.client.events());
    let (thief, _kept) = client(&pair.two()).await;
    let login = locked(&thief, &phone.user.username).await;
    let asked = login.reset().await.unwrap();
    assert!(matches!(asked, ResetStep::Waits(_)), "{asked:?}");
    let pending = |event: &Event| matches!(event, Event::ResetPending { ready_ms: Some(_) });
    let over = |event: &Event| *event == Event::ResetPending { ready_ms: None };
    until_event(&mut at_phone, pending).await;
    until_event(&mut at_tablet, pending).await;
    phone.client.refuse_reset().await.unwrap();
    until_event(&mut at_phone, over).await;
    until_event(&mut at_tablet, over).await;
    // Nor does a node tell of it to who comes later.
    for node in [pair.one(), pair.two()] {
        tablet.reopen(&node).await;
        tablet.client.connect();
        tablet.until_live().await;
        assert_eq!(tablet.client.pending_reset(), None);
    }
}
