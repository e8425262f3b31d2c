//! The libraries under this file against the vectors of their specifications: RFC 9180 with our KDF and AEAD, in the mode that we use and
//! in base mode, over X25519, for which it has vectors; and X-Wing's own.

use std::{collections::VecDeque, convert::Infallible};

use hpke::{Kem as KemTrait, kem::X25519HkdfSha256, setup_receiver, setup_sender_with_rng};
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;

use super::*;

/// Gives these bytes and no others.
struct Given(VecDeque<u8>);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("bytes alone are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("bytes alone are drawn")
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        dest.iter_mut()
            .for_each(|byte| *byte = self.0.pop_front().expect("enough was given"));
        Ok(())
    }
}

impl TryCryptoRng for Given {}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(vector[name].as_str().unwrap()).unwrap()
}

fn given(vector: &Value, name: &str) -> Given {
    Given(bytes(vector, name).into())
}

fn vectors(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn key<T: Deserializable>(vector: &Value, name: &str) -> T {
    T::from_bytes(&bytes(vector, name)).unwrap()
}

#[test]
fn rfc_9180_in_both_directions() {
    type Dh = X25519HkdfSha256;
    let vectors = vectors(include_str!("rfc9180.json"));
    assert_eq!(vectors.len(), 2);
    for vector in &vectors {
        let info = bytes(vector, "info");
        let named = (vector["mode"] == 1).then(|| (bytes(vector, "psk"), bytes(vector, "psk_id")));
        let psk = named
            .as_ref()
            .map(|(psk, id)| PskBundle::new(psk, id).unwrap());
        let (to, from) = match psk {
            Some(psk) => (OpModeS::Psk(psk), OpModeR::Psk(psk)),
            None => (OpModeS::Base, OpModeR::Base),
        };
        let public = key(vector, "pkRm");
        let (enc, mut sender) = setup_sender_with_rng::<AesGcm256, HkdfSha256, Dh>(
            &to,
            &public,
            &info,
            &mut given(vector, "ikmE"),
        )
        .unwrap();
        assert_eq!(enc.to_bytes().to_vec(), bytes(vector, "enc"));
        let secret = key(vector, "skRm");
        let mut receiver =
            setup_receiver::<AesGcm256, HkdfSha256, Dh>(&from, &secret, &enc, &info).unwrap();
        let messages = vector["encryptions"].as_array().unwrap();
        assert_eq!(messages.len(), 257);
        for message in messages {
            let (plaintext, aad) = (bytes(message, "pt"), bytes(message, "aad"));
            let sealed = sender.seal(&plaintext, &aad).unwrap();
            assert_eq!(sealed, bytes(message, "ct"));
            assert_eq!(receiver.open(&sealed, &aad).unwrap(), plaintext);
        }
        let exports = vector["exports"].as_array().unwrap();
        assert_eq!(exports.len(), 3);
        for export in exports {
            let mut out = [0; 32];
            let context = bytes(export, "exporter_context");
            receiver.export(&context, &mut out).unwrap();
            assert_eq!(out.as_slice(), bytes(export, "exported_value"));
        }
    }
}

#[test]
fn x_wing() {
    let vectors = vectors(include_str!("x-wing.json"));
    assert_eq!(vectors.len(), 3);
    for vector in &vectors {
        let secret: PrivateKey = key(vector, "seed");
        let public = Kem::sk_to_pk(&secret);
        assert_eq!(public.to_bytes().to_vec(), bytes(vector, "pk"));
        let (shared, enc) =
            Kem::encap_with_rng(&public, None, &mut given(vector, "eseed")).unwrap();
        assert_eq!(enc.to_bytes().to_vec(), bytes(vector, "ct"));
        assert_eq!(shared.0.to_vec(), bytes(vector, "ss"));
        let opened = Kem::decap(&secret, None, &enc).unwrap();
        assert_eq!(opened.0.to_vec(), bytes(vector, "ss"));
    }
}
