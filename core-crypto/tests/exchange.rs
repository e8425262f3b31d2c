//! A message from one user to another through the public interface, and its largest size.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use prost::Message;
use sordino_crypto::{
    Secret,
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists, message,
    pqxdh::{self, PrekeySecrets},
    prekeys::{Owner, Peer, verify_bundle},
    session::Session,
};
use sordino_protocol::{
    Class, ClientMessageId, DeviceId, Header, UserId, frame, hash, http::Bundle, limits,
    list::DeviceList, pb,
};

const NOW: u64 = 1_800_000_000_000;

struct User {
    keys: DeviceKeys,
    list: DeviceList,
    peer: Peer,
}

struct Prekeys {
    bundle: Bundle,
    spk: Secret<32>,
    opk: Secret<32>,
    pq: Secret<64>,
}

fn user(n: u8) -> User {
    let mut rng = rand::rng();
    let (user, device) = (
        UserId::from_bytes([n; 16]),
        DeviceId::from_bytes([n + 1; 16]),
    );
    let uik = IdentityKey::generate(&mut rng);
    let lsk = ListSigningKey::generate(&mut rng);
    let keys = DeviceKeys::generate(&mut rng);
    let list = lists::parse(&lists::first_list(
        user, device, &uik, &lsk, &keys, None, NOW,
    ))
    .unwrap();
    let peer = Peer::of(&list, device).unwrap();
    User { keys, list, peer }
}

fn prekeys(of: &User) -> Prekeys {
    let mut rng = rand::rng();
    let owner = Owner {
        list: &of.list,
        device: of.peer.device,
        keys: &of.keys,
    };
    let spk = owner.signed_prekey(&mut rng, 1, NOW);
    let opk = owner.one_time(&mut rng, 1, NOW);
    let pq = owner.pq_one_time(&mut rng, 1, NOW);
    Prekeys {
        bundle: Bundle {
            device: of.peer.device,
            signed: spk.public.into(),
            one_time: Some(opk.public.into()),
            pq: pq.public.into(),
            pq_one_time: true,
        },
        spk: spk.secret,
        opk: opk.secret,
        pq: pq.secret,
    }
}

fn initiate(from: &User, to: &User, prekeys: &Prekeys) -> Session {
    let bundle = verify_bundle(&to.list, prekeys.bundle.clone(), NOW)
        .ok()
        .unwrap();
    pqxdh::initiate(&mut rand::rng(), &from.peer, &from.keys, &bundle, NOW).unwrap()
}

fn seal(from: &User, to: &User, text: &str) -> message::Sealed {
    let header = Header {
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
    };
    let content = pb::Content {
        sent_ms: u64::MAX,
        sender: from.list.user.to_pb(),
        sender_device: from.peer.device.to_pb(),
        after: Some(pb::After {
            seq: u64::MAX,
            env_hash: vec![1; 32].into(),
        }),
        timer_s: 0,
        sender_name: String::new(),
        body: Some(pb::content::Body::Text(pb::Text {
            text: text.into(),
            reply_to: None,
        })),
    };
    message::seal(&mut rand::rng(), header, &content).unwrap()
}

#[test]
fn a_message_reaches_the_other_user() {
    let (alice, bob) = (user(1), user(11));
    let prekeys = prekeys(&bob);
    let mut session = initiate(&alice, &bob, &prekeys);
    let sealed = seal(&alice, &bob, "hello");
    let wrap = message::wrap_payload(&sealed.content_key, &sealed.env_hash);
    let payload = session.encrypt(wrap.expose()).unwrap();

    let payload = frame::decode(payload.encode_to_vec().into(), &frame::WRAP_PAYLOAD).unwrap();
    let secrets = PrekeySecrets {
        signed: &prekeys.spk,
        one_time: Some(&prekeys.opk),
        pq: &prekeys.pq,
    };
    let (_, plaintext) = pqxdh::respond(
        &mut rand::rng(),
        &bob.peer,
        &bob.keys,
        &alice.peer,
        &secrets,
        &payload,
    )
    .unwrap();
    let (content_key, env_hash) = message::read_wrap_payload(&plaintext).unwrap();
    assert_eq!(
        env_hash,
        hash::env_hash(&sealed.header, &hash::sha256(&sealed.content))
    );
    let content = message::open_content(&sealed.header, &sealed.content, &content_key)
        .ok()
        .unwrap();
    assert!(matches!(content.body, Some(pb::content::Body::Text(text)) if text.text == "hello"));
}

/// The longest text, to as many devices as there may be, each with a handshake.
#[test]
fn the_largest_envelope_fits_a_frame() {
    let (alice, bob) = (user(1), user(11));
    let sealed = seal(&alice, &bob, &"x".repeat(limits::TEXT_BYTES));
    let wrap = message::wrap_payload(&sealed.content_key, &sealed.env_hash);
    let mut session = initiate(&alice, &bob, &prekeys(&bob));
    // Long varints: the thousandth message of a session.
    for _ in 0..1000 {
        session.encrypt(wrap.expose()).unwrap();
    }
    let mut payload = session.encrypt(wrap.expose()).unwrap();
    let handshake = payload.handshake.as_mut().unwrap();
    (handshake.born, handshake.spk_id) = (u64::MAX, u32::MAX);
    (handshake.opk_id, handshake.pq_id) = (u32::MAX, u32::MAX);
    let wrap = pb::Wrap {
        user: bob.list.user.to_pb(),
        device: bob.peer.device.to_pb(),
        payload: payload.encode_to_vec().into(),
    };
    let send = pb::Send {
        header: sealed.header.into(),
        content: sealed.content.into(),
        wraps: vec![wrap; limits::WRAPS],
        withheld: vec![],
    };
    let encoded = frame::encode_client(pb::client_frame::Frame::Send(send));
    assert!(encoded.len() <= limits::FRAME_BYTES, "{}", encoded.len());
    assert!(frame::decode_client(encoded).is_ok());
}
