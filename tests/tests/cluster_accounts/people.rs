//! What people see of each other from different nodes: blocked, typing, there, gone, disabled.

use prost::Message as _;
use sordino::{
    Code, ConnectionState, Event, Presence, RecoveryKey, SendState, TimelineItem, UserId,
    VaultSecret,
};
use sordino_protocol::{ConversationId, pb};
use sordino_relay::{
    accounts,
    config::Config,
    history::{
        History,
        cassandra::{self, Cassandra},
    },
};

use crate::{
    cluster_support::{
        name,
        pair::{Tap, pair},
    },
    on_both,
    support::{
        Person, Reading, all,
        phones::{code, registered, second_phone, typed, until_shown},
        received, until,
    },
    until_event, until_stopped,
};

fn by_key(written: &str) -> VaultSecret {
    VaultSecret::RecoveryKey(RecoveryKey::parse(written).unwrap())
}

/// How the person's newest message to another fares.
async fn until_newest(
    from: &Person,
    to: &Person,
    wanted: impl Fn(&SendState) -> bool,
) -> SendState {
    let mut shown = Reading::new(from.with(to).timeline());
    let newest = |items: &[TimelineItem]| {
        let newest = items.iter().rev().find_map(TimelineItem::message)?;
        Some(newest.state).filter(|state| wanted(state))
    };
    let items = shown.until(|items| newest(items).is_some()).await;
    newest(items).unwrap()
}

/// Whether the newest row of a conversation holds anything for the devices of `user`.
async fn newest_is_for(history: &Cassandra, of: ConversationId, user: UserId) -> bool {
    let rows = history.rows_before(of, None, 1, usize::MAX).await.unwrap();
    let wraps = rows.rows[0].wraps.clone().unwrap();
    let wraps = pb::Wraps::decode(wraps).unwrap().wraps;
    wraps.iter().any(|wrap| wrap.user == user.as_bytes()[..])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_at_one_node_is_not_heard_from_another() {
    let Some(pair) = pair().await else {
        return;
    };
    let alice = Person::online(&pair.one(), &name("alice")).await;
    let bob = Person::online(&pair.two(), &name("bob")).await;
    alice.with(&bob).send("hello").await.unwrap();
    until_shown(&bob, &alice.user, &["hello"]).await;
    let config: Config = toml::from_str(&pair.shared).unwrap();
    let options = cassandra::Options::new(config.cassandra.nodes, config.cassandra.keyspace);
    let history = Cassandra::connect(&options).await.unwrap();
    let conversation = all(&alice.with(&bob)).await[0].conversation;
    // Sends until the node of the sender knows what was decided at the other; what was sent then.
    let send_until = async |is_for_bob: bool| {
        let text = format!("for Bob: {is_for_bob}");
        until(async || {
            alice.with(&bob).send(&text).await.unwrap();
            // She sees the same, whether it is heard or not.
            until_newest(&alice, &bob, |state| *state == SendState::Delivered).await;
            newest_is_for(&history, conversation, bob.user.id).await == is_for_bob
        })
        .await;
        text
    };
    let contact = bob.client.contact(alice.user.id);
    contact.block(true).await.unwrap();
    send_until(false).await;
    contact.block(false).await.unwrap();
    let heard = send_until(true).await;
    // Of what was dropped nothing ever comes.
    until_shown(&bob, &alice.user, &["hello", &heard]).await;
    assert_eq!(all(&bob.with(&alice)).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_types_and_who_is_there_is_seen_from_another_node() {
    let Some(pair) = pair().await else {
        return;
    };
    let alice = Person::online(&pair.one(), &name("alice")).await;
    let bob = Person::online(&pair.two(), &name("bob")).await;
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        let mut heard = to.client.events();
        from.with(to).send("hello").await.unwrap();
        received(&mut heard).await;
    }
    let (mut at_alice, mut at_bob) = (alice.client.events(), bob.client.events());
    for on in [true, false] {
        alice.with(&bob).typing(on);
        let user = alice.user.id;
        until_event(&mut at_bob, |event| *event == Event::Typing { user, on }).await;
    }
    let user = bob.user.id;
    alice.client.watch(&[user]);
    let online = |event: &Event| {
        let presence = Presence::Online;
        *event == Event::Presence { user, presence }
    };
    until_event(&mut at_alice, online).await;
    bob.client.disconnect();
    until_event(&mut at_alice, |event| {
        matches!(
            event,
            Event::Presence {
                presence: Presence::LastSeen { .. },
                ..
            }
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_deleted_at_one_node_is_gone_at_the_other() {
    let Some(pair) = pair().await else {
        return;
    };
    let (phone, key) = registered(&pair.one(), &name("alice")).await;
    phone.client.connect();
    phone.until_live().await;
    let tap = Tap::open(&pair.two()).await;
    let tablet = second_phone(&tap.url(), &phone.user.username, &typed(&key)).await;
    let bob = Person::online(&pair.two(), &name("bob")).await;
    bob.with(&phone).send("hello").await.unwrap();
    until_shown(&tablet, &bob.user, &["hello"]).await;
    let mut at_bob = bob.client.events();
    tap.only_sockets();
    phone.client.delete_account(&by_key(&key)).await.unwrap();
    for device in [&phone, &tablet] {
        assert_eq!(until_stopped(&device.client).await, Code::AccountDeleted);
    }
    // What his node takes before it hears of the end is for nobody.
    until(async || {
        bob.with(&phone).send("where are you?").await.unwrap();
        let state = until_newest(&bob, &phone, |state| *state != SendState::Pending).await;
        matches!(
            state,
            SendState::Failed {
                code: Code::UserDeleted,
                ..
            }
        )
    })
    .await;
    let changed = Event::TrustChanged(phone.user.id);
    until_event(&mut at_bob, |event| *event == changed).await;
    let contact = bob.client.contact(phone.user.id);
    assert!(contact.trust().await.unwrap().deleted);
    let again = bob.with(&phone).send("and now?").await;
    assert_eq!(code(again), Some(Code::UserDeleted));
    let found = bob.client.find_user(&phone.user.username).await;
    assert_eq!(found, Ok(None));
}

/// A device connects until it is let in again.
async fn until_back(person: &Person) {
    until(async || {
        if let ConnectionState::Stopped { why } = person.client.connection() {
            assert_eq!(why.code(), Code::AccountDisabled);
            person.client.connect();
        }
        person.client.connection() == ConnectionState::Live
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_is_sent_away_by_all_nodes_and_comes_back() {
    let Some(pair) = pair().await else {
        return;
    };
    let (phone, tablet, _) = on_both(pair, "alice").await;
    let bob = Person::online(&pair.two(), &name("bob")).await;
    let config: Config = toml::from_str(&pair.shared).unwrap();
    let set = async |disabled| {
        let set = accounts::set_disabled(&config, &phone.user.username, disabled);
        set.await.unwrap();
    };
    set(true).await;
    for device in [&phone, &tablet] {
        assert_eq!(until_stopped(&device.client).await, Code::AccountDisabled);
    }
    // It waits, in the log and in history.
    bob.with(&phone).send("are you there?").await.unwrap();
    until_newest(&bob, &phone, |state| *state == SendState::Accepted).await;
    set(false).await;
    for device in [&phone, &tablet] {
        until_back(device).await;
        until_shown(device, &bob.user, &["are you there?"]).await;
    }
}
