//! Signed objects against `vectors/signed.json`, which `vectors/generate.py` computes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;

use prost::Message as _;
use rand::{TryCryptoRng, TryRng};
use sordino_crypto::{
    Secret,
    keys::{DeviceKeys, IdentityKey, ListSigningKey},
    lists::{self, Change},
    prekeys::Owner,
};
use sordino_protocol::{DeviceId, UserId, list};

const NOW: u64 = 1_800_000_000_000;

/// Yields one byte for ever.
struct Always(u8);

impl TryRng for Always {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Always {}

fn secret(n: u8) -> Secret<32> {
    Secret::from_bytes([n; 32])
}

#[test]
fn signed_objects_are_the_frozen_ones() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("vectors/signed.json")).unwrap();
    let check = |name: &str, bytes: &[u8]| {
        let expected = vectors[name].as_str();
        assert_eq!(expected, Some(hex::encode(bytes).as_str()), "{name}");
    };
    let (user, device) = (UserId::from_bytes([5; 16]), DeviceId::from_bytes([6; 16]));
    let uik = IdentityKey::from_secret(&secret(1));
    let lsk = ListSigningKey::from_secret(&secret(2));
    let keys = DeviceKeys::from_secret(&secret(3), &secret(4));
    let first = lists::first_list(user, device, &uik, &lsk, &keys, None, NOW);
    let one = lists::parse(&first).unwrap();
    check("list_1", &list::encode_signed(&one.signed));
    check("list_hash_1", &one.hash);

    let linked = DeviceKeys::from_secret(&secret(7), &secret(8));
    let id = DeviceId::from_bytes([9; 16]);
    let entry = lists::listed(user, &uik.public(), id, &linked, NOW);
    let two = Change::of(&one, NOW)
        .unwrap()
        .link(entry, device, &keys)
        .unwrap()
        .sign(&lsk)
        .unwrap();
    check("list_2", &list::encode_signed(&two.signed));
    check("list_hash_2", &two.hash);

    let owner = Owner {
        list: &one,
        device,
        keys: &keys,
    };
    let spk = owner.signed_prekey(&mut Always(0xCC), 77, NOW);
    check("spk", &spk.public.encode_to_vec());
    let opk = owner.one_time(&mut Always(0xCC), 77, NOW);
    check("opk", &opk.public.encode_to_vec());
    check("auth", &keys.sign_auth("relay.example", &[0xAA; 32]));
    let request = keys.sign_request("PUT", "/v1/prekeys", b"{}", &[0xBB; 32]);
    check("request", &request);
    check(
        "deletion",
        &uik.sign_deletion("relay.example", user, &[0xDD; 32]),
    );
}
