//! Prekeys are stored by their device and given out once.

use super::*;

#[tokio::test]
async fn a_device_stores_its_own_prekeys_only() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay.register("alice", &person.list(None, &[1])).await;
    let login = relay.log_in(&person, 1).await;
    let path = |device| {
        format!(
            "/v1/users/{}/devices/{}/prekeys",
            person.user,
            device_id(device)
        )
    };
    let key = |kind, id, len, expires| Signed::from(person.prekey(1, kind, id, len, expires));
    let later = NOW_MS + 1;
    let good = json!({
        "signed": key(SignedType::SignedPrekey, 3, 32, later),
        "pq_last_resort": key(SignedType::PqLastResort, 4, 1184, later),
        "one_time": [key(SignedType::OneTimePrekey, 1, 32, later)],
    });
    let (status, count) = login.put(&path(1), good).await;
    assert_eq!(status, StatusCode::OK);
    let expected =
        json!({ "one_time": 1, "pq_one_time": 0, "signed_id": 3, "pq_last_resort_id": 4 });
    assert_eq!(count, expected);
    let bad = [
        key(SignedType::OneTimePrekey, 1, 32, later),
        key(SignedType::OneTimePrekey, 0, 32, later),
        key(SignedType::OneTimePrekey, 2, 31, later),
        key(SignedType::OneTimePrekey, 2, 32, NOW_MS),
        key(SignedType::SignedPrekey, 2, 32, later),
        Signed::from(Person::new(2).prekey(1, SignedType::OneTimePrekey, 2, 32, later)),
    ];
    for key in bad {
        let body = json!({ "one_time": [key] });
        refused(login.put(&path(1), body).await, 422, "bad_prekey");
    }
    let many = vec![key(SignedType::OneTimePrekey, 9, 32, later); 51];
    refused(
        login.put(&path(1), json!({ "one_time": many })).await,
        400,
        "bad_request",
    );
    assert_eq!(login.get(&path(1)).await, (StatusCode::OK, expected));
    refused(login.get(&path(2)).await, 403, "forbidden");
    refused(login.put(&path(2), json!({})).await, 403, "forbidden");
}

#[tokio::test]
async fn a_one_time_key_is_claimed_once_and_within_the_quota() {
    let (relay, alice, bob) = (Relay::new().await, Person::new(1), Person::new(2));
    let list = alice.list(None, &[1]);
    relay.register("alice", &list).await;
    relay.register("bobby", &bob.list(None, &[1])).await;
    let owner = relay.log_in(&alice, 1).await;
    let key = |kind, len| Signed::from(alice.prekey(1, kind, 1, len, NOW_MS + 1));
    let one_time = key(SignedType::OneTimePrekey, 32);
    let keys = json!({
        "signed": key(SignedType::SignedPrekey, 32),
        "pq_last_resort": key(SignedType::PqLastResort, 1184),
        "one_time": [one_time],
    });
    let own = format!("/v1/users/{}/devices/{}/prekeys", alice.user, device_id(1));
    assert_eq!(owner.put(&own, keys).await.0, StatusCode::OK);

    let login = relay.log_in(&bob, 1).await;
    let path = format!("/v1/users/{}/prekeys/claim", alice.user);
    // An unlisted device and a repeated one cost nothing and yield nothing.
    let body = json!({ "devices": [device_id(1), device_id(7), device_id(1)] });
    refused(
        relay.post(&path, body.clone()).await,
        401,
        "not_authenticated",
    );
    for expected in [json!(one_time), Value::Null, Value::Null] {
        let (status, claimed) = login.post(&path, body.clone()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(claimed["list"], json!(Signed::from(list.signed.clone())));
        let bundles = claimed["bundles"].as_array().expect("bundles");
        assert_eq!((bundles.len(), &bundles[0]["one_time"]), (1, &expected));
    }
    refused(login.post(&path, body).await, 429, "claim_quota");
    let many: Vec<_> = (0..11).map(device_id).collect();
    refused(
        login.post(&path, json!({ "devices": many })).await,
        400,
        "bad_request",
    );
}
