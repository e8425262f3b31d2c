use super::*;

/// Every encoding of a point of small order, with and without the bit that X25519 ignores.
fn low_order() -> Vec<[u8; 32]> {
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .iter()
    .flat_map(|point| {
        let plain: [u8; 32] = hex::decode(point).unwrap().try_into().unwrap();
        let mut high = plain;
        high[31] |= 0x80;
        [plain, high]
    })
    .collect()
}

#[test]
fn low_order_keys_are_refused_in_every_slot_of_the_initiator() {
    for point in low_order() {
        let mut bad = [bundle(true), bundle(true), bundle(true)];
        bad[0].peer.identity_key = point;
        bad[1].spk.1 = point;
        bad[2].opk = Some((12, point));
        for bundle in &bad {
            assert_eq!(start(bundle).err(), Some(SetupError::NonContributory));
        }
    }
}

#[test]
fn low_order_keys_are_refused_in_every_slot_of_the_responder() {
    let good = start(&bundle(true)).unwrap().encrypt(b"first").unwrap();
    let (secrets, bob) = (secrets(), device(50));
    for point in low_order() {
        for slot in 0..3 {
            let mut alice = device(10).peer;
            let mut payload = good.clone();
            let mut message = payload.message.to_vec();
            let handshake = payload.handshake.as_mut().unwrap();
            match slot {
                0 => alice.identity_key = point,
                1 => handshake.ephemeral_key = point.to_vec().into(),
                // Version, tag and length of the field, then the ratchet key.
                _ => message[3..35].copy_from_slice(&point),
            }
            // A sid that fits, as an attacker would make it.
            let th = Transcript {
                born: 5,
                initiator: &alice,
                responder: &bob.peer,
                spk: (11, &public(&secrets.spk)),
                opk: Some((12, public(&secrets.opk))),
                pq: (
                    13,
                    PqKind::OneTime,
                    hash::sha256(&mlkem::KeyPair::from_seed(&secrets.pq).public()),
                ),
                ephemeral: array(&handshake.ephemeral_key).unwrap(),
                ratchet: message[3..35].try_into().unwrap(),
                ciphertext: hash::sha256(&handshake.ciphertext),
            }
            .hash();
            payload.message = message.into();
            payload.session = th[..8].to_vec().into();
            let expected = match slot {
                2 => SetupError::Session(SessionError::Message),
                _ => SetupError::NonContributory,
            };
            assert_eq!(
                answer_as(&alice, true, &payload).err(),
                Some(expected),
                "slot {slot}"
            );
        }
    }
}
