//! Numbers that no honest side names: no row may make the store fail, or the same row would come again for ever.

use bytes::Bytes;
use prost::{Message as _, encoding::encode_varint};
use sordino_crypto::{lists::parse, receive::HIGHEST_NUMBER};
use sordino_protocol::{Class, ClientMessageId, Code, DeviceId, Header, UserId, hash, pb};

use super::{NOW, Phone, Relay, acquainted, lists::add_device};
use crate::machine::Happening;
use crate::store::{Durability, Entry};

const EXTREMES: [u64; 6] = [
    HIGHEST_NUMBER,
    HIGHEST_NUMBER + 1,
    i64::MAX as u64 - 1,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    u64::MAX,
];

/// A header from a device of Alice to Bob, as the relay can make it.
fn header(relay: &Relay, device: DeviceId, (a, b): (UserId, UserId), counter: u64) -> Header {
    let list = |user| parse(relay.lists[&user].last().unwrap()).unwrap();
    let (own, peer) = (list(a), list(b));
    Header {
        class: Class::Message,
        conversation: hash::conversation_id(a, b),
        counter,
        client_message_id: ClientMessageId::from_bytes(rand::random()),
        sender: a,
        sender_device: device,
        recipient: b,
        sender_list: own.version,
        recipient_list: peer.version,
        list_digest: hash::list_digest((own.version, &own.hash), (peer.version, &peer.hash)),
        erase: Vec::new(),
        commit: [0; 32],
    }
}

/// A ratchet message that names this place of its chain: version, ratchet key, index, ciphertext, MAC.
fn ratchet_message(index: u64) -> Bytes {
    let mut message = vec![4, 0x0a, 32];
    message.extend([7; 32]);
    message.push(0x10);
    encode_varint(index, &mut message);
    message.extend([0x22, 16]);
    message.extend([1; 16]);
    message.extend([2; 32]);
    message.into()
}

fn row(seq: u64, header: &Header, index: u64) -> pb::Row {
    let wrap = pb::WrapPayload {
        session: Bytes::from_static(&[3; 8]),
        handshake: None,
        message: ratchet_message(index),
    };
    pb::Row {
        seq,
        message_id: u64::MAX,
        header: header.encode().into(),
        content_hash: vec![0; 32].into(),
        content: Some(vec![0; 300].into()),
        wrap: Some(wrap.encode_to_vec().into()),
    }
}

/// The relay holds no key of anybody, and forges rows of Alice's second device.
#[test]
fn no_place_in_a_chain_stops_the_catch_up() {
    let (mut relay, mut alice, bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    let second = add_device(&mut alice, &mut relay);
    let conversation = alice.conversation(b);
    let now = alice.now;
    let mut cursor = alice.machine().cursor(conversation).unwrap();
    for index in EXTREMES.into_iter().chain([0, 1]) {
        let header = header(&relay, second, (a, b), 1);
        let forged = row(cursor + 1, &header, index);
        let taken = alice
            .machine()
            .take_rows(b, conversation, &[forged], true, now);
        cursor += 1;
        assert_eq!(taken.unwrap().cursor, cursor, "{index}");
    }
    alice.machine().caught_up(now).unwrap();
    let want = ["! bad_wrap"; 5];
    assert_eq!(alice.shown(b)[3..8], want);
}

#[test]
fn no_counter_stops_the_catch_up_or_what_is_sent_afterwards() {
    for counter in EXTREMES {
        let (mut relay, mut alice, mut bob) = acquainted();
        let (a, b) = (alice.user, bob.user);
        let second = add_device(&mut alice, &mut relay);
        let conversation = alice.conversation(b);
        let now = alice.now;
        // Of another own device, of the peer, and last, which takes the store for an old copy, of this device.
        let own = header(&relay, alice.device, (a, b), counter);
        let theirs = header(&relay, bob.device, (b, a), counter);
        let other = header(&relay, second, (a, b), counter);
        let mut cursor = alice.machine().cursor(conversation).unwrap();
        for header in [other, theirs, own] {
            let row = row(cursor + 1, &header, 0);
            let taken = alice
                .machine()
                .take_rows(b, conversation, &[row], true, now);
            cursor += 1;
            assert_eq!(taken.unwrap().cursor, cursor, "{counter}");
        }
        alice.machine().caught_up(now).unwrap();
        for text in ["one", "two", "three"] {
            alice.send(b, text);
            alice.prepare(&mut relay, b);
        }
        let out = alice.machine().outgoing(conversation, 0, 9, usize::MAX);
        assert!(out.unwrap().len() >= 3, "{counter}");
        // The peer is not harmed by what only Alice was shown.
        bob.send(a, "still there");
        bob.sync(&mut relay, a);
    }
}

/// A contact writes what a client of ours never does.
fn send_content(
    alice: &mut Phone,
    relay: &mut Relay,
    to: UserId,
    change: impl Fn(&mut pb::Content),
) {
    let (user, device) = (alice.user, alice.device);
    let conversation = alice.conversation(to);
    let mut content = pb::Content {
        sent_ms: NOW,
        sender: user.to_pb(),
        sender_device: device.to_pb(),
        after: None,
        timer_s: 0,
        sender_name: String::new(),
        body: Some(pb::content::Body::Text(pb::Text {
            text: "x".into(),
            reply_to: None,
        })),
    };
    change(&mut content);
    let stored = alice.machine().store.transaction(Durability::Synced, |tx| {
        let entry = Entry {
            counter: tx.take_counter(conversation)?,
            client_message_id: ClientMessageId::from_bytes(rand::random()),
            class: Class::Message as u8,
            target: None,
            content: content.encode_to_vec(),
            given_up: false,
        };
        tx.outbox_put(conversation, &entry)
    });
    stored.unwrap();
    alice.sync(relay, to);
}

#[test]
fn no_number_within_a_message_stops_the_catch_up() {
    let (mut relay, mut alice, mut bob) = acquainted();
    let (a, b) = (alice.user, bob.user);
    for number in EXTREMES {
        send_content(&mut alice, &mut relay, b, |content| {
            content.sent_ms = number
        });
        send_content(&mut alice, &mut relay, b, |content| {
            content.after = Some(pb::After {
                seq: number,
                env_hash: vec![9; 32].into(),
            });
        });
    }
    assert_eq!(bob.pull(&relay, a).cursor, 14);
    assert_eq!(bob.shown(a)[2..], ["< x", "! bad_order"].repeat(6));
    bob.send(a, "y");
    bob.sync(&mut relay, a);
    alice.sync(&mut relay, b);
    assert_eq!(alice.shown(b).last().unwrap(), "< y");
}

#[test]
fn no_mark_and_no_answer_of_the_relay_fails() {
    let (mut relay, mut alice, bob) = acquainted();
    let b = bob.user;
    let conversation = alice.conversation(b);
    let now = alice.now;
    alice.send(b, "waits");
    let out = alice.machine().outgoing(conversation, 0, 1, usize::MAX);
    let id = out.unwrap()[0].client_message_id;
    for number in EXTREMES {
        let machine = alice.machine();
        machine.delivered(conversation, number).unwrap();
        machine.accepted(conversation, id, number).unwrap();
        for code in [Code::ListsChanged, Code::CounterGap, Code::TooLarge] {
            let refused = pb::Refused {
                conversation: conversation.to_pb(),
                client_message_id: id.to_pb(),
                counter: number,
                code: code.as_str().to_owned(),
                retry_after_ms: u32::MAX,
                ..Default::default()
            };
            machine.refused(&refused, now).unwrap();
        }
        let none = Vec::new();
        machine
            .take_lists_of_row((b, u32::MAX), none, 1, now)
            .unwrap();
        machine.list_range(b, u32::MAX).unwrap();
    }
    let (_, told) = alice.machine().missing(conversation, u64::MAX, 0).unwrap();
    assert!(told.iter().any(|h| matches!(h, Happening::Added(_))));
    alice.prepare(&mut relay, b);
    let waiting = alice.waiting();
    assert_eq!(waiting, [(conversation, b)]);
}
