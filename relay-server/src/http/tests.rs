//! The routes, called without a network.

mod attacks;
mod backups;
mod blocks;
mod deletion;
mod disabled;
mod emails;
mod health;
mod history;
mod links;
mod lists;
mod passwords;
mod prekeys;
mod push;
mod registration;
mod resets;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use sordino_protocol::{
    DeviceId, hash,
    http::{PROOF_HEADER, Signed},
    list::DeviceList,
    signed::{self, SignedType},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Api, ClaimQuota, Registration, routes::router};
use crate::{
    auth::{
        block_key::BlockKey,
        challenge::Challenges,
        password::{PasswordKey, Passwords},
        signing_key::TokenKey,
        token::{Subject, Tokens},
    },
    config::Emails,
    delivery::embedded::{DeliveryHandle, Options, start},
    disabled::Disabled,
    link::memory::MemoryPipes,
    ops::{fleet::Alone, rates::Rates},
    session::{Sessions, memory::MemorySessions},
    user::{
        fixtures::{Person, device_id},
        sqlite::SqliteUsers,
    },
};

const NAME: &str = "relay.example";
const NOW_MS: u64 = 1_700_000_000_000;

struct Relay {
    router: Router,
    api: Arc<Api>,
    _delivery: DeliveryHandle,
    dir: TempDir,
}

/// A device that is logged in.
struct Login<'a> {
    relay: &'a Relay,
    person: &'a Person,
    device: u8,
    token: String,
}

impl Relay {
    async fn new() -> Self {
        Self::with(Rates::default()).await
    }

    async fn with(rates: Rates) -> Self {
        Self::with_sessions(rates, Arc::new(MemorySessions::new())).await
    }

    async fn with_sessions(rates: Rates, sessions: Arc<dyn Sessions>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let users = SqliteUsers::open(&dir.path().join("users.sqlite")).await;
        let key = TokenKey::load_or_create(&dir.path().join("token.key")).expect("a key");
        let password_key = PasswordKey::load_or_create(&dir.path().join("password.key"));
        let password_key = password_key.expect("a key");
        let mut options = Options::new(dir.path().join("messages"));
        // Test machines are not asked for disk space.
        options.store.reserve_bytes = 1024 * 1024;
        let delivery = start(options, sessions.clone()).await.expect("started");
        let api = Arc::new(Api {
            name: NAME.to_owned(),
            users: Arc::new(users.expect("opened")),
            sessions,
            log: delivery.log,
            history: delivery.history,
            challenges: Challenges::new(64),
            claims: ClaimQuota::new(3, 8),
            tokens: Tokens::new(NAME, &key),
            passwords: Passwords::new(NAME, &password_key),
            registration: Registration::Open,
            reset_wait_ms: 7 * 24 * 60 * 60 * 1000,
            emails: Emails::Optional,
            disabled: Disabled::default(),
            block_key: BlockKey::new(&password_key),
            fleet: Arc::new(Alone),
            pipes: Arc::new(MemoryPipes::default()),
            rates: Arc::new(rates),
            draining: CancellationToken::new(),
            now_ms: || NOW_MS,
        });
        Self {
            router: router(api.clone()),
            api,
            _delivery: delivery.handle,
            dir,
        }
    }

    async fn call(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("answered");
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("read");
        // Every answer but 204 is JSON, refusals included.
        let json = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).expect("JSON"),
        };
        (status, json)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty());
        self.call(request.expect("a request")).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::post(path).body(Body::from(body.to_string()));
        self.call(request.expect("a request")).await
    }

    async fn register(&self, name: &str, list: &DeviceList) {
        let body = json!({ "username": name, "list": Signed::from(list.signed.clone()) });
        let (status, user) = self.post("/v1/users", body).await;
        assert_eq!(
            (status, &user["username"]),
            (StatusCode::CREATED, &json!(name))
        );
    }

    async fn nonce(&self, person: &Person, device: DeviceId) -> [u8; 32] {
        let body = json!({ "user": person.user, "device": device });
        let (status, challenge) = self.post("/v1/auth/challenge", body).await;
        assert_eq!(
            (status, &challenge["relay"]),
            (StatusCode::OK, &json!(NAME))
        );
        let nonce = challenge["nonce"].as_str().expect("text");
        let nonce = BASE64_STANDARD.decode(nonce).expect("base64");
        nonce.try_into().expect("32 bytes")
    }

    async fn log_in<'a>(&'a self, person: &'a Person, device: u8) -> Login<'a> {
        let nonce = self.nonce(person, device_id(device)).await;
        let (status, body) = self
            .post("/v1/auth/token", answer(person, device, &nonce))
            .await;
        assert_eq!(status, StatusCode::OK);
        let token = body["access_token"].as_str().expect("text").to_owned();
        Login {
            relay: self,
            person,
            device,
            token,
        }
    }
}

impl Login<'_> {
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Body::empty());
        self.relay.call(request.expect("a request")).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Body::from(body.to_string()));
        self.relay.call(request.expect("a request")).await
    }

    async fn proof(&self, path: &str, body: &str) -> String {
        self.proof_of("PUT", path, body).await
    }

    async fn proof_of(&self, method: &str, path: &str, body: &str) -> String {
        let nonce = self.relay.nonce(self.person, device_id(self.device)).await;
        let request = signed::request_body(method, path, &hash::sha256(body.as_bytes()), &nonce);
        let signature = self
            .person
            .device_key(self.device)
            .sign(&signed::input(SignedType::Request, &request));
        BASE64_STANDARD.encode([nonce.as_slice(), &signature.to_bytes()].concat())
    }

    async fn put_with(&self, path: &str, body: &str, proof: &str) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(Method::PUT)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(PROOF_HEADER, proof)
            .body(Body::from(body.to_owned()));
        self.relay.call(request.expect("a request")).await
    }

    /// A signed write of another method.
    async fn write(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let proof = self.proof_of(method.as_str(), path, body).await;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(PROOF_HEADER, proof)
            .body(Body::from(body.to_owned()));
        self.relay.call(request.expect("a request")).await
    }

    async fn put(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let body = body.to_string();
        let proof = self.proof(path, &body).await;
        self.put_with(path, &body, &proof).await
    }
}

fn answer(person: &Person, device: u8, nonce: &[u8; 32]) -> Value {
    let input = signed::input(SignedType::Auth, &signed::auth_body(NAME, nonce));
    let signature = person.device_key(device).sign(&input).to_bytes();
    json!({
        "user": person.user,
        "device": device_id(device),
        "nonce": BASE64_STANDARD.encode(nonce),
        "signature": BASE64_STANDARD.encode(signature),
    })
}

fn list_body(list: &DeviceList) -> Value {
    json!({ "list": Signed::from(list.signed.clone()) })
}

fn refused((status, body): (StatusCode, Value), expected: u16, code: &str) {
    assert_eq!(
        (status.as_u16(), body["code"].as_str()),
        (expected, Some(code))
    );
    assert!(body["detail"].is_string());
}

#[tokio::test]
async fn a_user_registers_logs_in_and_is_found() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let list = person.list(None, &[1]);
    relay.register("alice", &list).await;
    let login = relay.log_in(&person, 1).await;
    let (status, user) = login.get("/v1/users/by-name/alice").await;
    assert_eq!(
        (status, &user["user"]),
        (StatusCode::OK, &json!(person.user))
    );
    let (status, same) = login.get(&format!("/v1/users/{}", person.user)).await;
    assert_eq!((status, same), (StatusCode::OK, user));
    refused(
        login.get("/v1/users/by-name/nobody").await,
        404,
        "user_not_found",
    );
    refused(login.get("/v1/users/xyz").await, 400, "bad_request");
    refused(login.get("/v1/nothing").await, 404, "not_found");
}

#[tokio::test]
async fn a_registration_that_does_not_hold_is_refused() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let list = person.list(None, &[1]);
    let body = |name: &str, list: &DeviceList| json!({ "username": name, "list": Signed::from(list.signed.clone()) });
    refused(
        relay.post("/v1/users", body("A", &list)).await,
        400,
        "bad_request",
    );
    let two = person.list(None, &[1, 2]);
    refused(
        relay.post("/v1/users", body("alice", &two)).await,
        422,
        "bad_list",
    );
    let second = person.list(Some(&list), &[1]);
    refused(
        relay.post("/v1/users", body("alice", &second)).await,
        422,
        "bad_list",
    );
    let mut forged = list.clone();
    forged.signed.signature = vec![0; 64].into();
    refused(
        relay.post("/v1/users", body("alice", &forged)).await,
        422,
        "bad_list",
    );
    let long = "x".repeat(200 * 1024);
    refused(relay.post("/v1/users", json!(long)).await, 413, "too_large");
    relay.register("alice", &list).await;
    let other = Person::new(2).list(None, &[1]);
    refused(
        relay.post("/v1/users", body("alice", &other)).await,
        409,
        "name_taken",
    );
    refused(
        relay.post("/v1/users", body("bob", &list)).await,
        409,
        "user_exists",
    );
}

#[tokio::test]
async fn an_answer_logs_in_once_and_only_its_device() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay.register("alice", &person.list(None, &[1])).await;
    let nonce = relay.nonce(&person, device_id(1)).await;
    let body = answer(&person, 1, &nonce);
    assert_eq!(
        relay.post("/v1/auth/token", body.clone()).await.0,
        StatusCode::OK
    );
    refused(
        relay.post("/v1/auth/token", body).await,
        401,
        "challenge_expired",
    );

    let nonce = relay.nonce(&person, device_id(1)).await;
    let other = Person::new(2);
    let mut forged = answer(&other, 1, &nonce);
    forged["user"] = json!(person.user);
    refused(relay.post("/v1/auth/token", forged).await, 401, "bad_proof");

    let nonce = relay.nonce(&person, device_id(2)).await;
    let unlisted = answer(&person, 2, &nonce);
    refused(
        relay.post("/v1/auth/token", unlisted).await,
        403,
        "device_revoked",
    );
}

#[tokio::test]
async fn nothing_is_read_without_a_good_token() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay.register("alice", &person.list(None, &[1])).await;
    let path = format!("/v1/users/{}", person.user);
    let bare = Request::get(&path).body(Body::empty()).expect("a request");
    refused(relay.call(bare).await, 401, "not_authenticated");
    let mut login = relay.log_in(&person, 1).await;
    let key = person.device_key(1).verifying_key().to_bytes();
    let old = NOW_MS / 1000 - 601;
    login.token = (relay.api.tokens)
        .issue(Subject::device(person.user, device_id(1), &key), old)
        .expect("signed");
    refused(login.get(&path).await, 401, "token_expired");
    login.token = (relay.api.tokens)
        .issue(
            Subject::device(person.user, device_id(1), &[9; 32]),
            NOW_MS / 1000,
        )
        .expect("signed");
    refused(login.get(&path).await, 403, "device_revoked");
}
