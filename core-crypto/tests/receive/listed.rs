use super::*;

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
