//! The pipe over which a device on the account links another.

use sordino_protocol::limits;

use super::*;

fn path(person: &Person, side: &str, number: u8) -> String {
    let channel = "07".repeat(16);
    format!("/v1/users/{}/links/{channel}/{side}/{number}", person.user)
}

fn message(text: &[u8]) -> Value {
    json!({ "message": BASE64_STANDARD.encode(text) })
}

async fn put(login: &Login<'_>, path: &str, message: &Value) -> (StatusCode, Value) {
    login.put_with(path, &message.to_string(), "").await
}

#[tokio::test]
async fn two_devices_of_a_user_tell_each_other_something_and_nobody_else_hears() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let first = alice.list_with_vault(None, &[(1, 1)], 1);
    relay.sign_up("alice", &first).await;
    relay.register("bob", &bob.list(None, &[1])).await;
    let old = relay.log_in(&alice, 1).await;
    let new = relay.password_token(&alice, 2).await;
    let of_bob = relay.log_in(&bob, 1).await;
    let (at_old, at_new) = (path(&alice, "old", 0), path(&alice, "new", 0));
    let none = json!({ "message": null });

    assert_eq!(new.get(&at_old).await, (StatusCode::OK, none.clone()));
    refused(
        put(&new, &at_new, &message(b"hello")).await,
        409,
        "link_ended",
    );
    let stored = put(&old, &at_old, &message(b"key")).await;
    assert_eq!(stored.0, StatusCode::NO_CONTENT, "{}", stored.1);
    assert_eq!(new.get(&at_old).await, (StatusCode::OK, message(b"key")));
    let stored = put(&new, &at_new, &message(b"hello")).await;
    assert_eq!(stored.0, StatusCode::NO_CONTENT, "{}", stored.1);
    assert_eq!(old.get(&at_new).await, (StatusCode::OK, message(b"hello")));

    // Each has its own side.
    let next = path(&alice, "new", 1);
    refused(put(&old, &next, &message(b"hello")).await, 403, "forbidden");
    let next = path(&alice, "old", 1);
    refused(put(&new, &next, &message(b"key")).await, 403, "forbidden");
    refused(
        put(&new, &at_new, &message(b"hallo")).await,
        400,
        "bad_request",
    );
    refused(of_bob.get(&at_old).await, 403, "forbidden");
    refused(
        put(&of_bob, &at_old, &message(b"key")).await,
        403,
        "forbidden",
    );

    // Once the account is another, a login has nothing more to say.
    let second = alice.list(Some(&first), &[1, 3]);
    let list = format!("/v1/users/{}/list", alice.user);
    let stored = old.put(&list, list_body(&second)).await;
    assert_eq!(stored.0, StatusCode::NO_CONTENT, "{}", stored.1);
    refused(new.get(&at_old).await, 401, "token_expired");
}

#[tokio::test]
async fn what_goes_through_is_bounded() {
    let (relay, alice) = (Relay::new().await, Person::new(1));
    relay.register("alice", &alice.list(None, &[1])).await;
    let old = relay.log_in(&alice, 1).await;
    let first = path(&alice, "old", 0);
    let most = message(&vec![7; limits::LINK_MESSAGE_BYTES]);
    assert_eq!(put(&old, &first, &most).await.0, StatusCode::NO_CONTENT);
    let more = message(&vec![7; limits::LINK_MESSAGE_BYTES + 1]);
    refused(put(&old, &first, &more).await, 413, "too_large");
    refused(put(&old, &first, &json!({})).await, 400, "bad_request");
    let beyond = path(&alice, "old", limits::LINK_MESSAGES);
    refused(put(&old, &beyond, &message(b"")).await, 404, "not_found");
    refused(old.get(&beyond).await, 404, "not_found");
    let neither = path(&alice, "both", 0);
    refused(old.get(&neither).await, 400, "bad_request");
}
