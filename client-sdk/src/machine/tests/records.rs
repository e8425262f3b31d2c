//! Who has lost every device, and has the recovery key: whom they trusted, what they had set.

use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists::{Change, first_list, listed},
};
use sordino_protocol::{
    Class, ConversationId, DeviceId, Header, MessageId, UserId,
    batch::{Head, batch_hash},
    http::{Base64, HistoryRow},
    pb,
};

use super::{
    NOW, Phone, Relay, acquainted,
    contacts::{look, verified},
    two,
};
use crate::machine::{
    BatchToPut, Happening, NextRestore, PresencePolicy, Setting, own_devices::among_own,
};
use crate::store::{Decision, Durability};

/// What the phone has put into the backup when it is lost.
struct Lost {
    device: DeviceId,
    batch: BatchToPut,
}

fn lose(phone: &mut Phone, relay: &mut Relay) -> Lost {
    let user = phone.user;
    phone.sync(relay, user);
    let batch = phone.machine().next_batch().unwrap().unwrap();
    phone.machine().batch_stored(&batch).unwrap();
    Lost {
        device: phone.device,
        batch,
    }
}

/// A phone that was put on the account by the recovery key, and has seen what passed before it.
fn reborn(phone: &mut Phone, relay: &mut Relay, peers: &[UserId]) -> Phone {
    let own = phone.user;
    look(phone, relay, own);
    let mut new = phone.join(relay);
    new.upload(relay);
    for peer in peers.iter().chain([&own]) {
        new.pull(relay, *peer);
    }
    let now = new.now;
    new.machine().caught_up(now).unwrap();
    new
}

/// Rows as the relay's history shows them.
fn rows(relay: &Relay, phone: &Phone, conversation: ConversationId) -> Vec<HistoryRow> {
    let rows = relay.rows(conversation, (phone.user, phone.device), 1, u64::MAX);
    let shown = |row: pb::Row| HistoryRow {
        seq: row.seq,
        message_id: MessageId(row.message_id),
        header: Base64(row.header),
        content_hash: Base64(row.content_hash),
        content: row.content.map(Base64),
        wrap: None,
    };
    rows.into_iter().rev().map(shown).collect()
}

/// Takes the keys of the backup, and no rows.
fn take_keys(new: &mut Phone, lost: &Lost) {
    let now = new.now;
    let end = Head {
        number: lost.batch.number,
        hash: batch_hash(&lost.batch.bytes),
    };
    let next = new.machine().next_restore(now).unwrap();
    assert_eq!(next, NextRestore::Heads(1));
    let ends = [(lost.device, end)];
    new.machine().chains_to_read(1, &ends).unwrap();
    let NextRestore::Batches(chain) = new.machine().next_restore(now).unwrap() else {
        panic!("no chain");
    };
    let batches = [lost.batch.bytes.clone().into()];
    assert_eq!(new.machine().take_batches(&chain, &batches).unwrap(), []);
}

/// Reads the backup to its end; in which conversations it was read, and what happened.
fn read(new: &mut Phone, relay: &Relay, lost: &Lost) -> (Vec<ConversationId>, Vec<Happening>) {
    take_keys(new, lost);
    let (now, mut read, mut told) = (new.now, Vec::new(), Vec::new());
    loop {
        match new.machine().next_restore(now).unwrap() {
            NextRestore::Rows(conversation, before) => {
                let all = rows(relay, new, conversation);
                read.push(conversation);
                let happened = new.machine().take_history(conversation, before, &all, now);
                told.extend(happened.unwrap());
            }
            NextRestore::Later(_) => return (read, told),
            other => panic!("{other:?}"),
        }
    }
}

fn decision(phone: &mut Phone, about: UserId) -> Decision {
    let store = &phone.machine().store;
    store.read(|tx| tx.decision(about)).unwrap()
}

/// The relay shows somebody else under this person's id.
fn swap(relay: &mut Relay, person: &Phone) {
    let mut rng = rand::rng();
    let list = first_list(
        person.user,
        DeviceId::from_bytes([6; 16]),
        &IdentityKey::generate(&mut rng),
        &ListSigningKey::generate(&mut rng),
        &DeviceKeys::generate(&mut rng),
        None,
        NOW,
    );
    relay.lists.insert(person.user, vec![list]);
}

#[test]
fn who_was_verified_stays_so_and_another_identity_key_holds_back() {
    let (mut relay, mut alice, bob) = acquainted();
    let b = bob.user;
    verified(&mut alice, b);
    let lost = lose(&mut alice, &mut relay);
    let mut new = reborn(&mut alice, &mut relay, &[b]);
    assert_eq!(decision(&mut new, b), Decision::default());
    let (order, told) = read(&mut new, &relay, &lost);
    assert_eq!(
        order,
        [among_own(new.user), new.conversation(b)],
        "trust comes first"
    );
    assert!(told.contains(&Happening::TrustChanged(b)));
    look(&mut new, &relay, b);
    let trust = new.machine().trust(b).unwrap();
    assert!(trust.verified && trust.withheld.is_empty(), "{trust:?}");
    // What came back is for the person to see; what devices said is not.
    assert_eq!(new.machine().restore_progress().unwrap().messages, 2);
    assert_eq!(new.machine().conversations().unwrap().len(), 1);

    let mut other = reborn(&mut alice, &mut relay, &[b]);
    read(&mut other, &relay, &lost);
    swap(&mut relay, &bob);
    let told = look(&mut other, &relay, b);
    assert!(told.contains(&Happening::IdentityChanged(b)));
    assert!(other.machine().trust(b).unwrap().identity_changed);
    other.send(b, "who are you?");
    other.prepare(&mut relay, b);
    assert_eq!(other.shown(b).last().unwrap(), "> who are you? (pending)");
}

#[test]
fn another_identity_key_that_was_met_before_the_backup_was_read_holds_back_from_then_on() {
    let (mut relay, mut alice, bob) = acquainted();
    let b = bob.user;
    verified(&mut alice, b);
    let lost = lose(&mut alice, &mut relay);
    let mut new = reborn(&mut alice, &mut relay, &[b]);
    swap(&mut relay, &bob);
    assert_eq!(look(&mut new, &relay, b), []);
    let (_, told) = read(&mut new, &relay, &lost);
    assert!(told.contains(&Happening::IdentityChanged(b)));
    assert!(new.machine().trust(b).unwrap().identity_changed);
}

#[test]
fn to_whom_one_has_written_one_knows_again() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "hello");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    let own = among_own(a);
    let rows = relay.last_seq(own);
    assert_eq!(rows, 1);
    // Once, until they have another key.
    alice.send(b, "more");
    alice.sync(&mut relay, b);
    alice.sync(&mut relay, a);
    assert_eq!(relay.last_seq(own), rows);
    let lost = lose(&mut alice, &mut relay);
    let mut new = reborn(&mut alice, &mut relay, &[b]);
    read(&mut new, &relay, &lost);
    swap(&mut relay, &bob);
    let told = look(&mut new, &relay, b);
    assert!(told.contains(&Happening::IdentityChanged(b)));
    // Nothing was compared: nothing is held back.
    assert!(!new.machine().trust(b).unwrap().identity_changed);
}

#[test]
fn who_was_not_noted_in_time_is_noted_when_everything_is_here() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let own = among_own(a);
    let unnote = |phone: &mut Phone| {
        let store = &mut phone.machine().store;
        let noted = store.transaction(Durability::Relaxed, |tx| tx.set_noted(b, [9; 32]));
        noted.unwrap();
    };
    alice.sync(&mut relay, a);
    let before = relay.last_seq(own);
    unnote(&mut alice);
    alice.sync(&mut relay, a);
    assert_eq!(relay.last_seq(own), before + 1);
    alice.sync(&mut relay, a);
    assert_eq!(relay.last_seq(own), before + 1);
    // Another own device has done it.
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    look(&mut alice, &relay, a);
    look(&mut tablet, &relay, b);
    unnote(&mut alice);
    for _ in 0..2 {
        alice.sync(&mut relay, a);
        tablet.sync(&mut relay, a);
    }
    tablet.send(b, "from the tablet");
    tablet.sync(&mut relay, b);
    let waits = tablet.machine().note_contact(b, NOW).unwrap();
    assert!(!waits, "it knows that they are noted");
}

#[test]
fn who_is_blocked_stays_so_with_what_they_wrote_meanwhile() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let now = alice.now;
    alice.machine().block(b, true, now).unwrap();
    bob.send(a, "unheard");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    let lost = lose(&mut alice, &mut relay);
    let mut new = reborn(&mut alice, &mut relay, &[b]);
    read(&mut new, &relay, &lost);
    assert!(new.machine().trust(b).unwrap().blocked);
    assert_eq!(
        new.machine().block_to_tell(now).unwrap(),
        Some((b, true, now))
    );
    bob.send(a, "again");
    bob.sync(&mut relay, a);
    new.sync(&mut relay, b);
    assert_eq!(new.shown(b), ["> hello", "< hello yourself"]);
}

#[test]
fn a_device_that_an_older_one_vouches_for_is_not_held_back_afterwards() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    verified(&mut alice, b);
    let list = bob.machine().own_list().unwrap();
    let (keys, tablet) = (
        DeviceKeys::generate(&mut rand::rng()),
        DeviceId::from_bytes([4; 16]),
    );
    let entry = listed(b, &list.identity_key, tablet, &keys, NOW);
    let (linked, _) = bob.machine().begin_linking(&list, entry, NOW).unwrap();
    // And one for which nobody does.
    let (keys, loud) = (
        DeviceKeys::generate(&mut rand::rng()),
        DeviceId::from_bytes([5; 16]),
    );
    let entry = listed(b, &list.identity_key, loud, &keys, NOW);
    let lsk = bob
        .machine()
        .store
        .read(|tx| tx.list_signing_key())
        .unwrap()
        .unwrap();
    let both = Change::of(&linked, NOW)
        .unwrap()
        .add_unvouched(entry)
        .sign(&lsk)
        .unwrap();
    for list in [&linked, &both] {
        relay.lists.get_mut(&b).unwrap().push(list.signed.clone());
        look(&mut alice, &relay, b);
    }
    assert_eq!(alice.machine().trust(b).unwrap().withheld, [loud]);
    let lost = lose(&mut alice, &mut relay);
    for before in [true, false] {
        let mut new = reborn(&mut alice, &mut relay, &[b]);
        if before {
            look(&mut new, &relay, b);
        }
        read(&mut new, &relay, &lost);
        look(&mut new, &relay, b);
        assert_eq!(new.machine().trust(b).unwrap().withheld, [loud], "{before}");
    }
}

#[test]
fn in_whatever_order_rows_are_read_it_ends_with_the_same() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    for at in 1..4 {
        alice.now = NOW + at;
        let now = alice.now;
        verified(&mut alice, b);
        alice.machine().block(b, true, now).unwrap();
        alice.machine().unverify(b, now).unwrap();
        alice.machine().block(b, false, now).unwrap();
        alice.set(Setting::DisplayName(format!("Alice {at}")));
        alice.set(Setting::Presence(PresencePolicy::Verified));
        alice.set(Setting::Presence(PresencePolicy::Nobody));
    }
    verified(&mut alice, b);
    bob.set(Setting::DisplayName("Robert".to_owned()));
    bob.send(a, "a name");
    bob.set(Setting::DisplayName("Bob".to_owned()));
    bob.send(a, "another");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    let lost = lose(&mut alice, &mut relay);
    let expected = (decision(&mut alice, b), alice.machine().settings().unwrap());
    for turned in [false, true] {
        let mut new = reborn(&mut alice, &mut relay, &[b]);
        take_keys(&mut new, &lost);
        let now = new.now;
        for conversation in [among_own(a), new.conversation(b)] {
            let mut all = rows(&relay, &new, conversation);
            if turned {
                all.reverse();
            }
            for row in all {
                let before = row.seq + 1;
                new.machine()
                    .take_history(conversation, before, &[row], now)
                    .unwrap();
            }
        }
        let found = (decision(&mut new, b), new.machine().settings().unwrap());
        assert_eq!(found, expected, "{turned}");
        let display_name = new.machine().display_name(b).unwrap();
        assert_eq!(display_name, "Bob", "{turned}");
    }
    assert_eq!(expected.1.display_name, "Alice 3");
}

#[test]
fn what_a_removed_device_says_goes_into_no_backup() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    look(&mut alice, &relay, a);
    look(&mut tablet, &relay, b);
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    verified(&mut tablet, b);
    tablet.prepare(&mut relay, a);
    tablet.flush(&mut relay, a);
    let said = relay.last_seq(among_own(a));
    let list = alice.machine().own_list().unwrap();
    let without = alice
        .machine()
        .without_device(&list, tablet.device, NOW)
        .unwrap();
    relay
        .lists
        .get_mut(&a)
        .unwrap()
        .push(without.signed.clone());
    look(&mut alice, &relay, a);
    alice.pull(&relay, a);
    assert_eq!(decision(&mut alice, b), Decision::default());
    let store = &alice.machine().store;
    let keys = store.read(|tx| tx.keys_to_back_up(100)).unwrap();
    let of_own = keys.iter().filter(|key| key.conversation == among_own(a));
    assert!(of_own.map(|key| key.seq).all(|seq| seq != said));
    assert!(alice.shown(a).is_empty());
}

#[test]
fn a_record_that_cannot_be_read_shows_nowhere_but_to_who_writes_to_themselves() {
    for writes in [false, true] {
        let (mut relay, mut alice, bob) = acquainted();
        let (a, b) = (alice.user, bob.user);
        let mut tablet = alice.join(&mut relay);
        tablet.upload(&mut relay);
        look(&mut alice, &relay, a);
        alice.sync(&mut relay, a);
        tablet.sync(&mut relay, a);
        if writes {
            tablet.send(a, "a note");
            tablet.sync(&mut relay, a);
        }
        verified(&mut alice, b);
        alice.sync(&mut relay, a);
        let log = relay.conversations.get_mut(&among_own(a)).unwrap();
        let is_record =
            |send: &pb::Send| Header::parse(&send.header).unwrap().class == Class::Message;
        let record = log.rows.iter().rposition(is_record).unwrap();
        log.erased.insert(record as u64 + 1);
        tablet.pull(&relay, a);
        let shown = tablet.shown(a);
        let expected: &[&str] = if writes {
            &["> a note", "! no_content"]
        } else {
            &[]
        };
        assert_eq!(shown, expected);
        let rows = tablet.machine().conversations().unwrap();
        assert_eq!(rows.iter().any(|row| row.peer == a), writes);
        assert!(rows.iter().all(|row| row.unread == 0));
    }
}

#[test]
fn who_says_something_to_somebody_else_decides_nothing_for_them() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let key = alice.machine().safety_number(b).unwrap().unwrap().1;
    let decisions = vec![pb::TrustDecision {
        user: b.to_pb(),
        verified_key: key.to_vec().into(),
        verified_ms: NOW,
        ..Default::default()
    }];
    let body = pb::content::Body::Trust(pb::Trust { decisions });
    for class in [Class::Message, Class::Control] {
        bob.write(a, class, body.clone());
        bob.sync(&mut relay, a);
        alice.sync(&mut relay, b);
    }
    assert_eq!(decision(&mut alice, b), Decision::default());
    let lost = lose(&mut alice, &mut relay);
    let mut new = reborn(&mut alice, &mut relay, &[b]);
    read(&mut new, &relay, &lost);
    assert_eq!(decision(&mut new, b), Decision::default());
}
