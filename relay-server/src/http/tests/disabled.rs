//! Accounts that the operator has disabled: locked out, told to those whose they are alone, and the same to everybody else.

use super::*;

impl Relay {
    pub(super) async fn set_disabled(&self, person: &Person, disabled: bool) {
        let users = &self.api.users;
        let set = users.set_disabled(person.user, disabled, NOW_MS).await;
        set.expect("stored");
        self.api.disabled.look(&**users).await.expect("read");
    }
}

#[tokio::test]
async fn who_is_disabled_gets_nothing_and_has_everything_again_later() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let list = alice.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &list).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let of = |what: &str| format!("/v1/users/{}/{what}", alice.user);
    let (phone, reader) = (relay.log_in(&alice, 1).await, relay.log_in(&bob, 1).await);
    let new = relay.password_token(&alice, 2).await;
    relay.set_disabled(&alice, true).await;

    // Tokens of before are worth nothing, and there are no others.
    for path in ["/v1/conversations", &of("vault"), &of("email")] {
        refused(phone.get(path).await, 403, "account_disabled");
    }
    let next = list_body(&alice.list(Some(&list), &[1, 2]));
    for login in [&phone, &new] {
        let put = login.put(&of("list"), next.clone()).await;
        refused(put, 403, "account_disabled");
    }
    refused(new.get(&of("vault")).await, 403, "account_disabled");
    let nonce = relay.nonce(&alice, device_id(1)).await;
    let log_in = relay
        .post("/v1/auth/token", answer(&alice, 1, &nonce))
        .await;
    refused(log_in, 403, "account_disabled");
    let asked = json!({ "username": "alice", "request": "AAAA" });
    let first_step = phone.post("/v1/passwords", asked.clone()).await;
    refused(first_step, 403, "account_disabled");

    // Who does not know the key or the password is told what they were told before.
    let nonce = relay.nonce(&alice, device_id(1)).await;
    let mut forged = answer(&bob, 1, &nonce);
    forged["user"] = json!(alice.user);
    refused(relay.post("/v1/auth/token", forged).await, 401, "bad_proof");
    let nonce = relay.nonce(&alice, device_id(2)).await;
    let unlisted = relay
        .post("/v1/auth/token", answer(&alice, 2, &nonce))
        .await;
    refused(unlisted, 403, "device_revoked");
    refused(relay.post("/v1/passwords", asked).await, 409, "name_taken");
    refused(
        relay.try_right_password(&alice).await,
        403,
        "account_disabled",
    );
    relay.try_wrong_password(&alice).await;
    refused(relay.delete_as_owner(&bob, &alice).await, 401, "bad_proof");
    // The person themselves cannot end it, and come again with all that it has.
    let deleted = relay.delete_as_owner(&alice, &alice).await;
    refused(deleted, 403, "account_disabled");

    // To others it is there.
    let (_, found) = reader.get("/v1/users/by-name/alice").await;
    assert_eq!(found["user"], json!(alice.user));
    assert_eq!(reader.get(&of("lists")).await.0, StatusCode::OK);
    let claim = json!({ "devices": [device_id(1)] });
    assert_eq!(
        reader.post(&of("prekeys/claim"), claim).await.0,
        StatusCode::OK
    );

    relay.set_disabled(&alice, false).await;
    assert_eq!(phone.get("/v1/conversations").await.0, StatusCode::OK);
    relay.log_in(&alice, 1).await;
    assert_eq!(new.put(&of("list"), next).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_look_that_fails_forgets_nobody() {
    let (relay, alice) = (Relay::new().await, Person::new(1));
    relay.register("alice", &alice.list(None, &[1])).await;
    let users = &relay.api.users;
    let set = async |disabled| users.set_disabled(alice.user, disabled, NOW_MS).await;
    set(true).await.expect("stored");
    let look = async || relay.api.disabled.look(&**users).await;
    assert_eq!(look().await, Ok(vec![alice.user]));
    assert_eq!(look().await, Ok(vec![]), "told once");
    let file = relay.dir.path().join("users.sqlite");
    let closed = crate::user::sqlite::SqliteUsers::open(&file).await;
    let closed = closed.expect("opened");
    closed.close().await;
    assert!(relay.api.disabled.look(&closed).await.is_err());
    assert!(relay.api.disabled.is(alice.user));
    set(false).await.expect("stored");
    assert_eq!(look().await, Ok(vec![]));
    assert!(!relay.api.disabled.is(alice.user));
}
