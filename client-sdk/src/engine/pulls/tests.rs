use super::*;

const PEER: UserId = UserId::from_bytes([9; 16]);

fn conversation(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

fn ask(request: u32, n: u8, from: u64, to: u64) -> Option<Ask> {
    Some(Ask {
        request,
        conversation: conversation(n),
        from,
        to,
    })
}

#[test]
fn a_few_are_asked_for_at_a_time_each_once() {
    let mut pulls = Pulls::default();
    for n in 0..6 {
        pulls.want(conversation(n), PEER, 0, 10);
        pulls.want(conversation(n), PEER, 0, 5);
    }
    for n in 0..4 {
        assert_eq!(pulls.next(0), ask(u32::from(n) + 1, n, 1, 10));
    }
    assert_eq!(pulls.next(0), None);
    assert_eq!(pulls.answered(2), Some((conversation(1), PEER)));
    assert_eq!(pulls.answered(2), None);
    assert_eq!(
        pulls.advanced(conversation(1), 0, 10, None, 10, 0),
        Next::Done
    );
    assert_eq!(pulls.left(), 5);
    assert_eq!(pulls.next(0), ask(5, 4, 1, 10));
}

#[test]
fn a_long_range_comes_in_parts_and_grows_meanwhile() {
    let mut pulls = Pulls::default();
    pulls.want(conversation(1), PEER, 0, 10);
    assert_eq!(pulls.next(0), ask(1, 1, 1, 10));
    pulls.want(conversation(1), PEER, 0, 12);
    assert!(pulls.answered(1).is_some());
    assert_eq!(
        pulls.advanced(conversation(1), 0, 6, None, 10, 0),
        Next::More
    );
    assert_eq!(pulls.next(0), ask(2, 1, 7, 12));
    assert!(pulls.answered(2).is_some());
    assert_eq!(
        pulls.advanced(conversation(1), 6, 12, None, 12, 0),
        Next::Done
    );
    assert!(!pulls.is_behind(conversation(1)));
}

#[test]
fn a_hole_is_asked_for_again_for_a_minute_then_given_up() {
    let mut pulls = Pulls::default();
    pulls.want(conversation(1), PEER, 0, 10);
    let mut now = 1_000;
    let began = now;
    loop {
        let asked = pulls.next(now).expect("asked");
        assert!(pulls.answered(asked.request).is_some());
        match pulls.advanced(conversation(1), 3, 3, Some(6), 10, now) {
            Next::More => assert!(now - began < PATIENCE_MS),
            Next::GiveUp(upto) => {
                assert_eq!(upto, 5);
                break;
            }
            Next::Done => panic!("not done"),
        }
        assert_eq!(pulls.next(0), None);
        now = pulls.wakes_at_ms().expect("a pause");
        pulls.wake(now - 1);
        assert_eq!(pulls.next(0), None);
        pulls.wake(now);
    }
    assert!(now - began >= PATIENCE_MS);
    assert_eq!(
        pulls.advanced(conversation(1), 3, 5, None, 10, now),
        Next::More
    );
    assert!(pulls.next(0).is_some());
}

#[test]
fn a_hole_at_the_end_is_given_up_up_to_the_end() {
    let mut pulls = Pulls::default();
    pulls.want(conversation(1), PEER, 0, 10);
    assert_eq!(
        pulls.advanced(conversation(1), 8, 8, None, 10, 0),
        Next::More
    );
    assert_eq!(
        pulls.advanced(conversation(1), 8, 8, None, 10, PATIENCE_MS),
        Next::GiveUp(10)
    );
}

#[test]
fn rows_that_the_relay_does_not_have_are_not_waited_for() {
    let mut pulls = Pulls::default();
    pulls.want(conversation(1), PEER, 0, 1_000_000);
    assert_eq!(
        pulls.advanced(conversation(1), 5, 5, None, 5, 0),
        Next::Done
    );
}

#[test]
fn a_row_waits_for_its_senders_list_and_others_do_not() {
    let mut pulls = Pulls::default();
    pulls.needs_lists(conversation(1), PEER, PEER, 0, 4);
    pulls.want(conversation(2), PEER, 0, 4);
    assert_eq!(pulls.next(0), ask(1, 2, 1, 4));
    assert_eq!(pulls.next(0), None);
    pulls.lists_came(UserId::from_bytes([8; 16]));
    assert_eq!(pulls.next(0), None);
    assert_eq!(pulls.left(), 2);
    // Nobody waits for lists that cannot be had.
    pulls.lists_failed(PEER);
    assert_eq!(pulls.left(), 1);
    pulls.lists_came(PEER);
    assert_eq!(pulls.left(), 2);
    assert_eq!(pulls.next(0), ask(2, 1, 1, 4));
    pulls.forget(conversation(1));
    assert_eq!(pulls.left(), 1);
    assert_eq!(pulls.answered(2), None);
}

#[test]
fn a_failed_question_is_asked_again_later() {
    let mut pulls = Pulls::default();
    pulls.want(conversation(1), PEER, 0, 4);
    assert!(pulls.next(0).is_some());
    assert!(pulls.answered(1).is_some());
    pulls.failed(conversation(1), 500, 1_000);
    assert_eq!(pulls.wakes_at_ms(), Some(1_500));
    pulls.wake(1_500);
    assert_eq!(pulls.next(0), ask(2, 1, 1, 4));
}

#[test]
fn a_conversation_whose_rows_cannot_be_had_does_not_hold_the_others() {
    let mut pulls = Pulls::default();
    pulls.want(conversation(1), PEER, 0, 1 << 40);
    let mut now = 0;
    while pulls.left() > 0 {
        assert!(now <= PATIENCE_MS);
        let asked = pulls.next(now).expect("asked");
        assert!(pulls.answered(asked.request).is_some());
        if let Next::GiveUp(_) = pulls.advanced(conversation(1), 0, 0, None, 1 << 40, now) {
            // What was given up is no row that came.
            let next = pulls.advanced(conversation(1), 0, 1024, None, 1 << 40, now);
            assert_eq!(next, Next::More);
        }
        now += RETRY_MS;
        pulls.wake(now);
    }
    assert!(pulls.is_behind(conversation(1)));
    // It is asked for all the same, and counts again once rows come.
    let asked = pulls.next(now).expect("asked");
    assert_eq!(asked.from, 1025);
    assert!(pulls.answered(asked.request).is_some());
    pulls.advanced(conversation(1), 1024, 1030, None, 1 << 40, now);
    assert_eq!(pulls.left(), 1);
}

#[test]
fn a_question_without_an_answer_is_asked_again_and_frees_its_place() {
    let mut pulls = Pulls::default();
    for n in 0..5 {
        pulls.want(conversation(n), PEER, 0, 4);
    }
    for round in 1..=u64::from(TROUBLES) {
        for _ in 0..IN_FLIGHT {
            assert!(pulls.next(0).is_some());
        }
        assert_eq!(pulls.next(0), None);
        assert_eq!(pulls.wakes_at_ms(), Some(ANSWER_MS));
        pulls.wake(ANSWER_MS - 1);
        assert_eq!(pulls.next(0), None);
        pulls.wake(ANSWER_MS);
        assert_eq!(pulls.left() == 5, round < u64::from(TROUBLES));
    }
    // An answer that comes after all is nobody's.
    assert_eq!(pulls.answered(1), None);
    // The fifth had its turn, and failed less often.
    assert!(pulls.left() < 5);
    assert!(pulls.next(0).is_some());
}
