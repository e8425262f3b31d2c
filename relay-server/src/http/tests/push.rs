//! A device says where it is woken, of itself alone.

use sordino_protocol::http::PushProvider;

use super::*;
use crate::user::PushTarget;

impl Login<'_> {
    async fn delete(&self, path: &str) -> (StatusCode, Value) {
        let proof = self.proof_of("DELETE", path, "").await;
        let request = Request::delete(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(PROOF_HEADER, proof)
            .body(Body::empty());
        self.relay.call(request.expect("a request")).await
    }
}

fn path(person: &Person, device: u8) -> String {
    format!(
        "/v1/users/{}/devices/{}/push",
        person.user,
        device_id(device)
    )
}

#[tokio::test]
async fn a_device_sets_and_removes_its_own_target_only() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay.register("alice", &person.list(None, &[1])).await;
    let login = relay.log_in(&person, 1).await;
    let own = path(&person, 1);
    let done = (StatusCode::NO_CONTENT, Value::Null);
    let targets = async || relay.api.users.push_targets(person.user).await;
    for (provider, name) in PushProvider::ALL.map(|p| (p, p.as_str())) {
        let body = json!({ "provider": name, "token": "abc:def" });
        assert_eq!(login.put(&own, body).await, done);
        let stored = PushTarget {
            device: device_id(1),
            provider,
            token: "abc:def".to_owned(),
            set_ms: NOW_MS,
        };
        assert_eq!(targets().await, Ok(vec![stored]));
    }
    let good = json!({ "provider": "fcm", "token": "abc" });
    refused(
        login.put(&path(&person, 2), good.clone()).await,
        403,
        "forbidden",
    );
    refused(login.delete(&path(&person, 2)).await, 403, "forbidden");
    let stranger = path(&Person::new(2), 1);
    refused(login.put(&stranger, good).await, 403, "forbidden");
    assert_eq!(targets().await.map(|all| all.len()), Ok(1));
    assert_eq!(login.delete(&own).await, done);
    assert_eq!(targets().await, Ok(vec![]));
    assert_eq!(login.delete(&own).await, done);
}

#[tokio::test]
async fn what_is_no_token_or_not_signed_is_refused() {
    let (relay, person) = (Relay::new().await, Person::new(1));
    relay.register("alice", &person.list(None, &[1])).await;
    let login = relay.log_in(&person, 1).await;
    let own = path(&person, 1);
    for token in ["", "a b", "\u{e9}", "a\nb", &"x".repeat(4097)] {
        let body = json!({ "provider": "fcm", "token": token });
        refused(login.put(&own, body).await, 400, "bad_request");
    }
    for body in [
        json!({ "provider": "carrier pigeon", "token": "abc" }),
        json!({ "provider": "fcm" }),
        json!({ "provider": "fcm", "token": "abc", "more": 1 }),
    ] {
        refused(login.put(&own, body).await, 400, "bad_request");
    }
    let good = json!({ "provider": "fcm", "token": "abc" }).to_string();
    let other = login.proof(&own, "other").await;
    refused(login.put_with(&own, &good, &other).await, 401, "bad_proof");
    assert_eq!(relay.api.users.push_targets(person.user).await, Ok(vec![]));
    let longest = json!({ "provider": "fcm", "token": "x".repeat(4096) });
    assert_eq!(login.put(&own, longest).await.0, StatusCode::NO_CONTENT);
}
