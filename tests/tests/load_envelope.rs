//! What the load generator sends has the size, and passes the checks, of what a client sends.
#![allow(missing_docs, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use prost::Message;
use sordino_crypto::{
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists, message,
    pqxdh::{self, PrekeySecrets},
    prekeys::{Owner, Peer, verify_bundle},
};
use sordino_protocol::{
    Class, ClientMessageId, DeviceId, Header, UserId, frame, hash,
    http::Bundle,
    list::DeviceList,
    pb::{self, client_frame::Frame},
};
use sordino_tests::load::{
    account::Account,
    envelope::{CONTENT, Lane, Noise, RATCHET_MESSAGE},
};

const NOW: u64 = 1_800_000_000_000;

struct Person {
    keys: DeviceKeys,
    list: DeviceList,
    peer: Peer,
}

fn person(n: u8) -> Person {
    let mut rng = rand::rng();
    let user = UserId::from_bytes([n; 16]);
    let device = DeviceId::from_bytes([n + 100; 16]);
    let identity = IdentityKey::generate(&mut rng);
    let lsk = ListSigningKey::generate(&mut rng);
    let keys = DeviceKeys::generate(&mut rng);
    let list = lists::first_list(user, device, &identity, &lsk, &keys, NOW);
    let list = lists::parse(&list).expect("a list");
    let peer = Peer::of(&list, device).expect("listed");
    Person { keys, list, peer }
}

fn header(from: &Person, to: &Person) -> Header {
    Header {
        class: Class::Message,
        conversation: hash::conversation_id(from.list.user, to.list.user),
        counter: 1,
        client_message_id: ClientMessageId::from_bytes([9; 16]),
        sender: from.list.user,
        sender_device: from.peer.device,
        recipient: to.list.user,
        sender_list: 1,
        recipient_list: 1,
        list_digest: hash::list_digest((1, &from.list.hash), (1, &to.list.hash)),
        erase: vec![],
        commit: [0; 32],
    }
}

#[test]
fn the_content_is_as_long_as_that_of_500_bytes() {
    let (alice, bob) = (person(1), person(2));
    let content = pb::Content {
        sent_ms: NOW,
        sender: alice.list.user.to_pb(),
        sender_device: alice.peer.device.to_pb(),
        after: Some(pb::After {
            seq: 1000,
            env_hash: vec![1; 32].into(),
        }),
        body: Some(pb::content::Body::Text(pb::Text {
            text: "x".repeat(500),
        })),
    };
    let sealed = message::seal(&mut rand::rng(), header(&alice, &bob), &content);
    let sealed = sealed.expect("sealed");
    assert_eq!(sealed.content.len(), CONTENT);
}

#[test]
fn the_wrap_is_as_long_as_one_of_an_answered_session() {
    let (alice, bob) = (person(1), person(2));
    let mut rng = rand::rng();
    let owner = Owner {
        list: &bob.list,
        device: bob.peer.device,
        keys: &bob.keys,
    };
    let spk = owner.signed_prekey(&mut rng, 1, NOW);
    let pq = owner.pq_last_resort(&mut rng, 1, NOW);
    let bundle = Bundle {
        device: bob.peer.device,
        signed: spk.public.into(),
        one_time: None,
        pq: pq.public.into(),
        pq_one_time: false,
    };
    let bundle = verify_bundle(&bob.list, bundle, NOW).expect("a bundle");
    let session = pqxdh::initiate(&mut rng, &alice.peer, &alice.keys, &bundle, NOW);
    let mut session = session.expect("a session");
    let payload = session.encrypt(&[0; 65]).expect("encrypted");
    let secrets = PrekeySecrets {
        signed: &spk.secret,
        one_time: None,
        pq: &pq.secret,
    };
    let (bob, alice) = ((&bob.peer, &bob.keys), &alice.peer);
    let answering = pqxdh::respond(&mut rng, bob.0, bob.1, alice, &secrets, &payload);
    let (mut answering, _) = answering.expect("answered");
    let reply = answering.encrypt(&[0; 65]).expect("encrypted");
    assert!(reply.handshake.is_none());
    assert_eq!(reply.message.len(), RATCHET_MESSAGE);
}

#[test]
fn a_generated_frame_is_a_message_of_its_sender() {
    let account =
        |person: Person| Arc::new(Account::new(person.list, person.peer.device, person.keys));
    let (alice, bob) = (account(person(1)), account(person(2)));
    let lane = Lane::new(Arc::clone(&alice), Arc::clone(&bob), Noise::new());
    let Ok(Frame::Send(send)) = frame::decode_client(lane.frame(7)) else {
        panic!("not a message")
    };
    let header = Header::parse(&send.header).expect("a header");
    assert_eq!((header.counter, header.sender), (7, alice.user()));
    assert_eq!(header.conversation, lane.conversation());
    let [wrap] = send.wraps.as_slice() else {
        panic!("not one wrap")
    };
    assert_eq!(wrap.device, bob.device.to_pb());
    let payload = frame::decode::<pb::WrapPayload>(wrap.payload.clone(), &frame::WRAP_PAYLOAD);
    assert_eq!(payload.expect("a wrap").encoded_len(), wrap.payload.len());
}
