use sordino_protocol::{DeviceId, UserId};

use super::*;
use crate::signal::SignalKeys;

mod low_order;
mod network;

struct Device {
    keys: DeviceKeys,
    peer: Peer,
}

struct Secrets {
    spk: Secret<32>,
    opk: Secret<32>,
    pq: Secret<64>,
}

fn secret(n: u8) -> Secret<32> {
    Secret::from_bytes([n; 32])
}

fn device(n: u8) -> Device {
    let keys = DeviceKeys::from_secret(&secret(n), &secret(n + 1));
    let public = keys.public();
    let peer = Peer {
        user: UserId::from_bytes([n; 16]),
        user_key: [n + 2; 32],
        device: DeviceId::from_bytes([n + 3; 16]),
        identity_key: public.identity_key,
        signing_key: public.signing_key,
    };
    Device { keys, peer }
}

fn secrets() -> Secrets {
    Secrets {
        spk: secret(70),
        opk: secret(71),
        pq: Secret::from_bytes([72; 64]),
    }
}

fn bundle(one_time: bool) -> VerifiedBundle {
    let secrets = secrets();
    let kind = if one_time {
        PqKind::OneTime
    } else {
        PqKind::LastResort
    };
    VerifiedBundle {
        peer: device(50).peer,
        spk: (11, public(&secrets.spk)),
        opk: one_time.then(|| (12, public(&secrets.opk))),
        pq: (
            13,
            kind,
            Box::new(mlkem::KeyPair::from_seed(&secrets.pq).public()),
        ),
    }
}

fn start(bundle: &VerifiedBundle) -> Result<Session, SetupError> {
    let alice = device(10);
    initiate(&mut rand::rng(), &alice.peer, &alice.keys, bundle, 5)
}

fn answer_as(
    peer: &Peer,
    one_time: bool,
    payload: &pb::WrapPayload,
) -> Result<(Session, Zeroizing<Vec<u8>>), SetupError> {
    let (bob, secrets) = (device(50), secrets());
    let secrets = PrekeySecrets {
        signed: &secrets.spk,
        one_time: one_time.then_some(&secrets.opk),
        pq: &secrets.pq,
    };
    respond(
        &mut rand::rng(),
        &bob.peer,
        &bob.keys,
        peer,
        &secrets,
        payload,
    )
}

fn answer(payload: &pb::WrapPayload) -> Result<(Session, Zeroizing<Vec<u8>>), SetupError> {
    answer_as(&device(10).peer, true, payload)
}

/// A session on both sides, after the first message.
fn pair() -> (Session, Session) {
    let mut alice = start(&bundle(true)).unwrap();
    let first = alice.encrypt(b"first").unwrap();
    let (bob, _) = answer(&first).unwrap();
    (alice, bob)
}

#[test]
fn both_sides_agree_and_the_handshake_goes_until_a_reply() {
    for one_time in [true, false] {
        let mut alice = start(&bundle(one_time)).unwrap();
        let first = alice.encrypt(b"first").unwrap();
        let second = alice.encrypt(b"second").unwrap();
        assert!(first.handshake.is_some() && second.handshake.is_some());
        let (bob, plaintext) = answer_as(&device(10).peer, one_time, &first).unwrap();
        assert_eq!(plaintext.as_slice(), b"first");
        let (mut bob, plaintext) = bob.decrypt(&second.message).unwrap();
        assert_eq!(plaintext.as_slice(), b"second");
        assert_eq!(alice.meta().sid, bob.meta().sid);
        assert_eq!(alice.meta().transcript, bob.meta().transcript);
        assert_eq!((alice.meta().born, bob.meta().born), (5, 5));
        assert_eq!(alice.meta().answered_spk, None);
        assert_eq!(bob.meta().answered_spk, Some(11));
        assert!(alice.signal_key() == bob.signal_key());
        let party = |device: Device| (device.peer.user, device.peer.device);
        let said = crate::signal::Signal {
            number: 1,
            body: [2; 8],
        };
        let sealed = SignalKeys::of(&alice, party(device(10))).seal(&mut rand::rng(), &said);
        let opened = SignalKeys::of(&bob, party(device(50))).open(&sealed);
        assert_eq!(opened, Some(said));
        assert_eq!(alice.meta().peer.device, device(50).peer.device);
        assert_eq!(bob.meta().peer.device, device(10).peer.device);
        let reply = bob.encrypt(b"reply").unwrap();
        assert!(reply.handshake.is_none());
        let (mut alice, plaintext) = alice.decrypt(&reply.message).unwrap();
        assert_eq!(plaintext.as_slice(), b"reply");
        assert!(alice.encrypt(b"third").unwrap().handshake.is_none());
    }
}

/// The vector is computed by another implementation (`tests/vectors/generate.py`).
#[test]
fn derivations_are_the_frozen_ones() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/pqxdh.json")).unwrap();
    let party = |n: u8, dik: u8| Peer {
        user: UserId::from_bytes([n; 16]),
        device: DeviceId::from_bytes([n + 1; 16]),
        user_key: [n + 2; 32],
        identity_key: public(&secret(dik)),
        signing_key: [n + 3; 32],
    };
    let (alice, bob) = (party(0xA0, 1), party(0xB0, 2));
    let (spk, opk, ek) = (public(&secret(3)), public(&secret(4)), secret(5));
    for (name, one_time, kind) in [
        ("with_one_time", true, PqKind::OneTime),
        ("without_one_time", false, PqKind::LastResort),
    ] {
        let transcript = Transcript {
            born: 0x0102_0304_0506_0708,
            initiator: &alice,
            responder: &bob,
            spk: (11, &spk),
            opk: one_time.then_some((12, opk)),
            pq: (13, kind, hash::sha256(b"pq key")),
            ephemeral: public(&ek),
            ratchet: public(&secret(6)),
            ciphertext: hash::sha256(b"ciphertext"),
        };
        let th = transcript.hash();
        let dhs = [
            dh(&secret(1), &spk),
            dh(&ek, &bob.identity_key),
            dh(&ek, &spk),
        ];
        let dhs = dhs.into_iter().chain(one_time.then(|| dh(&ek, &opk)));
        let (root, signal) = root(dhs, &secret(7), &th).unwrap();
        let (root_key, chain_key) = first_chain(&root, &dh(&secret(6), &spk).unwrap());
        let sid = meta(&transcript, th, &bob, None).sid;
        for (field, bytes) in [
            ("transcript", th.as_slice()),
            ("sid", sid.as_bytes()),
            ("root", root.expose()),
            ("signal_key", signal.expose()),
            ("root_key", root_key.expose()),
            ("chain_key", chain_key.expose()),
        ] {
            let expected = vectors[name][field].as_str();
            assert_eq!(
                expected,
                Some(hex::encode(bytes).as_str()),
                "{name} {field}"
            );
        }
    }
}

#[test]
fn every_flipped_bit_of_the_first_wrap_is_refused() {
    let good = start(&bundle(true)).unwrap().encrypt(b"first").unwrap();
    let encoded = good.encode_to_vec();
    let mut flipped = encoded.clone();
    // Of the ciphertext, which is hashed as a whole, one bit of each byte: each try costs a key generation.
    let ciphertext = &good.handshake.as_ref().unwrap().ciphertext;
    let from = encoded
        .windows(ciphertext.len())
        .position(|window| window == ciphertext)
        .unwrap();
    let hashed = from..from + ciphertext.len();
    for bit in 0..encoded.len() * 8 {
        if hashed.contains(&(bit / 8)) && bit % 8 != bit / 8 % 8 {
            continue;
        }
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(payload) = pb::WrapPayload::decode(flipped.as_slice())
            && payload != good
        {
            assert!(answer(&payload).is_err(), "bit {bit}");
        }
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(answer(&good).is_ok());
}

#[test]
fn a_peer_that_is_not_the_initiator_is_refused() {
    let good = start(&bundle(true)).unwrap().encrypt(b"first").unwrap();
    let alice = device(10).peer;
    for wrong in [
        Peer {
            user: UserId::from_bytes([1; 16]),
            ..alice
        },
        Peer {
            device: DeviceId::from_bytes([1; 16]),
            ..alice
        },
        Peer {
            user_key: [1; 32],
            ..alice
        },
        Peer {
            signing_key: [1; 32],
            ..alice
        },
        Peer {
            identity_key: device(90).peer.identity_key,
            ..alice
        },
    ] {
        assert_eq!(
            answer_as(&wrong, true, &good).err(),
            Some(SetupError::Transcript)
        );
    }
    assert_eq!(
        answer_as(&alice, false, &good).err(),
        Some(SetupError::Malformed)
    );
}

#[test]
fn a_failed_decrypt_leaves_the_stored_session_usable() {
    let (mut alice, bob) = pair();
    let stored = bob.to_bytes().unwrap();
    let good = alice.encrypt(b"second").unwrap().message;
    for bit in 0..good.len() * 8 {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        let session = Session::from_bytes(&stored).unwrap();
        assert!(session.decrypt(&bad).is_err(), "bit {bit}");
    }
    let (_, plaintext) = Session::from_bytes(&stored)
        .unwrap()
        .decrypt(&good)
        .unwrap();
    assert_eq!(plaintext.as_slice(), b"second");
}

#[test]
fn a_message_decrypts_once_and_in_any_order() {
    let (mut alice, mut bob) = pair();
    let sent: Vec<_> = (0..20u8)
        .map(|n| alice.encrypt(&[n]).unwrap().message)
        .collect();
    for (n, message) in sent.iter().enumerate().rev() {
        let plaintext;
        (bob, plaintext) = bob.decrypt(message).unwrap();
        assert_eq!(plaintext.as_slice(), &[u8::try_from(n).unwrap()]);
    }
    let stored = bob.to_bytes().unwrap();
    for message in &sent {
        let session = Session::from_bytes(&stored).unwrap();
        assert_eq!(session.decrypt(message).err(), Some(SessionError::Message));
    }
}

#[test]
fn another_sessions_message_is_refused() {
    let (_, bob) = pair();
    let (mut other, _) = pair();
    let message = other.encrypt(b"x").unwrap().message;
    assert_eq!(bob.decrypt(&message).err(), Some(SessionError::Message));
}

#[test]
fn a_gap_of_2000_is_bridged_and_a_larger_one_refused() {
    let (mut alice, bob) = pair();
    let stored = bob.to_bytes().unwrap();
    for _ in 0..2000 {
        alice.encrypt(b"lost").unwrap();
    }
    let near = alice.encrypt(b"near").unwrap().message;
    let far = alice.encrypt(b"far").unwrap().message;
    let session = || Session::from_bytes(&stored).unwrap();
    assert!(session().decrypt(&near).is_ok());
    assert_eq!(session().decrypt(&far).err(), Some(SessionError::Message));
}

#[test]
fn a_message_of_another_version_is_refused() {
    let (mut alice, bob) = pair();
    let mut message = alice.encrypt(b"x").unwrap().message.to_vec();
    message[0] = 3;
    message.truncate(message.len() - 24);
    assert_eq!(
        bob.decrypt(&message).err(),
        Some(SessionError::MessageVersion)
    );
}

#[test]
fn a_stored_session_without_its_version_is_refused() {
    let (alice, _) = pair();
    let stored = alice.to_bytes().unwrap();
    assert!(Session::from_bytes(&stored).is_ok());
    let mut value: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    value["ratchet"]
        .as_object_mut()
        .unwrap()
        .remove("config")
        .unwrap();
    let bytes = serde_json::to_vec(&value).unwrap();
    assert_eq!(
        Session::from_bytes(&bytes).err(),
        Some(SessionError::Stored)
    );
}

#[test]
fn sessions_survive_storage_at_every_step() {
    let reload = |session: Session| Session::from_bytes(&session.to_bytes().unwrap()).unwrap();
    let (alice, bob) = pair();
    let (mut alice, mut bob) = (reload(alice), reload(bob));
    assert!(alice.encrypt(b"").unwrap().handshake.is_some());
    for n in 0..10u8 {
        let message = bob.encrypt(&[n]).unwrap().message;
        let (next, plaintext) = reload(alice).decrypt(&message).unwrap();
        assert_eq!(plaintext.as_slice(), &[n]);
        alice = reload(next);
        let message = alice.encrypt(&[n]).unwrap().message;
        let (next, plaintext) = reload(bob).decrypt(&message).unwrap();
        assert_eq!(plaintext.as_slice(), &[n]);
        bob = reload(next);
    }
    assert!(alice.encrypt(b"").unwrap().handshake.is_none());
}
