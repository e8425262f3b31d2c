use super::*;
use crate::contract::outcome::Sent;

const ALICE: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);
const CAROL: UserId = UserId::from_bytes([3; 16]);

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

fn message(place: u64, n: u8, author: UserId, text: String) -> Item {
    let id = id(n);
    let shown = Shown::Message { id, author, text };
    Item { place, shown }
}

/// Alice and Bob say two things each, by turns; between them a control message. Carol is silent.
fn kept() -> Outcome {
    let mut outcome = Outcome::default();
    for (id, name) in [(ALICE, "alice"), (BOB, "bob"), (CAROL, "carol")] {
        let name = name.to_owned();
        let person = Person {
            name,
            ..Person::default()
        };
        outcome.people.insert(id, person);
    }
    let said = [
        (1, 1, ALICE, talk::text("alice", "bob", 1)),
        (2, 2, BOB, talk::text("bob", "alice", 1)),
        (4, 3, ALICE, talk::text("alice", "bob", 2)),
        (5, 4, BOB, talk::text("bob", "alice", 2)),
    ];
    let conversation = hash::conversation_id(ALICE, BOB);
    let mut rows = Vec::new();
    for (seq, n, author, text) in said {
        let other = if author == ALICE { BOB } else { ALICE };
        rows.push(Row {
            seq,
            id: id(n),
            sender: author,
            message: true,
        });
        let person = outcome.people.get_mut(&author).unwrap();
        person.accepted.insert((other, id(n)));
        person.sent.push(Sent {
            peer: other,
            id: id(n),
            text: text.clone(),
        });
        for (me, peer) in [(ALICE, BOB), (BOB, ALICE)] {
            let item = message(seq, n, author, text.clone());
            timeline(&mut outcome, me, peer).push(item);
        }
    }
    rows.insert(
        2,
        Row {
            seq: 3,
            id: id(9),
            sender: BOB,
            message: false,
        },
    );
    outcome.rows.insert(conversation, rows);
    outcome
}

fn timeline(outcome: &mut Outcome, me: UserId, peer: UserId) -> &mut Vec<Item> {
    let person = outcome.people.get_mut(&me).unwrap();
    person.timelines.entry(peer).or_default()
}

fn rows(outcome: &mut Outcome) -> &mut Vec<Row> {
    outcome
        .rows
        .get_mut(&hash::conversation_id(ALICE, BOB))
        .unwrap()
}

/// The promises that are broken, each once.
fn broken(outcome: &Outcome) -> Vec<Promise> {
    let promises: BTreeSet<_> = check(outcome).iter().map(|b| b.promise).collect();
    promises.into_iter().collect()
}

use Promise::{
    P1AcceptedSurvives as P1, P2DeliveredOrAnnounced as P2, P3Once as P3, P4InOrder as P4,
};

#[test]
fn what_was_kept_is_not_complained_about() {
    assert_eq!(check(&kept()), []);
}

#[test]
fn a_lost_message_is_seen_wherever_it_was_lost() {
    let mut outcome = kept();
    timeline(&mut outcome, BOB, ALICE).remove(2);
    assert_eq!(broken(&outcome), [P1, P2]);

    let mut outcome = kept();
    timeline(&mut outcome, ALICE, BOB).remove(2);
    assert_eq!(broken(&outcome), [P1]);

    let mut outcome = kept();
    rows(&mut outcome).remove(3);
    assert_eq!(broken(&outcome), [P1, P4]);

    // Never accepted: only the peer misses it.
    let mut outcome = kept();
    let alice = outcome.people.get_mut(&ALICE).unwrap();
    alice.accepted.clear();
    timeline(&mut outcome, BOB, ALICE).remove(2);
    assert_eq!(broken(&outcome), [P2]);
}

#[test]
fn a_gap_announces_the_message_of_its_place_and_no_other() {
    let mut outcome = kept();
    outcome.people.get_mut(&ALICE).unwrap().accepted.clear();
    let gap = |place| Item {
        place,
        shown: Shown::Gap,
    };
    timeline(&mut outcome, BOB, ALICE)[2] = gap(4);
    assert_eq!(broken(&outcome), []);
    timeline(&mut outcome, BOB, ALICE)[2] = gap(3);
    assert_eq!(broken(&outcome), [P2]);
}

#[test]
fn a_doubled_message_is_seen() {
    let mut outcome = kept();
    let again = timeline(&mut outcome, BOB, ALICE)[2].clone();
    timeline(&mut outcome, BOB, ALICE).insert(3, again);
    assert_eq!(broken(&outcome), [P3, P4]);

    let mut outcome = kept();
    let again = rows(&mut outcome)[3].clone();
    rows(&mut outcome).push(Row { seq: 6, ..again });
    assert!(broken(&outcome).contains(&P3));
}

#[test]
fn swapped_messages_are_seen() {
    // Shown to one person in another order than to the other.
    let mut outcome = kept();
    timeline(&mut outcome, BOB, ALICE).swap(1, 2);
    assert_eq!(broken(&outcome), [P4]);

    // The same with places that fit.
    let items = timeline(&mut outcome, BOB, ALICE);
    (items[1].place, items[2].place) = (2, 4);
    assert_eq!(broken(&outcome), [P4]);

    // A sender's own order, the same for everybody.
    let mut outcome = kept();
    let ids = (id(1), id(3));
    let rows = rows(&mut outcome);
    (rows[0].id, rows[3].id) = (ids.1, ids.0);
    for (me, peer) in [(ALICE, BOB), (BOB, ALICE)] {
        let items = timeline(&mut outcome, me, peer);
        items.swap(0, 2);
        (items[0].place, items[2].place) = (1, 4);
    }
    assert_eq!(broken(&outcome), [P4]);
}

#[test]
fn a_foreign_or_changed_message_is_seen() {
    // Of Carol, in the conversation of the other two.
    let mut outcome = kept();
    let item = message(6, 7, CAROL, talk::text("carol", "alice", 1));
    timeline(&mut outcome, ALICE, BOB).push(item);
    assert_eq!(broken(&outcome), [P3]);

    // That its author knows nothing of.
    let mut outcome = kept();
    let item = message(6, 7, BOB, talk::text("bob", "alice", 3));
    timeline(&mut outcome, ALICE, BOB).push(item);
    assert_eq!(broken(&outcome), [P3]);

    // For somebody else, though its author sent it.
    let mut outcome = kept();
    let item = message(1, 1, ALICE, talk::text("alice", "bob", 1));
    timeline(&mut outcome, CAROL, ALICE).push(item);
    assert_eq!(broken(&outcome), [P3]);

    // Another text under the same name.
    let mut outcome = kept();
    let item = message(5, 4, BOB, talk::text("bob", "alice", 7));
    timeline(&mut outcome, ALICE, BOB)[3] = item;
    assert_eq!(broken(&outcome), [P3]);
}

#[test]
fn what_a_killed_client_could_not_note_is_its_own_all_the_same() {
    let mut outcome = kept();
    let bob = outcome.people.get_mut(&BOB).unwrap();
    bob.sent.pop();
    bob.accepted.clear();
    assert_eq!(check(&outcome), []);
}

#[test]
fn a_history_with_a_hole_is_seen() {
    let mut outcome = kept();
    rows(&mut outcome).remove(2);
    assert_eq!(broken(&outcome), [P4]);
}
