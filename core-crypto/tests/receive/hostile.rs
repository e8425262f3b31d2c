use super::*;

#[test]
fn a_forged_counter_does_not_make_later_rows_replays() {
    let (mut alice, mut bob, sid) = acquainted();
    let header = alice.header(&bob.list, HIGHEST_NUMBER);
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
fn a_counter_that_no_device_reaches_is_bad_whosever_it_is() {
    let (mut alice, mut bob, sid) = acquainted();
    for counter in [HIGHEST_NUMBER + 1, u64::MAX] {
        let theirs = alice.send(&bob, sid, counter, "x");
        let own = row(7, &bob.seal(&alice.list, counter, "mine"), None);
        for row in [theirs, own] {
            let decision = bob.take(&row);
            assert_eq!(bad(&decision), Bad::Counter);
            assert!(decision.session.is_none() && decision.shown_counter.is_none());
        }
    }
    let decision = bob.take(&alice.send(&bob, sid, 2, "next"));
    assert_eq!(text(&decision).as_deref(), Some("next"));
}

/// The relay knows the next counter, and shows a header of its own before the genuine row.
#[test]
fn a_row_forged_with_the_next_counter_does_not_keep_the_genuine_one_out() {
    for wrapped in [true, false] {
        let (mut alice, mut bob, sid) = acquainted();
        let genuine = alice.send(&bob, sid, 2, "genuine");
        let mut header = Header::parse(&genuine.header).unwrap();
        header.commit = [7; 32];
        let forged = pb::Row {
            header: header.encode().into(),
            wrap: genuine.wrap.clone().filter(|_| wrapped),
            ..genuine.clone()
        };
        let decision = bob.take(&forged);
        assert!(decision.session.is_none() && decision.proven_counter.is_none());
        let decision = bob.take(&genuine);
        assert_eq!(text(&decision).as_deref(), Some("genuine"));
        let alarm = Alarm::Replay {
            last: 2,
            counter: 2,
        };
        assert_eq!(decision.alarms, [alarm]);
        // Now it is settled.
        assert_eq!(bad(&bob.take(&genuine)), Bad::Replay);
        let decision = bob.take(&alice.send(&bob, sid, 3, "next"));
        assert_eq!(text(&decision).as_deref(), Some("next"));
        assert!(decision.alarms.is_empty());
    }
}

#[test]
fn a_row_shown_in_another_conversation_costs_no_key() {
    let (mut alice, mut bob, sid) = acquainted();
    let row = alice.send(&bob, sid, 2, "here");
    let elsewhere = hash::conversation_id(bob.peer.user, UserId::from_bytes([99; 16]));
    let decision = decided(bob.receive_in(elsewhere, Pass::Live, &row));
    assert_eq!(bad(&decision), Bad::Elsewhere);
    assert!(decision.session.is_none() && decision.shown_counter.is_none());
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

/// Each bit of a first message's wrap costs a key generation: one of each byte is tried, another one from byte to byte. `pqxdh` tries all.
#[test]
fn every_flipped_bit_of_a_first_row_is_refused_and_changes_nothing() {
    let (mut alice, bob, sid) = pair();
    let good = alice.send(&bob, sid, 1, "hello");
    refuses_flipped(&alice, &bob, &good, 9);
}

#[test]
fn every_flipped_bit_of_a_row_is_refused_and_changes_nothing() {
    let (mut alice, mut bob, sid) = acquainted();
    // Once she has heard from him there is no handshake any more, which he would not look at.
    let reply = bob.send(&alice, sid, 1, "first");
    assert_eq!(text(&alice.take(&reply)).as_deref(), Some("first"));
    let good = alice.send(&bob, sid, 2, "hello");
    refuses_flipped(&alice, &bob, &good, 1);
}

fn refuses_flipped(alice: &Device, bob: &Device, good: &pb::Row, step: usize) {
    let conversation = alice.header(&bob.list, 1).conversation;
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
            match bob.receive_in(conversation, Pass::Live, &row) {
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
    try_flipped(good.wrap.as_ref().unwrap(), step, &|row, bytes| {
        row.wrap = Some(bytes);
    });
    try_flipped(good.content.as_ref().unwrap(), step, &|row, bytes| {
        row.content = Some(bytes);
    });
    assert_eq!(text(&bob.judge(good)).as_deref(), Some("hello"));
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
        assert_eq!(decision.shown_counter, Some(counter));
    }
    let decision = bob.take(&alice.send(&bob, sid, 258, "good"));
    assert_eq!(text(&decision).as_deref(), Some("good"));
    assert!(decision.alarms.is_empty());
    let decision = bob.take(&carol.send(&bob, with_carol, 1, "hello"));
    assert_eq!(text(&decision).as_deref(), Some("hello"));
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
