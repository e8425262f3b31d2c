use sordino_protocol::{DeviceId, UserId};

use super::*;
use crate::{
    prekeys::Peer,
    sending::{RECEIVE_ONLY, RENEW_AFTER_MESSAGES, RENEW_AFTER_MS, RETIRE_AFTER_MS},
};

const NOW: u64 = 1_800_000_000_000;

fn sid(n: u8) -> SessionId {
    SessionId::from_bytes([n; 8])
}

fn meta(n: u8, born: u64, answered_spk: Option<u32>) -> Meta {
    Meta {
        sid: sid(n),
        transcript: [n; 32],
        born,
        peer: Peer {
            user: UserId::from_bytes([1; 16]),
            user_key: [2; 32],
            device: DeviceId::from_bytes([3; 16]),
            identity_key: [4; 32],
            signing_key: [5; 32],
        },
        answered_spk,
    }
}

fn outbound(n: u8, born: u64) -> Meta {
    meta(n, born, None)
}

fn inbound(n: u8, born: u64) -> Meta {
    meta(n, born, Some(u32::from(n)))
}

fn sids(retired: &[Retired]) -> Vec<SessionId> {
    retired.iter().map(|retired| retired.sid).collect()
}

#[test]
fn without_a_session_one_is_begun() {
    let mut book = Book::default();
    let plan = book.plan(NOW);
    assert_eq!((plan.current, plan.begin), (None, Some(NOW)));
    let begun = book.begun(&outbound(1, NOW), NOW);
    assert_eq!((begun.dead, begun.retired), (vec![], vec![]));
    let plan = book.plan(NOW);
    assert_eq!((plan.current, plan.begin), (Some(sid(1)), None));
}

#[test]
fn a_renewal_is_due_after_500_unanswered_or_14_silent_days() {
    let mut book = Book::default();
    book.begun(&outbound(1, NOW + 5), NOW);
    for _ in 1..RENEW_AFTER_MESSAGES {
        book.sent(sid(1));
    }
    assert_eq!(book.plan(NOW).begin, None);
    book.sent(sid(1));
    assert_eq!(book.plan(NOW).current, Some(sid(1)));
    // Born after all others, even where the clock is behind.
    assert_eq!(book.plan(NOW).begin, Some(NOW + 6));
    book.received(&outbound(1, NOW + 5), &[], NOW + 1);
    assert_eq!(book.plan(NOW).begin, None);
    assert_eq!(book.plan(NOW + RENEW_AFTER_MS).begin, None);
    assert!(book.plan(NOW + 1 + RENEW_AFTER_MS).begin.is_some());
}

#[test]
fn the_loser_of_two_begun_at_once_receives_only() {
    for (first, second) in [
        (outbound(1, 7), inbound(2, 7)),
        (inbound(2, 7), outbound(1, 7)),
    ] {
        let mut book = Book::default();
        book.received(&first, &[], NOW);
        book.received(&second, &[], NOW);
        assert_eq!(book.sending(), Some(sid(1)));
        assert_eq!(book.entries.len(), 2);
    }
}

#[test]
fn what_receives_only_never_sends_again_by_itself() {
    let mut book = Book::default();
    book.begun(&outbound(1, 1), NOW);
    book.begun(&outbound(2, 2), NOW);
    assert_eq!(book.sending(), Some(sid(2)));
    book.received(&outbound(1, 1), &[], NOW);
    assert_eq!(book.sending(), Some(sid(2)));
    book.received(&inbound(3, 1), &[sid(9)], NOW);
    assert_eq!(book.sending(), Some(sid(2)));
}

#[test]
fn receive_only_sessions_are_given_up_by_number_and_by_time() {
    let mut book = Book::default();
    let mut retired = Vec::new();
    for n in 1..=12u8 {
        retired.extend(book.received(&inbound(n, n.into()), &[], NOW + u64::from(n)));
    }
    assert_eq!(book.entries.len(), RECEIVE_ONLY + 1);
    assert_eq!(sids(&retired), [sid(1), sid(2), sid(3)]);
    assert_eq!(retired[0].answered_spk, Some(1));
    // The fourth ceased to send when the fifth came.
    assert_eq!(book.expire(NOW + 4 + RETIRE_AFTER_MS), []);
    assert_eq!(sids(&book.expire(NOW + 5 + RETIRE_AFTER_MS)), [sid(4)]);
    let rest = book.expire(u64::MAX);
    assert_eq!(rest.len(), RECEIVE_ONLY - 1);
    assert_eq!(book.sending(), Some(sid(12)));
}

#[test]
fn dead_sessions_are_given_up_whatever_their_age() {
    let mut book = Book::default();
    book.begun(&outbound(1, 100), NOW);
    let retired = book.received(&inbound(2, 5), &[sid(1), sid(2), sid(7)], NOW);
    assert_eq!(sids(&retired), [sid(1)]);
    assert_eq!(book.sending(), Some(sid(2)));
    // Its `born` is not forgotten with it.
    assert_eq!(book.highest_born, Some(100));
}

/// A later message of the new session overtook the one that names the dead.
#[test]
fn the_session_that_brings_the_news_sends_where_none_is_left() {
    let mut book = Book::default();
    book.begun(&outbound(1, 100), NOW);
    book.received(&inbound(2, 5), &[], NOW);
    assert_eq!(book.sending(), Some(sid(1)));
    book.received(&inbound(2, 5), &[sid(1)], NOW);
    assert_eq!(book.sending(), Some(sid(2)));
}

#[test]
fn a_repair_is_due_once_an_hour_and_names_all_that_is_broken() {
    let mut book = Book::default();
    book.begun(&outbound(1, 1), NOW);
    assert!(book.broken(sid(1), NOW));
    assert!(book.broken(sid(8), NOW));
    assert!(book.broken(sid(8), NOW));
    let plan = book.plan(NOW);
    assert_eq!((plan.current, plan.begin), (Some(sid(1)), Some(NOW)));
    let begun = book.begun(&outbound(2, NOW), NOW);
    assert_eq!(begun.dead, [sid(1), sid(8)]);
    assert_eq!(book.sending(), Some(sid(2)));
    assert_eq!(book.plan(NOW).begin, None);
    assert!(!book.broken(sid(2), NOW + REPAIR_EVERY_MS - 1));
    assert_eq!(book.plan(NOW + REPAIR_EVERY_MS - 1).begin, None);
    assert!(book.plan(NOW + REPAIR_EVERY_MS).begin.is_some());
}

#[test]
fn what_is_broken_is_bounded() {
    let mut book = Book::default();
    for n in 0..200 {
        book.broken(sid(n), NOW);
    }
    let begun = book.begun(&outbound(201, 1), NOW);
    assert_eq!(begun.dead.len(), DEAD_SESSIONS);
    assert_eq!(begun.dead.last(), Some(&sid(199)));
}

#[test]
fn a_new_session_of_the_peer_is_answered_once() {
    let mut book = Book::default();
    book.begun(&outbound(1, 1), NOW);
    assert!(book.replies_owed().is_empty());
    book.received(&inbound(2, 2), &[], NOW);
    book.received(&inbound(3, 3), &[], NOW);
    assert_eq!(book.replies_owed(), [sid(2), sid(3)]);
    book.replied(sid(2));
    assert_eq!(book.replies_owed(), [sid(3)]);
    // Any message by it is an answer.
    book.sent(sid(3));
    assert!(book.replies_owed().is_empty());
    book.received(&inbound(2, 2), &[], NOW);
    assert!(book.replies_owed().is_empty());
}

#[test]
fn after_a_rollback_nothing_old_sends_again() {
    let mut book = Book::default();
    book.begun(&outbound(1, 1), NOW);
    book.received(&inbound(2, 2), &[], NOW);
    book.stop_sending(NOW);
    assert_eq!(book.sending(), None);
    book.received(&inbound(2, 2), &[sid(1)], NOW);
    assert_eq!(book.sending(), None);
    book.received(&inbound(3, 3), &[], NOW);
    assert_eq!(book.sending(), Some(sid(3)));
    // Whatever came meanwhile: the peer is told, even within an hour of a repair.
    assert!(book.plan(NOW).begin.is_some());
    let begun = book.begun(&outbound(4, 4), NOW);
    assert_eq!(begun.dead, [sid(1), sid(2)]);
}

#[test]
fn a_late_session_of_a_former_device_takes_no_place() {
    let mut book = Book::default();
    book.begun(&outbound(1, 1), NOW);
    book.received_late(&inbound(2, 2), NOW);
    assert_eq!(book.sending(), Some(sid(1)));
    assert!(book.replies_owed().is_empty());
    book.never_sends(sid(1), NOW);
    assert_eq!(book.sending(), None);
    book.received(&inbound(2, 2), &[], NOW);
    assert_eq!(book.sending(), None);
    book.received(&inbound(3, 3), &[], NOW);
    assert_eq!(book.sending(), Some(sid(3)));
}

#[test]
fn a_book_survives_storage() {
    let mut book = Book::default();
    book.begun(&outbound(1, 1), NOW);
    book.received(&inbound(2, u64::MAX), &[], NOW);
    book.broken(sid(4), NOW);
    let stored = book.to_bytes().unwrap();
    assert_eq!(Book::from_bytes(&stored), Some(book));
    assert_eq!(Book::from_bytes(b"{}x"), None);
}
