//! What the user sets on one device counts on all, and what people call themselves is shown to whom they write.

use proptest::prelude::*;
use prost::Message;
use sordino_protocol::{Class, ClientMessageId, Code, UserId, pb};

use super::{NOW, Phone, Relay, acquainted, two};
use crate::machine::{
    Defaults, Happening, PresencePolicy, Setting, SignalPolicy, send::content, settings,
};
use crate::store::{Durability, Entry, Settings};

fn said(
    (receipts_off, receipts_ms): (bool, u64),
    (presence, presence_ms): (u32, u64),
    (name, name_ms): (&str, u64),
) -> pb::Settings {
    pb::Settings {
        receipts_off,
        receipts_ms,
        presence,
        presence_ms,
        display_name: name.to_owned(),
        display_name_ms: name_ms,
        ..Default::default()
    }
}

fn hear(phone: &mut Phone, said: &pb::Settings) -> Vec<Happening> {
    let mut told = Vec::new();
    let store = &mut phone.machine().store;
    let heard = store.transaction(Durability::Relaxed, |tx| {
        settings::heard(tx, said, &mut told)
    });
    heard.unwrap();
    told
}

fn kept(phone: &mut Phone) -> Settings {
    phone.machine().store.read(|tx| tx.settings()).unwrap()
}

/// Alice's phone, and her tablet, which know each other.
fn two_own() -> (Relay, Phone, Phone) {
    let mut relay = Relay::default();
    let mut phone = Phone::new("alice", &mut relay);
    let user = phone.user;
    let mut tablet = phone.join(&mut relay);
    tablet.upload(&mut relay);
    let (own, now) = (relay.lists[&user].clone(), phone.now);
    phone.machine().take_lists(user, own, now).unwrap();
    for _ in 0..2 {
        phone.sync(&mut relay, user);
        tablet.sync(&mut relay, user);
    }
    (relay, phone, tablet)
}

proptest! {
    #[test]
    fn in_whatever_order_devices_hear_of_settings_they_end_with_the_same(
        all in prop::collection::vec(
            ((any::<bool>(), 0u64..4), (0u32..4, 0u64..4), ("[ab]{0,2}", 0u64..4)), 1..8),
        by in any::<prop::sample::Index>(),
    ) {
        let mut somewhere = Relay::default();
        let [mut one, mut other] = ["one", "other"].map(|name| Phone::without_prekeys(name, &mut somewhere));
        let said: Vec<_> = all.iter().map(|(r, p, (name, ms))| said(*r, *p, (name.as_str(), *ms))).collect();
        for said in &said {
            hear(&mut one, said);
        }
        let (first, last) = said.split_at(by.index(said.len()));
        for said in last.iter().chain(first).rev().chain(first) {
            hear(&mut other, said);
        }
        prop_assert_eq!(kept(&mut one), kept(&mut other));
    }
}

#[test]
fn what_is_set_on_one_device_counts_on_the_other_which_is_told() {
    let (mut relay, mut phone, mut tablet) = two_own();
    let user = phone.user;
    phone.set(Setting::ReadReceipts(false));
    phone.set(Setting::Presence(PresencePolicy::Verified));
    phone.set(Setting::DisplayName(" Alice A. ".to_owned()));
    let mine = phone.sync(&mut relay, user);
    assert!(!mine.contains(&Happening::SettingsChanged), "it knows");
    let told = tablet.sync(&mut relay, user);
    assert!(told.contains(&Happening::SettingsChanged));
    let settings = tablet.machine().settings().unwrap();
    assert!(!settings.read_receipts && settings.typing);
    assert_eq!(settings.presence, PresencePolicy::Verified);
    assert_eq!(settings.display_name, "Alice A.");
    assert_eq!(phone.machine().settings().unwrap(), settings);

    // Each at a time, whatever came later in the log.
    (phone.now, tablet.now) = (NOW + 9, NOW + 5);
    phone.set(Setting::Typing(false));
    tablet.set(Setting::Typing(false));
    tablet.set(Setting::Typing(true));
    for _ in 0..2 {
        phone.sync(&mut relay, user);
        tablet.sync(&mut relay, user);
    }
    for device in [&mut phone, &mut tablet] {
        assert!(!device.machine().settings().unwrap().typing);
    }
}

#[test]
fn a_device_that_comes_later_is_told_before_it_is_answered() {
    let mut relay = Relay::default();
    let mut phone = Phone::new("alice", &mut relay);
    let user = phone.user;
    phone.set(Setting::Typing(false));
    phone.set(Setting::DisplayName("Alice".to_owned()));
    phone.sync(&mut relay, user);
    let mut tablet = phone.join(&mut relay);
    tablet.upload(&mut relay);
    let own = (tablet.user, tablet.device);
    let conversation = tablet.conversation(user);
    for _ in 0..3 {
        phone.sync(&mut relay, user);
        let from = tablet.machine().cursor(conversation).unwrap() + 1;
        // One by one: what was asked has not been answered before everything was said.
        for row in relay.rows(conversation, own, from, u64::MAX) {
            tablet.take(&relay, user, &[row]);
            let typing = tablet.machine().settings().unwrap().typing;
            assert!(tablet.machine().awaits_answers().unwrap() || !typing);
        }
        tablet.sync(&mut relay, user);
    }
    assert!(!tablet.machine().awaits_answers().unwrap());
    let expected = phone.machine().settings().unwrap();
    assert_eq!(tablet.machine().settings().unwrap(), expected);
}

#[test]
fn the_apps_default_counts_until_the_user_sets_something() {
    let mut relay = Relay::default();
    let mut phone = Phone::new("alice", &mut relay);
    let defaults = Defaults {
        receipts: false,
        signals: SignalPolicy {
            typing: true,
            presence: PresencePolicy::Nobody,
        },
    };
    phone.with_defaults(defaults);
    let settings = phone.machine().settings().unwrap();
    assert!(!settings.read_receipts && settings.typing);
    assert_eq!(settings.presence, PresencePolicy::Nobody);
    phone.set(Setting::ReadReceipts(true));
    phone.set(Setting::Presence(PresencePolicy::Nobody));
    phone.with_defaults(Defaults::default());
    let settings = phone.machine().settings().unwrap();
    assert!(settings.read_receipts, "as it was set");
    assert_eq!(settings.presence, PresencePolicy::Nobody);
    // The same once more is nothing to tell.
    let before = kept(&mut phone);
    phone.now += 1;
    phone.set(Setting::ReadReceipts(true));
    assert_eq!(kept(&mut phone), before);
}

#[test]
fn what_no_device_says_is_not_believed() {
    let mut relay = Relay::default();
    let mut phone = Phone::new("alice", &mut relay);
    let set = |ms| said((true, ms), (1, ms), ("Alice", ms));
    for at_ms in [0, 1 << 62, u64::MAX] {
        assert_eq!(hear(&mut phone, &set(at_ms)), [], "{at_ms}");
    }
    let strange = said((false, 0), (3, NOW), ("a\u{202e}b", NOW));
    assert_eq!(hear(&mut phone, &strange), []);
    let late = (1 << 62) - 1;
    assert_eq!(hear(&mut phone, &set(late)), [Happening::SettingsChanged]);
    assert_eq!(hear(&mut phone, &set(late)), [], "told once");
    phone.set(Setting::ReadReceipts(true));
    assert!(
        phone.machine().settings().unwrap().read_receipts,
        "the last word"
    );
}

fn named(phone: &mut Phone, peer: UserId) -> String {
    let rows = phone.machine().conversations().unwrap();
    let row = rows.into_iter().find(|row| row.peer == peer).unwrap();
    assert_eq!(
        phone.machine().display_name(peer).unwrap(),
        row.display_name
    );
    row.display_name
}

#[test]
fn a_name_comes_with_what_is_written_and_the_newest_counts() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    alice.set(Setting::DisplayName("Alice".to_owned()));
    alice.send(b, "hello");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), "Alice");
    assert!(bob.machine().conversations().unwrap()[0].request);
    // Of oneself one learns nothing so.
    assert_eq!(named(&mut alice, b), "");
    alice.set(Setting::DisplayName("Alice Arendt".to_owned()));
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), "Alice", "not before she writes");
    let (hello, now) = (alice.named(b, "hello"), alice.now);
    alice.machine().edit(b, hello, "hello!", now).unwrap();
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), "Alice Arendt");
    // What devices say among themselves leaves it as it is.
    alice.control(
        b,
        pb::content::Body::ReadReceipt(pb::ReadReceipt { upto_seq: 1 }),
    );
    alice.write(b, Class::Message, pb::content::Body::Empty(pb::Empty {}));
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), "Alice Arendt");
    alice.set(Setting::DisplayName(String::new()));
    alice.send(b, "nameless");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), "");
}

#[test]
fn the_name_of_who_is_blocked_stays_as_it_was() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.set(Setting::DisplayName("Alice".to_owned()));
    alice.send(b, "one");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let now = bob.now;
    bob.machine().block(a, true, now).unwrap();
    alice.set(Setting::DisplayName("Somebody else".to_owned()));
    alice.send(b, "two");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), "Alice");
}

#[test]
fn a_name_that_is_none_is_refused_here_and_not_shown_of_others() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let long = "é".repeat(33);
    let bad = [
        "a\nb",
        "a\u{0}",
        "\u{202e}evil",
        "x\u{2067}",
        "a\u{2028}b",
        &long,
    ];
    for name in bad {
        let now = alice.now;
        let set = alice
            .machine()
            .set(Setting::DisplayName(name.to_owned()), now);
        assert_eq!(
            set.err().map(|e| e.code()),
            Some(Code::BadRequest),
            "{name:?}"
        );
    }
    let good = "é".repeat(32);
    alice.set(Setting::DisplayName(good.clone()));
    alice.send(b, "one");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), good);
    for name in bad
        .iter()
        .copied()
        .filter(|name| name.len() <= 64)
        .chain([" a", " "])
    {
        write_as(&mut alice, b, name);
        alice.sync(&mut relay, b);
        bob.sync(&mut relay, a);
        assert_eq!(named(&mut bob, a), good, "{name:?}");
    }
    write_as(&mut alice, b, "Ann");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(named(&mut bob, a), "Ann");
}

/// A text under a name, as a client of another make may send it.
fn write_as(phone: &mut Phone, peer: UserId, name: &str) {
    let (conversation, now) = (phone.conversation(peer), phone.now);
    let put = phone.machine().store.transaction(Durability::Synced, |tx| {
        let (me, held) = (
            tx.account()?.unwrap(),
            tx.conversation(conversation)?.unwrap(),
        );
        let body = pb::content::Body::Text(pb::Text {
            text: "x".to_owned(),
            reply_to: None,
        });
        let content = pb::Content {
            sender_name: name.to_owned(),
            ..content(tx, &me, &held, now, body)?
        };
        let entry = Entry {
            counter: tx.take_counter(conversation)?,
            client_message_id: ClientMessageId::from_bytes(rand::random()),
            class: Class::Message as u8,
            target: None,
            content: content.encode_to_vec(),
            given_up: false,
        };
        tx.outbox_put(conversation, &entry)
    });
    put.unwrap();
}
