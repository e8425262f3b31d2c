//! The primitives that the operations cannot do without, straight from their crates.

use std::hint::black_box;

use aes::Aes256;
use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use ml_kem::{
    DecapsulationKey, MlKem768,
    kem::{Decapsulate, Encapsulate, KeyExport},
};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

/// 500 bytes of text with their fields, padded, and with the tag.
const PADDED: usize = 576;
const HEADER: usize = 148;
/// A wrap's payload, as AES-CBC leaves it, and the message around it.
const PAYLOAD: [u8; 65] = [7; 65];
const MESSAGE: usize = 119;

#[derive(Default)]
pub struct Primitives(Vec<[f64; 10]>);

/// Nanoseconds.
pub struct Medians {
    /// HKDF, AES-GCM, two hashes of a sealed message.
    pub seal: f64,
    /// The same of one that is opened; the hashes were compared before.
    pub open: f64,
    /// One message of a chain, and the ratchet's public key, which vodozemac computes anew for each.
    pub wrap: f64,
    /// One message of a chain.
    pub unwrap: f64,
    /// X25519.
    pub dh: f64,
    /// The KDF of a step of the ratchet.
    pub step: f64,
    base: f64,
    key_pair: f64,
    encapsulate: f64,
    decapsulate: f64,
}

impl Medians {
    /// EK and T (each once for the transcript), T once more by vodozemac; DH1 to DH4 and the first of the ratchet.
    pub fn begin(&self) -> f64 {
        2.0 * self.base + 5.0 * self.dh + self.encapsulate + 2.0 * self.step
    }

    /// The public keys of SPK and OPK; DH1 to DH4 and the ratchet's step; the ML-KEM key from its seed; the first message.
    pub fn answer(&self) -> f64 {
        2.0 * self.base
            + 5.0 * self.dh
            + self.key_pair
            + self.decapsulate
            + 2.0 * self.step
            + self.unwrap
    }
}

fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Message key, next chain key, the three keys of a message.
fn chain(key: &[u8; 32]) -> [u8; 80] {
    let message_key = mac(key, &[1]);
    black_box(mac(key, &[2]));
    let mut keys = [0; 80];
    Hkdf::<Sha256>::new(Some(&[0]), &message_key)
        .expand(b"OLM_KEYS", &mut keys)
        .unwrap();
    keys
}

fn content_keys(header: &[u8]) -> [u8; 76] {
    let mut keys = [0; 76];
    Hkdf::<Sha256>::new(Some(&[1; 16]), &[2; 32])
        .expand(header, &mut keys)
        .unwrap();
    keys
}

impl Primitives {
    pub fn new() -> Self {
        Self::default()
    }

    /// One round. `ns` measures one call, `each` one of a batch.
    pub fn measure(&mut self, ns: fn(&mut dyn FnMut()) -> f64, each: fn(&mut dyn FnMut()) -> f64) {
        let header = [3; HEADER];
        let padded = [4; PADDED];
        let gcm = |sealed: &[u8], open: bool| {
            let keys = content_keys(&header);
            let cipher = Aes256Gcm::new_from_slice(&keys[..32]).unwrap();
            let nonce: [u8; 12] = keys[32..44].try_into().unwrap();
            let payload = Payload {
                msg: sealed,
                aad: &header,
            };
            if open {
                cipher.decrypt(&nonce.into(), payload).unwrap()
            } else {
                cipher.encrypt(&nonce.into(), payload).unwrap()
            }
        };
        let sealed = gcm(&padded, false);
        let seal = each(&mut || {
            let sealed = gcm(&padded, false);
            let hash = Sha256::digest(&sealed);
            let mut envelope = Sha256::new();
            envelope.update(header);
            envelope.update(hash);
            black_box(envelope.finalize());
        });
        let open = each(&mut || {
            black_box(gcm(&sealed, true));
        });

        let secret = StaticSecret::from([5; 32]);
        let public = PublicKey::from(&StaticSecret::from([6; 32]));
        let base = each(&mut || {
            black_box(PublicKey::from(black_box(&secret)));
        });
        let dh = each(&mut || {
            black_box(black_box(&secret).diffie_hellman(&public));
        });

        let encrypt = |keys: &[u8; 80]| {
            cbc::Encryptor::<Aes256>::new_from_slices(&keys[..32], &keys[64..])
                .unwrap()
                .encrypt_padded_vec::<Pkcs7>(&PAYLOAD)
        };
        let wrap = base
            + each(&mut || {
                let keys = chain(&[8; 32]);
                black_box(encrypt(&keys));
                black_box(mac(&keys[32..64], &[9; MESSAGE]));
            });
        let ciphertext = encrypt(&chain(&[8; 32]));
        let unwrap = each(&mut || {
            let keys = chain(&[8; 32]);
            black_box(mac(&keys[32..64], &[9; MESSAGE]));
            let cipher =
                cbc::Decryptor::<Aes256>::new_from_slices(&keys[..32], &keys[64..]).unwrap();
            black_box(cipher.decrypt_padded_vec::<Pkcs7>(&ciphertext).unwrap());
        });
        let step = each(&mut || {
            let mut keys = [0; 64];
            Hkdf::<Sha256>::new(Some(&[1; 32]), &[2; 32])
                .expand(b"OLM_RATCHET", &mut keys)
                .unwrap();
            black_box(keys);
        });

        let mut key = None;
        let key_pair = ns(&mut || {
            key = Some(DecapsulationKey::<MlKem768>::from_seed([7; 64].into()));
        });
        let key = key.unwrap();
        let public = key.encapsulation_key().to_bytes();
        let mut sent = None;
        let encapsulate = ns(&mut || {
            let key = ml_kem::EncapsulationKey::<MlKem768>::new(&public).unwrap();
            sent = Some(key.encapsulate_with_rng(&mut rand::rng()));
        });
        let (ciphertext, _) = sent.unwrap();
        let decapsulate = ns(&mut || {
            black_box(key.decapsulate(&ciphertext));
        });
        self.0.push([
            seal,
            open,
            wrap,
            unwrap,
            dh,
            step,
            base,
            key_pair,
            encapsulate,
            decapsulate,
        ]);
    }

    pub fn medians(&self, median: fn(&[f64]) -> f64) -> Medians {
        let at = |column: usize| {
            let times: Vec<_> = self.0.iter().map(|round| round[column]).collect();
            median(&times)
        };
        Medians {
            seal: at(0),
            open: at(1),
            wrap: at(2),
            unwrap: at(3),
            dh: at(4),
            step: at(5),
            base: at(6),
            key_pair: at(7),
            encapsulate: at(8),
            decapsulate: at(9),
        }
    }
}
