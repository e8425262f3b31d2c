//! Device lists that the relay keeps back from one device: whoever is written to under an old one shows the newer ones.

use bytes::Bytes;
use sordino_crypto::{
    keys::DeviceKeys,
    lists::{Change, listed, parse},
};
use sordino_protocol::{
    Class, DeviceId, Header, UserId,
    list::encode_signed,
    pb::{self, content::Body},
};

use super::contacts::{look, reset, verified};
use super::{NOW, Phone, Relay, acquainted, chains::add_nothing, lists::add_device, two};
use crate::machine::Happening;

/// A list that was taken so long ago is on the relay, and whoever writes later could know it.
const MINUTE: u64 = 60_000;

const DENIED: &str = "it took a message of a device list that it says there is not";
const WITHHELD: &str = "it withheld a person's device lists up to version 2";

/// Alice has another list, which the relay keeps back from Bob.
fn kept_back() -> (Relay, Phone, Phone) {
    let (mut relay, mut alice, bob) = acquainted();
    keep_back(&mut relay, &mut alice, bob.device);
    (relay, alice, bob)
}

fn keep_back(relay: &mut Relay, alice: &mut Phone, from: DeviceId) {
    let shown = relay.lists[&alice.user].len();
    relay.keeps_back = Some((from, alice.user, shown));
    relay.takes_old = true;
    another_list(relay, alice);
}

/// Also the device's own.
fn another_list(relay: &mut Relay, phone: &mut Phone) {
    add_nothing(phone, relay);
    let newest = relay.lists[&phone.user].last().unwrap().clone();
    let (user, now) = (phone.user, phone.now);
    phone.machine().take_lists(user, vec![newest], now).unwrap();
}

/// Headers of the rows of a conversation.
fn headers(relay: &Relay, phone: &mut Phone, peer: UserId) -> Vec<Header> {
    let rows = &relay.conversations[&phone.conversation(peer)].rows;
    let header = |row: &pb::Send| Header::parse(&row.header).unwrap();
    rows.iter().map(header).collect()
}

/// How much a phone has said to single devices of a person.
fn told(relay: &Relay, phone: &mut Phone, peer: UserId) -> usize {
    let of = phone.device;
    let headers = headers(relay, phone, peer).into_iter();
    let control = headers.filter(|h| (h.sender_device, h.class) == (of, Class::Control));
    control.count()
}

/// Bob writes, and Alice reads it so much later.
fn write_and_read(relay: &mut Relay, alice: &mut Phone, bob: &mut Phone, text: &str, later: u64) {
    let (a, b) = (alice.user, bob.user);
    bob.send(a, text);
    bob.prepare(relay, a);
    bob.flush(relay, a);
    alice.now = bob.now + later;
    alice.sync(relay, b);
}

fn evidence(happenings: &[Happening]) -> Vec<&str> {
    let said = happenings.iter().filter_map(|happening| match happening {
        Happening::RelayMisbehaved { evidence, .. } => Some(evidence.as_str()),
        _ => None,
    });
    said.collect()
}

fn pinned(phone: &mut Phone, whom: UserId) -> Option<u32> {
    phone.machine().pinned_version(whom).unwrap()
}

#[test]
fn who_writes_to_an_old_list_is_shown_the_newer_one() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    relay.keeps_back = Some((bob.device, a, 1));
    relay.takes_old = true;
    let tablet = add_device(&mut alice, &mut relay);
    bob.now += MINUTE;
    write_and_read(&mut relay, &mut alice, &mut bob, "old", 0);
    // Encrypted for the list of before, and not on its way yet.
    bob.send(a, "waits");
    let taken = bob.pull(&relay, a);
    assert_eq!(evidence(&taken.happenings), [WITHHELD]);
    let new = Happening::DeviceAdded {
        user: a,
        device: tablet,
        loud: true,
    };
    assert!(taken.happenings.contains(&new));
    assert!(taken.answers && taken.lists_came);
    assert_eq!(pinned(&mut bob, a), Some(2));
    alice.send(b, "new");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let last = headers(&relay, &mut bob, a).pop().unwrap();
    assert_eq!((last.sender, last.recipient_list), (b, 2));
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b)[2..], ["< old", "> new", "< waits"]);
    let bobs = ["> old", "keys changed, false", "< new", "> waits"];
    assert_eq!(bob.shown(a)[2..], bobs);
}

#[test]
fn a_message_that_could_not_be_read_is_read_once_the_list_is_shown() {
    let (mut relay, mut alice, mut bob) = kept_back();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "of a list that is denied");
    alice.sync(&mut relay, b);
    let taken = bob.pull(&relay, a);
    assert_eq!(evidence(&taken.happenings), [DENIED]);
    assert_eq!(bob.shown(a)[2..], ["! no_such_list"]);
    bob.now += MINUTE;
    write_and_read(&mut relay, &mut alice, &mut bob, "old", 0);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a)[2..], ["< of a list that is denied", "> old"]);
}

#[test]
fn it_is_sent_once_for_each_list_whatever_comes() {
    let (mut relay, mut alice, mut bob) = kept_back();
    let b = bob.user;
    let before = told(&relay, &mut alice, b);
    bob.now += MINUTE;
    for text in ["one", "two"] {
        write_and_read(&mut relay, &mut alice, &mut bob, text, 0);
    }
    assert_eq!(told(&relay, &mut alice, b), before + 1);
    alice.crash();
    write_and_read(&mut relay, &mut alice, &mut bob, "three", 0);
    assert_eq!(told(&relay, &mut alice, b), before + 1);
    another_list(&mut relay, &mut alice);
    bob.now += MINUTE;
    for text in ["four", "five"] {
        write_and_read(&mut relay, &mut alice, &mut bob, text, 0);
    }
    assert_eq!(told(&relay, &mut alice, b), before + 2);
}

#[test]
fn what_was_on_its_way_when_the_list_came_is_no_sign_of_anything() {
    // When it was written, by Bob's clock; and how much later it is read.
    for (written, later, tells) in [
        (0, 0, 0),
        (0, 60 * MINUTE, 0),
        (MINUTE - 1, 60 * MINUTE, 0),
        (MINUTE, 0, 1),
    ] {
        let (mut relay, mut alice, mut bob) = kept_back();
        let b = bob.user;
        let before = told(&relay, &mut alice, b);
        bob.now += written;
        write_and_read(&mut relay, &mut alice, &mut bob, "old", later);
        assert_eq!(told(&relay, &mut alice, b) - before, tells, "{written}");
    }
    // His clock is ahead.
    let (mut relay, mut alice, mut bob) = kept_back();
    let (a, b) = (alice.user, bob.user);
    let before = told(&relay, &mut alice, b);
    bob.now += 60 * MINUTE;
    bob.send(a, "ahead");
    bob.prepare(&mut relay, a);
    bob.flush(&mut relay, a);
    alice.now += MINUTE - 1;
    alice.sync(&mut relay, b);
    assert_eq!(told(&relay, &mut alice, b), before);
}

#[test]
fn what_one_message_does_not_hold_follows_when_the_device_has_come_so_far() {
    let (mut relay, mut alice, mut bob) = kept_back();
    let (a, b) = (alice.user, bob.user);
    for _ in 3..=20 {
        another_list(&mut relay, &mut alice);
    }
    let before = told(&relay, &mut alice, b);
    for (round, version) in [9, 17, 20].into_iter().enumerate() {
        bob.now += MINUTE;
        write_and_read(&mut relay, &mut alice, &mut bob, "old", 0);
        bob.sync(&mut relay, a);
        assert_eq!(pinned(&mut bob, a), Some(version));
        assert_eq!(told(&relay, &mut alice, b), before + round + 1);
    }
    // A device that only says that it has come so far gets no more than there is.
    bob.now += MINUTE;
    write_and_read(&mut relay, &mut alice, &mut bob, "new", 0);
    assert_eq!(told(&relay, &mut alice, b), before + 3);
}

#[test]
fn ten_devices_have_lists_of_which_one_message_holds_fewer() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    relay.keeps_back = Some((bob.device, a, 1));
    relay.takes_old = true;
    for _ in 2..=10 {
        add_device(&mut alice, &mut relay);
    }
    for _ in 0..8 {
        another_list(&mut relay, &mut alice);
    }
    for _ in 0..4 {
        bob.now += MINUTE;
        write_and_read(&mut relay, &mut alice, &mut bob, "old", 0);
        bob.sync(&mut relay, a);
    }
    assert_eq!(pinned(&mut bob, a), Some(18));
}

#[test]
fn nothing_is_shown_to_strangers_to_the_blocked_and_to_who_gets_no_messages() {
    let blocks = |alice: &mut Phone, _: &mut Phone, _: &mut Relay, b| {
        alice.machine().block(b, true, NOW).unwrap();
    };
    let identity = |alice: &mut Phone, bob: &mut Phone, relay: &mut Relay, b| {
        verified(alice, b);
        reset(bob, relay);
        let theirs = relay.lists[&b].clone();
        for phone in [alice, bob] {
            phone.machine().take_lists(b, theirs.clone(), NOW).unwrap();
        }
    };
    type Change = dyn Fn(&mut Phone, &mut Phone, &mut Relay, UserId);
    let cases: [(&str, &Change); 2] = [("blocked", &blocks), ("another identity", &identity)];
    for (case, change) in cases {
        let (mut relay, mut alice, mut bob) = kept_back();
        let b = bob.user;
        change(&mut alice, &mut bob, &mut relay, b);
        let before = told(&relay, &mut alice, b);
        bob.now += MINUTE;
        write_and_read(&mut relay, &mut alice, &mut bob, "old", 0);
        assert_eq!(told(&relay, &mut alice, b), before, "{case}");
        assert!(has_nothing_to_send(&mut alice, b), "{case}");
    }
    // Nobody has written to Bob.
    let (mut relay, mut alice, mut bob) = two();
    let a = alice.user;
    bob.send(a, "hello");
    bob.sync(&mut relay, a);
    keep_back(&mut relay, &mut alice, bob.device);
    bob.now += MINUTE;
    write_and_read(&mut relay, &mut alice, &mut bob, "old", 0);
    assert!(has_nothing_to_send(&mut alice, bob.user));
    assert_eq!(told(&relay, &mut alice, bob.user), 0);
    // A device of a verified person that nobody vouches for.
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    verified(&mut alice, b);
    let mut tablet = bob.join(&mut relay);
    look(&mut alice, &relay, b);
    tablet.sync(&mut relay, a);
    keep_back(&mut relay, &mut alice, tablet.device);
    tablet.now += MINUTE;
    write_and_read(&mut relay, &mut alice, &mut tablet, "old", 0);
    assert_eq!(alice.shown(b).last().unwrap(), "< old");
    assert!(has_nothing_to_send(&mut alice, b));
}

fn has_nothing_to_send(phone: &mut Phone, peer: UserId) -> bool {
    let conversation = phone.conversation(peer);
    let outbox = phone.machine().store.read(|tx| tx.outbox(conversation));
    outbox.unwrap().is_empty()
}

/// Alice's device sends what a client of another make may send; what Bob's makes of it.
fn shows(relay: &mut Relay, alice: &mut Phone, bob: &mut Phone, lists: &[Bytes]) -> Vec<String> {
    let (a, b) = (alice.user, bob.user);
    let lists = lists.to_vec();
    alice.control(b, Body::ListChain(pb::ListChain { lists }));
    alice.sync(relay, b);
    let happenings = bob.pull(relay, a).happenings;
    let said = evidence(&happenings).into_iter();
    let said = said.map(str::to_owned).collect();
    let moved = |h: &Happening| matches!(h, Happening::DeviceAdded { .. });
    assert!(!happenings.iter().any(moved));
    said
}

fn encoded(lists: &[pb::Signed]) -> Vec<Bytes> {
    lists
        .iter()
        .map(|list| encode_signed(list).into())
        .collect()
}

/// Another list after `before`, by whoever has the keys of the account.
fn forked(phone: &mut Phone, before: &pb::Signed) -> pb::Signed {
    let before = parse(before).unwrap();
    let lsk = phone.machine().store.read(|tx| tx.list_signing_key());
    let keys = DeviceKeys::generate(&mut rand::rng());
    let device = DeviceId::from_bytes(rand::random());
    let entry = listed(phone.user, &before.identity_key, device, &keys, NOW);
    let change = Change::of(&before, NOW).unwrap().add_unvouched(entry);
    change.sign(&lsk.unwrap().unwrap()).unwrap().signed
}

#[test]
fn a_chain_that_is_not_one_changes_nothing() {
    let (mut relay, mut alice, mut bob) = kept_back();
    let (a, b) = (alice.user, bob.user);
    let carol = Phone::new("carol", &mut relay);
    another_list(&mut relay, &mut alice);
    let lists = relay.lists[&a].clone();
    let mut unsigned = lists.clone();
    unsigned[1].signature = lists[2].signature.clone();
    let beyond = forked(&mut alice, &lists[2]);
    let fork = forked(&mut alice, &lists[0]);
    let cases: [(&str, Vec<Bytes>); 9] = [
        ("nothing", vec![]),
        ("no list", vec![Bytes::from_static(b"\xff")]),
        ("an empty one", vec![Bytes::new()]),
        ("another user's", encoded(&relay.lists[&carol.user])),
        ("forged", encoded(&unsigned[1..])),
        ("a gap", encoded(&lists[2..])),
        ("rollback", encoded(&lists[..1])),
        ("a fork below", encoded(&[fork, lists[2].clone()])),
        (
            "one that the relay has never taken",
            encoded(&[lists[1].clone(), lists[2].clone(), beyond]),
        ),
    ];
    for (case, lists) in cases {
        let said = shows(&mut relay, &mut alice, &mut bob, &lists);
        assert_eq!(said, [DENIED], "{case}");
        assert_eq!(pinned(&mut bob, a), Some(1), "{case}");
        let trust = bob.machine().trust(a).unwrap();
        assert!(!trust.lists_contradict, "{case}");
    }
    // Bob holds the second one: another of its version is no word of the relay's either.
    let now = bob.now;
    bob.machine()
        .take_lists(a, lists[..2].to_vec(), now)
        .unwrap();
    let other = forked(&mut alice, &lists[0]);
    let third = forked(&mut alice, &other);
    shows(&mut relay, &mut alice, &mut bob, &encoded(&[third]));
    let trust = bob.machine().trust(a).unwrap();
    assert!(!trust.lists_contradict);
    assert_eq!(pinned(&mut bob, a), Some(2));
    // Of another class it is nothing either.
    let chain = pb::ListChain {
        lists: encoded(&lists[1..]),
    };
    alice.write(b, Class::Message, Body::ListChain(chain));
    alice.sync(&mut relay, b);
    bob.pull(&relay, a);
    assert_eq!(pinned(&mut bob, a), Some(2));
    let said = shows(&mut relay, &mut alice, &mut bob, &encoded(&lists[1..]));
    assert_eq!(said, [WITHHELD.replace('2', "3")]);
    assert_eq!(pinned(&mut bob, a), Some(3));
}

#[test]
fn a_relay_that_gives_the_list_is_believed_before_the_chain() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let a = alice.user;
    // Who has the keys of the account, and has not shown the relay the list.
    let hidden = forked(&mut alice, &relay.lists[&a][0]);
    let said = shows(
        &mut relay,
        &mut alice,
        &mut bob,
        &encoded(std::slice::from_ref(&hidden)),
    );
    assert_eq!(said, [""; 0]);
    assert_eq!(pinned(&mut bob, a), Some(1));
    another_list(&mut relay, &mut alice);
    let said = shows(&mut relay, &mut alice, &mut bob, &encoded(&[hidden]));
    assert_eq!(said, [""; 0]);
    let held = bob.machine().store.read(|tx| tx.list(a, 2)).unwrap();
    assert_eq!(held.unwrap().signed, relay.lists[&a][1]);
}

#[test]
fn strangers_and_who_is_blocked_show_no_lists() {
    let (mut relay, mut alice, mut bob) = kept_back();
    let a = alice.user;
    bob.machine().block(a, true, NOW).unwrap();
    let lists = encoded(&relay.lists[&a][1..]);
    let said = shows(&mut relay, &mut alice, &mut bob, &lists);
    assert_eq!(
        (said, pinned(&mut bob, a)),
        (vec![DENIED.to_owned()], Some(1))
    );
    // To whom Bob has never written.
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "hello");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    keep_back(&mut relay, &mut alice, bob.device);
    let lists = encoded(&relay.lists[&a][1..]);
    let said = shows(&mut relay, &mut alice, &mut bob, &lists);
    assert_eq!(
        (said, pinned(&mut bob, a)),
        (vec![DENIED.to_owned()], Some(1))
    );
}

#[test]
fn spoilt_rows_bring_no_lists() {
    let (mut relay, mut alice, mut bob) = kept_back();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    let lists = encoded(&relay.lists[&a][1..]);
    alice.control(b, Body::ListChain(pb::ListChain { lists }));
    alice.sync(&mut relay, b);
    let seq = relay.last_seq(conversation);
    let row = relay
        .rows(conversation, (b, bob.device), seq, seq)
        .remove(0);
    let mut named = row.clone();
    let mut header = Header::parse(&row.header).unwrap();
    header.sender_list = 3;
    named.header = header.encode().into();
    let mut content = row.clone();
    content.content = content.content.map(|bytes| {
        let mut bytes = bytes.to_vec();
        bytes[5] ^= 1;
        bytes.into()
    });
    for (at, spoilt) in (seq..).zip([named, content]) {
        bob.take(&relay, a, &[pb::Row { seq: at, ..spoilt }]);
        assert_eq!(pinned(&mut bob, a), Some(1));
    }
    // What was not genuine has not used up the key of what is.
    let taken = bob.take(
        &relay,
        a,
        &[pb::Row {
            seq: seq + 2,
            ..row
        }],
    );
    assert!(evidence(&taken.happenings).contains(&WITHHELD));
    assert_eq!(pinned(&mut bob, a), Some(2));
}

#[test]
fn own_devices_show_each_other_what_the_relay_keeps_back() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    let own = relay.lists[&a].clone();
    alice.machine().take_lists(a, own, NOW).unwrap();
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, a);
    alice.sync(&mut relay, a);
    tablet.sync(&mut relay, b);
    keep_back(&mut relay, &mut alice, tablet.device);
    bob.sync(&mut relay, a);
    tablet.now += MINUTE;
    tablet.send(b, "of an old list");
    tablet.prepare(&mut relay, b);
    tablet.flush(&mut relay, b);
    alice.now = tablet.now;
    let before = told(&relay, &mut alice, a);
    let taken = alice.pull(&relay, b);
    assert!(taken.tells_own);
    alice.sync(&mut relay, a);
    assert_eq!(told(&relay, &mut alice, a), before + 1);
    let taken = tablet.pull(&relay, a);
    let want = "it withheld this account's device lists up to version 3";
    assert_eq!(evidence(&taken.happenings), [want]);
    assert!(taken.tells_own);
    assert_eq!(pinned(&mut tablet, a), Some(3));
    // It was of the same lists, and is not told again.
    alice.sync(&mut relay, b);
    alice.sync(&mut relay, a);
    assert_eq!(told(&relay, &mut alice, a), before + 1);
}

/// What is asked for after a start, what the relay shows then, and what is read of it.
#[test]
fn a_list_that_was_denied_is_asked_for_again_after_a_start() {
    let (mut relay, mut alice, mut bob) = kept_back();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "of a list that is denied");
    alice.sync(&mut relay, b);
    bob.pull(&relay, a);
    let caught_up = |bob: &mut Phone| {
        let now = bob.now;
        bob.machine().caught_up(now).unwrap()
    };
    bob.crash();
    assert_eq!(caught_up(&mut bob).needs, Some((a, 2)));
    // Denied once more: it is not asked for without end.
    let now = bob.now;
    let denied = bob.machine().take_lists_of_row((a, 2), vec![], 1, now);
    denied.unwrap();
    assert_eq!(caught_up(&mut bob).needs, None);
    bob.crash();
    assert_eq!(caught_up(&mut bob).needs, Some((a, 2)));
    let lists = relay.lists[&a].clone();
    let shown = bob.machine().take_lists_of_row((a, 2), lists, 2, now);
    shown.unwrap();
    assert_eq!(caught_up(&mut bob).needs, None);
    assert_eq!(bob.shown(a)[2..], ["< of a list that is denied"]);
}

/// A relay can make up rows; those of one conversation take no place from another's.
#[test]
fn rows_that_wait_for_a_list_are_bounded_in_each_conversation() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut carol = Phone::new("carol", &mut relay);
    let c = carol.user;
    carol.send(b, "hello");
    carol.sync(&mut relay, b);
    bob.sync(&mut relay, c);
    for phone in [&mut alice, &mut carol] {
        let shown = relay.lists[&phone.user].len();
        relay.keeps_back = Some((bob.device, phone.user, shown));
        relay.takes_old = true;
        another_list(&mut relay, phone);
        let many = if phone.user == a { 70 } else { 1 };
        for n in 0..many {
            phone.send(b, &n.to_string());
        }
        phone.sync(&mut relay, b);
        bob.pull(&relay, phone.user);
    }
    let waits = |bob: &mut Phone, peer| {
        let conversation = bob.conversation(peer);
        let count = bob
            .machine()
            .store
            .read(|tx| tx.waits_for_list(conversation));
        count.unwrap()
    };
    assert_eq!((waits(&mut bob, a), waits(&mut bob, c)), (64, 1));
}
