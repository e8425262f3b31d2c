//! The one way in which the relay checks a signature.

use ed25519_dalek::{Signature, VerifyingKey};

/// Ed25519, strict: no small-order keys, no malleable signatures, so that relay and clients agree on every list.
pub fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        key.verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    #[test]
    fn only_the_signed_message_verifies() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = key.sign(b"message").to_bytes();
        assert!(verify(&public, b"message", &signature));
        assert!(!verify(&public, b"massage", &signature));
        assert!(!verify(&[9; 32], b"message", &signature));
    }

    #[test]
    fn a_small_order_key_verifies_nothing() {
        // The neutral element as key and R, s = 0: lax verification accepts it for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&neutral, b"anything", &signature));
    }
}
