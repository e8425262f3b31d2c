//! The process may die between any two steps.

use super::{NewMessage, two};

#[test]
fn a_crash_after_any_step_loses_and_doubles_nothing() {
    // In run n both crash after step n; in run 0 after every one.
    for crashing in 0..=12 {
        let (mut relay, mut alice, mut bob) = two();
        let (a, b) = (alice.user, bob.user);
        let mut step = 0;
        macro_rules! step {
            ($work:expr) => {
                let _ = $work;
                step += 1;
                if crashing == 0 || crashing == step {
                    alice.crash();
                    bob.crash();
                }
            };
        }
        step!(alice.send(b, "one"));
        step!(alice.prepare(&mut relay, b));
        step!(alice.send(b, "two"));
        step!(alice.flush(&mut relay, b));
        step!(bob.pull(&relay, a));
        step!(bob.send(a, "three"));
        step!(bob.prepare(&mut relay, a));
        step!(bob.flush(&mut relay, a));
        step!(alice.pull(&relay, b));
        step!(alice.send(b, "four"));
        step!(alice.sync(&mut relay, b));
        step!(bob.sync(&mut relay, a));
        assert_eq!(step, 12);
        let want = ["> one", "> two", "< three", "> four"];
        assert_eq!(alice.shown(b), want, "{crashing}");
        let want = ["< one", "< two", "> three", "< four"];
        assert_eq!(bob.shown(a), want, "{crashing}");
    }
}

#[test]
fn what_was_transmitted_before_a_crash_is_not_taken_twice() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    for text in ["one", "two", "three"] {
        alice.send(b, text);
    }
    alice.prepare(&mut relay, b);
    let out = alice.machine().outgoing(conversation, 0, 64, usize::MAX);
    // The relay takes two of them; nobody hears of it.
    for out in &out.unwrap()[..2] {
        relay.accept(&out.send).unwrap();
    }
    alice.crash();
    alice.flush(&mut relay, b);
    alice.crash();
    alice.sync(&mut relay, b);
    assert_eq!(relay.last_seq(conversation), 3);
    assert_eq!(alice.shown(b), ["> one", "> two", "> three"]);
    bob.sync(&mut relay, a);
    assert_eq!(bob.shown(a), ["< one", "< two", "< three"]);
}

#[test]
fn at_most_64_are_on_their_way_and_bytes_are_bounded() {
    let (mut relay, mut alice, bob) = two();
    let b = bob.user;
    let conversation = alice.conversation(b);
    let texts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let drafts: Vec<_> = texts.iter().map(|text| NewMessage::new(b, text)).collect();
    let now = alice.now;
    assert_eq!(alice.machine().send_many(&drafts, now).unwrap().len(), 100);
    alice.prepare(&mut relay, b);
    let machine = alice.machine();
    let all = machine.outgoing(conversation, 0, 100, usize::MAX).unwrap();
    assert_eq!(all.len(), 64);
    let rest = machine.outgoing(conversation, 60, 100, usize::MAX).unwrap();
    assert_eq!(rest.len(), 4);
    let none = machine.outgoing(conversation, 64, 100, usize::MAX).unwrap();
    assert!(none.is_empty());
    let two = all[0].send.len() + all[1].send.len();
    assert_eq!(machine.outgoing(conversation, 0, 64, two).unwrap().len(), 2);
    assert_eq!(machine.outgoing(conversation, 0, 64, 1).unwrap().len(), 1);
}
