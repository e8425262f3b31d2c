//! Rows that are repeated, out of order, missing or broken.

use bytes::Bytes;
use sordino_protocol::pb;

use super::{acquainted, chains::add_nothing, two};
use crate::machine::Happening;

#[test]
fn a_repeated_row_is_shown_once() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "again");
    alice.sync(&mut relay, b);
    let rows = relay.rows(conversation, (b, bob.device), 1, 9);
    let twice: Vec<pb::Row> = rows.iter().chain(&rows).cloned().collect();
    for _ in 0..2 {
        assert_eq!(bob.take(&relay, a, &twice).cursor, 3);
        bob.crash();
    }
    assert_eq!(bob.shown(a), ["< hello", "> hello yourself", "< again"]);
}

#[test]
fn what_follows_a_hole_is_pulled_again() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    for text in ["x", "y", "z"] {
        alice.send(b, text);
    }
    alice.sync(&mut relay, b);
    let rows = relay.rows(conversation, (b, bob.device), 1, 9);
    let ahead = [rows[4].clone(), rows[3].clone()];
    let taken = bob.take(&relay, a, &ahead);
    assert_eq!((taken.cursor, taken.pull), (2, Some((3, 5))));
    assert_eq!(taken.ack, None);
    assert!(taken.happenings.is_empty());
    let pulled = relay.rows(conversation, (b, bob.device), 3, 5);
    let taken = bob.take(&relay, a, &pulled);
    assert_eq!((taken.cursor, taken.pull, taken.ack), (5, None, Some(5)));
    assert_eq!(bob.shown(a)[2..], ["< x", "< y", "< z"]);
}

#[test]
fn lost_rows_leave_a_gap_and_the_rest_goes_on() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    for text in ["x", "y", "z"] {
        alice.send(b, text);
    }
    alice.sync(&mut relay, b);
    let (cursor, happenings) = bob.machine().missing(conversation, 4, 0).unwrap();
    assert_eq!(cursor, 4);
    assert!(matches!(
        happenings[..],
        [Happening::Added(_), Happening::RelayMisbehaved { .. }]
    ));
    let taken = bob.pull(&relay, a);
    assert_eq!(taken.cursor, 5);
    // Counters were skipped.
    let told = |h: &Happening| matches!(h, Happening::RelayMisbehaved { .. });
    assert!(taken.happenings.iter().any(told));
    assert_eq!(bob.shown(a)[2..], ["gap", "< z"]);
}

#[test]
fn poisoned_rows_do_not_stall_and_do_not_burn_keys() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    for n in 0..4 {
        alice.send(b, &format!("good {n}"));
    }
    alice.sync(&mut relay, b);
    let good = relay.rows(conversation, (b, bob.device), 3, 6);
    let flip = |bytes: &Bytes, at: usize| {
        let mut bytes = bytes.to_vec();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    let mut rows = good.clone();
    rows[0].header = Bytes::from_static(b"no header");
    rows[1].content = rows[1].content.as_ref().map(|bytes| flip(bytes, 9));
    rows[2].wrap = rows[2].wrap.as_ref().map(|bytes| flip(bytes, usize::MAX));
    rows.push(pb::Row {
        seq: 7,
        ..good[0].clone()
    });
    let taken = bob.take(&relay, a, &rows);
    assert_eq!(taken.cursor, 7);
    assert_eq!(
        bob.shown(a)[2..6].to_vec(),
        [
            "! bad_header",
            "! swapped_envelope",
            "! bad_ratchet",
            "< good 3"
        ]
    );
    let mut more = relay.rows(conversation, (a, alice.device), 1, 1);
    more[0].seq = 8;
    more[0].header = vec![0xFF; 148].into();
    assert_eq!(bob.take(&relay, a, &more).cursor, 8);
}

/// The relay knows which counter comes next.
#[test]
fn a_row_forged_before_the_genuine_one_does_not_cost_the_message() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "genuine");
    alice.send(b, "next");
    alice.sync(&mut relay, b);
    let mut rows = relay.rows(conversation, (b, bob.device), 3, 4);
    let mut header = sordino_protocol::Header::parse(&rows[0].header).unwrap();
    header.commit = [9; 32];
    rows.insert(
        0,
        pb::Row {
            header: header.encode().into(),
            ..rows[0].clone()
        },
    );
    for (row, seq) in rows.iter_mut().zip(3..) {
        row.seq = seq;
    }
    let taken = bob.take(&relay, a, &rows);
    assert_eq!(taken.cursor, 5);
    let told = |h: &Happening| matches!(h, Happening::RelayMisbehaved { .. });
    assert_eq!(taken.happenings.iter().filter(|h| told(h)).count(), 1);
    let want = ["! swapped_envelope", "< genuine", "< next"];
    assert_eq!(bob.shown(a)[2..], want);
    // A repetition of what was read stays one.
    let mut again = rows[1].clone();
    again.seq = 6;
    bob.take(&relay, a, &[again]);
    assert_eq!(bob.shown(a)[5..], ["! replay"]);
}

/// Nobody wrote: the relay names a stranger, whose lists cannot be had.
#[test]
fn a_row_that_waits_makes_no_conversation() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "hello");
    alice.prepare(&mut relay, b);
    alice.flush(&mut relay, b);
    let rows = relay.rows(conversation, (b, bob.device), 1, 1);
    let now = bob.now;
    let taken = bob.machine().take_rows(a, conversation, &rows, true, now);
    assert!(taken.unwrap().needs.is_some());
    assert!(bob.machine().conversations().unwrap().is_empty());
}

#[test]
fn a_row_that_names_a_list_which_does_not_exist_is_bad() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "hello");
    alice.prepare(&mut relay, b);
    alice.flush(&mut relay, b);
    let mut rows = relay.rows(conversation, (b, bob.device), 1, 1);
    let mut header = sordino_protocol::Header::parse(&rows[0].header).unwrap();
    header.sender_list = 9;
    rows[0].header = header.encode().into();
    assert_eq!(bob.take(&relay, a, &rows).cursor, 1);
    assert_eq!(bob.shown(a), ["! no_such_list"]);
    // It is asked for anew: what did not exist then may exist now.
    for _ in 2..=9 {
        add_nothing(&mut alice, &mut relay);
    }
    alice.send(b, "of version 9");
    alice.sync(&mut relay, b);
    rows = relay.rows(conversation, (b, bob.device), 2, 2);
    assert_eq!(bob.take(&relay, a, &rows).cursor, 2);
    assert_eq!(bob.shown(a)[1..], ["< of version 9"]);
}

#[test]
fn a_conversation_of_others_is_refused() {
    let (relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    let own = alice.conversation(a);
    let now = alice.now;
    let error = alice.machine().take_rows(b, own, &[], false, now);
    let code = error.unwrap_err().code();
    assert_eq!(code, sordino_protocol::Code::RelayMisbehaved);
    assert_eq!(bob.pull(&relay, a).cursor, 0);
}

#[test]
fn a_session_that_does_not_open_is_replaced() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    let mut rows = relay.rows(conversation, (b, bob.device), 3, 3);
    let mut wrap = rows[0].wrap.take().unwrap().to_vec();
    *wrap.last_mut().unwrap() ^= 1;
    rows[0].wrap = Some(wrap.into());
    let before = bob.machine().store.read(|tx| tx.book(a, alice.device));
    assert!(bob.take(&relay, a, &rows).attention);
    assert_eq!(bob.waiting(), [(conversation, a)]);
    bob.sync(&mut relay, a);
    let after = bob.machine().store.read(|tx| tx.book(a, alice.device));
    assert_ne!(before.unwrap().sending(), after.unwrap().sending());
    alice.sync(&mut relay, b);
    alice.send(b, "whole");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a)[2..], ["! bad_ratchet", "< whole"]);
    // A second one within the hour begins nothing.
    assert!(bob.waiting().is_empty());
}

#[test]
fn a_repair_is_heard_behind_what_had_its_counter_before() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "spoilt");
    alice.sync(&mut relay, b);
    let mut rows = relay.rows(conversation, (b, bob.device), 3, 3);
    let mut wrap = rows[0].wrap.take().unwrap().to_vec();
    *wrap.last_mut().unwrap() ^= 1;
    rows[0].wrap = Some(wrap.into());
    assert!(bob.send(a, "on its way"));
    bob.take(&relay, a, &rows);
    // Its lists are out of date, so that it is encrypted again, by the new session.
    add_nothing(&mut alice, &mut relay);
    bob.send(a, "later");
    bob.sync(&mut relay, a);
    let told = alice.sync(&mut relay, b);
    let received = |h: &&Happening| matches!(h, Happening::Received(_));
    assert_eq!(told.iter().filter(received).count(), 2);
    assert_eq!(alice.shown(b)[3..], ["< on its way", "< later"]);
    let hers = alice.machine().store.read(|tx| tx.book(b, bob.device));
    let his = bob.machine().store.read(|tx| tx.book(a, alice.device));
    let (hers, his) = (hers.unwrap(), his.unwrap());
    assert_eq!(hers.sending(), his.sending());
    assert!(!his.repair_waits());
    alice.send(b, "whole");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "< whole");
}
