//! Read receipts: who gets them, what they show, who else learns of them.

use super::{NOW, Phone, acquainted, contacts, two};

fn read(phone: &mut Phone, peer: sordino_protocol::UserId) -> Vec<sordino_protocol::UserId> {
    let (conversation, now) = (phone.conversation(peer), phone.now);
    let upto = phone.machine().cursor(conversation).unwrap();
    phone.machine().mark_read(conversation, upto, NOW).unwrap();
    phone.machine().put_receipts(now).unwrap()
}

fn unread(phone: &mut Phone) -> u64 {
    phone.machine().conversations().unwrap()[0].unread
}

#[test]
fn what_was_read_is_shown_to_its_author_once_for_all() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    for text in ["one", "two"] {
        alice.send(b, text);
    }
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let rows = relay.last_seq(bob.conversation(a));
    assert_eq!(read(&mut bob, a), [a]);
    assert_eq!(read(&mut bob, a), [], "she knows");
    bob.sync(&mut relay, a);
    assert_eq!(relay.last_seq(bob.conversation(a)), rows + 1);
    alice.send(b, "three");
    alice.sync(&mut relay, b);
    let shown = alice.shown(b);
    assert_eq!(
        shown[shown.len() - 3..],
        ["> one (read)", "> two (read)", "> three"]
    );
    // A receipt is read by nobody, and is no message.
    assert_eq!(read(&mut alice, b), [b], "of what he wrote before");
    alice.sync(&mut relay, b);
    assert_eq!(unread(&mut alice), 0);
    assert_eq!(read(&mut alice, b), []);
}

#[test]
fn strangers_and_whoever_is_blocked_get_none() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "hello");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(read(&mut bob, a), []);
    // Nor later for what was read before.
    bob.send(a, "hello yourself");
    bob.sync(&mut relay, a);
    assert_eq!(read(&mut bob, a), []);
    alice.send(b, "one");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    let now = bob.now;
    bob.machine().block(a, true, now).unwrap();
    assert_eq!(read(&mut bob, a), []);
}

#[test]
fn who_switches_them_off_sends_none_and_sees_none() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    bob.receipts(false);
    alice.send(b, "one");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(read(&mut bob, a), []);
    bob.send(a, "two");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert_eq!(read(&mut alice, b), [b]);
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "> two");
}

#[test]
fn own_devices_learn_what_was_read() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    tablet.sync(&mut relay, a);
    tablet.pull(&relay, b);
    alice.sync(&mut relay, a);
    bob.send(a, "for both");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    tablet.sync(&mut relay, b);
    assert_eq!(unread(&mut tablet), 1);
    assert_eq!(read(&mut alice, b), [b]);
    alice.sync(&mut relay, b);
    tablet.sync(&mut relay, b);
    assert_eq!(unread(&mut tablet), 0);
    assert_eq!(read(&mut tablet, b), [], "he was told");
}

#[test]
fn what_is_read_on_a_device_that_has_written_nothing_is_told_as_well() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    tablet.pull(&relay, b);
    contacts::look(&mut alice, &relay, a);
    // By this it knows whom the user writes to.
    alice.send(b, "from the phone");
    alice.sync(&mut relay, b);
    tablet.pull(&relay, b);
    bob.sync(&mut relay, a);
    bob.send(a, "for both");
    bob.sync(&mut relay, a);
    tablet.sync(&mut relay, b);
    alice.sync(&mut relay, b);
    assert_eq!(unread(&mut alice), 2);
    assert_eq!(read(&mut tablet, b), [b]);
    tablet.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a).last().unwrap(), "> for both (read)");
    alice.sync(&mut relay, b);
    assert_eq!(unread(&mut alice), 0);
    assert_eq!(read(&mut alice, b), [], "he was told");
}

#[test]
fn nobody_has_read_what_comes_after_their_word() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "one");
    alice.sync(&mut relay, b);
    bob.sync(&mut relay, a);
    bob.control(
        a,
        sordino_protocol::pb::content::Body::ReadReceipt(sordino_protocol::pb::ReadReceipt {
            upto_seq: u64::MAX,
        }),
    );
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "> one (read)");
    alice.send(b, "two");
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "> two");
}
