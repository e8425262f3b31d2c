//! Lists are replaced by their owner, in order, with a proof for each.

use super::*;

#[tokio::test]
async fn a_list_is_replaced_in_order_and_ends_removed_devices() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{}/list", person.user);
    let second = person.list(Some(&first), &[1, 2]);
    let third = person.list(Some(&second), &[2]);
    refused(login.put(&path, list_body(&third)).await, 422, "bad_list");
    assert_eq!(
        login.put(&path, list_body(&second)).await.0,
        StatusCode::NO_CONTENT
    );
    refused(
        login.put(&path, list_body(&second)).await,
        409,
        "list_conflict",
    );
    assert_eq!(
        login.put(&path, list_body(&third)).await.0,
        StatusCode::NO_CONTENT
    );
    refused(
        login.put(&path, list_body(&third)).await,
        403,
        "device_revoked",
    );

    let other = relay.log_in(&person, 2).await;
    let lists = format!("/v1/users/{}/lists", person.user);
    let (_, newest) = other.get(&lists).await;
    assert_eq!(newest["lists"], json!([Signed::from(third.signed.clone())]));
    let (_, page) = other.get(&format!("{lists}?from=1&limit=2")).await;
    let expected = [first.signed, second.signed].map(Signed::from);
    assert_eq!(
        (&page["lists"], &page["newest"]),
        (&json!(expected), &json!(3))
    );
}

#[tokio::test]
async fn another_users_list_is_not_written() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let list = alice.list(None, &[1]);
    relay.register("alice", &list).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let login = relay.log_in(&bob, 1).await;
    let next = list_body(&alice.list(Some(&list), &[1, 2]));
    let path = format!("/v1/users/{}/list", alice.user);
    refused(login.put(&path, next.clone()).await, 403, "forbidden");
    let own = format!("/v1/users/{}/list", bob.user);
    refused(login.put(&own, next).await, 422, "bad_list");
}

#[tokio::test]
async fn a_write_needs_a_proof_of_its_own() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    let first = person.list(None, &[1]);
    relay.register("alice", &first).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{}/list", person.user);
    let body = list_body(&person.list(Some(&first), &[1, 2])).to_string();
    refused(login.put_with(&path, &body, "").await, 401, "bad_proof");
    let elsewhere = login.proof("/v1/elsewhere", &body).await;
    refused(
        login.put_with(&path, &body, &elsewhere).await,
        401,
        "bad_proof",
    );
    let proof = login.proof(&path, &body).await;
    assert_eq!(
        login.put_with(&path, &body, &proof).await.0,
        StatusCode::NO_CONTENT
    );
    refused(
        login.put_with(&path, &body, &proof).await,
        401,
        "challenge_expired",
    );
}
