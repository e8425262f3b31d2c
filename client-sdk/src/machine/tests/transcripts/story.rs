//! The story: Alice, Bob and Carol, Alice's second device, and the end of her first.

use serde_json::Value;

use super::account::{Account, link};
use super::recorder::Recorder;
use crate::machine::tests::{DAY, NewMessage, phone::Phone};

pub(super) struct Told {
    pub(super) talk: Value,
    pub(super) account: Value,
    pub(super) link: Value,
}

pub(super) fn tell() -> Told {
    let mut r = Recorder::default();
    let (mut phone, mut account) = Account::register("alice", &mut r.relay);
    let mut bob = Phone::new("bob", &mut r.relay);
    let mut carol = Phone::new("carol", &mut r.relay);
    let (a, b, c) = (phone.user, bob.user, carol.user);
    r.meet("Alice's phone", &phone);
    r.meet("Bob", &bob);
    r.meet("Carol", &carol);

    // A first message with one-time prekeys, a second one before any answer, and turns.
    r.send(&mut phone, b, "hello, Bob");
    r.write(&mut phone, b);
    r.send(&mut phone, b, "are you there?");
    r.sync(&mut phone, b);
    r.read(&mut bob, a);
    r.send(&mut bob, a, "hello, Alice");
    r.send(&mut bob, a, "I am");
    r.sync(&mut bob, a);
    r.sync(&mut phone, b);
    r.send(&mut phone, b, "grüße, 你好, 👋");
    r.send(
        &mut phone,
        b,
        &"A longer one, padded to another length. ".repeat(30),
    );
    r.sync(&mut phone, b);
    r.sync(&mut bob, a);

    r.receipt(&mut bob, a);
    r.sync(&mut bob, a);
    r.sync(&mut phone, b);
    say_of_messages(&mut r, &mut phone, &mut bob);

    // A first message without one-time prekeys: others have taken them all.
    let count = r.relay.count(carol.device);
    for _ in 0..count.one_time.max(count.pq_one_time) {
        r.relay.claim(c, &[carol.device]);
    }
    r.send(&mut bob, c, "hello, Carol");
    r.sync(&mut bob, c);
    r.sync(&mut carol, b);
    r.send(&mut carol, b, "hello, Bob");
    r.sync(&mut carol, b);
    r.sync(&mut bob, c);

    // A second device, linked by the first, which tells it its name and the keys of what was before it.
    let (mut tablet, link) = link(&mut phone, &mut r.relay);
    tablet.upload(&mut r.relay);
    r.meet("Alice's tablet", &tablet);
    for _ in 0..2 {
        r.sync(&mut tablet, a);
        r.sync(&mut phone, a);
        let now = phone.now;
        phone.machine().share_history(now).unwrap();
    }
    r.sync(&mut phone, a);
    r.sync(&mut tablet, a);

    // Now what is written goes to both, and to the other device of who writes.
    for text in ["to two devices", "once more"] {
        r.send(&mut bob, a, text);
    }
    r.sync(&mut bob, a);
    r.sync(&mut phone, b);
    r.sync(&mut tablet, b);
    r.send(&mut tablet, b, "from the tablet");
    r.sync(&mut tablet, b);
    r.sync(&mut bob, a);
    r.sync(&mut phone, b);

    // One chain between the own devices carries several conversations: these are read in another order.
    for (peer, text) in [(b, "one"), (c, "two"), (b, "three"), (c, "four")] {
        r.send(&mut phone, peer, text);
        r.write(&mut phone, peer);
    }
    r.read(&mut tablet, c);
    r.read(&mut tablet, b);
    r.read(&mut phone, b);
    r.read(&mut phone, c);

    // This one is read when the two have stepped on already.
    r.send(&mut phone, b, "early");
    r.write(&mut phone, b);
    r.send(&mut tablet, c, "from the tablet");
    r.sync(&mut tablet, c);
    r.sync(&mut phone, c);
    r.send(&mut phone, c, "late");
    r.write(&mut phone, c);
    r.read(&mut tablet, c);
    r.read(&mut tablet, b);

    fill(&mut r, &mut phone, &mut account);
    account.back_up(&mut tablet);

    // The phone is removed; what it wrote last is read afterwards.
    r.sync(&mut bob, a);
    r.sync(&mut tablet, b);
    r.send(&mut phone, b, "the phone's last words");
    r.write(&mut phone, b);
    account.remove(&mut tablet, phone.device, &mut r.relay);
    r.tell_lists();
    let lists = r.relay.lists[&a].clone();
    let now = bob.now;
    bob.machine().take_lists(a, lists, now).unwrap();
    r.read_with(&mut bob, a, &["removed"]);
    r.read_with(&mut tablet, b, &["removed"]);
    r.send(&mut bob, a, "to the tablet alone");
    r.sync(&mut bob, a);
    r.sync(&mut tablet, b);
    account.back_up(&mut tablet);

    // After two weeks of silence a new session, which is answered without a word.
    for person in [&mut bob, &mut carol] {
        person.now += 15 * DAY;
    }
    r.write(&mut carol, b);
    r.send(&mut carol, b, "long time");
    r.sync(&mut carol, b);
    r.sync(&mut bob, c);
    r.sync(&mut carol, b);
    r.send(&mut carol, b, "well");
    r.sync(&mut carol, b);
    r.sync(&mut bob, c);

    // The relay keeps one back, and renumbers what follows.
    for text in ["this comes", "this is kept back", "this shows it"] {
        r.send(&mut carol, b, text);
    }
    r.write(&mut carol, b);
    let log = r
        .relay
        .conversations
        .get_mut(&carol.conversation(b))
        .unwrap();
    let kept_back = log.rows.len() - 2;
    log.rows.remove(kept_back);
    r.read_with(&mut bob, c, &["gap"]);

    account.show_rows(&r, (a, b), 0..);
    let account = account.done(&r.relay, &mut bob);
    Told {
        talk: r.done(),
        account,
        link,
    }
}

/// An answer, an edit, a reaction, messages that do not last, and one that is erased before it is read, with its edit.
fn say_of_messages(r: &mut Recorder, phone: &mut Phone, bob: &mut Phone) {
    let (a, b, now) = (phone.user, bob.user, phone.now);
    let answered = bob.named(a, "are you there?");
    let answer = NewMessage {
        peer: a,
        text: "I always am",
        reply_to: Some(answered),
    };
    bob.machine().send_many(&[answer], now).unwrap();
    let hello = bob.named(a, "hello, Bob");
    bob.machine().react(a, hello, "👋", now).unwrap();
    r.sync(bob, a);
    r.sync(phone, b);
    let hello = phone.named(b, "hello, Bob");
    phone.machine().edit(b, hello, "hello, Bob!", now).unwrap();
    phone.machine().set_timer(b, 3600, now).unwrap();
    r.send(phone, b, "for an hour");
    r.sync(phone, b);
    r.sync(bob, a);
    phone.machine().set_timer(b, 0, now).unwrap();
    r.send(phone, b, "a slip");
    r.sync(phone, b);
    let slip = phone.named(b, "a slip");
    phone.machine().edit(b, slip, "still a slip", now).unwrap();
    r.sync(phone, b);
    phone.machine().erase(b, slip, now).unwrap();
    r.sync(phone, b);
    r.sync(bob, a);
    r.sync(phone, b);
}

/// More messages than one batch of the backup holds, to somebody who never reads them.
fn fill(r: &mut Recorder, phone: &mut Phone, account: &mut Account) {
    let dave = Phone::new("dave", &mut r.relay);
    let texts: Vec<_> = (0..520).map(|n| format!("message {n}")).collect();
    for texts in texts.chunks(60) {
        let drafts: Vec<_> = texts
            .iter()
            .map(|text| NewMessage::new(dave.user, text))
            .collect();
        let now = phone.now;
        phone.machine().send_many(&drafts, now).unwrap();
        r.look_into(phone);
        phone.sync(&mut r.relay, dave.user);
    }
    account.back_up(phone);
    account.back_up(phone);
    account.show_rows(r, (phone.user, dave.user), 518..);
}
