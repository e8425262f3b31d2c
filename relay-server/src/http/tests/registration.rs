//! Who may make an account: by invite, not at all, or by the app's own login.

use std::{path::Path, sync::Arc};

use super::*;
use crate::{
    auth::{
        invite::InviteCode,
        issuer::{
            Issuer,
            tests::{AUDIENCE, AppKey, ISSUER, set},
        },
    },
    user::Invite,
};

const NOW_S: u64 = NOW_MS / 1000;

impl Relay {
    pub(super) async fn with_registration(registration: Registration) -> Self {
        let mut relay = Self::new().await;
        // The router holds it, too.
        relay.router = Router::new();
        let api = Arc::get_mut(&mut relay.api).expect("alone");
        api.registration = registration;
        relay.router = router(relay.api.clone());
        relay
    }

    async fn invite(&self, uses: u32, expires_ms: u64) -> String {
        let code = InviteCode::draw();
        let invite = Invite {
            hash: code.hash(),
            uses,
            expires_ms,
        };
        let put = self.api.users.put_invite(&invite, NOW_MS).await;
        put.expect("kept");
        code.text().to_string()
    }
}

fn body(name: &str, list: &DeviceList, with: (&str, Option<&str>)) -> Value {
    let mut body = json!({ "username": name, "list": Signed::from(list.signed.clone()) });
    if let (field, Some(value)) = with {
        body[field] = json!(value);
    }
    body
}

pub(super) fn external(dir: &Path, key: &AppKey) -> Registration {
    let file = dir.join("keys.json");
    std::fs::write(&file, set(&[key.jwk("a")])).expect("written");
    Registration::External(Issuer::with_file(ISSUER, AUDIENCE, &file))
}

#[tokio::test]
async fn an_invite_makes_as_many_accounts_as_it_says() {
    let relay = Relay::with_registration(Registration::Invite).await;
    let people: Vec<_> = (1..=9).map(Person::new).collect();
    let lists: Vec<_> = people.iter().map(|p| p.list(None, &[1])).collect();
    let sign_up = async |name: &str, at: usize, invite: Option<&str>| {
        let body = body(name, &lists[at], ("invite", invite));
        relay.post("/v1/users", body).await
    };
    let wrong = InviteCode::draw().text().to_string();
    refused(sign_up("alice", 0, None).await, 403, "invite_needed");
    for bad in ["", "x", &wrong, &"0".repeat(5000)] {
        refused(sign_up("alice", 0, Some(bad)).await, 403, "invite_refused");
    }
    let once = relay.invite(1, NOW_MS + 1).await;
    let expired = relay.invite(1, NOW_MS).await;
    refused(
        sign_up("alice", 0, Some(&expired)).await,
        403,
        "invite_refused",
    );
    let typed = once.to_lowercase().replace('-', " ");
    assert_eq!(
        sign_up("alice", 0, Some(&typed)).await.0,
        StatusCode::CREATED
    );
    // The same once more, for the answer may have been lost: it is there, and nothing was used for it.
    refused(sign_up("alice", 0, Some(&once)).await, 409, "user_exists");
    refused(
        sign_up("bobby", 1, Some(&once)).await,
        403,
        "invite_refused",
    );

    // A registration that fails uses nothing; who has no invite does not learn which names there are.
    let twice = relay.invite(2, NOW_MS + 1).await;
    refused(
        sign_up("alice", 1, Some(&wrong)).await,
        403,
        "invite_refused",
    );
    refused(
        sign_up("alice", 1, Some(&once)).await,
        403,
        "invite_refused",
    );
    refused(sign_up("alice", 1, Some(&twice)).await, 409, "name_taken");
    let two = people[1].list(None, &[1, 2]);
    let bad = body("bobby", &two, ("invite", Some(&twice)));
    refused(relay.post("/v1/users", bad).await, 422, "bad_list");
    for (name, at) in [("bobby", 1), ("carol", 2)] {
        assert_eq!(sign_up(name, at, Some(&twice)).await.0, StatusCode::CREATED);
    }
    refused(
        sign_up("david", 3, Some(&twice)).await,
        403,
        "invite_refused",
    );
    // Who is registered logs in as ever.
    relay.log_in(&people[2], 1).await;
    // Taken back.
    let back = relay.invite(1, NOW_MS + 1).await;
    let hash = crate::auth::invite::invite_hash(&back).expect("an invite");
    let remove = async || relay.api.users.remove_invite(&hash, NOW_MS).await;
    assert_eq!(remove().await, Ok(true));
    assert_eq!(remove().await, Ok(false));
    refused(
        sign_up("david", 3, Some(&back)).await,
        403,
        "invite_refused",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_share_one_invite_of_three_uses() {
    let relay = Relay::with_registration(Registration::Invite).await;
    let invite = relay.invite(3, NOW_MS + 1).await;
    let attempts: Vec<_> = (1..=20)
        .map(|n| {
            let list = Person::new(n).list(None, &[1]);
            let body = body(&format!("user{n}"), &list, ("invite", Some(&invite)));
            let request = Request::post("/v1/users").body(Body::from(body.to_string()));
            let answer = relay.router.clone().oneshot(request.expect("a request"));
            tokio::spawn(async move { answer.await.expect("answered").status() })
        })
        .collect();
    let mut made = 0;
    for attempt in attempts {
        match attempt.await.expect("ran") {
            StatusCode::CREATED => made += 1,
            status => assert_eq!(status, StatusCode::FORBIDDEN),
        }
    }
    assert_eq!(made, 3);
}

#[tokio::test]
async fn a_relay_that_is_closed_takes_nobody_and_lets_everybody_in() {
    let relay = Relay::with_registration(Registration::Closed).await;
    let person = Person::new(1);
    let list = person.list(None, &[1]);
    let request = body("alice", &list, ("invite", Some("x")));
    refused(
        relay.post("/v1/users", request).await,
        403,
        "registration_closed",
    );
    let asked = json!({ "username": "alice", "request": "AAAA" });
    refused(
        relay.post("/v1/passwords", asked).await,
        403,
        "registration_closed",
    );
    // From before it was closed.
    let created = relay
        .api
        .users
        .create("alice", &list, &crate::user::Credentials::NONE);
    created.await.expect("created");
    let login = relay.log_in(&person, 1).await;
    assert_eq!(login.get("/v1/users/by-name/alice").await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_apps_own_login_decides_who_registers_and_who_logs_in() {
    let (dir, key) = (tempfile::tempdir().expect("a directory"), AppKey::ed(1));
    let relay = Relay::with_registration(external(dir.path(), &key)).await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    let list = alice.list_with_vault(None, &[(1, 1)], 1);
    let vault = passwords::vault(1);
    let sign_up = async |name: &str, list: &DeviceList, token: Option<&str>| {
        let mut body = body(name, list, ("external_token", token));
        body["vault"] = json!(vault);
        relay.post("/v1/users", body).await
    };
    let enter = async |token: &str, person: &Person, device: u8| {
        let key = person.device_key(device).verifying_key().to_bytes();
        let body = json!({
            "external_token": token,
            "device": device_id(device),
            "signing_key": BASE64_STANDARD.encode(key),
        });
        relay.post("/v1/auth/external", body).await
    };
    let (of_alice, of_bob) = (
        key.good("a", "alice-7", NOW_S),
        key.good("a", "bob-8", NOW_S),
    );
    let stale = key.good("a", "alice-7", NOW_S - 361);
    let thief = AppKey::ed(66).good("a", "alice-7", NOW_S);
    refused(
        sign_up("alice", &list, None).await,
        403,
        "external_token_needed",
    );
    for bad in ["", &stale, &thief] {
        refused(
            sign_up("alice", &list, Some(bad)).await,
            401,
            "external_token_refused",
        );
        refused(enter(bad, &alice, 2).await, 401, "external_token_refused");
    }
    // Nobody yet, whoever it is that asks.
    refused(enter(&of_alice, &alice, 2).await, 404, "user_not_found");
    assert_eq!(
        sign_up("alice", &list, Some(&of_alice)).await.0,
        StatusCode::CREATED
    );
    refused(
        sign_up("alice", &list, Some(&of_alice)).await,
        409,
        "user_exists",
    );
    // One person of the app, one account; a name that is taken is said to those who may come in.
    let other = bob.list_with_vault(None, &[(1, 1)], 1);
    refused(
        sign_up("bobby", &other, Some(&of_alice)).await,
        409,
        "has_account",
    );
    refused(
        sign_up("alice", &other, Some(&of_bob)).await,
        409,
        "name_taken",
    );
    refused(enter(&of_bob, &bob, 2).await, 404, "user_not_found");
    assert_eq!(
        sign_up("bobby", &other, Some(&of_bob)).await.0,
        StatusCode::CREATED
    );

    // The token leads to the account of its subject, and to nothing else.
    let (status, entered) = enter(&of_alice, &alice, 2).await;
    assert_eq!(
        (status, &entered["username"]),
        (StatusCode::OK, &json!("alice"))
    );
    let new = Login {
        relay: &relay,
        person: &alice,
        device: 2,
        token: entered["access_token"]
            .as_str()
            .expect("a token")
            .to_owned(),
    };
    let of = |person: &Person, what: &str| format!("/v1/users/{}/{what}", person.user);
    assert_eq!(new.get(&of(&alice, "vault")).await.1["vault"], json!(vault));
    refused(new.get(&of(&bob, "vault")).await, 403, "forbidden");
    refused(new.get("/v1/conversations").await, 403, "forbidden");
    // The key of another device than the one that the token was given to.
    let mut third = alice.list(Some(&list), &[1, 3]);
    let thief = Login {
        device: 3,
        token: new.token.clone(),
        ..new
    };
    refused(
        thief.put(&of(&alice, "list"), list_body(&third)).await,
        403,
        "forbidden",
    );
    third = alice.list(Some(&list), &[1, 2]);
    let new = Login { device: 2, ..thief };
    let put = new.put(&of(&alice, "list"), list_body(&third)).await;
    assert_eq!(put.0, StatusCode::NO_CONTENT, "{}", put.1);
    refused(new.get(&of(&alice, "vault")).await, 401, "token_expired");
    let device = relay.log_in(&alice, 2).await;
    assert_eq!(device.get("/v1/conversations").await.0, StatusCode::OK);

    // No way in beside it: no password is set, at the registration or later.
    let asked = json!({ "username": "carol", "request": "AAAA" });
    refused(
        relay.post("/v1/passwords", asked).await,
        403,
        "external_token_needed",
    );
    let asked = json!({ "username": "alice", "request": "AAAA" });
    refused(
        device.post("/v1/passwords", asked).await,
        403,
        "external_token_needed",
    );
    let mut next = list_body(&alice.list(Some(&third), &[1, 2]));
    next["password"] = json!({ "seed": "0", "record": "AAAA" });
    refused(
        device.put(&of(&alice, "list"), next).await,
        403,
        "external_token_needed",
    );
    let carol = Person::new(3).list(None, &[1]);
    let mut with_password = body("carol", &carol, ("external_token", None));
    with_password["external_token"] = json!(key.good("a", "carol-9", NOW_S));
    with_password["password"] = json!({ "seed": "0", "record": "AAAA" });
    refused(
        relay.post("/v1/users", with_password).await,
        400,
        "bad_request",
    );
}

#[tokio::test]
async fn without_an_issuer_nobody_registers_and_those_who_are_there_talk() {
    let (dir, key) = (tempfile::tempdir().expect("a directory"), AppKey::ed(1));
    let relay = Relay::with_registration(external(dir.path(), &key)).await;
    std::fs::remove_file(dir.path().join("keys.json")).expect("removed");
    let person = Person::new(1);
    let list = person.list(None, &[1]);
    let token = key.good("a", "alice-7", NOW_S);
    let request = body("alice", &list, ("external_token", Some(&token)));
    refused(relay.post("/v1/users", request).await, 503, "issuer_away");
    let created = relay
        .api
        .users
        .create("alice", &list, &crate::user::Credentials::NONE);
    created.await.expect("created");
    let login = relay.log_in(&person, 1).await;
    assert_eq!(login.get("/v1/conversations").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_relay_with_accounts_of_its_own_asks_for_nothing_else() {
    let relay = Relay::new().await;
    let list = Person::new(1).list(None, &[1]);
    // An app that always has one with it.
    let request = body("alice", &list, ("invite", Some("whatever")));
    assert_eq!(
        relay.post("/v1/users", request).await.0,
        StatusCode::CREATED
    );
    let key = BASE64_STANDARD.encode([7; 32]);
    let login = json!({ "external_token": "x", "device": device_id(1), "signing_key": key });
    refused(
        relay.post("/v1/auth/external", login).await,
        404,
        "not_found",
    );
}
