//! Passwords: set at the sign-up, used by a new device, and tried only so often.

use std::num::NonZeroU32;

use sordino_opaque::{
    LoggedIn, Login as PasswordLogin, LoginError, Realm, Registration, confirmation, noted,
};
use sordino_protocol::pb;

use super::*;
use crate::{
    config,
    user::{Credentials, PasswordRecord},
};

const PASSWORD: &[u8] = b"correct horse battery staple";
const ALICE: Realm<'static> = Realm {
    relay: NAME,
    username: "alice",
};

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn bytes(body: &Value, field: &str) -> Vec<u8> {
    let text = body[field].as_str().expect("text");
    BASE64_STANDARD.decode(text).expect("base64")
}

pub(super) fn vault(version: u32) -> String {
    let vault = pb::Vault {
        version,
        backup_version: 0,
        sealed: vec![7; 600].into(),
        wrapped_keys: vec![pb::WrappedVaultKey {
            kind: 1,
            encapsulated: vec![8; 1120].into(),
            sealed: vec![9; 48].into(),
        }],
    };
    base64(prost::Message::encode_to_vec(&vault))
}

impl Relay {
    /// What the relay keeps of the password; the bearer may change theirs.
    async fn new_password(&self, name: &str, bearer: Option<&str>) -> (StatusCode, Value) {
        let (registration, request) = Registration::start(PASSWORD).expect("started");
        let body = json!({ "username": name, "request": base64(request) });
        let mut builder = Request::post("/v1/passwords");
        if let Some(token) = bearer {
            builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = builder.body(Body::from(body.to_string()));
        let (status, answer) = self.call(request.expect("a request")).await;
        if status != StatusCode::OK {
            return (status, answer);
        }
        let realm = Realm {
            username: name,
            ..ALICE
        };
        let registered = registration.finish(realm, &bytes(&answer, "response"));
        let record = base64(&registered.expect("registered").record);
        (status, json!({ "seed": answer["seed"], "record": record }))
    }

    pub(super) async fn sign_up(&self, name: &str, list: &DeviceList) {
        let (_, password) = self.new_password(name, None).await;
        let body = json!({
            "username": name,
            "list": Signed::from(list.signed.clone()),
            "vault": vault(1),
            "password": password,
        });
        let (status, body) = self.post("/v1/users", body).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }

    /// The answer to the last step, or what the client makes of the first.
    async fn try_password(
        &self,
        person: &Person,
        device: u8,
        password: &[u8],
    ) -> Result<(StatusCode, Value), LoginError> {
        let (login, ke1) = PasswordLogin::start(password).expect("started");
        let body =
            json!({ "username": "alice", "device": device_id(device), "request": base64(ke1) });
        let (status, asked) = self.post("/v1/auth/password", body).await;
        if status != StatusCode::OK {
            return Ok((status, asked));
        }
        assert_eq!(asked["relay"], json!(NAME));
        let logged_in = login.finish(ALICE, &bytes(&asked, "response"))?;
        let key = person.device_key(device).verifying_key().to_bytes();
        let body = finish(&asked, &logged_in, device, &key);
        let answer = self.post("/v1/auth/password/finish", body.clone()).await;
        // Good once.
        refused(
            self.post("/v1/auth/password/finish", body).await,
            401,
            "challenge_expired",
        );
        Ok(answer)
    }

    pub(super) async fn try_right_password(&self, person: &Person) -> (StatusCode, Value) {
        let tried = self.try_password(person, 2, PASSWORD).await;
        tried.expect("the right password")
    }

    pub(super) async fn try_wrong_password(&self, person: &Person) {
        let tried = self.try_password(person, 2, b"none of it").await;
        assert!(tried.is_err(), "{tried:?}");
    }

    /// What the relay does for a guess with this name, in both steps.
    async fn steps_of_a_guess(&self, name: &str) -> [Vec<&'static str>; 2] {
        let (_, ke1) = PasswordLogin::start(b"a guess").expect("started");
        let body = json!({ "username": name, "device": device_id(2), "request": base64(ke1) });
        noted::begin();
        let (status, asked) = self.post("/v1/auth/password", body).await;
        let begun = noted::begin();
        assert_eq!(status, StatusCode::OK, "{asked}");
        let body = json!({
            "username": name,
            "device": device_id(2),
            "signing_key": base64([3; 32]),
            "nonce": asked["nonce"],
            "attempt": asked["attempt"],
            "finalization": base64([0; 64]),
            "confirmation": base64([0; 32]),
        });
        let answer = self.post("/v1/auth/password/finish", body).await;
        let finished = noted::begin();
        refused(answer, 401, "wrong_password");
        [begun, finished]
    }

    pub(super) async fn password_token<'a>(&'a self, person: &'a Person, device: u8) -> Login<'a> {
        let tried = self.try_password(person, device, PASSWORD).await;
        let (status, body) = tried.expect("the right password");
        assert_eq!(
            (status, &body["user"]),
            (StatusCode::OK, &json!(person.user))
        );
        Login {
            relay: self,
            person,
            device,
            token: body["access_token"].as_str().expect("a token").to_owned(),
        }
    }
}

/// The last message of alice's login.
fn finish(asked: &Value, logged_in: &LoggedIn, device: u8, signing_key: &[u8; 32]) -> Value {
    let device = device_id(device);
    let session = &logged_in.session_key;
    json!({
        "username": "alice",
        "device": device,
        "signing_key": base64(signing_key),
        "nonce": asked["nonce"],
        "attempt": asked["attempt"],
        "finalization": base64(&logged_in.finalization),
        "confirmation": base64(confirmation(session, device.as_bytes(), signing_key)),
    })
}

fn path(person: &Person, what: &str) -> String {
    format!("/v1/users/{}/{what}", person.user)
}

#[tokio::test]
async fn a_new_device_reads_the_vault_and_puts_itself_on_the_list() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    let new = relay.password_token(&person, 2).await;
    let (status, body) = new.get(&path(&person, "vault")).await;
    assert_eq!((status, &body["vault"]), (StatusCode::OK, &json!(vault(1))));
    let (status, body) = new.get(&path(&person, "lists")).await;
    assert_eq!((status, &body["newest"]), (StatusCode::OK, &json!(1)));
    // And nothing else.
    for other in [
        path(&person, ""),
        "/v1/users/by-name/alice".to_owned(),
        "/v1/conversations".to_owned(),
        path(&person, "devices/02020202020202020202020202020202/prekeys"),
    ] {
        let (status, body) = new.get(other.trim_end_matches('/')).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (StatusCode::FORBIDDEN, Some("forbidden")),
            "{other}"
        );
    }
    let other = Person::new(2);
    relay.register("bob", &other.list(None, &[1])).await;
    refused(new.get(&path(&other, "lists")).await, 403, "forbidden");
    // A list on which it does not stand is not its to store.
    let without = person.list(Some(&first), &[1, 3]);
    refused(
        new.put(&path(&person, "list"), list_body(&without)).await,
        403,
        "forbidden",
    );
    let second = person.list(Some(&first), &[1, 2]);
    let put = new.put(&path(&person, "list"), list_body(&second)).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
    // Its token does not become one of a device, and has done what it was for.
    refused(new.get("/v1/conversations").await, 403, "forbidden");
    refused(new.get(&path(&person, "vault")).await, 401, "token_expired");
    let login = relay.log_in(&person, 2).await;
    assert_eq!(login.get("/v1/conversations").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_vault_is_stored_with_the_list_that_names_it_or_not_at_all() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let put = async |list: &DeviceList, vault: Option<String>| {
        let mut body = list_body(list);
        if let Some(vault) = vault {
            body["vault"] = json!(vault);
        }
        login.put(&path(&person, "list"), body).await
    };
    let next = |version| person.list_with_vault(Some(&first), &[(1, 1)], version);
    for (list, vault) in [
        (next(2), None),
        (next(2), Some(vault(1))),
        (next(2), Some(vault(3))),
        (next(2), Some(base64([1, 2, 3]))),
        (next(1), Some(vault(1))),
        (next(1), Some(vault(2))),
    ] {
        refused(put(&list, vault).await, 422, "bad_vault");
    }
    for version in [0, 3] {
        refused(
            put(&next(version), Some(vault(version))).await,
            422,
            "bad_list",
        );
    }
    let stored = login.get(&path(&person, "vault")).await.1;
    assert_eq!(stored["vault"], json!(vault(1)));
    let put = put(&next(2), Some(vault(2))).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
    let stored = login.get(&path(&person, "vault")).await.1;
    assert_eq!(stored["vault"], json!(vault(2)));
    let other = Person::new(2);
    relay.register("bob", &other.list(None, &[1])).await;
    let bob = relay.log_in(&other, 1).await;
    refused(bob.get(&path(&person, "vault")).await, 403, "forbidden");
    refused(bob.get(&path(&other, "vault")).await, 404, "not_found");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_old_one_alone() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    for bearer in [None, Some(login.token.as_str())] {
        refused(relay.new_password("alice", bearer).await, 409, "name_taken");
    }
    let knows = relay.password_token(&person, 1).await;
    let (_, password) = relay.new_password("alice", Some(&knows.token)).await;
    let second = person.list(Some(&first), &[1]);
    let mut body = list_body(&second);
    body["password"] = password.clone();
    refused(
        login.put(&path(&person, "list"), body.clone()).await,
        403,
        "forbidden",
    );
    let mut other_seed = body.clone();
    other_seed["password"]["seed"] = json!("0011223344556677");
    let mut broken = body.clone();
    broken["password"]["record"] = json!(base64([0; 192]));
    for bad in [other_seed, broken] {
        refused(
            knows.put(&path(&person, "list"), bad).await,
            400,
            "bad_request",
        );
    }
    let put = knows.put(&path(&person, "list"), body).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
    relay.password_token(&person, 2).await;
}

#[tokio::test]
async fn who_has_no_password_sets_one_from_a_device() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let (status, password) = relay.new_password("alice", Some(&login.token)).await;
    assert_eq!(status, StatusCode::OK);
    let second = person.list(Some(&first), &[1]);
    let mut body = list_body(&second);
    body["password"] = password.clone();
    let put = login.put(&path(&person, "list"), body).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
    relay.password_token(&person, 2).await;
    // From now on it takes the password.
    let mut body = list_body(&person.list(Some(&second), &[1]));
    body["password"] = password;
    refused(
        login.put(&path(&person, "list"), body).await,
        403,
        "forbidden",
    );
    refused(
        relay.new_password("alice", Some(&login.token)).await,
        409,
        "name_taken",
    );
}

#[tokio::test]
async fn a_login_ends_with_the_next_list_and_with_another_password() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    let thief = relay.password_token(&person, 2).await;
    let owner = relay.password_token(&person, 1).await;
    // Begun before the password changes.
    let (login, ke1) = PasswordLogin::start(PASSWORD).expect("started");
    let body = json!({ "username": "alice", "device": device_id(2), "request": base64(ke1) });
    let (_, asked) = relay.post("/v1/auth/password", body).await;
    let (_, password) = relay.new_password("alice", Some(&owner.token)).await;
    let mut body = list_body(&person.list(Some(&first), &[1]));
    body["password"] = password;
    let put = owner.put(&path(&person, "list"), body).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
    refused(
        thief.get(&path(&person, "vault")).await,
        401,
        "token_expired",
    );
    let logged_in = login
        .finish(ALICE, &bytes(&asked, "response"))
        .expect("right then");
    let key = person.device_key(2).verifying_key().to_bytes();
    let body = finish(&asked, &logged_in, 2, &key);
    refused(
        relay.post("/v1/auth/password/finish", body).await,
        401,
        "wrong_password",
    );
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same_and_are_bounded() {
    let rates = config::Rates {
        passwords_burst: NonZeroU32::new(6).expect("not zero"),
        ..config::Rates::default()
    };
    let (relay, person) = (Relay::with(Rates::new(&rates)).await, Person::new(1));
    let unknown = relay.try_password(&person, 2, PASSWORD).await;
    assert_eq!(unknown.err(), Some(LoginError::Refused));
    relay
        .sign_up("alice", &person.list_with_vault(None, &[(1, 1)], 1))
        .await;
    for _ in 0..3 {
        let wrong = relay.try_password(&person, 2, b"wrong").await;
        assert_eq!(wrong.err(), Some(LoginError::Refused));
    }
    let knows = relay.password_token(&person, 2).await;
    // One before the sign-up, the sign-up's own, three wrong ones, one right one.
    let (status, body) = relay
        .try_password(&person, 2, PASSWORD)
        .await
        .expect("no OPAQUE");
    assert_eq!(
        (status.as_u16(), body["code"].as_str()),
        (429, Some("rate_limited"))
    );
    // Whoever could ask for the OPRF on another way could try passwords by it.
    refused(relay.new_password("alice", None).await, 429, "rate_limited");
    assert_eq!(relay.new_password("bob", None).await.0, StatusCode::OK);
    // Who is in already changes their password, whoever asks for their name; as often, and no more often.
    let change = async || relay.new_password("alice", Some(&knows.token)).await;
    for _ in 0..6 {
        assert_eq!(change().await.0, StatusCode::OK);
    }
    refused(change().await, 429, "rate_limited");
    let none = relay.new_password("alice", Some("none")).await;
    refused(none, 401, "not_authenticated");
}

#[tokio::test]
async fn whoever_a_guess_is_for_the_relay_does_the_same() {
    let relay = Relay::new().await;
    let [alice, bob, carol, dave, erin] = [1, 2, 3, 4, 5].map(Person::new);
    for (name, person) in [("alice", &alice), ("carol", &carol), ("deleted", &dave)] {
        let list = person.list_with_vault(None, &[(1, 1)], 1);
        relay.sign_up(name, &list).await;
    }
    relay.register("nopassword", &bob.list(None, &[1])).await;
    relay.set_disabled(&carol, true).await;
    let deleted = relay.api.users.delete(dave.user, NOW_MS).await;
    deleted.expect("deleted");
    // The relay has lost the key that the password was set with.
    let alices = relay.api.users.password("alice").await.expect("read");
    let other_seed = PasswordRecord {
        seed: "0011223344556677".to_owned(),
        record: alices.expect("a password").record,
    };
    let with = Credentials {
        password: Some(other_seed),
        ..Credentials::NONE
    };
    let list = erin.list(None, &[1]);
    let created = relay.api.users.create("lost", &list, &with);
    created.await.expect("created");

    let known = relay.steps_of_a_guess("alice").await;
    let [begun, finished] = &known;
    assert_eq!(*begun, ["is_record", "log_in", "seal"]);
    assert_eq!(*finished, ["is_record", "open", "finish"]);
    for name in ["nobody", "carol", "deleted", "nopassword", "lost"] {
        assert_eq!(relay.steps_of_a_guess(name).await, known, "{name}");
    }
}

#[tokio::test]
async fn an_attempt_is_of_its_name_device_and_minute() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay
        .sign_up("alice", &person.list_with_vault(None, &[(1, 1)], 1))
        .await;
    let (login, ke1) = PasswordLogin::start(PASSWORD).expect("started");
    let body = json!({ "username": "alice", "device": device_id(2), "request": base64(ke1) });
    let (_, asked) = relay.post("/v1/auth/password", body).await;
    let logged_in = login
        .finish(ALICE, &bytes(&asked, "response"))
        .expect("right");
    let right = finish(&asked, &logged_in, 2, &[3; 32]);
    let with = |field: &str, value: Value| {
        let mut body = right.clone();
        body[field] = value;
        body
    };
    for (body, code) in [
        (with("device", json!(device_id(3))), "challenge_expired"),
        (with("username", json!("bob")), "challenge_expired"),
        (with("nonce", json!(base64([0; 32]))), "challenge_expired"),
        (with("attempt", json!(base64([0; 300]))), "wrong_password"),
        (
            with("finalization", json!(base64([0; 64]))),
            "wrong_password",
        ),
    ] {
        refused(
            relay.post("/v1/auth/password/finish", body).await,
            401,
            code,
        );
    }
    let answer = relay.post("/v1/auth/password/finish", right).await;
    assert_eq!(answer.0, StatusCode::OK);
    for bad in [json!("A"), json!(""), json!("a".repeat(40))] {
        let body = json!({ "username": bad, "device": device_id(2), "request": base64([0; 96]) });
        refused(
            relay.post("/v1/auth/password", body).await,
            400,
            "bad_request",
        );
    }
    let body = json!({ "username": "alice", "device": device_id(2), "request": base64([0; 96]) });
    refused(
        relay.post("/v1/auth/password", body).await,
        400,
        "bad_request",
    );
}
