//! The straight path: two people who write to each other.

use super::{NOW, acquainted, phone::Phone, two};
use crate::machine::{Content, Happening, Need, SendState};

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
    assert!(alice.waiting().is_empty());
}

/// The states that an app is told of own messages.
fn told(happenings: &[Happening]) -> Vec<SendState> {
    let state = |happening: &Happening| match happening {
        Happening::Changed(item) => match item.content {
            Content::Message { state, .. } => Some(state),
            _ => None,
        },
        _ => None,
    };
    happenings.iter().filter_map(state).collect()
}

#[test]
fn each_state_of_a_message_is_told_once() {
    let (mut relay, mut alice, bob) = acquainted();
    let b = bob.user;
    let conversation = alice.conversation(b);
    alice.send(b, "again");
    let out = alice.machine().outgoing(conversation, 0, 1, usize::MAX);
    let out = out.unwrap().remove(0);
    relay.accept(&out.send).unwrap();
    let accepted = |phone: &mut Phone| {
        let (id, counter) = (out.client_message_id, out.counter);
        phone.machine().accepted(conversation, id, counter).unwrap()
    };
    assert_eq!(told(&accepted(&mut alice)), [SendState::Accepted]);
    // The relay restarted; the client sent again.
    assert_eq!(told(&accepted(&mut alice)), []);
    let placed = alice.pull(&relay, b).happenings;
    assert!(matches!(placed[..], [Happening::Placed(_)]), "{placed:?}");
    assert_eq!(told(&accepted(&mut alice)), []);

    let seq = relay.last_seq(conversation);
    let delivered = alice.machine().delivered(conversation, seq).unwrap();
    assert_eq!(told(&delivered).last(), Some(&SendState::Delivered));
    assert_eq!(alice.machine().delivered(conversation, seq).unwrap(), []);

    // The answer was lost: the row itself tells it.
    alice.send(b, "once more");
    let out = alice.machine().outgoing(conversation, 0, 1, usize::MAX);
    relay.accept(&out.unwrap()[0].send).unwrap();
    let row = alice.pull(&relay, b).happenings;
    assert_eq!(told(&row), [SendState::Accepted]);
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
    assert_eq!(bob.waiting(), [(conversation, a)]);
    bob.sync(&mut relay, a);
    assert!(bob.waiting().is_empty());
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
    let Some(crate::store::StoredSession::Held(mut session)) = session.unwrap() else {
        panic!("no session");
    };
    assert!(session.encrypt(b"").unwrap().handshake.is_none());
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
    alice.machine().mark_read(conversation, 2, NOW).unwrap();
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
