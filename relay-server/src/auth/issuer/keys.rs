//! The keys that an issuer publishes: a JWK Set (RFC 7517), at an address or in a file.

use std::{path::PathBuf, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use serde_json::Value;

/// The largest set that is read.
const SET_BYTES: usize = 256 * 1024;
/// Keys of a set.
const KEYS: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For the keys as a whole.
const TIMEOUT: Duration = Duration::from_secs(5);
/// RSA, from 2048 bits on.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key that signs tokens.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// Where the keys are.
pub(super) enum Source {
    File(PathBuf),
    Url(Client, String),
}

impl Source {
    pub(super) fn url(url: &str) -> Result<Self, String> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // Nobody else's keys.
            .redirect(redirect::Policy::none())
            .build();
        let client = client.map_err(|error| format!("HTTP client: {error}"))?;
        Ok(Self::Url(client, url.to_owned()))
    }

    /// Those of the keys that the relay can use: at least one.
    pub(super) async fn read(&self) -> Result<Vec<Key>, String> {
        let set = match self {
            Self::File(file) => {
                let told = |error: std::io::Error| format!("{}: {error}", file.display());
                let length = tokio::fs::metadata(file).await.map_err(told)?.len();
                if length > SET_BYTES as u64 {
                    return Err(too_large());
                }
                tokio::fs::read(file).await.map_err(told)?
            }
            Self::Url(client, url) => fetch(client, url).await?,
        };
        parse(&set)
    }
}

async fn fetch(client: &Client, url: &str) -> Result<Vec<u8>, String> {
    let told = |error: reqwest::Error| error.to_string();
    let mut answer = client.get(url).send().await.map_err(told)?;
    if answer.status() != StatusCode::OK {
        return Err(format!("{url} answers {}", answer.status()));
    }
    let mut set = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(told)? {
        if set.len() + chunk.len() > SET_BYTES {
            return Err(too_large());
        }
        set.extend_from_slice(&chunk);
    }
    Ok(set)
}

fn too_large() -> String {
    format!("the set of keys has more than {SET_BYTES} bytes")
}

/// One of those by which tokens may be signed: whoever knows a public key could sign by the others.
pub(super) fn algorithm(algorithm: Algorithm) -> Option<Algorithm> {
    let known = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];
    known.contains(&algorithm).then_some(algorithm)
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The members of a key that matter, of any kind.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

fn parse(set: &[u8]) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(set).map_err(|_| "it is no set of keys (JWKS)")?;
    if set.keys.len() > KEYS {
        return Err(format!("the set has more than {KEYS} keys"));
    }
    // Sets hold keys for other purposes as well.
    let keys: Vec<_> = set.keys.into_iter().filter_map(key).collect();
    match keys.is_empty() {
        true => Err("the set has no key for EdDSA (Ed25519), ES256 or RS256".to_owned()),
        false => Ok(keys),
    }
}

fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let length = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map(|bytes| bytes.len());
    let has = |text: &str, bytes: usize| length(text).is_ok_and(|length| length == bytes);
    let (name, algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("OKP", Some("Ed25519")) if has(&jwk.x, 32) => {
            let key = DecodingKey::from_ed_components(&jwk.x);
            ("EdDSA", Algorithm::EdDSA, key)
        }
        ("EC", Some("P-256")) if has(&jwk.x, 32) && has(&jwk.y, 32) => {
            let key = DecodingKey::from_ec_components(&jwk.x, &jwk.y);
            ("ES256", Algorithm::ES256, key)
        }
        ("RSA", _) if length(&jwk.n).is_ok_and(|length| MODULUS_BYTES.contains(&length)) => {
            let key = DecodingKey::from_rsa_components(&jwk.n, &jwk.e);
            ("RS256", Algorithm::RS256, key)
        }
        _ => return None,
    };
    let for_signatures = jwk.purpose.is_none_or(|purpose| purpose == "sig");
    let for_this = jwk.alg.is_none_or(|alg| alg == name);
    (for_signatures && for_this).then_some(Key {
        id: jwk.kid,
        algorithm,
        key: key.ok()?,
    })
}
