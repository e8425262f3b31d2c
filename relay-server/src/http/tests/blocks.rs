//! A person says whom they have blocked.

use sordino_protocol::limits;

use super::*;

#[tokio::test]
async fn a_person_blocks_others_for_themselves_alone() {
    let (relay, person, other) = (Relay::new().await, Person::new(1), Person::new(2));
    relay.register("alice", &person.list(None, &[1])).await;
    relay.register("bob", &other.list(None, &[1])).await;
    let login = relay.log_in(&person, 1).await;
    let path = format!("/v1/users/{}/blocks/{}", person.user, other.user);
    let done = (StatusCode::NO_CONTENT, Value::Null);
    let has_blocked = async |by, whom| relay.api.has_blocked(by, whom).await;
    assert_eq!(has_blocked(person.user, other.user).await, Ok(false));
    let body = json!({ "blocked": true, "decided_ms": 5 });
    assert_eq!(login.put(&path, body).await, done);
    assert_eq!(has_blocked(person.user, other.user).await, Ok(true));
    assert_eq!(has_blocked(other.user, person.user).await, Ok(false));
    // The store does not say whom.
    let stored = relay.api.users.blocked(person.user).await.expect("read");
    assert_eq!(stored.len(), 1);
    assert!(!other.user.as_bytes().starts_with(&stored[0]));
    // A device that says late what was decided before changes nothing.
    let before = json!({ "blocked": false, "decided_ms": 4 });
    assert_eq!(login.put(&path, before).await, done);
    assert_eq!(has_blocked(person.user, other.user).await, Ok(true));
    let lifted = json!({ "blocked": false, "decided_ms": 6 });
    assert_eq!(login.put(&path, lifted).await, done);
    assert_eq!(has_blocked(person.user, other.user).await, Ok(false));

    let of_another = format!("/v1/users/{}/blocks/{}", other.user, person.user);
    let good = json!({ "blocked": true, "decided_ms": 9 });
    refused(login.put(&of_another, good.clone()).await, 403, "forbidden");
    let oneself = format!("/v1/users/{}/blocks/{}", person.user, person.user);
    refused(login.put(&oneself, good.clone()).await, 400, "bad_request");
    for body in [
        json!({ "blocked": true, "decided_ms": 0 }),
        json!({ "blocked": true, "decided_ms": limits::DECIDED_MS }),
        json!({ "blocked": true }),
        json!({ "blocked": 1, "decided_ms": 9 }),
        json!({ "blocked": true, "decided_ms": 9, "more": 1 }),
    ] {
        refused(login.put(&path, body).await, 400, "bad_request");
    }
    let good = good.to_string();
    let unsigned = login.proof(&path, "other").await;
    refused(
        login.put_with(&path, &good, &unsigned).await,
        401,
        "bad_proof",
    );
    assert_eq!(has_blocked(person.user, other.user).await, Ok(false));
}
