//! The end of an account: by its identity key alone, whole, and for ever.

use ed25519_dalek::SigningKey;
use sordino_protocol::UserId;

use super::*;
use crate::user::{PrekeyKind, PushTarget, fixtures};

impl Relay {
    /// Asks for the end of an account, for a statement that this key signs over what is said of it.
    async fn delete_by(
        &self,
        user: UserId,
        key: &SigningKey,
        kind: SignedType,
        body: impl FnOnce(&[u8; 32]) -> Vec<u8>,
    ) -> (StatusCode, Value) {
        let nonce = self.nonce_of(user).await;
        let signature = key.sign(&signed::input(kind, &body(&nonce))).to_bytes();
        self.delete_with(user, &nonce, &signature).await
    }

    async fn delete_with(
        &self,
        user: UserId,
        nonce: &[u8; 32],
        signature: &[u8; 64],
    ) -> (StatusCode, Value) {
        let body = json!({
            "device": device_id(9),
            "nonce": BASE64_STANDARD.encode(nonce),
            "signature": BASE64_STANDARD.encode(signature),
        });
        self.post(&format!("/v1/users/{user}/deletion"), body).await
    }

    async fn nonce_of(&self, user: UserId) -> [u8; 32] {
        let body = json!({ "user": user, "device": device_id(9) });
        let (_, challenge) = self.post("/v1/auth/challenge", body).await;
        let nonce = challenge["nonce"].as_str().expect("text");
        let nonce = BASE64_STANDARD.decode(nonce).expect("base64");
        nonce.try_into().expect("32 bytes")
    }

    /// Asks for the end of an account by the identity key of `by`.
    pub(super) async fn delete_as_owner(
        &self,
        by: &Person,
        person: &Person,
    ) -> (StatusCode, Value) {
        let user = person.user;
        let body = |nonce: &[u8; 32]| signed::deletion_body(NAME, user, nonce);
        self.delete_by(user, &by.identity_key(), SignedType::Deletion, body)
            .await
    }

    async fn delete(&self, person: &Person) -> (StatusCode, Value) {
        self.delete_as_owner(person, person).await
    }
}

#[tokio::test]
async fn the_identity_key_ends_an_account_and_nothing_else_does() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let list = alice.list(None, &[1]);
    relay.register("alice", &list).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let user = alice.user;
    let good = |nonce: &[u8; 32]| signed::deletion_body(NAME, user, nonce);
    let uik = alice.identity_key();
    for (what, key) in [
        ("a device", alice.device_key(1)),
        ("whoever has LSK", alice.list_key()),
        ("somebody else", bob.identity_key()),
    ] {
        let tried = relay.delete_by(user, &key, SignedType::Deletion, good);
        refused(tried.await, 401, "bad_proof");
        assert!(
            relay.api.users.by_id(user).await.expect("read").is_some(),
            "{what}"
        );
    }
    // Signed for another purpose, another relay, another person, another challenge.
    let tried = relay.delete_by(user, &uik, SignedType::Request, good);
    refused(tried.await, 401, "bad_proof");
    let elsewhere = |nonce: &[u8; 32]| signed::deletion_body("other.example", user, nonce);
    let tried = relay.delete_by(user, &uik, SignedType::Deletion, elsewhere);
    refused(tried.await, 401, "bad_proof");
    let of_bob = |nonce: &[u8; 32]| signed::deletion_body(NAME, bob.user, nonce);
    let tried = relay.delete_by(user, &uik, SignedType::Deletion, of_bob);
    refused(tried.await, 401, "bad_proof");
    let other = relay.nonce_of(user).await;
    let tried = relay.delete_by(user, &uik, SignedType::Deletion, |_| good(&other));
    refused(tried.await, 401, "bad_proof");
    // What is no challenge is not looked at.
    let made_up = [7; 32];
    let signature = uik.sign(&signed::input(SignedType::Deletion, &good(&made_up)));
    let tried = relay
        .delete_with(user, &made_up, &signature.to_bytes())
        .await;
    refused(tried, 401, "challenge_expired");
    let for_bob = relay.nonce_of(bob.user).await;
    let signature = uik.sign(&signed::input(SignedType::Deletion, &good(&for_bob)));
    let tried = relay
        .delete_with(user, &for_bob, &signature.to_bytes())
        .await;
    refused(tried, 401, "challenge_expired");
    let nobody = Person::new(3);
    refused(relay.delete(&nobody).await, 404, "user_not_found");
    relay.log_in(&alice, 1).await;

    assert_eq!(relay.delete(&alice).await.0, StatusCode::NO_CONTENT);
    assert!(
        relay
            .api
            .users
            .by_id(bob.user)
            .await
            .expect("read")
            .is_some()
    );
    // Again, for the answer may have been lost; by whomever: it is done.
    assert_eq!(relay.delete(&alice).await.0, StatusCode::NO_CONTENT);
    let nonce = relay.nonce_of(user).await;
    let again = relay.delete_with(user, &nonce, &[0; 64]).await;
    assert_eq!(again.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn of_a_deleted_account_nothing_is_left_but_what_others_check_by() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let first = alice.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let second = alice.list(Some(&first), &[1, 2]);
    let users = &relay.api.users;
    let put = users.put_list(&second, &crate::user::Credentials::NONE);
    put.await.expect("stored");
    let keys = [
        fixtures::prekey(PrekeyKind::Signed, 1, u64::MAX >> 1),
        fixtures::prekey(PrekeyKind::PqLastResort, 1, u64::MAX >> 1),
    ];
    let stored = users.put_prekeys(alice.user, device_id(1), &keys, false);
    stored.await.expect("stored");
    let target = PushTarget {
        device: device_id(1),
        provider: sordino_protocol::http::PushProvider::Fcm,
        token: "token".to_owned(),
        set_ms: 1,
    };
    users.put_push(alice.user, &target).await.expect("stored");
    let of = |what: &str| format!("/v1/users/{}/{what}", alice.user);
    let (phone, tablet) = (relay.log_in(&alice, 1).await, relay.log_in(&alice, 2).await);
    let reader = relay.log_in(&bob, 1).await;
    let claim = async || {
        let devices = json!({ "devices": [device_id(1)] });
        reader.post(&of("prekeys/claim"), devices).await
    };
    assert_eq!(claim().await.1["bundles"].as_array().map(Vec::len), Some(1));

    assert_eq!(relay.delete(&alice).await.0, StatusCode::NO_CONTENT);
    // All that its devices have ends with it, and they are told why.
    for login in [&phone, &tablet] {
        refused(login.get("/v1/conversations").await, 410, "account_deleted");
        refused(login.get(&of("vault")).await, 410, "account_deleted");
        let next = alice.list(Some(&second), &[1]);
        refused(
            login.put(&of("list"), list_body(&next)).await,
            410,
            "account_deleted",
        );
    }
    let nonce = relay.nonce(&alice, device_id(1)).await;
    let log_in = relay.post("/v1/auth/token", answer(&alice, 1, &nonce));
    refused(log_in.await, 410, "account_deleted");
    // To others it is nobody's name, gets nothing, and stays checkable.
    refused(
        reader.get("/v1/users/by-name/alice").await,
        404,
        "user_not_found",
    );
    refused(
        reader.get(&of("")[..of("").len() - 1]).await,
        404,
        "user_not_found",
    );
    refused(claim().await, 410, "user_deleted");
    refused(reader.get(&of("lists")).await, 410, "user_deleted");
    let (status, lists) = reader.get(&of("lists?from=1")).await;
    assert_eq!(
        (status, &lists["newest"], &lists["deleted"]),
        (StatusCode::OK, &json!(2), &json!(true))
    );
    assert_eq!(lists["lists"].as_array().map(Vec::len), Some(2));
    // Nobody else gets the name or the id.
    let other = Person::new(3);
    let body = json!({ "username": "alice", "list": Signed::from(other.list(None, &[1]).signed) });
    refused(relay.post("/v1/users", body).await, 409, "name_taken");
    let body = json!({ "username": "alice2", "list": Signed::from(alice.list(None, &[1]).signed) });
    refused(relay.post("/v1/users", body).await, 409, "user_exists");
    assert_eq!(users.password("alice").await, Ok(None));
    assert_eq!(users.vault(alice.user).await, Ok(None));
    assert_eq!(users.push_targets(alice.user).await, Ok(vec![]));
    assert_eq!(users.spk_expiry(alice.user, device_id(1)).await, Ok(None));
}

#[tokio::test]
async fn who_logged_in_by_password_has_nothing_of_it_any_more() {
    let (relay, alice) = (Relay::new().await, Person::new(1));
    let first = alice.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    let new = relay.password_token(&alice, 2).await;
    assert_eq!(relay.delete(&alice).await.0, StatusCode::NO_CONTENT);
    let path = format!("/v1/users/{}/vault", alice.user);
    refused(new.get(&path).await, 410, "account_deleted");
    let list = alice.list(Some(&first), &[1, 2]);
    let path = format!("/v1/users/{}/list", alice.user);
    refused(
        new.put(&path, list_body(&list)).await,
        410,
        "account_deleted",
    );
}
