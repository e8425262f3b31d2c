use super::*;

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
    assert_eq!(decision.shown_counter, Some(1));
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
    assert!(decision.session.is_none() && decision.shown_counter.is_none());
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
    assert_eq!(decision.shown_counter, Some(4));
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
fn the_store_answers_only_what_it_holds() {
    let (alice, bob, sid) = acquainted();
    use sordino_crypto::receive::View;
    let of = |sid| bob.store.session(alice.peer.user, alice.peer.device, sid);
    assert!(matches!(of(sid).unwrap(), Known::Held(_)));
    let other = SessionId::from_bytes([0; 8]);
    assert!(matches!(of(other).unwrap(), Known::Unknown));
}
