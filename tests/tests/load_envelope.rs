//! What the load generator sends has the size, and passes the checks, of what a client sends.
#![allow(missing_docs, clippy::expect_used, reason = "tests")]

mod load_support;

use std::sync::Arc;

use load_support::{NOW, Person, person};
use prost::Message;
use sordino_crypto::{
    message,
    pqxdh::{self, PrekeySecrets},
    prekeys::{Owner, Peer, verify_bundle},
};
use sordino_protocol::{
    Class, ClientMessageId, Header, frame, hash,
    http::Bundle,
    pb::{self, client_frame::Frame},
};
use sordino_tests::load::{
    account::Account,
    envelope::{CONTENT, Lane, Noise, RATCHET_MESSAGE},
};

fn header(from: &Person, to: &Person) -> Header {
    Header {
        class: Class::Message,
        conversation: hash::conversation_id(from.list.user, to.list.user),
        counter: 1,
        client_message_id: ClientMessageId::from_bytes([9; 16]),
        sender: from.list.user,
        sender_device: from.device,
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
        sender_device: alice.device.to_pb(),
        after: Some(pb::After {
            seq: 1000,
            env_hash: vec![1; 32].into(),
        }),
        timer_s: 0,
        sender_name: String::new(),
        body: Some(pb::content::Body::Text(pb::Text {
            text: "x".repeat(500),
            reply_to: None,
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
        device: bob.device,
        keys: &bob.keys,
    };
    let spk = owner.signed_prekey(&mut rng, 1, NOW);
    let pq = owner.pq_last_resort(&mut rng, 1, NOW);
    let bundle = Bundle {
        device: bob.device,
        signed: spk.public.into(),
        one_time: None,
        pq: pq.public.into(),
        pq_one_time: false,
    };
    let bundle = verify_bundle(&bob.list, bundle, NOW).expect("a bundle");
    let peer = |of: &Person| Peer::of(&of.list, of.device).expect("listed");
    let (alice_peer, bob_peer) = (peer(&alice), peer(&bob));
    let session = pqxdh::initiate(&mut rng, &alice_peer, &alice.keys, &bundle, NOW);
    let mut session = session.expect("a session");
    let payload = session.encrypt(&[0; 65]).expect("encrypted");
    let secrets = PrekeySecrets {
        signed: &spk.secret,
        one_time: None,
        pq: &pq.secret,
    };
    let (me, keys, other) = (&bob_peer, &bob.keys, &alice_peer);
    let answering = pqxdh::respond(&mut rng, me, keys, other, &secrets, &payload);
    let (mut answering, _) = answering.expect("answered");
    let reply = answering.encrypt(&[0; 65]).expect("encrypted");
    assert!(reply.handshake.is_none());
    assert_eq!(reply.message.len(), RATCHET_MESSAGE);
}

#[test]
fn a_generated_frame_is_a_message_of_its_sender() {
    let account = |person: Person| Arc::new(Account::new(person.list, person.device, person.keys));
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
