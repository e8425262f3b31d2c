use super::typing::{TYPING_MS, TYPISTS};
use super::*;

const ANN: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);
const CLOCK: u64 = 1_800_000_000_000;
const HERE: Said = there(false, None);

const fn there(asks: bool, away: Option<u32>) -> Said {
    Said::There { asks, away }
}

const fn at(ms: u64) -> Now {
    Now {
        ms,
        clock_ms: CLOCK + ms,
    }
}

fn live() -> Life {
    let mut life = Life::default();
    life.connected();
    life
}

fn hears(life: &mut Life, user: UserId, said: Said, ms: u64) -> Vec<Event> {
    hears_of(life, user, 7, said, ms)
}

fn hears_of(life: &mut Life, user: UserId, device: u8, said: Said, ms: u64) -> Vec<Event> {
    let heard = Heard {
        user,
        device: DeviceId::from_bytes([device; 16]),
        number: CLOCK + ms,
        said,
    };
    life.hears(heard, at(ms));
    life.take_events()
}

/// What is due at this time, and what is told.
fn pass(life: &mut Life, ms: u64) -> (Vec<(UserId, Said)>, Vec<Event>) {
    (life.due(at(ms)), life.take_events())
}

fn typing(user: UserId, on: bool) -> Vec<Event> {
    vec![Event::Typing { user, on }]
}

fn presence(user: UserId, presence: Presence) -> Vec<Event> {
    vec![Event::Presence { user, presence }]
}

fn seen(ms: u64) -> Presence {
    Presence::LastSeen { at_ms: CLOCK + ms }
}

#[test]
fn typing_is_said_every_few_seconds_however_many_keys_there_are() {
    let mut life = live();
    let mut said = Vec::new();
    for ms in (0..10_000).step_by(50) {
        life.types(BOB, true, at(ms));
        said.extend(life.due(at(ms)));
    }
    assert_eq!(said, [(BOB, Said::Typing(true)); 3]);
    life.types(BOB, false, at(10_000));
    life.types(BOB, false, at(10_001));
    assert_eq!(pass(&mut life, 10_001).0, [(BOB, Said::Typing(false))]);
    // At once again is not said at once.
    life.types(BOB, true, at(10_002));
    assert_eq!(pass(&mut life, 10_002).0, []);
    life.types(BOB, true, at(11_000));
    assert_eq!(pass(&mut life, 11_000).0, [(BOB, Said::Typing(true))]);
    // What has lapsed is not taken back.
    life.types(BOB, false, at(11_000 + TYPING_MS));
    assert_eq!(pass(&mut life, 30_000).0, []);
    // A message says it; the next key begins anew.
    life.types(BOB, true, at(40_000));
    life.has_sent(BOB);
    life.types(BOB, false, at(40_001));
    life.types(BOB, true, at(40_002));
    assert_eq!(pass(&mut life, 40_002).0, [(BOB, Said::Typing(true)); 2]);
}

#[test]
fn many_to_whom_one_types_cost_bounded_memory() {
    let mut life = live();
    for n in 0..200 {
        life.types(UserId::from_bytes([n; 16]), true, at(5));
    }
    assert_eq!(life.due(at(5)).len(), TYPISTS);
    life.types(UserId::from_bytes([201; 16]), true, at(5 + TYPING_MS));
    assert_eq!(life.due(at(5 + TYPING_MS)).len(), 1);
}

#[test]
fn who_types_is_shown_until_they_stop_or_nothing_comes_any_more() {
    let mut life = live();
    assert_eq!(
        hears(&mut life, BOB, Said::Typing(true), 0),
        typing(BOB, true)
    );
    assert!(life.is_typing(BOB));
    assert_eq!(hears(&mut life, BOB, Said::Typing(true), 4_000), []);
    assert_eq!(pass(&mut life, 11_999).1, []);
    assert_eq!(life.wakes_at_ms(), Some(12_000));
    assert_eq!(pass(&mut life, 12_000).1, typing(BOB, false));
    assert!(!life.is_typing(BOB));
    hears(&mut life, BOB, Said::Typing(true), 20_000);
    assert_eq!(
        hears(&mut life, BOB, Said::Typing(false), 21_000),
        typing(BOB, false)
    );
    assert_eq!(hears(&mut life, BOB, Said::Typing(false), 21_001), []);
    // On two devices.
    hears_of(&mut life, BOB, 1, Said::Typing(true), 30_000);
    assert_eq!(hears_of(&mut life, BOB, 2, Said::Typing(true), 30_001), []);
    assert_eq!(hears_of(&mut life, BOB, 1, Said::Typing(false), 30_002), []);
    let off = hears_of(&mut life, BOB, 2, Said::Typing(false), 30_003);
    assert_eq!(off, typing(BOB, false));
}

#[test]
fn a_message_ends_the_typing_before_it_also_what_is_heard_late() {
    let mut life = live();
    hears(&mut life, BOB, Said::Typing(true), 0);
    life.has_written(BOB, CLOCK + 3_000, at(3_100));
    assert_eq!(life.take_events(), typing(BOB, false));
    let late = Heard {
        user: BOB,
        device: DeviceId::from_bytes([7; 16]),
        number: CLOCK + 2_900,
        said: Said::Typing(true),
    };
    life.hears(late, at(3_200));
    assert_eq!(life.take_events(), []);
    assert_eq!(
        hears(&mut life, BOB, Said::Typing(true), 3_300),
        typing(BOB, true)
    );
    // A time of the far future holds nothing back for long.
    life.has_written(ANN, u64::MAX, at(3_300));
    assert_eq!(hears(&mut life, ANN, Said::Typing(true), 3_301), []);
    let after = 3_300 + TYPING_MS;
    assert_eq!(
        hears(&mut life, ANN, Said::Typing(true), after),
        typing(ANN, true)
    );
}

#[test]
fn only_so_many_are_shown_typing() {
    let mut life = live();
    for n in 0..200 {
        hears(
            &mut life,
            UserId::from_bytes([n; 16]),
            Said::Typing(true),
            0,
        );
        life.has_written(UserId::from_bytes([n; 16]), 0, at(0));
    }
    assert_eq!(life.typists.len(), TYPISTS);
    life.due(at(TYPING_MS));
    assert!(life.typists.is_empty());
}

#[test]
fn whoever_is_watched_is_asked_again_and_again_and_shown_as_they_answer() {
    let mut life = live();
    life.watch(&[BOB, BOB], at(0));
    assert_eq!(
        pass(&mut life, LOOK_MS - 1).0,
        [],
        "at least a moment in sight"
    );
    assert_eq!(pass(&mut life, LOOK_MS).0, [(BOB, there(true, None))]);
    assert_eq!(
        hears(&mut life, BOB, HERE, 400),
        presence(BOB, Presence::Online)
    );
    assert_eq!(hears(&mut life, BOB, HERE, 500), []);
    assert_eq!(life.presence(BOB), Presence::Online);
    let again = LOOK_MS + ASK_EVERY_MS;
    assert_eq!(pass(&mut life, again).0, [(BOB, there(true, None))]);
    // He goes, and says so.
    let left = hears(&mut life, BOB, there(false, Some(0)), 40_000);
    assert_eq!(left, presence(BOB, seen(40_000)));
    assert_eq!(life.take_seen(), [(BOB, CLOCK + 40_000)]);
    // Comes back on another device, and is cut off.
    let back = hears_of(&mut life, BOB, 9, HERE, 50_000);
    assert_eq!(back, presence(BOB, Presence::Online));
    assert_eq!(pass(&mut life, 50_000 + THERE_MS - 1).1, []);
    let gone = pass(&mut life, 50_000 + THERE_MS).1;
    assert_eq!(gone, presence(BOB, seen(50_000)));
}

#[test]
fn one_device_that_is_away_does_not_hide_another() {
    let mut life = live();
    life.watch(&[BOB], at(0));
    hears_of(&mut life, BOB, 1, HERE, 10);
    assert_eq!(hears_of(&mut life, BOB, 2, there(false, Some(30)), 20), []);
    let away = hears_of(&mut life, BOB, 1, there(false, Some(2)), 3_600_000);
    assert_eq!(away, presence(BOB, seen(3_600_000 - 2 * MINUTE_MS)));
}

#[test]
fn what_is_known_of_before_shows_once_nobody_answers() {
    let mut life = live();
    life.watch(&[BOB], at(0));
    assert_eq!(life.take_unknown(), [BOB]);
    assert_eq!(life.take_unknown(), []);
    life.was_seen(BOB, 77);
    pass(&mut life, 1_000);
    assert_eq!(life.presence(BOB), Presence::Unknown);
    assert_eq!(life.wakes_at_ms(), Some(1_000 + ANSWER_MS));
    let known = Presence::LastSeen { at_ms: 77 };
    assert_eq!(pass(&mut life, 1_000 + ANSWER_MS).1, presence(BOB, known));
    // Whom one may not ask is not shown either.
    life.refused(BOB, at(7_000));
    assert_eq!(life.take_events(), presence(BOB, Presence::Unknown));
}

#[test]
fn whom_one_gets_to_know_is_asked_anew() {
    let mut life = live();
    life.watch(&[BOB], at(0));
    assert_eq!(pass(&mut life, 300).0, [(BOB, there(true, None))]);
    life.refused(BOB, at(300));
    let soon = 300 + ANSWER_MS + LOOK_MS;
    assert_eq!(life.wakes_at_ms(), Some(soon));
    assert_eq!(pass(&mut life, soon).0, [(BOB, there(true, None))]);
    // He answers: with a message first.
    life.has_written(BOB, CLOCK, at(soon + 1_000));
    assert_eq!(
        pass(&mut life, soon + 2_000).0,
        [],
        "he has just been asked"
    );
    life.has_written(BOB, CLOCK, at(soon + ANSWER_MS));
    let anew = soon + ANSWER_MS + LOOK_MS;
    assert_eq!(pass(&mut life, anew).0, [(BOB, there(true, None))]);
    hears(&mut life, BOB, HERE, anew);
    life.has_written(BOB, CLOCK, at(anew + ANSWER_MS));
    assert_eq!(pass(&mut life, anew + 2 * ANSWER_MS).0, []);
}

#[test]
fn without_a_connection_nobody_is_there_and_nobody_types() {
    let mut life = live();
    life.watch(&[BOB], at(0));
    pass(&mut life, 300);
    hears(&mut life, BOB, HERE, 400);
    hears(&mut life, ANN, Said::Typing(true), 400);
    life.disconnected(at(500));
    let mut told = typing(ANN, false);
    told.extend(presence(BOB, Presence::Unknown));
    assert_eq!(life.take_events(), told);
    assert_eq!(life.take_seen(), [(BOB, CLOCK + 400)]);
    assert_eq!(life.wakes_at_ms(), None);
    life.types(BOB, true, at(600));
    assert_eq!(hears(&mut life, BOB, HERE, 600), []);
    assert_eq!(pass(&mut life, 40_000), (vec![], vec![]));
    // With the next one it is asked anew, and not before that shown.
    life.connected();
    assert_eq!(pass(&mut life, 50_000).0, [(BOB, there(true, None))]);
    assert_eq!(life.presence(BOB), Presence::Unknown);
}

#[test]
fn who_asks_is_told_now_and_when_it_changes_for_a_while() {
    let mut life = live();
    assert_eq!(
        hears(&mut life, ANN, there(true, None), 0),
        [],
        "she is not watched"
    );
    assert_eq!(pass(&mut life, 0).0, [(ANN, HERE)]);
    // Whoever asks without end is not told without end.
    for ms in 1..1_000 {
        hears(&mut life, ANN, there(true, None), ms);
        assert_eq!(pass(&mut life, ms).0, []);
    }
    assert_eq!(pass(&mut life, TELL_EVERY_MS).0, [(ANN, HERE)]);
    life.set_active(false, at(10_000));
    life.set_active(false, at(11_000));
    assert_eq!(life.wakes_at_ms(), Some(2 * TELL_EVERY_MS));
    assert_eq!(pass(&mut life, 10_000).0, [(ANN, there(false, Some(0)))]);
    hears(&mut life, ANN, there(true, None), 10_000 + 2 * MINUTE_MS);
    let now = 10_000 + 2 * MINUTE_MS;
    assert_eq!(pass(&mut life, now).0, [(ANN, there(false, Some(2)))]);
    life.set_active(true, at(now + 1));
    assert_eq!(pass(&mut life, now + TELL_EVERY_MS).0, [(ANN, HERE)]);
    // She does not ask any more.
    life.set_active(false, at(now + THERE_MS));
    assert_eq!(pass(&mut life, now + THERE_MS).0, []);
}

#[test]
fn a_question_is_an_answer_too() {
    let mut life = live();
    life.watch(&[BOB], at(0));
    let online = hears(&mut life, BOB, there(true, None), 100);
    assert_eq!(online, presence(BOB, Presence::Online));
    // What is asked of him tells him.
    assert_eq!(pass(&mut life, 100).0, [(BOB, HERE)]);
    hears(&mut life, BOB, there(true, None), 20_000);
    assert_eq!(pass(&mut life, 20_000).0, [(BOB, there(true, None))]);
    assert_eq!(pass(&mut life, 29_000).0, []);
}

#[test]
fn only_so_many_are_watched_and_told() {
    let mut life = live();
    let users: Vec<_> = (0..200).map(|n| UserId::from_bytes([n; 16])).collect();
    life.watch(&users, at(0));
    for user in &users {
        hears(&mut life, *user, there(true, None), 0);
    }
    assert_eq!(
        (life.watched.len(), life.watchers.len()),
        (WATCHED, WATCHERS)
    );
    life.take_events();
    assert_eq!(life.leaves(vec![], at(1)).len(), WATCHERS);
    life.take_seen();
    // Whom one does not look at any more is kept as last seen.
    life.watch(&[], at(1));
    assert_eq!(life.take_seen().len(), WATCHED);
    assert_eq!(life.presence(users[0]), Presence::Unknown);
}

#[test]
fn who_goes_tells_those_who_look_and_some_who_may_look_later() {
    let mut life = live();
    hears(&mut life, ANN, there(true, None), 0);
    assert_eq!(
        life.take_seen(),
        [(ANN, CLOCK)],
        "she may be looked at later"
    );
    life.set_active(false, at(0));
    let gone = there(false, Some(3));
    let told = life.leaves(vec![BOB, ANN], at(3 * MINUTE_MS));
    assert_eq!(told, [(ANN, gone), (BOB, gone)]);
    let many = (0..200).map(|n| UserId::from_bytes([n; 16])).collect();
    assert_eq!(life.leaves(many, at(1)).len(), PARTED);
    life.disconnected(at(2));
    assert_eq!(life.leaves(vec![BOB], at(2)), []);
}

#[test]
fn so_much_is_looked_at_of_each_and_of_so_many() {
    let mut life = live();
    for n in 0..100 {
        assert_eq!(life.admits(BOB, at(0)), n < BUDGET_SIGNALS);
    }
    assert!(life.admits(ANN, at(0)));
    for n in 0..1_000_u16 {
        let mut id = [9; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        life.admits(UserId::from_bytes(id), at(0));
    }
    assert_eq!(life.budget.len(), BUDGET_PEOPLE);
    assert!(life.admits(BOB, at(BUDGET_MS)));
}
