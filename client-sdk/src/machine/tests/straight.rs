//! The straight path: two people who write to each other.

use super::{acquainted, two};
use crate::machine::{Happening, Need};

#[test]
fn two_people_write_to_each_other() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    assert!(!alice.send(b, "hello"));
    assert_eq!(alice.shown(b), ["> hello (pending)"]);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b), ["> hello"]);
    let happenings = bob.sync(&mut relay, a);
    assert!(matches!(happenings[..], [Happening::Received(_)]));
    assert_eq!(bob.shown(a), ["< hello"]);
    assert!(bob.send(a, "hello yourself"));
    assert!(bob.send(a, "how are you?"));
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert!(alice.send(b, "well"));
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let want = ["> hello", "< hello yourself", "< how are you?", "> well"];
    assert_eq!(alice.shown(b), want);
    let want = ["< hello", "> hello yourself", "> how are you?", "< well"];
    assert_eq!(bob.shown(a), want);
    let now = alice.now;
    assert_eq!(alice.machine().needs(b, now).unwrap(), Need::Nothing);
    assert!(alice.machine().waiting().unwrap().is_empty());
}

#[test]
fn a_new_session_of_somebody_one_writes_to_is_answered_without_a_word() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    // Silence makes a new session due.
    let now = alice.now + 15 * super::DAY;
    (alice.now, bob.now) = (now, now);
    alice.prepare(&mut relay, b);
    alice.send(b, "long time");
    alice.sync(&mut relay, b);
    bob.pull(&relay, a);
    assert_eq!(bob.machine().waiting().unwrap(), [(conversation, a)]);
    bob.sync(&mut relay, a);
    assert!(bob.machine().waiting().unwrap().is_empty());
    let rows = relay.last_seq(conversation);
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(relay.last_seq(conversation), rows);
    assert_eq!(alice.shown(b).len(), 3);
    assert_eq!(bob.shown(a).len(), 3);
    let book = alice.machine().store.read(|tx| tx.book(b, bob.device));
    let sid = book.unwrap().sending().unwrap();
    let session = alice
        .machine()
        .store
        .read(|tx| tx.session(b, bob.device, sid));
    let Some(crate::store::StoredSession::Held(session)) = session.unwrap() else {
        panic!("no session");
    };
    assert!(!session.is_unanswered());
}

#[test]
fn two_who_begin_at_once_agree_on_a_session() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "one");
    bob.send(a, "two");
    alice.prepare(&mut relay, b);
    bob.prepare(&mut relay, a);
    for _ in 0..3 {
        alice.sync(&mut relay, b);
        bob.sync(&mut relay, a);
    }
    let hers = alice.machine().store.read(|tx| tx.book(b, bob.device));
    let his = bob.machine().store.read(|tx| tx.book(a, alice.device));
    assert_eq!(hers.unwrap().sending(), his.unwrap().sending());
    assert_eq!(alice.shown(b), ["> one", "< two"]);
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "waits");
    bob.send(a, "unread");
    bob.sync(&mut relay, a);
    alice.pull(&relay, b);
    alice.machine().delivered(conversation, 1).unwrap();
    alice.machine().mark_read(conversation, 2).unwrap();
    let name = sordino_protocol::http::User {
        user: b,
        username: "bob".to_owned(),
    };
    alice.machine().learn_name(&name).unwrap();
    let before = alice.machine().conversations().unwrap();
    assert_eq!(before.len(), 1);
    assert_eq!(before[0].unread, 1);
    assert_eq!(before[0].username.as_deref(), Some("bob"));
    let shown = alice.shown(b);
    let want = [
        "> hello (delivered)",
        "< hello yourself",
        "< unread",
        "> waits (pending)",
    ];
    assert_eq!(shown, want);
    alice.crash();
    assert_eq!(alice.machine().conversations().unwrap(), before);
    assert_eq!(alice.shown(b), shown);
    let machine = alice.machine();
    let newest = machine.timeline(conversation, None, 2).unwrap();
    let older = machine.timeline(conversation, Some(newest[0].position), 9);
    assert_eq!(older.unwrap().len(), 2);
}
