//! Access tokens: JWT, EdDSA, ten minutes, for one device; and those of five minutes for who knew a password.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use sordino_protocol::{DeviceId, UserId, hash};
use zeroize::Zeroizing;

use super::signing_key::TokenKey;

/// How long a token is good.
pub const LIFETIME_S: u64 = 600;
/// How long one for a password is.
pub const PASSWORD_LIFETIME_S: u64 = 300;

/// What comes before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the access token has expired")]
    Expired,
    /// Not a token, not by this relay's key, or for another relay.
    #[error("the access token is not valid here")]
    Invalid,
    /// The relay's own key does not sign.
    #[error("the token key cannot sign")]
    Sign,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The relay's name.
    pub iss: String,
    /// The relay's name.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The device.
    pub did: DeviceId,
    /// Unique per token.
    pub jti: String,
    /// When it was made, seconds since the Unix epoch.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
    /// The device's key.
    pub cnf: Confirmation,
    /// What it is good for, if not for everything that a device may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The version of the user's list as long as which it is good, if it ends with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<u32>,
}

/// What a token is good for (RFC 8693, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Lists and vault of the user, and to ask for another identity of theirs. The device need not be on the list: its owner knew the
    /// password, or is known to the app.
    Account,
}

/// Whom a token is for, and what for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// DSK.
    pub signing_key: &'a [u8; 32],
    /// As in [`Claims`].
    pub scope: Option<Scope>,
    /// As in [`Claims`].
    pub list: Option<u32>,
}

impl<'a> Subject<'a> {
    /// A device, for everything that it may do.
    pub fn device(user: UserId, device: DeviceId, signing_key: &'a [u8; 32]) -> Self {
        Self {
            user,
            device,
            signing_key,
            scope: None,
            list: None,
        }
    }

    /// Seconds.
    pub fn lifetime(&self) -> u64 {
        match self.scope {
            None => LIFETIME_S,
            Some(Scope::Account) => PASSWORD_LIFETIME_S,
        }
    }
}

/// The key that the caller proved to hold (RFC 7800).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// [`thumbprint`] of DSK. A device listed again with another key must not go on with its old token.
    pub jkt: String,
}

/// Makes and checks the tokens of one relay.
pub struct Tokens {
    relay: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: [u8; 32],
}

impl Tokens {
    /// Of the relay with this name.
    pub fn new(relay: &str, key: &TokenKey) -> Self {
        let pkcs8 = Zeroizing::new([PKCS8_PREFIX.as_slice(), key.expose()].concat());
        let public = SigningKey::from_bytes(key.expose())
            .verifying_key()
            .to_bytes();
        Self {
            relay: relay.to_owned(),
            encoding: EncodingKey::from_ed_der(&pkcs8),
            decoding: DecodingKey::from_ed_der(&public),
            public,
        }
    }

    /// A token for who has just proved to be that.
    pub fn issue(&self, subject: Subject<'_>, now_s: u64) -> Result<String, TokenError> {
        let claims = Claims {
            iss: self.relay.clone(),
            aud: self.relay.clone(),
            sub: subject.user,
            did: subject.device,
            jti: hex::encode(rand::random::<[u8; 16]>()),
            iat: now_s,
            exp: now_s.saturating_add(subject.lifetime()),
            cnf: Confirmation {
                jkt: thumbprint(subject.signing_key),
            },
            scope: subject.scope,
            list: subject.list,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(thumbprint(&self.public));
        jsonwebtoken::encode(&header, &claims, &self.encoding).map_err(|_| TokenError::Sign)
    }

    /// What a token says, if it is this relay's and has not ended.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Claims, TokenError> {
        // Pinned: the token's own header never chooses the algorithm.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.relay]);
        validation.set_audience(&[&self.relay]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Checked below, by the caller's clock and without the library's minute of leeway.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })?
            .claims;
        if claims.exp <= now_s {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// The public key as a JWK Set, for whoever checks tokens elsewhere.
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "use": "sig",
            "kid": thumbprint(&self.public),
            "x": BASE64_URL_SAFE_NO_PAD.encode(self.public),
        }] })
    }
}

/// The JWK thumbprint (RFC 7638, RFC 8037) of an Ed25519 key.
pub fn thumbprint(public: &[u8; 32]) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public);
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(hash::sha256(jwk.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId::from_bytes([1; 16]);
    const DEVICE: DeviceId = DeviceId::from_bytes([2; 16]);
    const DSK: [u8; 32] = [3; 32];
    const NOW: u64 = 1_700_000_000;
    const SUBJECT: Subject<'static> = Subject {
        user: USER,
        device: DEVICE,
        signing_key: &DSK,
        scope: None,
        list: None,
    };

    fn tokens(relay: &str) -> Tokens {
        let dir = tempfile::tempdir().expect("a directory");
        let key = TokenKey::load_or_create(&dir.path().join("token.key")).expect("a key");
        Tokens::new(relay, &key)
    }

    /// The token with one of its parts replaced by this JSON.
    fn with_part(token: &str, at: usize, json: &str) -> String {
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts[at] = BASE64_URL_SAFE_NO_PAD.encode(json);
        parts.join(".")
    }

    #[test]
    fn a_token_says_who_and_ends_after_ten_minutes() {
        let tokens = tokens("relay.example");
        let token = tokens.issue(SUBJECT, NOW).expect("signed");
        let claims = tokens.verify(&token, NOW + LIFETIME_S - 1).expect("good");
        assert_eq!((claims.sub, claims.did), (USER, DEVICE));
        assert_eq!(claims.cnf.jkt, thumbprint(&DSK));
        assert_eq!(
            tokens.verify(&token, NOW + LIFETIME_S),
            Err(TokenError::Expired)
        );
    }

    #[test]
    fn a_token_of_another_key_or_relay_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = TokenKey::load_or_create(&dir.path().join("token.key")).expect("a key");
        let here = Tokens::new("here.example", &key);
        let there = Tokens::new("there.example", &key);
        let token = there.issue(SUBJECT, NOW).expect("signed");
        assert_eq!(here.verify(&token, NOW), Err(TokenError::Invalid));
        let other_key = tokens("here.example");
        let token = other_key.issue(SUBJECT, NOW).expect("signed");
        assert_eq!(here.verify(&token, NOW), Err(TokenError::Invalid));
    }

    #[test]
    fn the_token_never_chooses_the_algorithm() {
        let tokens = tokens("relay.example");
        let token = tokens.issue(SUBJECT, NOW).expect("signed");
        for algorithm in ["none", "None", "HS256", "ES256"] {
            let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#);
            let forged = with_part(&token, 0, &header);
            assert_eq!(tokens.verify(&forged, NOW), Err(TokenError::Invalid));
            let (unsigned, _) = forged.rsplit_once('.').expect("three parts");
            assert_eq!(
                tokens.verify(&format!("{unsigned}."), NOW),
                Err(TokenError::Invalid)
            );
        }
        // The public key as an HMAC secret: the classic confusion.
        let claims = tokens.verify(&token, NOW).expect("good");
        let secret = EncodingKey::from_secret(&tokens.public);
        let forged = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret);
        assert_eq!(
            tokens.verify(&forged.expect("signed"), NOW),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn changed_claims_and_rubbish_are_refused() {
        let tokens = tokens("relay.example");
        let token = tokens.issue(SUBJECT, NOW).expect("signed");
        let mut claims = tokens.verify(&token, NOW).expect("good");
        claims.sub = UserId::from_bytes([9; 16]);
        let json = serde_json::to_string(&claims).expect("json");
        assert_eq!(
            tokens.verify(&with_part(&token, 1, &json), NOW),
            Err(TokenError::Invalid)
        );
        for rubbish in ["", ".", "..", "a.b.c", &token[..token.len() / 2]] {
            assert_eq!(tokens.verify(rubbish, NOW), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let public = BASE64_URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .expect("base64");
        let public: [u8; 32] = public.try_into().expect("32 bytes");
        assert_eq!(
            thumbprint(&public),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
