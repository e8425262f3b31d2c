//! What a device makes of rows, honest and not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use sordino_crypto::{
    message::{self, OpenError},
    pqxdh::SetupError,
    receive::{
        Alarm, Bad, Decision, Known, Outcome, Pass, REMOVED_GRACE_MS, RowDecision, Undecryptable,
        UsedPrekeys,
    },
    session::SessionError,
};
use sordino_protocol::{DeviceId, Header, SessionId, UserId, hash, pb};
use support::{
    NOW,
    device::{Device, account, decided, row},
};

/// Alice and Bob, who know each other's lists, and Alice's session with Bob.
fn pair() -> (Device, Device, SessionId) {
    let ((_, mut alice), (_, mut bob)) = (account(10), account(20));
    alice.meet(&mut bob);
    let sid = alice.begin(&mut bob, 1);
    (alice, bob, sid)
}

/// The same after a first message: Bob knows the session.
fn acquainted() -> (Device, Device, SessionId) {
    let (mut alice, mut bob, sid) = pair();
    let row = alice.send(&bob, sid, 1, "first");
    assert_eq!(text(&bob.take(&row)).as_deref(), Some("first"));
    (alice, bob, sid)
}

fn text(decision: &RowDecision) -> Option<String> {
    let Outcome::Message(message) = &decision.outcome else {
        return None;
    };
    match &message.opened.content.body {
        Some(pb::content::Body::Text(text)) => Some(text.text.clone()),
        _ => panic!("no text"),
    }
}

#[track_caller]
fn bad(decision: &RowDecision) -> Bad {
    match decision.outcome {
        Outcome::Bad(bad) => bad,
        _ => panic!("not bad"),
    }
}

#[track_caller]
fn undecryptable(decision: &RowDecision) -> Undecryptable {
    assert!(decision.session.is_none() && decision.used_prekeys.is_none());
    match decision.outcome {
        Outcome::Undecryptable { cause, .. } => cause,
        _ => panic!("not undecryptable"),
    }
}

#[test]
fn a_first_message_sets_the_session_up_and_names_what_it_used() {
    let (mut alice, mut bob, sid) = pair();
    let row = alice.send(&bob, sid, 1, "hello");
    let decision = bob.take(&row);
    assert_eq!(text(&decision).as_deref(), Some("hello"));
    let used = UsedPrekeys {
        one_time: Some(1),
        pq_one_time: Some(1),
    };
    assert_eq!(decision.used_prekeys, Some(used));
    assert_eq!(decision.last_counter, Some(1));
    assert!(decision.alarms.is_empty());
    let header = Header::parse(&row.header).unwrap();
    assert_eq!(decision.header.as_ref(), Some(&header));
    assert_eq!(
        decision.env_hash,
        hash::env_hash(&row.header, &hash::sha256(row.content.as_ref().unwrap()))
    );
    let session = decision.session.as_ref().unwrap();
    assert_eq!(session.meta().peer, alice.peer);
    assert_eq!(session.meta().answered_spk, Some(1));
    // The secrets are gone, and not needed again.
    let decision = bob.take(&alice.send(&bob, sid, 2, "again"));
    assert_eq!(text(&decision).as_deref(), Some("again"));
    assert_eq!(decision.used_prekeys, None);
}

#[test]
fn an_own_row_names_itself_by_the_hash_of_the_content_that_is_not_there() {
    let (mut alice, bob, _) = pair();
    let sealed = alice.seal(&bob.list, 1, "mine");
    let own = pb::Row {
        content: None,
        ..row(1, &sealed, None)
    };
    let decision = alice.take(&own);
    assert!(matches!(decision.outcome, Outcome::Own));
    assert_eq!(decision.env_hash, sealed.env_hash);
    assert_eq!(decision.last_counter, Some(1));
    let decision = alice.judge(&own);
    assert_eq!(bad(&decision), Bad::Replay);
}

#[test]
fn rows_without_wrap_or_content_say_so_and_move_the_counter() {
    let (mut alice, mut bob, sid) = pair();
    let not_for_me = pb::Row {
        wrap: None,
        ..alice.send(&bob, sid, 1, "x")
    };
    let decision = bob.take(&not_for_me);
    assert!(matches!(decision.outcome, Outcome::NotForMe));
    let whole = alice.send(&bob, sid, 2, "x");
    let erased = pb::Row {
        content: None,
        ..whole.clone()
    };
    let decision = bob.take(&erased);
    assert!(matches!(decision.outcome, Outcome::NoContent));
    // Its name is the same as where the content is still there.
    let content_hash = hash::sha256(whole.content.as_ref().unwrap());
    assert_eq!(
        decision.env_hash,
        hash::env_hash(&whole.header, &content_hash)
    );
    let decision = bob.take(&alice.send(&bob, sid, 3, "still here"));
    assert_eq!(text(&decision).as_deref(), Some("still here"));
    assert!(decision.alarms.is_empty());
}

#[test]
fn a_counter_that_was_there_is_a_replay_and_costs_no_key() {
    let (mut alice, mut bob, sid) = acquainted();
    let again = alice.send(&bob, sid, 1, "the counter again");
    let decision = bob.take(&again);
    assert_eq!(bad(&decision), Bad::Replay);
    assert!(decision.session.is_none() && decision.last_counter.is_none());
    let alarm = Alarm::Replay {
        last: 1,
        counter: 1,
    };
    assert_eq!(decision.alarms, [alarm]);
    let decision = bob.take(&alice.send(&bob, sid, 2, "next"));
    assert_eq!(text(&decision).as_deref(), Some("next"));
}

#[test]
fn a_counter_too_high_is_shown_with_an_alarm() {
    let (mut alice, mut bob, sid) = acquainted();
    let decision = bob.take(&alice.send(&bob, sid, 4, "later"));
    assert_eq!(text(&decision).as_deref(), Some("later"));
    let alarm = Alarm::Withheld {
        last: 1,
        counter: 4,
    };
    assert_eq!(decision.alarms, [alarm]);
    assert_eq!(decision.last_counter, Some(4));
}

#[test]
fn a_forged_counter_does_not_make_later_rows_replays() {
    let (mut alice, mut bob, sid) = acquainted();
    let header = alice.header(&bob.list, u64::MAX);
    let forged = pb::Row {
        header: header.encode().into(),
        ..alice.send(&bob, sid, 2, "x")
    };
    let decision = bob.take(&forged);
    assert_eq!(undecryptable(&decision), Undecryptable::Envelope);
    let without_wrap = pb::Row {
        wrap: None,
        ..forged
    };
    assert!(matches!(bob.take(&without_wrap).outcome, Outcome::NotForMe));
    let decision = bob.take(&alice.send(&bob, sid, 2, "genuine"));
    assert_eq!(text(&decision).as_deref(), Some("genuine"));
}

#[test]
fn a_row_shown_in_another_conversation_costs_no_key() {
    let (mut alice, mut bob, sid) = acquainted();
    let row = alice.send(&bob, sid, 2, "here");
    let elsewhere = hash::conversation_id(bob.peer.user, UserId::from_bytes([99; 16]));
    let decision = decided(bob.receive_in(elsewhere, Pass::Live, &row));
    assert_eq!(bad(&decision), Bad::Elsewhere);
    assert!(decision.session.is_none() && decision.last_counter.is_none());
    assert_eq!(text(&bob.take(&row)).as_deref(), Some("here"));
}

#[test]
fn swapped_wraps_and_contents_leave_the_session_as_it_was() {
    let (mut alice, mut bob, sid) = acquainted();
    let one = alice.send(&bob, sid, 2, "one");
    let two = alice.send(&bob, sid, 3, "two");
    let wrap_of_two = pb::Row {
        wrap: two.wrap.clone(),
        ..one.clone()
    };
    let content_of_two = pb::Row {
        content: two.content.clone(),
        content_hash: two.content_hash.clone(),
        ..one.clone()
    };
    for swapped in [wrap_of_two, content_of_two] {
        let cause = undecryptable(&bob.judge(&swapped));
        assert_eq!(cause, Undecryptable::Envelope);
        assert!(!cause.breaks_session());
    }
    assert_eq!(text(&bob.take(&one)).as_deref(), Some("one"));
    assert_eq!(text(&bob.take(&two)).as_deref(), Some("two"));
}

/// Of a first message, so that the handshake is in it.
#[test]
fn every_flipped_bit_of_a_row_is_refused_and_changes_nothing() {
    let (mut alice, bob, sid) = pair();
    let good = alice.send(&bob, sid, 1, "hello");
    let try_flipped = |bytes: &Bytes, step: usize, put: &dyn Fn(&mut pb::Row, Bytes)| {
        for bit in (0..bytes.len() * 8).step_by(step) {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let mut row = good.clone();
            put(&mut row, flipped.into());
            // Another encoding of the same wrap is the same wrap.
            let same = pb::WrapPayload::decode(row.wrap.clone().unwrap()).ok()
                == pb::WrapPayload::decode(good.wrap.clone().unwrap()).ok();
            if same && row.header == good.header && row.content == good.content {
                continue;
            }
            match bob.receive_in(alice.header(&bob.list, 1).conversation, Pass::Live, &row) {
                Decision::NeedsList { .. } => {}
                Decision::Row(decision) => {
                    assert!(
                        !matches!(decision.outcome, Outcome::Message(_)),
                        "bit {bit}"
                    );
                    assert!(decision.session.is_none(), "bit {bit}");
                    assert!(decision.used_prekeys.is_none(), "bit {bit}");
                }
            }
        }
    };
    try_flipped(&good.header, 1, &|row, bytes| row.header = bytes);
    // Each costs a key generation: one bit of each byte, another one from byte to byte. `pqxdh` tries all bits.
    try_flipped(good.wrap.as_ref().unwrap(), 9, &|row, bytes| {
        row.wrap = Some(bytes);
    });
    try_flipped(good.content.as_ref().unwrap(), 9, &|row, bytes| {
        row.content = Some(bytes);
    });
    assert_eq!(text(&bob.judge(&good)).as_deref(), Some("hello"));
}

#[test]
fn a_valid_ratchet_does_not_speak_for_another_sender() {
    let (alice, mut bob, _) = acquainted();
    let (_, mut mallory) = account(30);
    mallory.meet(&mut bob);
    let mallorys = mallory.begin(&mut bob, 1);
    let genuine = mallory.send(&bob, mallorys, 1, "from mallory");
    let header = alice.header(&bob.list, 2);
    let forged = message::seal(&mut rand::rng(), header, &alice.content("forged")).unwrap();
    let wrap = mallory.wrap(&bob.peer, mallorys, &forged);
    let forged_row = row(2, &forged, Some(&wrap));
    // Among Alice's sessions there is none of this name, and with Alice's keys the handshake is another.
    let cause = undecryptable(&bob.judge(&forged_row));
    assert_eq!(cause, Undecryptable::Setup(SetupError::Transcript));
    assert_eq!(text(&bob.take(&genuine)).as_deref(), Some("from mallory"));
    // A store that finds sessions by name alone does not help either.
    let stored = bob.store.sessions.clone();
    for ((_, _, sid), bytes) in stored {
        let key = (alice.peer.user, alice.peer.device, sid);
        bob.store.sessions.entry(key).or_insert(bytes);
    }
    let cause = undecryptable(&bob.judge(&forged_row));
    assert_eq!(cause, Undecryptable::OtherKeys);
}

#[test]
fn what_a_genuine_sender_may_not_say_is_bad_and_the_session_moves_on() {
    let (mut alice, mut bob, sid) = acquainted();
    let (_, carol) = account(30);
    bob.store.put_list(&carol.list);

    let sealed = alice.seal(&carol.list, 1, "for carol");
    let wrap = alice.wrap(&bob.peer, sid, &sealed);
    let decision = bob.take(&row(1, &sealed, Some(&wrap)));
    assert_eq!(bad(&decision), Bad::Recipient);
    assert!(decision.session.is_some());

    let mut content = alice.content("x");
    content.sender_device = DeviceId::from_bytes([9; 16]).to_pb();
    let header = alice.header(&bob.list, 2);
    let sealed = message::seal(&mut rand::rng(), header, &content).unwrap();
    let wrap = alice.wrap(&bob.peer, sid, &sealed);
    let decision = bob.take(&row(2, &sealed, Some(&wrap)));
    assert_eq!(bad(&decision), Bad::Content(OpenError::Sender));
    assert!(decision.session.is_some());

    let mut header = alice.header(&bob.list, 3);
    header.conversation = hash::conversation_id(bob.peer.user, carol.peer.user);
    let sealed = message::seal(&mut rand::rng(), header, &alice.content("x")).unwrap();
    let wrap = alice.wrap(&bob.peer, sid, &sealed);
    let decision = bob.take(&row(3, &sealed, Some(&wrap)));
    assert_eq!(bad(&decision), Bad::Content(OpenError::Conversation));

    let decision = bob.take(&alice.send(&bob, sid, 3, "on we go"));
    assert_eq!(text(&decision).as_deref(), Some("on we go"));
}

#[test]
fn what_the_sender_applied_before_is_compared() {
    let (mut alice, mut bob, sid) = acquainted();
    let conversation = alice.header(&bob.list, 1).conversation;
    let held = bob.store.rows[&(conversation, 1)];
    let mut send = |bob: &mut Device, seq: u64, after: u64, hash: &[u8]| {
        let mut content = alice.content("x");
        content.after = Some(pb::After {
            seq: after,
            env_hash: hash.to_vec().into(),
        });
        let header = alice.header(&bob.list, seq);
        let sealed = message::seal(&mut rand::rng(), header, &content).unwrap();
        let wrap = alice.wrap(&bob.peer, sid, &sealed);
        bob.take(&row(seq, &sealed, Some(&wrap)))
    };
    let same = send(&mut bob, 2, 1, &held);
    assert!(text(&same).is_some() && same.alarms.is_empty());
    let not_held = send(&mut bob, 10, 9, &[7; 32]);
    assert!(text(&not_held).is_some());
    assert!(!not_held.alarms.contains(&Alarm::ViewsDiffer { seq: 9 }));
    let other = send(&mut bob, 11, 1, &[7; 32]);
    assert!(text(&other).is_some());
    assert_eq!(other.alarms, [Alarm::ViewsDiffer { seq: 1 }]);
    assert_eq!(bad(&send(&mut bob, 12, 12, &[7; 32])), Bad::After);
    assert_eq!(bad(&send(&mut bob, 13, u64::MAX, &[7; 32])), Bad::After);
    assert_eq!(bad(&send(&mut bob, 14, 0, &[7; 32])), Bad::After);
    let short = send(&mut bob, 15, 1, &[7; 31]);
    assert_eq!(bad(&short), Bad::After);
    assert!(short.session.is_some());
}

#[test]
fn lists_that_are_not_held_are_asked_for_first() {
    let (mut alice, mut bob, sid) = pair();
    let row = alice.send(&bob, sid, 1, "hello");
    let conversation = alice.header(&bob.list, 1).conversation;
    for user in [alice.peer.user, bob.peer.user] {
        let held = bob.store.lists.remove(&(user, 1)).unwrap();
        let Decision::NeedsList { user: of, version } =
            bob.receive_in(conversation, Pass::Live, &row)
        else {
            panic!("decided without the list");
        };
        assert_eq!((of, version), (user, 1));
        bob.store.put_list(&held);
    }
    assert_eq!(text(&bob.take(&row)).as_deref(), Some("hello"));
}

/// Else the relay could make a conversation wait for users that do not exist.
#[test]
fn lists_of_people_outside_the_conversation_are_not_asked_for() {
    let (mut alice, mut bob, sid) = acquainted();
    let conversation = alice.header(&bob.list, 1).conversation;
    let stranger = UserId::from_bytes([77; 16]);
    let mut header = alice.header(&bob.list, 2);
    header.sender = stranger;
    let row_of_a_stranger = pb::Row {
        header: header.encode().into(),
        ..alice.send(&bob, sid, 2, "x")
    };
    let decision = decided(bob.receive_in(conversation, Pass::Live, &row_of_a_stranger));
    assert_eq!(bad(&decision), Bad::Elsewhere);
    assert!(decision.session.is_none());

    let mut header = alice.header(&bob.list, 2);
    header.recipient = stranger;
    let sealed = message::seal(&mut rand::rng(), header, &alice.content("x")).unwrap();
    let wrap = alice.wrap(&bob.peer, sid, &sealed);
    let decision = bob.take(&row(2, &sealed, Some(&wrap)));
    assert_eq!(bad(&decision), Bad::Recipient);
    assert_eq!(decision.alarms, [Alarm::ListDigest]);
    assert!(decision.session.is_some());
}

#[test]
fn a_list_that_does_not_exist_does_not_stall() {
    let (mut alice, mut bob, sid) = acquainted();
    let mut header = alice.header(&bob.list, 2);
    header.sender_list = u32::MAX;
    let mut row = alice.send(&bob, sid, 2, "x");
    row.header = header.encode().into();
    bob.store.no_such_list.insert((alice.peer.user, u32::MAX));
    assert_eq!(bad(&bob.judge(&row)), Bad::NoSuchList);
}

#[test]
fn a_device_that_is_not_listed_is_refused() {
    let (alice, bob, _) = acquainted();
    let mut header = alice.header(&bob.list, 1);
    header.sender_device = DeviceId::from_bytes([9; 16]);
    let sealed = message::seal(&mut rand::rng(), header, &alice.content("x")).unwrap();
    let row = row(1, &sealed, Some(&pb::WrapPayload::default()));
    assert_eq!(bad(&bob.judge(&row)), Bad::Unlisted);
}

#[test]
fn a_removed_device_is_shown_with_a_mark_for_a_month() {
    let (mut alice, mut bob, sid) = acquainted();
    let device = (alice.peer.user, alice.peer.device);
    bob.store.removed.insert(device, NOW - REMOVED_GRACE_MS + 1);
    let decision = bob.take(&alice.send(&bob, sid, 2, "late"));
    assert!(matches!(decision.outcome, Outcome::Message(message) if message.removed_sender));
    bob.store.removed.insert(device, NOW - REMOVED_GRACE_MS);
    let decision = bob.take(&alice.send(&bob, sid, 3, "too late"));
    assert_eq!(bad(&decision), Bad::Removed);
    assert!(decision.session.is_none());
}

#[test]
fn other_lists_at_the_sender_raise_an_alarm_and_the_message_is_shown() {
    let (mut alice, mut bob, sid) = acquainted();
    for (seq, digest) in [(2, Some([0; 16])), (3, None)] {
        let mut header = alice.header(&bob.list, seq);
        match digest {
            Some(digest) => header.list_digest = digest,
            None => {
                header.recipient_list = 9;
                bob.store.no_such_list.insert((bob.peer.user, 9));
            }
        }
        let sealed = message::seal(&mut rand::rng(), header, &alice.content("x")).unwrap();
        let wrap = alice.wrap(&bob.peer, sid, &sealed);
        let decision = bob.take(&row(seq, &sealed, Some(&wrap)));
        assert!(text(&decision).is_some());
        assert_eq!(decision.alarms, [Alarm::ListDigest]);
    }
}

#[test]
fn an_old_id_with_new_keys_does_not_inherit_sessions() {
    let (mut alice, mut bob, sid) = acquainted();
    let (_, other) = account(30);
    let mut list = alice.list.clone();
    list.devices[0].identity_key = other.peer.identity_key;
    list.devices[0].signing_key = other.peer.signing_key;
    bob.store.put_list(&list);
    let row = alice.send(&bob, sid, 2, "x");
    let cause = undecryptable(&bob.judge(&row));
    assert_eq!(cause, Undecryptable::OtherKeys);
}

#[test]
fn a_retired_session_does_not_begin_anew() {
    let (mut alice, mut bob, sid) = acquainted();
    let key = (alice.peer.user, alice.peer.device, sid);
    bob.store.sessions.remove(&key);
    let row = alice.send(&bob, sid, 2, "x");
    // Its one-time keys are used up.
    let cause = undecryptable(&bob.judge(&row));
    assert_eq!(cause, Undecryptable::PrekeyGone);
    bob.store.retired.insert(key);
    let cause = undecryptable(&bob.judge(&row));
    assert_eq!(cause, Undecryptable::RetiredSession);
    bob.store.retired.clear();
    let mut payload = pb::WrapPayload::decode(row.wrap.clone().unwrap()).unwrap();
    payload.handshake = None;
    let row = pb::Row {
        wrap: Some(payload.encode_to_vec().into()),
        ..row
    };
    let cause = undecryptable(&bob.judge(&row));
    assert_eq!(cause, Undecryptable::UnknownSession);
}

#[test]
fn a_ratchet_message_that_is_no_wrap_leaves_the_session_as_it_was() {
    let (mut alice, mut bob, sid) = acquainted();
    let sealed = alice.seal(&bob.list, 2, "x");
    for payload in [b"".as_slice(), &[1; 64], &[2; 65], &[1; 66]] {
        let wrap = alice.session(&bob.peer, sid).encrypt(payload).unwrap();
        let row = row(2, &sealed, Some(&wrap));
        assert_eq!(undecryptable(&bob.judge(&row)), Undecryptable::Envelope);
    }
    let wrap = alice.wrap(&bob.peer, sid, &sealed);
    assert_eq!(
        text(&bob.take(&row(2, &sealed, Some(&wrap)))).as_deref(),
        Some("x")
    );
}

#[test]
fn a_gap_of_more_than_2000_is_undecryptable_and_breaks_the_session() {
    let (mut alice, bob, sid) = acquainted();
    let mut session = alice.session(&bob.peer, sid);
    for _ in 0..2001 {
        session.encrypt(b"lost").unwrap();
    }
    alice.store.put_session(&session);
    let cause = undecryptable(&bob.judge(&alice.send(&bob, sid, 2, "far")));
    assert_eq!(cause, Undecryptable::Session(SessionError::Message));
    assert!(cause.breaks_session());
}

/// 256 rows that do not open, then a good one of the same conversation and one of another.
#[test]
fn poisoned_wraps_stall_nothing() {
    let (mut alice, mut bob, sid) = acquainted();
    let (_, mut carol) = account(30);
    carol.meet(&mut bob);
    let with_carol = carol.begin(&mut bob, 1);
    for counter in 2..258u64 {
        let mut row = alice.send(&bob, sid, counter, "x");
        let mut wrap = pb::WrapPayload::decode(row.wrap.unwrap()).unwrap();
        let mut message = wrap.message.to_vec();
        let at = usize::try_from(counter).unwrap() % message.len();
        message[at] ^= 0x55;
        wrap.message = message.into();
        row.wrap = Some(wrap.encode_to_vec().into());
        let decision = bob.take(&row);
        assert!(matches!(decision.outcome, Outcome::Undecryptable { .. }));
        assert_eq!(decision.last_counter, Some(counter));
    }
    let decision = bob.take(&alice.send(&bob, sid, 258, "good"));
    assert_eq!(text(&decision).as_deref(), Some("good"));
    assert!(decision.alarms.is_empty());
    let decision = bob.take(&carol.send(&bob, with_carol, 1, "hello"));
    assert_eq!(text(&decision).as_deref(), Some("hello"));
}

/// Two devices of Alice; what one sends to Bob and Carol, the other reads in whichever conversation it pulls first.
#[test]
fn an_own_devices_message_waits_for_its_turn_while_catching_up() {
    let ((mut account_a, mut phone), (_, bob), (_, carol)) =
        (account(10), account(20), account(30));
    let mut laptop = account_a.link(&mut phone, 12);
    phone.meet(&mut laptop);
    laptop.store.put_list(&bob.list);
    laptop.store.put_list(&carol.list);
    let sid = phone.begin(&mut laptop, 1);
    let mut send = |to: &Device, counter, text: &str| {
        let sealed = phone.seal(&to.list, counter, text);
        let wrap = phone.wrap(&laptop.peer, sid, &sealed);
        row(counter, &sealed, Some(&wrap))
    };
    let rows = [
        send(&bob, 1, "b1"),
        send(&carol, 1, "c1"),
        send(&carol, 2, "c2"),
        send(&bob, 2, "b2"),
    ];
    // Carol's conversation comes first.
    let mut pending = Vec::new();
    for row in [&rows[1], &rows[2], &rows[0], &rows[3]] {
        let conversation = Header::parse(&row.header).unwrap().conversation;
        let decision = decided(laptop.receive_in(conversation, Pass::CatchingUp, row));
        laptop.store.apply(row.seq, &decision);
        assert_eq!(decision.last_counter, Some(row.seq));
        match &decision.outcome {
            Outcome::Pending(position) => {
                assert!(decision.session.is_none());
                pending.push((*position, row));
            }
            _ => assert_eq!(text(&decision).as_deref(), Some("b1")),
        }
    }
    pending.sort_by_key(|(position, _)| *position);
    let mut read = Vec::new();
    for (_, row) in pending {
        let conversation = Header::parse(&row.header).unwrap().conversation;
        let decision = decided(laptop.receive_in(conversation, Pass::Again, row));
        laptop.store.apply(row.seq, &decision);
        assert_eq!(decision.last_counter, None);
        assert!(decision.alarms.is_empty());
        read.push(text(&decision).unwrap());
    }
    assert_eq!(read, ["c1", "c2", "b2"]);
}

#[test]
fn a_contacts_message_does_not_wait() {
    let (mut alice, bob, sid) = pair();
    alice.send(&bob, sid, 1, "not shown yet");
    let row = alice.send(&bob, sid, 2, "x");
    let conversation = alice.header(&bob.list, 1).conversation;
    let decision = decided(bob.receive_in(conversation, Pass::CatchingUp, &row));
    assert_eq!(text(&decision).as_deref(), Some("x"));
}

#[test]
fn the_store_answers_only_what_it_holds() {
    let (alice, bob, sid) = acquainted();
    use sordino_crypto::receive::View;
    let of = |sid| bob.store.session(alice.peer.user, alice.peer.device, sid);
    assert!(matches!(of(sid).unwrap(), Known::Held(_)));
    let other = SessionId::from_bytes([0; 8]);
    assert!(matches!(of(other).unwrap(), Known::Unknown));
}

proptest! {
    /// Whatever the relay puts into a row, there is an answer, and nothing is stored of it.
    #[test]
    fn hostile_rows_are_answered(
        seq in any::<u64>(),
        header in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            Just(alice_to_bob()),
        ],
        content_hash in prop::collection::vec(any::<u8>(), 0..40),
        content in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        wrap in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        session in prop::collection::vec(any::<u8>(), 0..10),
        message in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let (_, bob, _) = &*FIXED;
        let wrap = wrap.unwrap_or_else(|| pb::WrapPayload {
            session: session.into(),
            handshake: Some(pb::Handshake { pq_kind: 1, pq_id: 1, opk_id: 1, spk_id: 1, ..Default::default() }),
            message: [&[4], message.as_slice()].concat().into(),
        }.encode_to_vec());
        let row = pb::Row {
            seq,
            message_id: 0,
            header: header.into(),
            content_hash: content_hash.into(),
            content: content.map(Into::into),
            wrap: Some(wrap.into()),
        };
        let decision = bob.judge(&row);
        prop_assert!(decision.session.is_none());
        prop_assert!(!matches!(decision.outcome, Outcome::Message(_)));
    }
}

static FIXED: LazyLock<(Device, Device, SessionId)> = LazyLock::new(pair);

fn alice_to_bob() -> Vec<u8> {
    let (alice, bob, _) = &*FIXED;
    alice.header(&bob.list, 1).encode()
}
