//! What a device signs: the answer to a login challenge, and each write.

use base64::{Engine, prelude::BASE64_STANDARD};
use sordino_protocol::{
    hash,
    signed::{self, SignedType},
};

use crate::user::verify::verify;

/// Whether `signature` answers the challenge `nonce` of the relay named `relay`.
pub fn answers_challenge(
    signing_key: &[u8; 32],
    relay: &str,
    nonce: &[u8; 32],
    signature: &[u8; 64],
) -> bool {
    let input = signed::input(SignedType::Auth, &signed::auth_body(relay, nonce));
    verify(signing_key, &input, signature)
}

/// The value of [`sordino_protocol::http::PROOF_HEADER`], not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Of a challenge; redeem it as well, or the write can be repeated.
    pub nonce: [u8; 32],
    signature: [u8; 64],
}

impl Proof {
    /// Reads the header; `None` for anything but base64 of 96 bytes.
    pub fn parse(header: &str) -> Option<Self> {
        // 96 bytes are 128 digits: anything longer is not decoded at all.
        if header.len() != 128 {
            return None;
        }
        let bytes = BASE64_STANDARD.decode(header).ok()?;
        let (nonce, signature) = bytes.split_at_checked(32)?;
        Some(Self {
            nonce: nonce.try_into().ok()?,
            signature: signature.try_into().ok()?,
        })
    }

    /// Whether the device signed this request.
    pub fn verify(&self, signing_key: &[u8; 32], method: &str, path: &str, body: &[u8]) -> bool {
        let request = signed::request_body(method, path, &hash::sha256(body), &self.nonce);
        let input = signed::input(SignedType::Request, &request);
        verify(signing_key, &input, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    const NONCE: [u8; 32] = [5; 32];

    fn key() -> (SigningKey, [u8; 32]) {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = key.verifying_key().to_bytes();
        (key, public)
    }

    #[test]
    fn an_answer_is_for_one_relay_and_one_nonce() {
        let (key, public) = key();
        let body = signed::auth_body("relay.example", &NONCE);
        let signature = key.sign(&signed::input(SignedType::Auth, &body)).to_bytes();
        assert!(answers_challenge(
            &public,
            "relay.example",
            &NONCE,
            &signature
        ));
        assert!(!answers_challenge(
            &public,
            "other.example",
            &NONCE,
            &signature
        ));
        assert!(!answers_challenge(
            &public,
            "relay.example",
            &[6; 32],
            &signature
        ));
    }

    #[test]
    fn a_proof_is_for_one_request() {
        let (key, public) = key();
        let request = signed::request_body("PUT", "/v1/a", &hash::sha256(b"body"), &NONCE);
        let signature = key.sign(&signed::input(SignedType::Request, &request));
        let bytes = [NONCE.as_slice(), &signature.to_bytes()].concat();
        let proof = Proof::parse(&BASE64_STANDARD.encode(bytes)).expect("a proof");
        assert_eq!(proof.nonce, NONCE);
        assert!(proof.verify(&public, "PUT", "/v1/a", b"body"));
        assert!(!proof.verify(&public, "POST", "/v1/a", b"body"));
        assert!(!proof.verify(&public, "PUT", "/v1/b", b"body"));
        assert!(!proof.verify(&public, "PUT", "/v1/a", b"bodies"));
        assert!(!proof.verify(&[9; 32], "PUT", "/v1/a", b"body"));
    }

    #[test]
    fn only_96_bytes_are_a_proof() {
        for len in [0, 95, 97, 4096] {
            assert_eq!(Proof::parse(&BASE64_STANDARD.encode(vec![0; len])), None);
        }
        assert_eq!(Proof::parse(&"!".repeat(128)), None);
        assert!(Proof::parse(&BASE64_STANDARD.encode([0; 96])).is_some());
    }
}
