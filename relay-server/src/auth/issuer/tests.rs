//! An app with a login of its own, and those who would like to be somebody else to it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;

mod stored;

pub(crate) const ISSUER: &str = "https://app.example";
pub(crate) const AUDIENCE: &str = "chat.example";
const NOW_S: u64 = 1_700_000_000;
const NOW_MS: u64 = NOW_S * 1000;

/// A key of the app's.
pub(crate) enum AppKey {
    Ed(SigningKey),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl AppKey {
    pub(crate) fn ed(seed: u8) -> Self {
        Self::Ed(SigningKey::from_bytes(&[seed; 32]))
    }

    fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    fn rsa(size: KeySize) -> Self {
        Self::Rsa(RsaKeyPair::generate(size).expect("a key"))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Ec(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    pub(crate) fn jwk(&self, id: &str) -> Value {
        let mut jwk = match self {
            Self::Ed(key) => {
                let x = BASE64.encode(key.verifying_key().as_bytes());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
            }
            Self::Rsa(key) => {
                let public = key.public_key();
                let n = BASE64.encode(public.modulus().big_endian_without_leading_zero());
                let e = BASE64.encode(public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": e, "use": "sig", "alg": "RS256" })
            }
        };
        jwk["kid"] = json!(id);
        jwk
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed(key) => key.sign(message).to_bytes().to_vec(),
            Self::Ec(key) => {
                let signature = key.sign(&SystemRandom::new(), message);
                signature.expect("signed").as_ref().to_vec()
            }
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .expect("signed");
                signature
            }
        }
    }

    /// A token with exactly this in it.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = BASE64.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// A good token.
    pub(crate) fn good(&self, id: &str, subject: &str, now_s: u64) -> String {
        let header = json!({ "alg": self.algorithm(), "kid": id });
        self.token(&header, &claims(subject, now_s))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| BASE64.encode(part.to_string());
    format!("{}.{}", part(header), part(claims))
}

pub(crate) fn claims(subject: &str, now_s: u64) -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": now_s + 300 })
}

/// A server that publishes keys, and counts how often it is asked.
struct Published {
    addr: SocketAddr,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<(StatusCode, String)>>,
    served: JoinHandle<()>,
}

impl Published {
    async fn start(keys: &[Value]) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new((StatusCode::OK, set(keys))));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (counted, said) = (asked.clone(), answer.clone());
        let keys = get(move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            said.lock().expect("whole").clone()
        });
        let app = Router::new().route("/keys", keys);
        let served = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
        Self {
            addr,
            asked,
            answer,
            served,
        }
    }

    fn issuer(&self) -> Issuer {
        let url = format!("http://{}/keys", self.addr);
        Issuer::at_url(ISSUER, AUDIENCE, &url).expect("an issuer")
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn says(&self, status: StatusCode, body: String) {
        *self.answer.lock().expect("whole") = (status, body);
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.served.abort();
    }
}

pub(crate) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

const REFUSED: Result<Hash, IssuerError> = Err(IssuerError::Refused);

#[tokio::test]
async fn a_token_of_each_algorithm_says_who_somebody_is() {
    let keys = [AppKey::ed(1), AppKey::ec(), AppKey::rsa(KeySize::Rsa2048)];
    let jwks: Vec<_> = keys
        .iter()
        .zip(["a", "b", "c"])
        .map(|(k, id)| k.jwk(id))
        .collect();
    let published = Published::start(&jwks).await;
    let issuer = published.issuer();
    let mut seen = Vec::new();
    for (key, id) in keys.iter().zip(["a", "b", "c"]) {
        let token = key.good(id, "alice", NOW_S);
        seen.push(issuer.verify(&token, NOW_MS).await.expect("good"));
        // The key of another name, or of another kind.
        for other in ["a", "b", "c", "d", ""] {
            if other != id {
                let token = key.good(other, "alice", NOW_S);
                assert_eq!(
                    issuer.verify(&token, NOW_MS).await,
                    REFUSED,
                    "{id} as {other}"
                );
            }
        }
    }
    assert_eq!(seen, [subject(ISSUER, "alice"); 3]);
    assert_eq!(published.asked(), 1);
}

#[tokio::test]
async fn claims_must_be_those_of_a_token_for_this_relay_that_is_good_now() {
    let key = AppKey::ed(1);
    let published = Published::start(&[key.jwk("a")]).await;
    let issuer = published.issuer();
    let header = json!({ "alg": "EdDSA", "kid": "a" });
    let verify = async |change: fn(&mut Value)| {
        let mut claims = claims("alice", NOW_S);
        change(&mut claims);
        issuer.verify(&key.token(&header, &claims), NOW_MS).await
    };
    for (what, good) in [
        ("as it is", (|_| {}) as fn(&mut Value)),
        ("one of several", |c| c["aud"] = json!(["x", AUDIENCE])),
        ("a clock that is behind", |c| c["exp"] = json!(NOW_S - 59)),
        ("a clock that is ahead", |c| c["nbf"] = json!(NOW_S + 60)),
        ("a time with a fraction", |c| {
            c["exp"] = json!(NOW_S as f64 + 0.5)
        }),
        ("long", |c| c["sub"] = json!("x".repeat(255))),
    ] {
        assert!(verify(good).await.is_ok(), "{what}");
    }
    for (what, bad) in [
        (
            "another audience",
            (|c| c["aud"] = json!("mail.example")) as fn(&mut Value),
        ),
        ("several others", |c| c["aud"] = json!(["x", "y"])),
        ("no audience", |c| {
            drop(c.as_object_mut().map(|c| c.remove("aud")))
        }),
        ("another issuer", |c| {
            c["iss"] = json!("https://evil.example")
        }),
        ("several issuers", |c| {
            c["iss"] = json!([ISSUER, "https://evil.example"])
        }),
        ("no issuer", |c| {
            drop(c.as_object_mut().map(|c| c.remove("iss")))
        }),
        ("expired", |c| c["exp"] = json!(NOW_S - 60)),
        ("no end", |c| {
            drop(c.as_object_mut().map(|c| c.remove("exp")))
        }),
        ("an end that is no number", |c| {
            c["exp"] = json!("9999999999")
        }),
        ("not yet", |c| c["nbf"] = json!(NOW_S + 61)),
        ("a beginning that is no number", |c| c["nbf"] = json!("0")),
        ("no subject", |c| {
            drop(c.as_object_mut().map(|c| c.remove("sub")))
        }),
        ("an empty subject", |c| c["sub"] = json!("")),
        ("a subject that is no text", |c| c["sub"] = json!(7)),
        ("too long a subject", |c| c["sub"] = json!("x".repeat(256))),
    ] {
        assert_eq!(verify(bad).await, REFUSED, "{what}");
    }
}

#[tokio::test]
async fn a_token_never_chooses_how_it_is_checked() {
    let (key, rsa) = (AppKey::ed(1), AppKey::rsa(KeySize::Rsa2048));
    let shared = json!({ "kty": "oct", "kid": "s", "k": BASE64.encode([7; 32]) });
    let published = Published::start(&[key.jwk("a"), rsa.jwk("r"), shared]).await;
    let issuer = published.issuer();
    let claims = claims("alice", NOW_S);
    let good = key.good("a", "alice", NOW_S);
    assert!(issuer.verify(&good, NOW_MS).await.is_ok());
    let refused = async |token: String| {
        assert_eq!(issuer.verify(&token, NOW_MS).await, REFUSED, "{token}");
    };

    // No signature.
    for none in ["none", "None", "NONE", ""] {
        let message = message(&json!({ "alg": none, "kid": "a" }), &claims);
        refused(format!("{message}.")).await;
        refused(message).await;
    }
    // The public key as the secret of an HMAC, in every form that it is published in, and a secret that is published.
    let AppKey::Ed(ed) = &key else { unreachable!() };
    let AppKey::Rsa(pair) = &rsa else {
        unreachable!()
    };
    let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
        pair.public_key().as_der().expect("encoded");
    let secrets = [
        ("a", ed.verifying_key().as_bytes().to_vec()),
        ("r", pair.public_key().as_ref().to_vec()),
        ("r", der.as_ref().to_vec()),
        ("s", vec![7; 32]),
    ];
    for (id, secret) in secrets {
        let message = message(&json!({ "alg": "HS256", "kid": id }), &claims);
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key");
        mac.update(message.as_bytes());
        refused(format!(
            "{message}.{}",
            BASE64.encode(mac.finalize().into_bytes())
        ))
        .await;
    }
    // A key of the thief's, named in every way that a header has.
    let thief = AppKey::ed(66);
    for header in [
        json!({ "alg": "EdDSA", "kid": "a" }),
        json!({ "alg": "EdDSA", "kid": "a", "jwk": thief.jwk("a") }),
        json!({ "alg": "EdDSA", "jwk": thief.jwk("a") }),
        json!({ "alg": "EdDSA", "kid": "a", "jku": "https://evil.example/keys" }),
        json!({ "alg": "EdDSA", "kid": "a", "x5u": "https://evil.example/chain" }),
        json!({ "alg": "EdDSA", "kid": "../../keys" }),
    ] {
        refused(thief.token(&header, &claims)).await;
    }
    // Others of its family, and what must be understood.
    for header in [
        json!({ "alg": "RS384", "kid": "r" }),
        json!({ "alg": "PS256", "kid": "r" }),
        json!({ "alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false }),
    ] {
        refused(rsa.token(&header, &claims)).await;
    }
    // Of several keys it has to name one.
    refused(key.token(&json!({ "alg": "EdDSA" }), &claims)).await;
    // Another subject under the same signature.
    let other = message(
        &json!({ "alg": "EdDSA", "kid": "a" }),
        &self::claims("bob", NOW_S),
    );
    let (_, signature) = good.rsplit_once('.').expect("three parts");
    refused(format!("{other}.{signature}")).await;
    for rubbish in [
        "",
        ".",
        "..",
        "a.b.c",
        &good[..good.len() / 2],
        &good.replace('.', ""),
    ] {
        refused(rubbish.to_owned()).await;
    }
    refused(format!(
        "{good}{}",
        "A".repeat(limits::EXTERNAL_TOKEN_BYTES)
    ))
    .await;
}

#[tokio::test]
async fn keys_for_other_purposes_sign_no_tokens() {
    let keys = [AppKey::ed(1), AppKey::ed(2), AppKey::ed(3), AppKey::ed(4)];
    let [good, encrypts, other, short] = &keys;
    let with = |key: &AppKey, id: &str, name: &str, value: Value| {
        let mut jwk = key.jwk(id);
        jwk[name] = value;
        jwk
    };
    let small = AppKey::rsa(KeySize::Rsa2048);
    let published = Published::start(&[
        with(good, "a", "x5c", json!(["not looked at"])),
        with(encrypts, "b", "use", json!("enc")),
        with(other, "c", "alg", json!("ES256")),
        with(short, "d", "x", json!(BASE64.encode([1; 31]))),
        with(&small, "e", "n", json!(BASE64.encode([0xff; 128]))),
        json!({ "kty": "PQC", "kid": "f" }),
        json!("no key at all"),
    ])
    .await;
    let issuer = published.issuer();
    let mut taken = Vec::new();
    for (key, id) in keys.iter().zip(["a", "b", "c", "d"]) {
        let verified = issuer.verify(&key.good(id, "alice", NOW_S), NOW_MS).await;
        taken.push(verified.is_ok());
    }
    assert_eq!(taken, [true, false, false, false]);
    // The only one that is left needs no name.
    let token = good.token(&json!({ "alg": "EdDSA" }), &claims("alice", NOW_S));
    assert!(issuer.verify(&token, NOW_MS).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_the_issuer_one_question_in_ten_seconds() {
    let (key, next) = (AppKey::ed(1), AppKey::ed(2));
    let published = Published::start(&[key.jwk("a")]).await;
    let issuer = Arc::new(published.issuer());
    let thief = AppKey::ed(66);
    let flood: Vec<_> = (0..200)
        .map(|n| {
            let (issuer, token) = (issuer.clone(), thief.good(&format!("k{n}"), "alice", NOW_S));
            tokio::spawn(async move { issuer.verify(&token, NOW_MS + n).await })
        })
        .collect();
    for one in flood {
        assert_eq!(one.await.expect("ran"), REFUSED);
    }
    assert_eq!(published.asked(), 1);
    // Who has a known key does not notice.
    assert!(
        issuer
            .verify(&key.good("a", "alice", NOW_S), NOW_MS)
            .await
            .is_ok()
    );
    assert_eq!(published.asked(), 1);
    // A key that is new at the issuer is known ten seconds later at the latest.
    published.says(StatusCode::OK, set(&[key.jwk("a"), next.jwk("b")]));
    let token = next.good("b", "alice", NOW_S);
    assert_eq!(issuer.verify(&token, NOW_MS + PAUSE_MS - 1).await, REFUSED);
    assert!(issuer.verify(&token, NOW_MS + PAUSE_MS).await.is_ok());
    assert_eq!(published.asked(), 2);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_is_good_no_longer_and_an_issuer_that_is_away_is_waited_for() {
    let (key, next) = (AppKey::ed(1), AppKey::ed(2));
    let published = Published::start(&[key.jwk("a")]).await;
    let issuer = published.issuer();
    let at = |now_ms: u64| (key.good("a", "alice", now_ms / 1000), now_ms);
    let verify = async |(token, now_ms): (String, u64)| issuer.verify(&token, now_ms).await;
    assert!(verify(at(NOW_MS)).await.is_ok());

    published.says(StatusCode::SERVICE_UNAVAILABLE, String::new());
    let mut now_ms = NOW_MS;
    while now_ms < NOW_MS + KEPT_MS {
        assert!(verify(at(now_ms)).await.is_ok());
        now_ms += FRESH_MS;
    }
    assert!(published.asked() > 100, "it is asked again and again");
    assert_eq!(verify(at(NOW_MS + KEPT_MS)).await, Err(IssuerError::Away));
    // Back, with another key.
    published.says(StatusCode::OK, set(&[next.jwk("b")]));
    let back = NOW_MS + KEPT_MS + PAUSE_MS;
    assert_eq!(verify(at(back)).await, REFUSED);
    assert!(
        issuer
            .verify(&next.good("b", "alice", back / 1000), back)
            .await
            .is_ok()
    );

    // Withdrawn while the issuer can be asked: for ten minutes at most.
    published.says(StatusCode::OK, set(&[key.jwk("a")]));
    let token = next.good("b", "alice", (back + FRESH_MS) / 1000);
    assert!(issuer.verify(&token, back + FRESH_MS - 1).await.is_ok());
    assert_eq!(issuer.verify(&token, back + FRESH_MS).await, REFUSED);
}

#[tokio::test]
async fn what_is_no_set_of_keys_is_not_read_to_its_end() {
    let key = AppKey::ed(1);
    let published = Published::start(&[]).await;
    let many: Vec<_> = (0..65).map(|n| key.jwk(&n.to_string())).collect();
    let huge = set(&[key.jwk("a"), json!("x".repeat(300 * 1024))]);
    for (status, body) in [
        (StatusCode::OK, set(&[])),
        (StatusCode::OK, set(&many)),
        (StatusCode::OK, huge.clone()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::NOT_FOUND, set(&[key.jwk("a")])),
        (StatusCode::FOUND, set(&[key.jwk("a")])),
    ] {
        published.says(status, body);
        let issuer = published.issuer();
        assert!(issuer.dial().await.is_err());
        let token = key.good("a", "alice", NOW_S);
        assert_eq!(issuer.verify(&token, NOW_MS).await, Err(IssuerError::Away));
    }
    // From a file the same.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("keys.json");
    let issuer = Issuer::with_file(ISSUER, AUDIENCE, &file);
    assert!(issuer.dial().await.is_err());
    std::fs::write(&file, huge).expect("written");
    assert!(issuer.dial().await.is_err());
    std::fs::write(&file, set(&[key.jwk("a")])).expect("written");
    assert_eq!(issuer.dial().await, Ok(()));
    assert!(
        issuer
            .verify(&key.good("a", "alice", NOW_S), NOW_MS)
            .await
            .is_ok()
    );
}
