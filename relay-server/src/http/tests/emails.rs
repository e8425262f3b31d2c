//! E-mail addresses: for the operator, of one account each, and no way to find out who is here.

use super::*;
use crate::{
    auth::invite::InviteCode,
    config,
    ops::{client::ClientAddr, rates::Rates},
};

const OTHER: &str = "other@example.org";

impl Relay {
    async fn with_emails(emails: Emails, registration: Registration) -> Self {
        let mut relay = Self::with_registration(registration).await;
        relay.router = Router::new();
        Arc::get_mut(&mut relay.api).expect("alone").emails = emails;
        relay.router = router(relay.api.clone());
        relay
    }
}

fn sign_up(name: &str, person: &Person, email: Option<&str>) -> Value {
    let list = Signed::from(person.list(None, &[1]).signed);
    let mut body = json!({ "username": name, "list": list });
    if let Some(email) = email {
        body["email"] = json!(email);
    }
    body
}

fn path(person: &Person) -> String {
    format!("/v1/users/{}/email", person.user)
}

#[tokio::test]
async fn an_account_may_have_an_address_that_only_its_devices_see() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let body = sign_up("alice", &alice, Some("Alice@Example.org"));
    let (status, made) = relay.post("/v1/users", body.clone()).await;
    assert_eq!(
        (status, made),
        (
            StatusCode::CREATED,
            json!({ "user": alice.user, "username": "alice" })
        )
    );
    // The answer was lost: it is not its own address that is taken.
    refused(relay.post("/v1/users", body).await, 409, "user_exists");
    let taken = sign_up("bobby", &bob, Some("ALICE@example.org"));
    refused(relay.post("/v1/users", taken).await, 409, "email_taken");
    for wrong in [
        "",
        "alice",
        "a@b@c",
        "a b@c",
        "\u{202e}a@b",
        &"a@".repeat(999),
    ] {
        let body = sign_up("bobby", &bob, Some(wrong));
        refused(relay.post("/v1/users", body).await, 400, "bad_request");
    }
    let body = sign_up("bobby", &bob, None);
    assert_eq!(relay.post("/v1/users", body).await.0, StatusCode::CREATED);

    let (a, b) = (relay.log_in(&alice, 1).await, relay.log_in(&bob, 1).await);
    let (status, own) = a.get(&path(&alice)).await;
    assert_eq!(
        (status, &own),
        (StatusCode::OK, &json!({ "email": "Alice@example.org" }))
    );
    assert_eq!(b.get(&path(&bob)).await.1, json!({ "email": null }));
    refused(b.get(&path(&alice)).await, 403, "forbidden");
    let steal = json!({ "email": null });
    refused(b.put(&path(&alice), steal.clone()).await, 403, "forbidden");
    // Nobody finds anybody by it.
    for by in ["alice@example.org", "Alice@example.org"] {
        let (status, _) = b.get(&format!("/v1/users/by-name/{by}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    let shown = b.get("/v1/users/by-name/alice").await.1;
    assert_eq!(shown, json!({ "user": alice.user, "username": "alice" }));

    // A write like others: signed, once.
    let body = json!({ "email": OTHER }).to_string();
    refused(b.put_with(&path(&bob), &body, "").await, 401, "bad_proof");
    let proof = b.proof(&path(&bob), &body).await;
    let (status, _) = b.put_with(&path(&bob), &body, &proof).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    refused(
        b.put_with(&path(&bob), &body, &proof).await,
        401,
        "challenge_expired",
    );
    assert_eq!(b.get(&path(&bob)).await.1, json!({ "email": OTHER }));
    let put = async |login: &Login<'_>, person: &Person, email: Value| {
        login.put(&path(person), json!({ "email": email })).await
    };
    let taken = put(&b, &bob, json!("alice@example.org")).await;
    refused(taken, 409, "email_taken");
    refused(put(&b, &bob, json!("bob")).await, 400, "bad_request");
    assert_eq!(put(&a, &alice, Value::Null).await.0, StatusCode::NO_CONTENT);
    let freed = put(&b, &bob, json!("alice@example.org")).await;
    assert_eq!(freed.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn who_may_not_come_in_learns_of_no_address() {
    let relay = Relay::with_emails(Emails::Optional, Registration::Invite).await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    let email = crate::user::Email::parse(OTHER);
    let with = crate::user::Credentials {
        email,
        ..crate::user::Credentials::NONE
    };
    let list = alice.list(None, &[1]);
    let created = relay.api.users.create("alice", &list, &with).await;
    created.expect("created");
    for email in [OTHER, "free@example.org"] {
        let mut body = sign_up("bobby", &bob, Some(email));
        refused(
            relay.post("/v1/users", body.clone()).await,
            403,
            "invite_needed",
        );
        body["invite"] = json!(InviteCode::draw().text().to_string());
        refused(relay.post("/v1/users", body).await, 403, "invite_refused");
    }
    // Nor who has no token, or only knows a password.
    refused(relay.get(&path(&alice)).await, 401, "not_authenticated");
}

#[tokio::test]
async fn addresses_are_tried_out_no_faster_than_passwords() {
    let few = |n: u32| n.try_into().expect("not zero");
    let relay = Relay::with(Rates::new(&config::Rates {
        passwords_per_hour: few(3),
        passwords_burst: few(3),
        address_sign_ups_per_hour: few(5),
        address_sign_ups_burst: few(5),
        ..config::Rates::default()
    }))
    .await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    relay
        .sign_up("alice", &alice.list_with_vault(None, &[(1, 1)], 1))
        .await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let (a, b) = (relay.log_in(&alice, 1).await, relay.log_in(&bob, 1).await);
    let put = async |login: &Login<'_>, person: &Person, email: Value| {
        login.put(&path(person), json!({ "email": email })).await
    };
    let other = json!(OTHER);
    assert_eq!(put(&b, &bob, other.clone()).await.0, StatusCode::NO_CONTENT);
    for _ in 0..3 {
        refused(put(&a, &alice, other.clone()).await, 409, "email_taken");
    }
    refused(put(&a, &alice, other.clone()).await, 429, "rate_limited");
    // To have none tells nothing, others may go on, and so may who logs in by password.
    assert_eq!(put(&a, &alice, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(put(&b, &bob, other).await.0, StatusCode::NO_CONTENT);
    relay.password_token(&alice, 2).await;
    // And who makes accounts is counted by those.
    let mut codes = Vec::new();
    for n in 3..13 {
        let body = sign_up(&format!("user{n}"), &Person::new(n), Some(OTHER));
        let mut request = Request::post("/v1/users").body(Body::from(body.to_string()));
        let request = request.as_mut().expect("a request");
        let address = ClientAddr([192, 0, 2, 1].into());
        request.extensions_mut().insert(address);
        let (_, answer) = relay.call(std::mem::take(request)).await;
        codes.push(answer["code"].as_str().expect("refused").to_owned());
    }
    assert_eq!(codes[..5], ["email_taken"; 5]);
    assert_eq!(codes[5..], ["rate_limited"; 5]);
}

#[tokio::test]
async fn sign_ups_try_out_addresses_no_faster_either() {
    let few = |n: u32| n.try_into().expect("not zero");
    let relay = Relay::with(Rates::new(&config::Rates {
        address_passwords_per_hour: few(3),
        address_passwords_burst: few(3),
        ..config::Rates::default()
    }))
    .await;
    let first = sign_up("alice", &Person::new(1), Some(OTHER));
    assert_eq!(relay.post("/v1/users", first).await.0, StatusCode::CREATED);
    let again = sign_up("bobby", &Person::new(2), Some(OTHER));
    for _ in 0..2 {
        let tried = relay.post("/v1/users", again.clone()).await;
        refused(tried, 409, "email_taken");
    }
    refused(relay.post("/v1/users", again).await, 429, "rate_limited");
    // Who brings none asks nothing.
    let without = sign_up("bobby", &Person::new(2), None);
    let made = relay.post("/v1/users", without).await;
    assert_eq!(made.0, StatusCode::CREATED);
}

#[tokio::test]
async fn the_operator_may_ask_for_addresses_or_take_none() {
    let relay = Relay::with_emails(Emails::Required, Registration::Open).await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    let body = sign_up("alice", &alice, None);
    refused(relay.post("/v1/users", body).await, 403, "email_needed");
    let body = sign_up("alice", &alice, Some(OTHER));
    assert_eq!(relay.post("/v1/users", body).await.0, StatusCode::CREATED);
    let a = relay.log_in(&alice, 1).await;
    let none = json!({ "email": null });
    refused(
        a.put(&path(&alice), none.clone()).await,
        403,
        "email_needed",
    );

    let relay = Relay::with_emails(Emails::Off, Registration::Open).await;
    let body = sign_up("bobby", &bob, Some(OTHER));
    refused(relay.post("/v1/users", body).await, 400, "bad_request");
    relay.register("bobby", &bob.list(None, &[1])).await;
    let b = relay.log_in(&bob, 1).await;
    let some = json!({ "email": OTHER });
    refused(b.put(&path(&bob), some).await, 400, "bad_request");
    // What was given before may go.
    let email = crate::user::Email::parse(OTHER);
    let put = relay.api.users.put_email(bob.user, email.as_ref()).await;
    put.expect("stored");
    assert_eq!(b.get(&path(&bob)).await.1, json!({ "email": OTHER }));
    assert_eq!(b.put(&path(&bob), none).await.0, StatusCode::NO_CONTENT);
    assert_eq!(b.get(&path(&bob)).await.1, json!({ "email": null }));
}
