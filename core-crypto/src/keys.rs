//! Long-term keys: of a user (identity, list signing) and of a device (signing, Diffie-Hellman).

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::CryptoRng;
use sordino_protocol::{
    hash::sha256,
    pb,
    signed::{self, SignedType},
};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::Secret;

/// Ed25519 strict verification: refuses keys and nonces of small order, which plain verification accepts, so that one
/// signature cannot serve for several messages or keys.
pub fn verify_strict(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| {
        key.verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

/// [`verify_strict`] of a typed object.
pub fn verify_typed(
    public: &[u8; 32],
    kind: SignedType,
    body: &[u8],
    signature: &[u8; 64],
) -> bool {
    verify_strict(public, &signed::input(kind, body), signature)
}

macro_rules! ed25519_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(SigningKey);

        impl $name {
            /// A fresh key.
            pub fn generate(rng: &mut impl CryptoRng) -> Self {
                Self::from_secret(&Secret::random(rng))
            }

            /// From the 32-byte seed of RFC 8032.
            pub fn from_secret(secret: &Secret<32>) -> Self {
                Self(SigningKey::from_bytes(secret.expose()))
            }

            /// The seed, to be stored.
            pub fn to_secret(&self) -> Secret<32> {
                Secret::from_bytes(self.0.to_bytes())
            }

            /// The public key.
            pub fn public(&self) -> [u8; 32] {
                self.0.verifying_key().to_bytes()
            }

            /// Signs `body` as an object of type `kind`.
            pub(crate) fn sign(&self, kind: SignedType, body: &[u8]) -> [u8; 64] {
                self.0.sign(&signed::input(kind, body)).to_bytes()
            }
        }
    };
}

ed25519_key! {
    /// UIK: who a user is. The safety number is over it; it signs certificates of list-signing keys, and the end of the account.
    IdentityKey
}

ed25519_key! {
    /// LSK: signs device lists. Every device of the user holds it.
    ListSigningKey
}

ed25519_key! {
    /// DSK: signs for one device and never leaves it.
    DeviceSigningKey
}

impl IdentityKey {
    /// Certifies a list-signing key. A higher `version` replaces every lower.
    pub fn certify(
        &self,
        user: sordino_protocol::UserId,
        version: u32,
        list_signing_key: &[u8; 32],
    ) -> pb::Signed {
        let body = prost::Message::encode_to_vec(&pb::LskCertificateBody {
            user: user.to_pb(),
            identity_key: self.public().to_vec().into(),
            version,
            list_signing_key: list_signing_key.to_vec().into(),
        });
        let signature = self.sign(SignedType::LskCertificate, &body);
        pb::Signed {
            body: body.into(),
            signature: signature.to_vec().into(),
        }
    }

    /// Ends the account at the relay with this name, by its challenge.
    pub fn sign_deletion(
        &self,
        relay_name: &str,
        user: sordino_protocol::UserId,
        nonce: &[u8; 32],
    ) -> [u8; 64] {
        let body = signed::deletion_body(relay_name, user, nonce);
        self.sign(SignedType::Deletion, &body)
    }
}

/// X25519; `None` if `public` is of small order, which would make the result known to everybody.
pub(crate) fn dh(secret: &Secret<32>, public: &[u8; 32]) -> Option<Secret<32>> {
    diffie_hellman(&StaticSecret::from(*secret.expose()), public)
}

fn diffie_hellman(secret: &StaticSecret, public: &[u8; 32]) -> Option<Secret<32>> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    shared
        .was_contributory()
        .then(|| Secret::from_bytes(shared.to_bytes()))
}

/// The keys of one device: made on it, never leaving it.
pub struct DeviceKeys {
    signing: DeviceSigningKey,
    identity: StaticSecret,
}

/// The public half of [`DeviceKeys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePublic {
    /// DSK, Ed25519.
    pub signing_key: [u8; 32],
    /// DIK, X25519.
    pub identity_key: [u8; 32],
}

impl DeviceKeys {
    /// Fresh keys.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_secret(&Secret::random(rng), &Secret::random(rng))
    }

    /// From the stored secrets of DSK and DIK, in this order.
    pub fn from_secret(signing: &Secret<32>, identity: &Secret<32>) -> Self {
        Self {
            signing: DeviceSigningKey::from_secret(signing),
            identity: StaticSecret::from(*identity.expose()),
        }
    }

    /// The secrets of DSK and DIK, to be stored.
    pub fn to_secret(&self) -> (Secret<32>, Secret<32>) {
        (
            self.signing.to_secret(),
            Secret::from_bytes(self.identity.to_bytes()),
        )
    }

    /// What others may know.
    pub fn public(&self) -> DevicePublic {
        DevicePublic {
            signing_key: self.signing.public(),
            identity_key: PublicKey::from(&self.identity).to_bytes(),
        }
    }

    /// Answers a login challenge of the relay with this name.
    pub fn sign_auth(&self, relay_name: &str, nonce: &[u8; 32]) -> [u8; 64] {
        self.sign(SignedType::Auth, &signed::auth_body(relay_name, nonce))
    }

    /// Signs a write over HTTP.
    pub fn sign_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        nonce: &[u8; 32],
    ) -> [u8; 64] {
        self.sign(
            SignedType::Request,
            &signed::request_body(method, path, &sha256(body), nonce),
        )
    }

    /// DH with DIK; `None` if `public` is of small order.
    pub(crate) fn dh(&self, public: &[u8; 32]) -> Option<Secret<32>> {
        diffie_hellman(&self.identity, public)
    }

    /// Signs `body` as an object of type `kind`, by DSK.
    pub(crate) fn sign(&self, kind: SignedType, body: &[u8]) -> [u8; 64] {
        self.signing.sign(kind, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> DeviceKeys {
        DeviceKeys::from_secret(&Secret::from_bytes([1; 32]), &Secret::from_bytes([2; 32]))
    }

    #[test]
    fn a_signature_serves_one_type_only() {
        let keys = keys();
        let dsk = keys.public().signing_key;
        let signature = keys.sign(SignedType::SignedPrekey, b"body");
        assert!(verify_typed(
            &dsk,
            SignedType::SignedPrekey,
            b"body",
            &signature
        ));
        assert!(!verify_typed(
            &dsk,
            SignedType::OneTimePrekey,
            b"body",
            &signature
        ));
        assert!(!verify_typed(
            &dsk,
            SignedType::SignedPrekey,
            b"Body",
            &signature
        ));
    }

    #[test]
    fn auth_is_bound_to_the_relay_and_the_nonce() {
        let keys = keys();
        let dsk = keys.public().signing_key;
        let signature = keys.sign_auth("one.example", &[9; 32]);
        let check = |name, nonce| {
            let body = signed::auth_body(name, nonce);
            verify_typed(&dsk, SignedType::Auth, &body, &signature)
        };
        assert!(check("one.example", &[9; 32]));
        assert!(!check("two.example", &[9; 32]));
        assert!(!check("one.example", &[8; 32]));
    }

    #[test]
    fn a_request_is_bound_to_all_its_parts() {
        let keys = keys();
        let dsk = keys.public().signing_key;
        let signature = keys.sign_request("PUT", "/v1/x", b"body", &[9; 32]);
        let check = |method, path, body: &[u8], nonce| {
            let body = signed::request_body(method, path, &sha256(body), nonce);
            verify_typed(&dsk, SignedType::Request, &body, &signature)
        };
        assert!(check("PUT", "/v1/x", b"body", &[9; 32]));
        assert!(!check("POST", "/v1/x", b"body", &[9; 32]));
        assert!(!check("PUT", "/v1/y", b"body", &[9; 32]));
        assert!(!check("PUT", "/v1/x", b"bodY", &[9; 32]));
        assert!(!check("PUT", "/v1/x", b"body", &[8; 32]));
    }

    #[test]
    fn keys_survive_storage() {
        let keys = keys();
        let (signing, identity) = keys.to_secret();
        assert_eq!(
            DeviceKeys::from_secret(&signing, &identity).public(),
            keys.public()
        );
    }

    /// The neutral element as key and as R, with s = 0, verifies under every message in plain Ed25519.
    #[test]
    fn a_key_of_small_order_signs_nothing() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let plain = VerifyingKey::from_bytes(&neutral).unwrap();
        let parsed = Signature::from_bytes(&signature);
        assert!(ed25519_dalek::Verifier::verify(&plain, b"anything", &parsed).is_ok());
        assert!(!verify_strict(&neutral, b"anything", &signature));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn the_public_key_is_the_standard_one() {
        let ed = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = IdentityKey::from_secret(&Secret::from_bytes(ed.unwrap().try_into().unwrap()));
        assert_eq!(
            hex::encode(key.public()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
    }
}
