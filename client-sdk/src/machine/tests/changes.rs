//! Answers, edits, reactions, erasures, messages that do not last.

use sordino_protocol::{Class, ClientMessageId, Code, DeviceId, UserId, pb};

use super::{NOW, NewMessage, Phone, Relay, acquainted, two};
use crate::machine::{Content, Happening};

/// Both have everything.
fn settle(relay: &mut Relay, one: &mut Phone, other: &mut Phone) {
    let (a, b) = (one.user, other.user);
    for _ in 0..2 {
        one.sync(relay, b);
        other.sync(relay, a);
    }
}

fn tail(phone: &mut Phone, peer: UserId, count: usize) -> Vec<String> {
    let shown = phone.shown(peer);
    shown[shown.len() - count..].to_vec()
}

fn edit(phone: &mut Phone, peer: UserId, from: &str, to: &str) {
    let (id, now) = (phone.named(peer, from), phone.now);
    phone.machine().edit(peer, id, to, now).unwrap();
}

fn react(phone: &mut Phone, peer: UserId, text: &str, emoji: &str) {
    let (id, now) = (phone.named(peer, text), phone.now);
    phone.machine().react(peer, id, emoji, now).unwrap();
}

fn erase(phone: &mut Phone, peer: UserId, text: &str) -> Vec<Happening> {
    let (id, now) = (phone.named(peer, text), phone.now);
    phone.machine().erase(peer, id, now).unwrap()
}

fn answer(phone: &mut Phone, peer: UserId, of: &str, text: &str) {
    let (reply_to, now) = (Some(phone.named(peer, of)), phone.now);
    let new = NewMessage {
        peer,
        text,
        reply_to,
    };
    phone.machine().send_many(&[new], now).unwrap();
}

/// Whether the device could still open the row.
fn has_key(phone: &mut Phone, peer: UserId, seq: u64) -> bool {
    let conversation = phone.conversation(peer);
    let store = &phone.machine().store;
    let keys = store.read(|tx| tx.keys_to_back_up(10_000)).unwrap();
    keys.iter()
        .any(|key| key.conversation == conversation && key.seq == seq)
}

#[test]
fn edits_answers_and_reactions_are_the_same_for_both() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "lunch at noon?");
    settle(&mut relay, &mut alice, &mut bob);
    answer(&mut bob, a, "lunch at noon?", "yes");
    edit(&mut alice, b, "lunch at noon?", "lunch at one?");
    assert_eq!(tail(&mut alice, b, 1), ["> lunch at one? (edited)"]);
    react(&mut bob, a, "hello", "👋");
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(
        alice.shown(b),
        [
            "> hello 👋",
            "< hello yourself",
            "> lunch at one? (edited)",
            "< yes [to: lunch at one?]",
        ]
    );
    assert_eq!(
        bob.shown(a),
        [
            "< hello 👋",
            "> hello yourself",
            "< lunch at one? (edited)",
            "> yes [to: lunch at one?]",
        ]
    );
    // The last one of each counts; empty takes it back.
    react(&mut bob, a, "hello", "❤");
    react(&mut alice, b, "hello", "🎉");
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(bob.shown(a)[0], "< hello 🎉 ❤");
    react(&mut bob, a, "hello", "");
    edit(&mut alice, b, "lunch at one?", "lunch at two?");
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(bob.shown(a)[0], "< hello 🎉");
    assert_eq!(bob.shown(a)[2], "< lunch at two? (edited)");
    assert_eq!(bob.machine().conversations().unwrap()[0].unread, 2);
}

#[test]
fn what_is_said_of_a_message_on_its_way_follows_it() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    // No session yet: nothing has left, so it simply is another text.
    alice.send(b, "helo");
    edit(&mut alice, b, "helo", "hello");
    react(&mut alice, b, "hello", "🙂");
    assert_eq!(alice.shown(b), ["> hello (pending) 🙂"]);
    alice.crash();
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(bob.shown(a), ["< hello 🙂"]);
    // In the outbox, offline.
    alice.send(b, "one");
    edit(&mut alice, b, "one", "two");
    edit(&mut alice, b, "two", "three");
    alice.crash();
    assert_eq!(tail(&mut alice, b, 1), ["> three (pending) (edited)"]);
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut bob, a, 1), ["< three (edited)"]);
    assert_eq!(tail(&mut alice, b, 1), ["> three (edited)"]);
}

#[test]
fn an_edit_that_the_relay_refuses_for_good_is_taken_back() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let b = bob.user;
    alice.send(b, "one");
    settle(&mut relay, &mut alice, &mut bob);
    edit(&mut alice, b, "one", "two");
    let (conversation, now) = (alice.conversation(b), alice.now);
    let out = alice.machine().outgoing(conversation, 0, 1, 9_999).unwrap();
    let refused = pb::Refused {
        conversation: conversation.to_pb(),
        client_message_id: out[0].client_message_id.to_pb(),
        counter: out[0].counter,
        code: Code::BadRequest.as_str().to_owned(),
        ..Default::default()
    };
    let (_, told) = alice.machine().refused(&refused, now).unwrap();
    assert!(matches!(&told[..], [Happening::Updated(_)]), "{told:?}");
    assert_eq!(tail(&mut alice, b, 1), ["> one"]);
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut alice, b, 1), ["> one"]);
}

#[test]
fn erased_is_gone_everywhere_with_its_edits_and_its_quotes() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "secret");
    settle(&mut relay, &mut alice, &mut bob);
    let seq = relay.last_seq(conversation);
    edit(&mut alice, b, "secret", "top secret");
    react(&mut bob, a, "secret", "😮");
    settle(&mut relay, &mut alice, &mut bob);
    answer(&mut bob, a, "top secret", "really?");
    settle(&mut relay, &mut alice, &mut bob);
    assert!(has_key(&mut bob, a, seq) && has_key(&mut alice, b, seq));
    erase(&mut alice, b, "top secret");
    assert_eq!(tail(&mut alice, b, 2), ["> erased", "< really? [to: ]"]);
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut alice, b, 2), ["> erased", "< really? [to: ]"]);
    assert_eq!(tail(&mut bob, a, 2), ["< erased", "> really? [to: ]"]);
    let erased = &relay.conversations[&conversation].erased;
    assert_eq!(erased.len(), 2, "the message and its edit: {erased:?}");
    for seq in erased {
        assert!(!has_key(&mut bob, a, *seq) && !has_key(&mut alice, b, *seq));
    }
    assert!(
        bob.machine()
            .search("secret", None, None, 9)
            .unwrap()
            .is_empty()
    );
    let id = ClientMessageId::from_bytes([9; 16]);
    let now = alice.now;
    let again = alice.machine().erase(b, id, now).unwrap_err();
    assert_eq!(again.code(), Code::UnknownMessage);
}

#[test]
fn erased_before_it_has_its_place_never_shows() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    // Not encrypted: nobody learns of it.
    alice.send(b, "zero");
    let told = erase(&mut alice, b, "zero");
    assert!(matches!(told[..], [Happening::Gone(..)]), "{told:?}");
    assert!(alice.shown(b).is_empty());
    alice.send(b, "hello");
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(bob.shown(a), ["< hello"]);
    // In the outbox, with an edit behind it.
    alice.send(b, "one");
    edit(&mut alice, b, "one", "two");
    erase(&mut alice, b, "two");
    alice.crash();
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(bob.shown(a), ["< hello"]);
    assert_eq!(tail(&mut alice, b, 1), ["> erased"]);
    // The relay had it, and this device did not learn so.
    let conversation = alice.conversation(b);
    alice.send(b, "three");
    let out = alice
        .machine()
        .outgoing(conversation, 0, 9, 99_999)
        .unwrap();
    relay.accept(&out[0].send).unwrap();
    erase(&mut alice, b, "three");
    settle(&mut relay, &mut alice, &mut bob);
    let seq = relay.last_seq(conversation) - 1;
    assert!(relay.conversations[&conversation].erased.contains(&seq));
    assert!(bob.shown(a).iter().all(|line| !line.contains("three")));
    assert!(!has_key(&mut alice, b, seq));
}

#[test]
fn an_edit_that_was_on_its_way_is_erased_after_it() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let conversation = alice.conversation(b);
    alice.send(b, "one");
    settle(&mut relay, &mut alice, &mut bob);
    edit(&mut alice, b, "one", "two");
    // The relay has it already.
    let out = alice
        .machine()
        .outgoing(conversation, 0, 9, 99_999)
        .unwrap();
    relay.accept(&out[0].send).unwrap();
    let edit_seq = relay.last_seq(conversation);
    erase(&mut alice, b, "two");
    settle(&mut relay, &mut alice, &mut bob);
    assert!(
        relay.conversations[&conversation]
            .erased
            .contains(&edit_seq)
    );
    assert_eq!(tail(&mut bob, a, 1), ["< erased"]);
    assert_eq!(tail(&mut alice, b, 1), ["> erased"]);
}

#[test]
fn of_more_edits_than_one_erasure_names_all_are_erased() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "0");
    for n in 0..40 {
        edit(&mut alice, b, &n.to_string(), &(n + 1).to_string());
        settle(&mut relay, &mut alice, &mut bob);
    }
    assert_eq!(tail(&mut bob, a, 1), ["< 40 (edited)"]);
    erase(&mut alice, b, "40");
    settle(&mut relay, &mut alice, &mut bob);
    settle(&mut relay, &mut alice, &mut bob);
    let conversation = alice.conversation(b);
    assert_eq!(relay.conversations[&conversation].erased.len(), 41);
    assert_eq!(tail(&mut bob, a, 1), ["< erased"]);
}

#[test]
fn other_own_devices_see_and_do_the_same() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let mut tablet = alice.join(&mut relay);
    tablet.upload(&mut relay);
    settle(&mut relay, &mut alice, &mut bob);
    tablet.sync(&mut relay, b);
    alice.send(b, "from the phone");
    settle(&mut relay, &mut alice, &mut bob);
    tablet.sync(&mut relay, b);
    edit(&mut tablet, b, "from the phone", "by the tablet");
    react(&mut tablet, b, "by the tablet", "👍");
    tablet.sync(&mut relay, b);
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut alice, b, 1), ["> by the tablet (edited) 👍"]);
    assert_eq!(tail(&mut bob, a, 1), ["< by the tablet (edited) 👍"]);
    // The phone names the tablet's edit, too.
    erase(&mut alice, b, "by the tablet");
    settle(&mut relay, &mut alice, &mut bob);
    tablet.sync(&mut relay, b);
    assert_eq!(tail(&mut tablet, b, 1), ["> erased"]);
    let conversation = alice.conversation(b);
    assert_eq!(relay.conversations[&conversation].erased.len(), 2);
}

fn reference(author: UserId, device: DeviceId, id: ClientMessageId) -> Option<pb::MessageRef> {
    Some(pb::MessageRef {
        author: author.to_pb(),
        author_device: device.to_pb(),
        client_message_id: id.to_pb(),
    })
}

#[test]
fn nobody_edits_or_erases_what_another_wrote() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let hello = bob.named(a, "hello");
    let message = reference(a, alice.device, hello);
    let forged = pb::content::Body::Edit(pb::Edit {
        message: message.clone(),
        text: "I owe you 1000".to_owned(),
    });
    bob.write(a, Class::Message, forged);
    // Of the other's row, of one that is to come, of its own.
    let seqs = pb::content::Body::Erasure(pb::Erasure {
        seqs: vec![1, 99, 4],
    });
    bob.write(a, Class::Erase, seqs);
    let too_long = pb::content::Body::Reaction(pb::Reaction {
        message,
        emoji: "two words".to_owned(),
    });
    bob.write(a, Class::Message, too_long);
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(alice.shown(b), ["> hello", "< hello yourself"]);
    assert!(
        relay.conversations[&alice.conversation(b)]
            .erased
            .is_empty()
    );
    assert!(has_key(&mut alice, b, 1));
}

#[test]
fn who_is_blocked_may_only_take_back() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let now = alice.now;
    alice.machine().block(b, true, now).unwrap();
    react(&mut bob, a, "hello", "😈");
    edit(&mut bob, a, "hello yourself", "something else");
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(alice.shown(b), ["> hello", "< hello yourself"]);
    erase(&mut bob, a, "something else");
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(alice.shown(b), ["> hello", "< erased"]);
}

#[test]
fn a_flood_of_reactions_leaves_one_each() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    for n in 0..100 {
        react(&mut bob, a, "hello", &format!("{n}"));
    }
    for _ in 0..3 {
        settle(&mut relay, &mut alice, &mut bob);
    }
    assert_eq!(alice.shown(b)[0], "> hello 99");
    let conversation = alice.conversation(b);
    for phone in [&mut alice, &mut bob] {
        let count = phone
            .machine()
            .store
            .read(|tx| tx.count_changes(conversation));
        assert_eq!(count.unwrap(), 1);
    }
}

#[test]
fn a_rollback_sends_again_what_was_not_there() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    alice.send(b, "one");
    settle(&mut relay, &mut alice, &mut bob);
    edit(&mut alice, b, "one", "two");
    react(&mut alice, b, "two", "🙂");
    let copy = alice.path().with_extension("copy");
    alice.copy_to(&copy);
    alice.send(b, "lost");
    settle(&mut relay, &mut alice, &mut bob);
    alice.put_back(&copy);
    settle(&mut relay, &mut alice, &mut bob);
    settle(&mut relay, &mut alice, &mut bob);
    let shown = alice.shown(b);
    assert!(shown.contains(&"> two (edited) 🙂".to_owned()), "{shown:?}");
    let shown = bob.shown(a);
    assert!(shown.contains(&"< two (edited) 🙂".to_owned()), "{shown:?}");
}

#[test]
fn what_was_given_up_is_sent_anew_once_it_is_settled() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let (conversation, now) = (alice.conversation(b), alice.now);
    alice.send(b, "one");
    let id = alice.named(b, "one");
    let early = alice.machine().retry(conversation, id, now).unwrap_err();
    assert_eq!(early.code(), Code::UnknownMessage, "it is on its way");
    alice.machine().cancel(conversation, id, now).unwrap();
    let early = alice.machine().retry(conversation, id, now).unwrap_err();
    assert_eq!(early.code(), Code::MessageUnsettled);
    settle(&mut relay, &mut alice, &mut bob);
    let (again, told) = alice.machine().retry(conversation, id, now).unwrap();
    assert_ne!(again, id);
    assert!(matches!(
        told[..],
        [Happening::Gone(..), Happening::Added(_)]
    ));
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut alice, b, 1), ["> one"]);
    assert_eq!(
        bob.shown(a).iter().filter(|line| *line == "< one").count(),
        1
    );
}

fn timer(phone: &mut Phone, peer: UserId, seconds: u32) {
    let now = phone.now;
    phone.machine().set_timer(peer, seconds, now).unwrap();
}

#[test]
fn what_does_not_last_ends_on_both_sides_in_its_time_and_is_in_no_backup() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    timer(&mut alice, b, 60);
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut bob, a, 1), ["timer 60"]);
    bob.send(a, "burns");
    react(&mut alice, b, "hello", "x");
    settle(&mut relay, &mut alice, &mut bob);
    react(&mut alice, b, "burns", "🔥");
    settle(&mut relay, &mut alice, &mut bob);
    let conversation = alice.conversation(b);
    let last = relay.last_seq(conversation);
    for seq in [last, last - 1] {
        assert!(!has_key(&mut alice, b, seq) && !has_key(&mut bob, a, seq));
    }
    assert!(has_key(&mut alice, b, last - 2), "of a message that lasts");
    // At its author's it runs from the start; at hers from when she read it.
    let (_, gone) = bob.machine().expire(NOW + 59_999).unwrap();
    assert!(gone.is_empty());
    let (next, gone) = bob.machine().expire(NOW + 60_000).unwrap();
    assert!(matches!(gone[..], [Happening::Gone(..)]), "{gone:?}");
    assert_eq!(next, None);
    assert_eq!(tail(&mut bob, a, 1), ["timer 60"]);
    let (next, gone) = alice.machine().expire(NOW + 60_000).unwrap();
    assert_eq!((next, gone.len()), (None, 0), "not read yet");
    let read = alice
        .machine()
        .mark_read(conversation, last, NOW + 100_000)
        .unwrap();
    let [Happening::Placed(begun), Happening::ConversationChanged(_)] = &read[..] else {
        panic!("{read:?}")
    };
    let Content::Message { expires_ms, .. } = begun.content else {
        panic!("{begun:?}")
    };
    assert_eq!(expires_ms, Some(NOW + 160_000));
    assert_eq!(
        alice.machine().mark_read(conversation, last, NOW).unwrap(),
        []
    );
    let (next, _) = alice.machine().expire(NOW + 100_000).unwrap();
    assert_eq!(next, Some(NOW + 160_000));
    alice.crash();
    let (_, gone) = alice.machine().expire(NOW + 160_000).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(tail(&mut alice, b, 1), ["timer 60"]);
    assert!(
        alice
            .machine()
            .search("burns", None, None, 9)
            .unwrap()
            .is_empty()
    );
    // What is said of it later finds nothing.
    timer(&mut bob, a, 0);
    bob.send(a, "stays");
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut alice, b, 2), ["timer 0", "< stays"]);
    assert_eq!(alice.machine().conversations().unwrap()[0].timer_s, 0);
    let long = alice.machine().set_timer(b, u32::MAX, NOW).unwrap_err();
    assert_eq!(long.code(), Code::BadTimer);
}

#[test]
fn whoever_takes_anothers_name_for_a_message_gets_no_hold_of_it() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let hello = alice.named(b, "hello");
    let body = pb::content::Body::Text(pb::Text {
        text: "mine".to_owned(),
        reply_to: None,
    });
    bob.write_as(a, Class::Message, body, hello);
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(tail(&mut alice, b, 1), ["< mine"]);
    let now = alice.now;
    alice.machine().edit(b, hello, "hello!", now).unwrap();
    alice.machine().react(b, hello, "🙂", now).unwrap();
    settle(&mut relay, &mut alice, &mut bob);
    assert_eq!(alice.shown(b)[0], "> hello! (edited) 🙂");
    assert_eq!(bob.shown(a)[0], "< hello! (edited) 🙂");
}

#[test]
fn a_draft_is_kept() {
    let (_, mut alice, bob) = acquainted();
    let b = bob.user;
    alice.machine().save_draft(b, "half a sent").unwrap();
    alice.crash();
    assert_eq!(alice.machine().draft(b).unwrap(), "half a sent");
    assert_eq!(
        alice.machine().conversations().unwrap()[0].draft,
        "half a sent"
    );
    let long = "x".repeat(20_000);
    let error = alice.machine().save_draft(b, &long).unwrap_err();
    assert_eq!(error.code(), Code::TextTooLong);
}

#[test]
fn who_wrote_first_asks_until_they_are_answered_on_any_device() {
    let (mut relay, mut alice, mut bob) = two();
    let (a, b) = (alice.user, bob.user);
    let is_request = |phone: &mut Phone, peer: UserId| {
        let rows = phone.machine().conversations().unwrap();
        rows.iter().find(|row| row.peer == peer).unwrap().request
    };
    alice.send(b, "hello");
    settle(&mut relay, &mut alice, &mut bob);
    assert!(!is_request(&mut alice, b) && is_request(&mut bob, a));
    let mut tablet = bob.join(&mut relay);
    tablet.upload(&mut relay);
    settle(&mut relay, &mut alice, &mut bob);
    tablet.sync(&mut relay, a);
    alice.send(b, "are you there?");
    settle(&mut relay, &mut alice, &mut bob);
    tablet.sync(&mut relay, a);
    assert!(is_request(&mut tablet, a));
    tablet.send(a, "yes");
    assert!(!is_request(&mut tablet, a), "before it has left");
    tablet.sync(&mut relay, a);
    assert!(is_request(&mut bob, a), "not heard yet");
    bob.sync(&mut relay, a);
    assert!(!is_request(&mut bob, a));
}
