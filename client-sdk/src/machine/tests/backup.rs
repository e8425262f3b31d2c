//! The key backup: what goes into it, and what a new phone makes of it, also where the relay lies.

use std::collections::HashSet;

use sordino_crypto::backup::{Entry, Place};
use sordino_protocol::{
    DeviceId, UserId,
    batch::{Head, batch_hash},
    http::HistoryRow,
    limits,
};

use super::{NOW, acquainted, contacts, phone::Phone, relay::Relay};
use crate::machine::{BatchToPut, Content, Happening, NewMessage, NextRestore};
use crate::store::ChainToRead;

const NONE: [u8; 32] = [0; 32];
const MINUTE: u64 = 60_000;

fn next(phone: &mut Phone) -> Option<BatchToPut> {
    phone.machine().next_batch().unwrap()
}

/// The next batch, which the relay takes.
fn stored(phone: &mut Phone) -> BatchToPut {
    let batch = next(phone).expect("something to put into the backup");
    phone.machine().batch_stored(&batch).unwrap();
    batch
}

fn opened(phone: &mut Phone, relay: &Relay, batch: &BatchToPut) -> (Place, Vec<Entry>) {
    let keys = phone.vault(relay).backup_keys;
    keys[0].open(phone.user, &batch.bytes).unwrap()
}

fn seqs(entries: &[Entry]) -> HashSet<u64> {
    entries.iter().map(|entry| entry.seq).collect()
}

fn end(batch: &BatchToPut) -> Head {
    Head {
        number: batch.number,
        hash: batch_hash(&batch.bytes),
    }
}

fn talk(relay: &mut Relay, alice: &mut Phone, bob: &mut Phone, texts: &[&str]) {
    for text in texts {
        alice.send(bob.user, text);
    }
    alice.sync(relay, bob.user);
    bob.sync(relay, alice.user);
}

#[test]
fn the_last_batch_is_replaced_by_a_fuller_one_until_it_is_full() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let first = next(&mut alice).unwrap();
    assert_eq!(
        next(&mut alice).as_ref(),
        Some(&first),
        "until it is stored"
    );
    alice.crash();
    assert_eq!(next(&mut alice).as_ref(), Some(&first), "and after a crash");
    assert_eq!(alice.machine().backlog().unwrap().waiting, 2);
    alice.machine().batch_stored(&first).unwrap();
    assert_eq!(alice.machine().backlog().unwrap().waiting, 0);
    assert_eq!(next(&mut alice), None);
    let (place, entries) = opened(&mut alice, &relay, &first);
    assert_eq!((place.number, place.previous), (1, NONE));
    // What she wrote, and what she read.
    assert_eq!(seqs(&entries), HashSet::from([1, 2]));

    talk(&mut relay, &mut alice, &mut bob, &["more"]);
    let fuller = stored(&mut alice);
    let (place, entries) = opened(&mut alice, &relay, &fuller);
    assert_eq!((place.number, place.previous), (1, NONE));
    assert_eq!(seqs(&entries), HashSet::from([1, 2, 3]));

    let many: Vec<_> = (0..limits::BATCH_ENTRIES).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for some in many.chunks(60) {
        talk(&mut relay, &mut alice, &mut bob, some);
    }
    let (full, last) = (stored(&mut alice), stored(&mut alice));
    assert!(full.is_full && !last.is_full);
    let (place, mut entries) = opened(&mut alice, &relay, &full);
    assert_eq!((place.number, entries.len()), (1, limits::BATCH_ENTRIES));
    let (place, rest) = opened(&mut alice, &relay, &last);
    assert_eq!((place.number, place.previous), (2, end(&full).hash));
    entries.extend(rest);
    assert_eq!(seqs(&entries).len(), limits::BATCH_ENTRIES + 3);
    assert_eq!(next(&mut alice), None);
}

#[test]
fn what_the_relay_has_lost_of_the_chain_is_put_into_it_anew() {
    let (mut relay, mut alice, mut bob) = acquainted();
    stored(&mut alice);
    talk(&mut relay, &mut alice, &mut bob, &["more"]);
    let refused = next(&mut alice).unwrap();
    let other = Head {
        number: 1,
        hash: [9; 32],
    };
    // An earlier batch of the same number, none at all, and one that this store knows nothing of.
    for (at, lost, number) in [
        (Some(other), true, 2),
        (None, true, 1),
        (Some(Head { number: 7, ..other }), false, 8),
    ] {
        let told = alice.machine().batch_refused(refused.version, at).unwrap();
        assert_eq!(told, lost, "{at:?}");
        let again = stored(&mut alice);
        let (place, entries) = opened(&mut alice, &relay, &again);
        assert_eq!(place.number, number);
        assert_eq!(place.previous, at.map_or(NONE, |at| at.hash));
        assert_eq!(seqs(&entries), HashSet::from([1, 2, 3]), "{at:?}");
    }
    // Before it is said to everybody, this device looks whether that is what it knows.
    let last = stored_end(&mut alice);
    let check = |phone: &mut Phone, at| phone.machine().own_chain_ends_at(1, at).unwrap();
    assert!(check(&mut alice, Some(last)));
    for wrong in [
        None,
        Some(other),
        Some(Head {
            hash: [9; 32],
            ..last
        }),
    ] {
        assert!(!check(&mut alice, wrong));
    }
}

/// Where the phone's chain ends, after another batch.
fn stored_end(phone: &mut Phone) -> Head {
    let at = Head {
        number: 20,
        hash: [8; 32],
    };
    phone.machine().batch_refused(1, Some(at)).unwrap();
    end(&stored(phone))
}

#[test]
fn an_old_copy_of_the_store_replaces_no_batch() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    stored(&mut alice);
    let copy = alice.path().with_extension("copy");
    alice.copy_to(&copy);
    talk(&mut relay, &mut alice, &mut bob, &["lost with the copy"]);
    let fuller = stored(&mut alice);
    alice.put_back(&copy);
    bob.send(a, "still there?");
    bob.sync(&mut relay, a);
    let told = alice.sync(&mut relay, b);
    assert!(told.contains(&Happening::RolledBack));
    // What he wrote on the session of before she cannot read; on the new one she can.
    alice.send(b, "yes");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let next = next(&mut alice).unwrap();
    assert_eq!(next.number, 2, "the fuller one stays");
    let told = alice.machine().batch_refused(1, Some(end(&fuller)));
    assert!(!told.unwrap(), "the relay has lost nothing");
    let again = stored(&mut alice);
    let (place, _) = opened(&mut alice, &relay, &again);
    assert_eq!((place.number, place.previous), (2, end(&fuller).hash));
}

/// Rows as the relay's history shows them to a device.
pub(super) fn history(
    relay: &Relay,
    phone: &mut Phone,
    peer: UserId,
    before: u64,
) -> Vec<HistoryRow> {
    let conversation = phone.conversation(peer);
    let rows = relay.rows(conversation, (phone.user, phone.device), 1, before - 1);
    let shown = |row: sordino_protocol::pb::Row| HistoryRow {
        seq: row.seq,
        message_id: sordino_protocol::MessageId(row.message_id),
        header: sordino_protocol::http::Base64(row.header),
        content_hash: sordino_protocol::http::Base64(row.content_hash),
        content: row.content.map(sordino_protocol::http::Base64),
        wrap: None,
    };
    rows.into_iter().rev().map(shown).collect()
}

/// A tablet that has caught up, the phone's batch, and what it is asked for first.
fn tablet(relay: &mut Relay, alice: &mut Phone, bob: &Phone) -> (Phone, BatchToPut) {
    let batch = stored(alice);
    let mut tablet = alice.join(relay);
    tablet.pull(relay, bob.user);
    let now = tablet.now;
    tablet.machine().caught_up(now).unwrap();
    assert!(tablet.shown(bob.user).is_empty());
    (tablet, batch)
}

fn next_restore(phone: &mut Phone) -> NextRestore {
    let now = phone.now;
    phone.machine().next_restore(now).unwrap()
}

fn ends(phone: &mut Phone, ends: &[(DeviceId, Head)]) -> Option<ChainToRead> {
    assert_eq!(next_restore(phone), NextRestore::Heads(1));
    phone.machine().chains_to_read(1, ends).unwrap();
    match next_restore(phone) {
        NextRestore::Batches(chain) => Some(chain),
        _ => None,
    }
}

fn is_alarm(happenings: &[Happening]) -> bool {
    let alarm = |happening: &Happening| matches!(happening, Happening::RelayMisbehaved { .. });
    happenings.iter().any(alarm)
}

fn take(phone: &mut Phone, chain: &ChainToRead, batches: &[&BatchToPut]) -> bool {
    let batches: Vec<_> = batches
        .iter()
        .map(|batch| batch.bytes.clone().into())
        .collect();
    let told = phone.machine().take_batches(chain, &batches).unwrap();
    is_alarm(&told)
}

fn rows(phone: &mut Phone, peer: &Phone, rows: &[HistoryRow]) -> bool {
    let NextRestore::Rows(conversation, before) = next_restore(phone) else {
        panic!("no keys");
    };
    assert_eq!(conversation, phone.conversation(peer.user));
    let now = phone.now;
    let told = phone
        .machine()
        .take_history(conversation, before, rows, now);
    is_alarm(&told.unwrap())
}

const SHOWN: [&str; 2] = ["> hello", "< hello yourself"];

#[test]
fn a_new_phone_shows_what_was_before_it_and_looks_twice_more() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
    // The phone writes on while the tablet reads.
    talk(&mut relay, &mut alice, &mut bob, &["meanwhile"]);
    let fuller = stored(&mut alice);
    let chain = ends(&mut tablet, &[(alice.device, end(&batch))]).unwrap();
    assert!(
        !take(&mut tablet, &chain, &[&fuller]),
        "the fuller one will do"
    );
    let shown = history(&relay, &mut tablet, bob.user, 4);
    // The row that passed by after the tablet had caught up is none that it has seen.
    rows(&mut tablet, &bob, &shown);
    assert_eq!(tablet.shown(bob.user), SHOWN);
    let conversation = tablet.conversation(bob.user);
    let read = tablet.machine().mark_read(conversation, 2, NOW).unwrap();
    assert!(read.is_empty(), "up to there, and no further");
    let conversations = tablet.machine().conversations().unwrap();
    let with_bob = conversations.iter().find(|row| row.peer == bob.user);
    assert_eq!(with_bob.unwrap().unread, 0);

    // What the phone adds later is looked for, without reading everything again.
    let at = tablet.now + MINUTE;
    assert_eq!(next_restore(&mut tablet), NextRestore::Later(at));
    tablet.crash();
    assert_eq!(next_restore(&mut tablet), NextRestore::Later(at));
    tablet.now = at;
    let chain = ends(&mut tablet, &[(alice.device, end(&fuller))]).unwrap();
    assert_eq!((chain.next.number, chain.floor), (1, 0));
    assert!(!take(&mut tablet, &chain, &[&fuller]));
    while let NextRestore::Rows(..) = next_restore(&mut tablet) {
        rows(&mut tablet, &bob, &shown);
    }
    tablet.now += 11 * MINUTE;
    let chain = ends(&mut tablet, &[(alice.device, end(&fuller))]).unwrap();
    assert!(!take(&mut tablet, &chain, &[&fuller]));
    while let NextRestore::Rows(..) = next_restore(&mut tablet) {
        rows(&mut tablet, &bob, &shown);
    }
    assert_eq!(next_restore(&mut tablet), NextRestore::Done);
    assert!(!tablet.machine().restore_progress().unwrap().begun);
    assert_eq!(tablet.shown(bob.user), SHOWN, "each is shown once");
    // What came back is not put into the backup again.
    assert_eq!(next(&mut tablet), None);
}

#[test]
fn what_is_read_after_a_reset_goes_into_the_new_backup() {
    let (mut relay, mut alice, bob) = acquainted();
    let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
    let chain = ends(&mut tablet, &[(alice.device, end(&batch))]).unwrap();
    assert!(!take(&mut tablet, &chain, &[&batch]));
    // Before the rows have come: what they are in nobody opens any more.
    contacts::reset(&mut tablet, &mut relay);
    let (user, now) = (tablet.user, tablet.now);
    let lists = relay.lists[&user].clone();
    tablet.machine().take_lists(user, lists, now).unwrap();
    let shown = history(&relay, &mut tablet, bob.user, 4);
    rows(&mut tablet, &bob, &shown);
    assert_eq!(tablet.shown(bob.user), SHOWN);
    assert_eq!(tablet.machine().backlog().unwrap().waiting, 2);
}

#[test]
fn what_comes_into_the_backup_later_is_found_in_a_later_pass() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
    let chain = ends(&mut tablet, &[(alice.device, end(&batch))]).unwrap();
    assert!(!take(&mut tablet, &chain, &[&batch]));
    let before = history(&relay, &mut tablet, bob.user, 3);
    rows(&mut tablet, &bob, &before);
    assert!(matches!(next_restore(&mut tablet), NextRestore::Later(_)));

    // A row that passes by, and whose key the phone puts into a batch of its own.
    talk(&mut relay, &mut alice, &mut bob, &["later"]);
    tablet.pull(&relay, bob.user);
    let version = batch.version;
    let refused = alice.machine().batch_refused(version, Some(end(&batch)));
    assert!(!refused.unwrap());
    let second = stored(&mut alice);
    assert_eq!(second.number, 2);
    tablet.now += 2 * MINUTE;
    let chain = ends(&mut tablet, &[(alice.device, end(&second))]).unwrap();
    assert!(!take(&mut tablet, &chain, &[&second, &batch]));
    while let NextRestore::Rows(_, before) = next_restore(&mut tablet) {
        let all = history(&relay, &mut tablet, bob.user, before);
        assert!(!rows(&mut tablet, &bob, &all));
    }
    assert_eq!(tablet.shown(bob.user), [SHOWN[0], SHOWN[1], "> later"]);
    // In the last pass only the end is looked at.
    tablet.now += 11 * MINUTE;
    let chain = ends(&mut tablet, &[(alice.device, end(&second))]).unwrap();
    assert_eq!((chain.next.number, chain.floor), (2, 1));
}

#[test]
fn what_could_not_be_read_and_is_in_the_backup_makes_nothing_read_that_came_before_it() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
    tablet.upload(&mut relay);
    let unread = |tablet: &mut Phone| tablet.machine().conversations().unwrap()[0].unread;
    contacts::look(&mut alice, &relay, a);
    // What another own device writes says that they are no stranger.
    talk(&mut relay, &mut alice, &mut bob, &["mine"]);
    tablet.pull(&relay, b);
    bob.send(a, "unread");
    bob.send(a, "spoilt");
    bob.sync(&mut relay, a);
    alice.pull(&relay, b);
    let conversation = tablet.conversation(b);
    let last = relay.last_seq(conversation);
    let mut rows_of_bob = relay.rows(conversation, (a, tablet.device), last - 1, last);
    let wrap = rows_of_bob[1].wrap.take().unwrap();
    let mut wrap = wrap.to_vec();
    *wrap.last_mut().unwrap() ^= 1;
    rows_of_bob[1].wrap = Some(wrap.into());
    tablet.take(&relay, b, &rows_of_bob);
    assert_eq!(tablet.shown(b), ["> mine", "< unread", "! bad_ratchet"]);
    assert_eq!(unread(&mut tablet), 1);
    // The phone could read it, and has put it into the backup.
    let fuller = stored(&mut alice);
    assert_eq!(fuller.number, batch.number);
    let chain = ends(&mut tablet, &[(alice.device, end(&fuller))]).unwrap();
    assert!(!take(&mut tablet, &chain, &[&fuller]));
    let all = history(&relay, &mut tablet, b, last + 1);
    while let NextRestore::Rows(..) = next_restore(&mut tablet) {
        rows(&mut tablet, &bob, &all);
    }
    let shown = [SHOWN[0], SHOWN[1], "> mine", "< unread", "< spoilt"];
    assert_eq!(tablet.shown(b), shown);
    assert_eq!(unread(&mut tablet), 2);
}

#[test]
fn a_batch_that_is_withheld_once_is_asked_for_again() {
    let (mut relay, mut alice, bob) = acquainted();
    let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
    let head = (alice.device, end(&batch));
    let chain = ends(&mut tablet, &[head]).unwrap();
    assert!(take(&mut tablet, &chain, &[]));
    assert!(matches!(next_restore(&mut tablet), NextRestore::Later(_)));
    assert!(!tablet.machine().restore_progress().unwrap().reading);
    tablet.now += 2 * MINUTE;
    let chain = ends(&mut tablet, &[head]).unwrap();
    assert!(!take(&mut tablet, &chain, &[&batch]));
    let right = history(&relay, &mut tablet, bob.user, 3);
    assert!(!rows(&mut tablet, &bob, &right));
    assert_eq!(tablet.shown(bob.user), SHOWN);
}

#[test]
fn a_relay_that_shows_another_history_is_told_of_and_the_right_one_shown_later() {
    type Change = fn(&mut [HistoryRow]);
    let another_content: Change = |rows| {
        let mut content = rows[0].content.clone().unwrap().0.to_vec();
        content[5] ^= 1;
        rows[0].content = Some(content.into());
    };
    let another_header: Change = |rows| rows[0].header = rows[1].header.clone();
    let another_hash: Change = |rows| rows[0].content_hash = rows[1].content_hash.clone();
    let left_out: Change = |rows| rows[0].seq = 1;
    for change in [another_content, another_header, another_hash, left_out] {
        let (mut relay, mut alice, bob) = acquainted();
        let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
        let right = history(&relay, &mut tablet, bob.user, 3);
        let mut wrong = right.clone();
        change(&mut wrong);
        let chain = ends(&mut tablet, &[(alice.device, end(&batch))]).unwrap();
        assert!(!take(&mut tablet, &chain, &[&batch]));
        assert!(rows(&mut tablet, &bob, &wrong));
        assert!(!tablet.shown(bob.user).contains(&SHOWN[1].to_owned()));
        assert!(matches!(next_restore(&mut tablet), NextRestore::Later(_)));
        tablet.now += 2 * MINUTE;
        assert!(!rows(&mut tablet, &bob, &right));
        assert_eq!(tablet.shown(bob.user), SHOWN);
    }
}

#[test]
fn rows_that_are_withheld_are_told_of() {
    let (mut relay, mut alice, bob) = acquainted();
    let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
    let right = history(&relay, &mut tablet, bob.user, 3);
    let chain = ends(&mut tablet, &[(alice.device, end(&batch))]).unwrap();
    assert!(!take(&mut tablet, &chain, &[&batch]));
    assert!(rows(&mut tablet, &bob, &[]), "none");
    assert!(matches!(next_restore(&mut tablet), NextRestore::Later(_)));
    tablet.now += 2 * MINUTE;
    assert!(rows(&mut tablet, &bob, &right[1..]), "the newest left out");
    assert_eq!(tablet.shown(bob.user), SHOWN[..1]);
}

#[test]
fn a_chain_of_other_batches_ends_and_is_told_of() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let texts: Vec<_> = (0..limits::BATCH_ENTRIES).map(|n| n.to_string()).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    for some in texts.chunks(60) {
        talk(&mut relay, &mut alice, &mut bob, some);
    }
    let first = stored(&mut alice);
    let (mut tablet, last) = tablet(&mut relay, &mut alice, &bob);
    assert_eq!((first.number, last.number), (1, 2));
    // Ends that no chain has are none.
    let impossible = Head {
        number: u64::MAX,
        hash: NONE,
    };
    let nobody = DeviceId::from_bytes([9; 16]);
    let heads = [(nobody, impossible), (alice.device, end(&last))];
    let chain = ends(&mut tablet, &heads).unwrap();
    assert_eq!(chain.device, alice.device);
    let mut changed = first.clone();
    *changed.bytes.last_mut().unwrap() ^= 1;
    assert!(take(&mut tablet, &chain, &[&last, &changed]));
    while let NextRestore::Rows(_, before) = next_restore(&mut tablet) {
        let all = history(&relay, &mut tablet, bob.user, before);
        rows(&mut tablet, &bob, &all);
    }
    assert_eq!(tablet.shown(bob.user).len(), 2, "of the batch that is good");
    assert!(matches!(next_restore(&mut tablet), NextRestore::Later(_)));
}

#[test]
fn a_batch_of_another_device_or_number_is_not_the_end_of_a_chain() {
    let (mut relay, mut alice, bob) = acquainted();
    let (mut tablet, batch) = tablet(&mut relay, &mut alice, &bob);
    let other = DeviceId::from_bytes([9; 16]);
    let chain = ends(&mut tablet, &[(other, end(&batch))]).unwrap();
    assert!(take(&mut tablet, &chain, &[&batch]), "it says whose it is");
    tablet.now += 2 * MINUTE;
    assert!(matches!(next_restore(&mut tablet), NextRestore::Later(_)));
    tablet.now += 2 * MINUTE;
    let second = Head {
        number: 2,
        hash: NONE,
    };
    let chain = ends(&mut tablet, &[(alice.device, second)]).unwrap();
    assert!(take(&mut tablet, &chain, &[&batch]), "and which");
    assert!(tablet.shown(bob.user).is_empty());
}

#[test]
fn what_was_said_of_messages_comes_back_with_them_and_what_was_erased_does_not() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    talk(&mut relay, &mut alice, &mut bob, &["one", "secret"]);
    let now = alice.now;
    let one = alice.named(b, "one");
    let answer = NewMessage {
        peer: b,
        text: "I mean it",
        reply_to: Some(one),
    };
    alice.machine().send_many(&[answer], now).unwrap();
    alice.machine().edit(b, one, "two", now).unwrap();
    alice.machine().edit(b, one, "three", now).unwrap();
    let three = bob.named(a, "one");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    bob.machine().react(a, three, "👍", now).unwrap();
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    let secret = alice.named(b, "secret");
    alice.machine().erase(b, secret, now).unwrap();
    alice.sync(&mut relay, b);
    let before = relay.last_seq(alice.conversation(b)) + 1;
    let batch = stored(&mut alice);
    let mut tablet = alice.join(&mut relay);
    tablet.pull(&relay, b);
    tablet.machine().caught_up(now).unwrap();
    assert_eq!(tablet.shown(b), ["! no_content"]);
    ends(&mut tablet, &[(alice.device, end(&batch))]).unwrap();
    let NextRestore::Batches(chain) = next_restore(&mut tablet) else {
        panic!("no chain");
    };
    assert!(!take(&mut tablet, &chain, &[&batch]));
    // One by one from the newest down: edits come before what they edit.
    let rows = history(&relay, &mut tablet, bob.user, before);
    let mut quotes = Vec::new();
    while let NextRestore::Rows(conversation, before) = next_restore(&mut tablet) {
        let row: Vec<_> = rows
            .iter()
            .filter(|row| row.seq + 1 == before)
            .cloned()
            .collect();
        let told = tablet
            .machine()
            .take_history(conversation, before, &row, now);
        let told = told.unwrap();
        assert!(!is_alarm(&told));
        // The answer was shown before what it answers, and is shown anew.
        quotes.extend(told.iter().filter_map(|happening| match happening {
            Happening::Restored(item) => match &item.content {
                Content::Message { reply_to, .. } => reply_to.clone(),
                _ => None,
            },
            _ => None,
        }));
    }
    let quotes: Vec<_> = quotes.into_iter().map(|quote| quote.text).collect();
    assert_eq!(quotes, [None, Some("three".to_owned())]);
    let shown = tablet.shown(b);
    let expected = [
        SHOWN[0],
        SHOWN[1],
        "> three (edited) 👍",
        "! no_content",
        "> I mean it [to: three]",
    ];
    assert_eq!(shown, expected);
}
