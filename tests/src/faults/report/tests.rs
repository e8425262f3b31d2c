#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use sordino::UserId;

use super::*;
use crate::contract::{
    note::Item,
    outcome::{Person, Sent},
    talk,
};

const ALICE: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Alice sends a message to Bob each second, from 0 on, and Bob hears it at once.
fn run(messages: u8, begun: Instant) -> (Outcome, BTreeMap<MessageId, Trip>) {
    let mut outcome = Outcome::default();
    let mut trips = BTreeMap::new();
    let (mut alice, mut bob) = (Person::default(), Person::default());
    (alice.name, bob.name) = ("alice".to_owned(), "bob".to_owned());
    for n in 1..=messages {
        let text = talk::text("alice", "bob", n.into());
        let (peer, id) = (BOB, id(n));
        let sent = begun + second(n.into());
        trips.insert(
            id,
            Trip {
                pair: (ALICE, BOB),
                sent,
                heard: Some(sent),
            },
        );
        alice.sent.push(Sent {
            peer,
            id,
            text: text.clone(),
        });
        alice.accepted.insert((peer, id));
        let shown = Shown::Message {
            id,
            author: ALICE,
            text,
        };
        for (person, peer) in [(&mut alice, BOB), (&mut bob, ALICE)] {
            let items = person.timelines.entry(peer).or_default();
            items.push(Item {
                place: n.into(),
                shown: shown.clone(),
            });
        }
    }
    outcome.people.extend([(ALICE, alice), (BOB, bob)]);
    (outcome, trips)
}

fn windows(begun: Instant) -> Vec<Window> {
    let window = |fault, at| Window {
        fault,
        begun: begun + second(at),
        since: Since::Back,
        origin: begun + second(at + 5),
        recovery: Some(second(1)),
    };
    vec![window("first", 3), window("second", 13)]
}

fn heard(outcome: &mut Outcome) -> &mut Vec<Item> {
    let bob = outcome.people.get_mut(&BOB).unwrap();
    bob.timelines.get_mut(&ALICE).unwrap()
}

#[test]
fn what_is_wrong_counts_once_and_for_its_fault() {
    let begun = Instant::now();
    let (kept, trips) = run(20, begun);
    let report = Report::new(&windows(begun), &kept, &trips);
    assert!(report.wrong.is_empty(), "{:?}", report.wrong);
    let sent: Vec<_> = report.rows.iter().map(|row| row.sent).collect();
    assert_eq!(sent, [10, 8]);

    let mut outcome = kept.clone();
    heard(&mut outcome).remove(4);
    let report = Report::new(&windows(begun), &outcome, &trips);
    assert_eq!((report.rows[0].lost, report.rows[1].lost), (1, 0));

    let mut outcome = kept.clone();
    let again = heard(&mut outcome)[14].clone();
    heard(&mut outcome).insert(15, again);
    let report = Report::new(&windows(begun), &outcome, &trips);
    assert_eq!(
        (report.rows[0].duplicated, report.rows[1].duplicated),
        (0, 1)
    );

    let mut outcome = kept.clone();
    heard(&mut outcome)[19].place = 21;
    let report = Report::new(&windows(begun), &outcome, &trips);
    assert_eq!((report.rows[0].reordered, report.rows[1].reordered), (0, 1));

    // Before the first fault: it must not be overlooked.
    let mut outcome = kept;
    heard(&mut outcome).remove(0);
    let report = Report::new(&windows(begun), &outcome, &trips);
    assert_eq!(report.rows[0].lost, 1);
}

#[test]
fn late_is_counted_from_when_the_part_was_back() {
    let begun = Instant::now();
    let (outcome, mut trips) = run(20, begun);
    // Sent at 4, and the part is back at 8.
    let trip = trips.get_mut(&id(4)).unwrap();
    trip.heard = Some(begun + second(18));
    let report = Report::new(&windows(begun), &outcome, &trips);
    assert_eq!(report.rows[0].late, 0);
    trips.get_mut(&id(4)).unwrap().heard = Some(begun + second(19));
    let report = Report::new(&windows(begun), &outcome, &trips);
    assert_eq!(report.rows[0].late, 1);
}
