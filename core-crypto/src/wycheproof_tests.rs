//! Project Wycheproof's vectors against the functions that the protocol is built from.

use std::convert::Infallible;

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use hmac::{Hmac, Mac};
use rand::{TryCryptoRng, TryRng};
use sha2::Sha256;
use wycheproof::{TestResult, aead, eddsa, hkdf, mac, mlkem as ml_kem, xdh};

use crate::{
    Secret,
    keys::{dh, verify_strict},
    mlkem,
};

fn ml_kem_tests(name: ml_kem::TestName) -> Vec<ml_kem::Test> {
    let set = ml_kem::TestSet::load(name).unwrap();
    let groups = set.test_groups.into_iter();
    groups.flat_map(|group| group.tests).collect()
}

#[test]
fn ml_kem_768_keys_from_seeds() {
    let tests = ml_kem_tests(ml_kem::TestName::MlKem768KeyGenSeed);
    assert_eq!(tests.len(), 100);
    for test in tests {
        let seed = test.seed.unwrap().as_ref().try_into().unwrap();
        let public = mlkem::KeyPair::from_seed(&Secret::from_bytes(seed)).public();
        assert_eq!(public.as_slice(), test.encaps_key.unwrap().as_ref());
    }
}

/// Yields one message, as the randomness of an encapsulation.
struct Message([u8; 32]);

impl TryRng for Message {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("encapsulation draws bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("encapsulation draws bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Message {}

#[test]
fn ml_kem_768_encapsulation() {
    let tests = ml_kem_tests(ml_kem::TestName::MlKem768Encaps);
    assert!(tests.len() > 250);
    for test in tests {
        let mut message = Message(test.msg.unwrap().as_ref().try_into().unwrap());
        let public = <[u8; mlkem::PUBLIC]>::try_from(test.encaps_key.unwrap().as_ref());
        let made = public
            .ok()
            .and_then(|public| mlkem::encapsulate(&mut message, &public));
        assert_eq!(made.is_none(), test.result.must_fail(), "{}", test.tc_id);
        if let Some((ciphertext, shared)) = made {
            assert_eq!(ciphertext.as_slice(), test.ct.unwrap().as_ref());
            assert_eq!(
                shared.expose().as_slice(),
                test.shared_secret.unwrap().as_ref()
            );
        }
    }
}

#[test]
fn ml_kem_768_decapsulation() {
    let tests = ml_kem_tests(ml_kem::TestName::MlKem768);
    assert!(tests.len() > 200);
    for test in tests {
        let seed = <[u8; 64]>::try_from(test.seed.unwrap().as_ref());
        let ciphertext = <[u8; mlkem::CIPHERTEXT]>::try_from(test.ct.unwrap().as_ref());
        let (Ok(seed), Ok(ciphertext)) = (seed, ciphertext) else {
            assert!(test.result.must_fail(), "{}", test.tc_id);
            continue;
        };
        assert!(!test.result.must_fail(), "{}", test.tc_id);
        let pair = mlkem::KeyPair::from_seed(&Secret::from_bytes(seed));
        assert_eq!(pair.public().as_slice(), test.encaps_key.unwrap().as_ref());
        let shared = pair.decapsulate(&ciphertext);
        assert_eq!(
            shared.expose().as_slice(),
            test.shared_secret.unwrap().as_ref()
        );
    }
}

#[test]
fn x25519() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let mut tried = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(public) = <[u8; 32]>::try_from(test.public_key.as_ref()) else {
            assert_ne!(test.result, TestResult::Valid, "{}", test.tc_id);
            continue;
        };
        let secret = Secret::from_bytes(test.private_key.as_ref().try_into().unwrap());
        // Stricter than RFC 7748 demands: a result of all zeros is an error.
        let zero = test.shared_secret.iter().all(|b| *b == 0);
        match dh(&secret, &public) {
            Some(shared) => assert_eq!(shared.expose().as_slice(), test.shared_secret.as_ref()),
            None => assert!(zero, "{}", test.tc_id),
        }
        tried += 1;
    }
    assert!(tried > 500, "{tried}");
}

/// Strict verification refuses keys and R of small order, which RFC 8032 allows. On these vectors the verdicts are the
/// same; `keys` has a test of the difference.
#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut tried = 0;
    for group in &set.test_groups {
        let public = group.key.pk.as_ref().try_into().unwrap();
        for test in &group.tests {
            let verified = <&[u8; 64]>::try_from(test.sig.as_ref())
                .is_ok_and(|signature| verify_strict(&public, &test.msg, signature));
            assert_eq!(verified, !test.result.must_fail(), "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn aes_256_gcm() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut tried = 0;
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let cipher = Aes256Gcm::new_from_slice(&test.key).unwrap();
            let nonce: [u8; 12] = test.nonce.as_ref().try_into().unwrap();
            let sealed = [test.ct.as_ref(), test.tag.as_ref()].concat();
            let payload = Payload {
                msg: &sealed,
                aad: &test.aad,
            };
            let opened = cipher.decrypt(&nonce.into(), payload);
            if test.result.must_fail() {
                assert!(opened.is_err(), "{}", test.tc_id);
            } else {
                assert_eq!(opened.as_deref(), Ok(test.pt.as_ref()), "{}", test.tc_id);
                let payload = Payload {
                    msg: &test.pt,
                    aad: &test.aad,
                };
                assert_eq!(cipher.encrypt(&nonce.into(), payload), Ok(sealed));
            }
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn hkdf_sha256() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let mut tried = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let done =
            ::hkdf::Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        assert_eq!(done.is_err(), test.result.must_fail(), "{}", test.tc_id);
        assert!(done.is_err() || okm == test.okm.as_ref(), "{}", test.tc_id);
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn hmac_sha256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut tried = 0;
    for group in set.test_groups {
        for test in group.tests {
            let mut mac = Hmac::<Sha256>::new_from_slice(&test.key).unwrap();
            mac.update(&test.msg);
            let verified = mac.verify_truncated_left(&test.tag).is_ok();
            assert_eq!(verified, !test.result.must_fail(), "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}
