use super::*;

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
    assert_eq!(decision.shown_counter, Some(1));
    let decision = alice.judge(&own);
    assert_eq!(bad(&decision), Bad::Replay);
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
        assert_eq!(decision.shown_counter, Some(row.seq));
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
        assert_eq!(decision.proven_counter, Some(row.seq));
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
